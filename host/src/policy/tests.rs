//! What is accepted, what is refused and how it is said, each beside its opposite.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod chains;
mod mutations;
mod shipped;

use super::*;
use crate::error::{Blame, Exit, Explain};

fn accepted(text: &str) -> Policy {
    match Policy::from_toml("acme.toml", text) {
        Ok(policy) => policy,
        Err(error) => panic!("{text}\nwas refused:\n{error}"),
    }
}

/// The messages for a text that must be refused, one a problem.
fn refused(text: &str) -> Vec<String> {
    match Policy::from_toml("acme.toml", text) {
        Ok(_) => panic!("was accepted:\n{text}"),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

fn refused_once(text: &str) -> String {
    let mut problems = refused(text);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.remove(0)
}

#[test]
fn known_key_accepted() {
    let policy = accepted("extends = \"default\"\n[chunker]\nfuel_max = 7_000\n");
    assert_eq!(policy.chunker.call.fuel_max, 7_000);
    assert_eq!(policy.agent.call.fuel_max, 400_000_000);
    assert_eq!(policy.name, "acme");
}

#[test]
fn misspelt_key_refused() {
    let text =
        "extends = \"default\"\n\n[chunker]\ncpu_ms_max = 1\nwall_ms_max = 5\n\nfule_max = 3\n";
    assert_eq!(
        refused_once(text),
        "acme.toml:7:1: unknown key 'fule_max' in [chunker]; did you mean 'fuel_max'?"
    );
}

#[test]
fn key_of_another_section_refused_with_its_home() {
    assert_eq!(
        refused_once("[agent]\nchunks_max = 3\n"),
        "acme.toml:2:1: unknown key 'chunks_max' in [agent]; it belongs in [chunker]"
    );
    assert_eq!(
        refused_once("fuel_max = 3\n"),
        "acme.toml:1:1: unknown key 'fuel_max' above the sections; it belongs in [chunker] or in [agent]"
    );
    assert_eq!(
        refused_once("[tenant]\nwasi = \"none\"\n"),
        "acme.toml:2:1: unknown key 'wasi' in [tenant]; it belongs above the sections"
    );
    assert_eq!(
        refused_once("[ingest]\nseaches_max = 1\n"),
        "acme.toml:2:1: unknown key 'seaches_max' in [ingest]; did you mean 'agent.searches_max'?"
    );
    assert_eq!(
        refused_once("[ingest]\nzzz = 1\n"),
        "acme.toml:2:1: unknown key 'zzz' in [ingest]"
    );
}

#[test]
fn unknown_section_refused() {
    assert_eq!(
        refused_once("[chunkers]\nfuel_max = 3\n"),
        "acme.toml:1:2: unknown section [chunkers]; did you mean [chunker]?"
    );
    assert_eq!(
        refused_once("[limits]\n"),
        "acme.toml:1:2: unknown section [limits]; there are [chunker], [agent], [ingest], [tenant], [breaker]"
    );
    assert_eq!(
        refused_once("[chunker.more]\nfuel_max = 1\n"),
        "acme.toml:1:10: unknown key 'more' in [chunker]"
    );
    assert_eq!(
        refused_once("extend = \"strict\"\n"),
        "acme.toml:1:1: unknown key 'extend' above the sections; did you mean 'extends'?"
    );
}

#[test]
fn section_of_another_shape_refused() {
    assert_eq!(
        refused_once("chunker = 3\n"),
        "acme.toml:1:1: [chunker] must be a section of keys, not a whole number"
    );
    assert_eq!(
        refused_once("[[chunker]]\nfuel_max = 3\n"),
        "acme.toml:1:3: [chunker] must be a section of keys, not a list"
    );
}

#[test]
fn any_spelling_of_a_section_accepted() {
    assert_eq!(accepted("chunker.fuel_max = 9").chunker.call.fuel_max, 9);
    assert_eq!(
        accepted("chunker = { fuel_max = 9 }").chunker.call.fuel_max,
        9
    );
    assert_eq!(
        accepted("[chunker]\r\n\"fuel_max\" = 0x9\r\n")
            .chunker
            .call
            .fuel_max,
        9
    );
}

#[test]
fn wrong_type_refused() {
    let key = |value: &str| refused_once(&format!("[chunker]\nfuel_max = {value}\n"));
    let wanted =
        "acme.toml:2:12: chunker.fuel_max must be a whole number, 1 to 1,000,000,000,000 fuel, not";
    assert_eq!(key("\"3\""), format!("{wanted} a string"));
    assert_eq!(key("3.0"), format!("{wanted} a number with a fraction"));
    assert_eq!(key("true"), format!("{wanted} true or false"));
    assert_eq!(key("[3]"), format!("{wanted} a list"));
    assert_eq!(key("{ a = 3 }"), format!("{wanted} a section"));
    assert_eq!(key("2026-01-01"), format!("{wanted} a date"));
    assert!(
        refused_once("[breaker]\nstops_ratio_max = \"0.5\"")
            .contains("must be a number, 0.01 to 1.0, not")
    );
}

#[test]
fn out_of_range_refused() {
    let key = |value: &str| refused_once(&format!("[agent]\nmemory_mib_max = {value}\n"));
    let range = "is out of range: 1 to 4,096 MiB";
    assert_eq!(
        key("0"),
        format!("acme.toml:2:18: agent.memory_mib_max = 0 {range}; nothing is unlimited")
    );
    assert_eq!(
        key("-1"),
        format!("acme.toml:2:18: agent.memory_mib_max = -1 {range}")
    );
    assert_eq!(
        key("4_097"),
        format!("acme.toml:2:18: agent.memory_mib_max = 4097 {range}")
    );
    let huge = "9".repeat(500);
    assert_eq!(
        key(&huge),
        format!(
            "acme.toml:2:18: agent.memory_mib_max = {}… {range}",
            &huge[..40]
        )
    );
}

#[test]
fn both_ends_of_every_range_accepted_and_beyond_refused() {
    for key in keys() {
        let ends = match key.kind {
            Kind::Count { min, max } => [
                min.to_string(),
                max.to_string(),
                "0".into(),
                (max + 1).to_string(),
            ],
            Kind::Ratio { min, max } => {
                [min, max, min / 2.0, max * 1.001].map(|number| format!("{number:?}"))
            }
            Kind::Word(words) => {
                [words[0], words[1], "", "nonesuch"].map(|word| format!("{word:?}"))
            }
        };
        for (at, value) in ends.iter().enumerate() {
            let (file, problems) = file::read("x", &format!("{} = {value}", key.path()));
            let legal = at < 2;
            assert_eq!(
                file.values.contains_key(&key.path()),
                legal,
                "{} = {value}",
                key.path()
            );
            assert_eq!(problems.is_empty(), legal, "{problems:?}");
        }
    }
}

#[test]
fn ratio_accepted_whole_or_not() {
    assert_eq!(
        accepted("chunker.overlap_ratio_max = 3")
            .chunker
            .overlap_ratio_max,
        3.0
    );
    assert_eq!(
        accepted("chunker.overlap_ratio_max = 1.5e0")
            .chunker
            .overlap_ratio_max,
        1.5
    );
}

#[test]
fn ratio_that_is_no_number_refused() {
    for value in [
        "nan",
        "-nan",
        "inf",
        "-inf",
        "0.0",
        "-0.5",
        "1.01",
        "1e400",
        "0",
        "99999999999",
    ] {
        let problem = refused_once(&format!("[breaker]\nstops_ratio_max = {value}\n"));
        assert!(
            problem.starts_with("acme.toml:2:19: breaker.stops_ratio_max = "),
            "{problem}"
        );
        assert!(
            problem.contains(" is out of range: 0.01 to 1.0"),
            "{problem}"
        );
    }
}

#[test]
fn wasi_is_one_of_two_words() {
    assert_eq!(accepted("wasi = \"sandboxed\"").wasi, Wasi::Sandboxed);
    assert_eq!(accepted("wasi = \"none\"").wasi.as_str(), "none");
    assert_eq!(
        refused_once("wasi = \"full\""),
        "acme.toml:1:8: wasi must be none or sandboxed, not 'full'"
    );
    assert_eq!(
        refused_once("wasi = 1"),
        "acme.toml:1:8: wasi must be none or sandboxed, not a whole number"
    );
    assert_eq!(
        refused_once("[wasi]"),
        "acme.toml:1:1: wasi must be none or sandboxed, not a section"
    );
}

#[test]
fn duplicate_key_refused_with_its_place() {
    let problem = refused_once("[chunker]\nfuel_max = 1\nfuel_max = 2\n");
    assert!(
        problem.starts_with("acme.toml:3:1: not valid TOML: duplicate key"),
        "{problem}"
    );
    let problem = refused_once("[chunker]\n[agent]\n[chunker]\n");
    assert!(
        problem.starts_with("acme.toml:3:2: not valid TOML: duplicate key"),
        "{problem}"
    );
}

#[test]
fn torn_toml_refused_with_its_place() {
    let problem = refused_once("[chunker]\nfuel_max = \n");
    assert!(problem.starts_with("acme.toml:2:1"), "{problem}");
    assert!(problem.contains("not valid TOML"), "{problem}");
}

#[test]
fn every_problem_is_reported_in_order() {
    let text = "wasi = \"all\"\nextends = 3\n[chunker]\nfuel_max = 0 # ü\nü = 1\nchunks_max = 1.5\n\
                [agent]\npassages_max = \n[tenants]\n";
    let places: Vec<String> = refused(text)
        .iter()
        .map(|problem| {
            problem
                .splitn(4, ':')
                .skip(1)
                .take(2)
                .collect::<Vec<_>>()
                .join(":")
        })
        .collect();
    assert_eq!(
        places[..5],
        ["1:8", "2:11", "4:12", "5:1", "6:14"],
        "{places:?}"
    );
    assert!(places[5].starts_with("8:"), "{places:?}");
    assert_eq!(places[6], "9:2");
}

#[test]
fn columns_are_characters() {
    let problems = refused("chunker = { \"äöü\" = 1, fuel_max = 0 }");
    assert!(problems[0].starts_with("acme.toml:1:13: unknown key 'äöü'"));
    assert!(problems[1].starts_with("acme.toml:1:35: chunker.fuel_max = 0"));
}

#[test]
fn thousands_of_problems_are_counted() {
    let text: String = (0..5_000).map(|n| format!("k{n} = 1\n")).collect();
    let problems = refused(&text);
    assert_eq!(problems.len(), 101);
    assert_eq!(problems[100], "acme.toml: 4,900 more problems");
}

#[test]
fn relation_between_keys_refused_with_both() {
    assert_eq!(
        refused_once("[chunker]\ncpu_ms_max = 20_000\n"),
        "acme.toml:2:1: chunker.cpu_ms_max = 20,000 must not exceed chunker.wall_ms_max = 10,000, since guest \
         CPU time is part of the wall time (chunker.wall_ms_max is from policies/default.toml:22)"
    );
    let problem = refused_once("[agent]\nwall_ms_max = 50\n");
    assert!(
        problem.starts_with("acme.toml:2:1: agent.cpu_ms_max = 2,000 must not exceed"),
        "{problem}"
    );
    accepted("[agent]\nwall_ms_max = 50\ncpu_ms_max = 50\n");
}

#[test]
fn every_relation_is_between_known_keys_of_one_unit() {
    for relation in RELATIONS {
        let find = |path: &str| *keys().iter().find(|key| key.path() == path).unwrap();
        let (first, second) = (find(relation.first), find(relation.second));
        assert_eq!(first.unit, second.unit);
        let text = format!("{} = 100\n{} = 99\n", relation.first, relation.second);
        let problems = refused(&text);
        let named = |p: &String| p.contains(relation.first) && p.contains(relation.second);
        assert!(problems.iter().any(named), "{problems:?}");
    }
}

#[test]
fn relation_of_a_refused_value_is_not_judged() {
    refused_once("[chunker]\ncpu_ms_max = 20_000\nwall_ms_max = \"30 s\"\n");
}

#[test]
fn deep_nesting_refused() {
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(50_000)),
        format!("[{}z]", "a.".repeat(50_000)),
    ] {
        assert!(refused(&text)[0].starts_with("acme.toml:1:"));
    }
}

#[test]
fn control_characters_do_not_reach_the_message() {
    let problem = refused_once("\"\\u001b[31m\\n\" = 1");
    assert!(!problem.contains('\u{1b}'), "{problem:?}");
}

#[test]
fn error_explains_itself() {
    let error = Policy::from_toml("acme.toml", "x = 1").unwrap_err();
    assert_eq!(
        (error.code(), error.blame(), error.exit()),
        ("policy", Blame::Caller, Exit::Usage)
    );
    assert!(error.hint().unwrap().contains("policy check"));
    assert_eq!(error.problems().len(), 1);
}
