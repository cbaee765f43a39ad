//! `eval` with several agents and with a candidate: what its numbers are, and that nothing of the tenant's changes.

use super::{AS_FOUND, REVERSED, birds, finder};
use crate::support::guests::{self, WHOLE_TEXT};
use crate::support::{Bench, arg, interrupt, wait_until};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;

const MEASURES: [&str; 6] = [
    "ndcg@10",
    "mrr@10",
    "recall@5",
    "recall@10",
    "all_gold@5",
    "all_gold@10",
];

fn questions(bench: &Bench) -> PathBuf {
    let questions = [
        ("which bird waits in the reeds", "heron.txt"),
        ("who has a nest on the chimney", "stork.txt"),
        ("what sleeps on the wing", "swift.txt"),
        ("which bird eats mussels", "eider.txt"),
        ("something about a zeppelin", "heron.txt"),
    ];
    let lines = questions.map(|(query, document)| {
        let line = json!({ "id": document, "query": query, "relevant": [document] });
        format!("{line}\n")
    });
    bench.file("questions.jsonl", lines.concat())
}

#[test]
fn several_agents_are_compared_with_the_first_and_the_same_seed_says_the_same() {
    let bench = birds();
    let questions = questions(&bench);
    let eval = |seed: &str| {
        bench.json(&[
            "eval",
            "acme",
            arg(&questions),
            "--agent",
            "text",
            "--agent",
            "vector",
            "--agent",
            "text",
            "--seed",
            seed,
            "--draws",
            "1000",
        ])
    };
    let said = eval("7");
    assert_eq!(
        (&said["baseline"], &said["shadow"]),
        (&json!("text"), &Value::Null)
    );
    assert_eq!((&said["asked"], &said["questions"]), (&json!(5), &json!(5)));
    assert_eq!(
        said["bootstrap"],
        json!({ "draws": 1000, "seed": 7, "confidence": 0.95 })
    );
    assert_eq!(said["agents"].as_object().unwrap().len(), 2);
    for (label, agent) in said["agents"].as_object().unwrap() {
        for measure in MEASURES {
            let mean = agent[measure].as_f64().unwrap();
            let bound = |at: usize| agent["intervals"][measure][at].as_f64().unwrap();
            assert!(
                bound(0) <= mean && mean <= bound(1),
                "{label} {measure}: {agent}"
            );
        }
        assert!(agent["latency_ms"]["p50"].as_f64() <= agent["latency_ms"]["p99"].as_f64());
        assert!(agent["usage"]["fuel"].as_u64() > Some(0));
        assert_eq!(agent["failures"], json!([]));
    }
    // By words there is nothing to find of a zeppelin; by meaning there is always something.
    let shares = ["text", "vector"].map(|label| said["agents"][label]["empty_share"].clone());
    assert_eq!(json!(shares), json!([0.2, 0.0]));
    let differences = said["differences"].as_object().unwrap();
    assert_eq!(differences.keys().collect::<Vec<_>>(), ["vector"]);
    let again = eval("7");
    assert_eq!(said["differences"], again["differences"]);
    assert_eq!(
        said["agents"]["text"]["intervals"],
        again["agents"]["text"]["intervals"]
    );
}

#[test]
fn a_person_sees_measures_and_intervals_and_the_tenants_counts_are_as_before() {
    let bench = birds();
    let questions = questions(&bench);
    let few = bench.run(&["eval", "acme", arg(&questions), "--draws", "999"]);
    few.fails(2, &["999"]);
    let table = bench
        .run(&[
            "eval",
            "acme",
            arg(&questions),
            "--agent",
            "text",
            "--agent",
            "vector",
        ])
        .ok()
        .out;
    assert!(
        table.contains("NDCG@10") && table.contains("ALL GOLD@10"),
        "{table}"
    );
    assert!(table.contains("vector - text"), "{table}");
    let tenant = bench.json(&["tenant", "show", "acme"]);
    assert_eq!(tenant["answers"], json!([]), "an evaluation is no use");
}

/// Everything in a folder: names and sizes.
fn listing(folder: &std::path::Path) -> Vec<(String, u64)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, entry.metadata().unwrap().len())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_shadow_is_compared_before_it_is_used_and_nothing_changes() {
    let bench = birds();
    let questions = questions(&bench);
    let file = bench.file("mine.wasm", finder(AS_FOUND));
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    bench.run(&["plugin", "use", "acme", "mine"]).ok();
    // What the first question compiles is there from here on.
    bench.json(&["eval", "acme", arg(&questions)]);
    bench.json(&["eval", "acme", arg(&questions), "--agent", "text"]);
    let state = || {
        let plugins = bench.json(&["plugin", "list", "acme"]);
        let tenant = bench.json(&["tenant", "show", "acme"]);
        let folders = ["plugins", "cache"].map(|name| listing(&bench.data().join(name)));
        (folders, plugins, tenant)
    };
    let before = state();
    let same = bench.file("candidate.wasm", finder(AS_FOUND));
    let said = bench.json(&["eval", "acme", arg(&questions), "--shadow", arg(&same)]);
    let shadow = &said["shadow"];
    assert_eq!(
        (&shadow["active"], &shadow["candidate"]),
        (&json!("mine"), &json!(arg(&same)))
    );
    assert_eq!(shadow["verdict"], "no-difference", "{shadow}");
    assert_eq!(
        shadow["answers"],
        json!({ "compared": 5, "same": 5, "reordered": 0, "other": 0 })
    );
    assert_eq!(shadow["usage_ratio"]["fuel"], 1.0, "{shadow}");
    assert!(shadow["usage_ratio"]["embed_tokens"].is_null(), "{shadow}");
    let worst = bench.file("worst.wasm", finder(REVERSED));
    let said = bench.json(&["eval", "acme", arg(&questions), "--shadow", arg(&worst)]);
    let answers = &said["shadow"]["answers"];
    assert_eq!(answers["compared"], 5);
    assert!(answers["reordered"].as_u64() > Some(0), "{said:#}");
    let nothing = bench.file("nothing.wasm", guests::agent("(i32.const 32)"));
    let told = bench
        .run(&["eval", "acme", arg(&questions), "--shadow", arg(&nothing)])
        .ok()
        .out;
    assert!(told.contains("verdict    worse: "), "{told}");
    assert!(told.contains("empty 20.0 % -> 100.0 %"), "{told}");
    let label = bench.json(&["eval", "acme", arg(&questions), "--shadow", "text"]);
    assert_eq!(label["shadow"]["candidate"], "text");
    assert_eq!(state(), before);
}

#[test]
fn a_shadow_that_is_none_is_refused_and_one_that_traps_is_worse() {
    let bench = birds();
    let questions = questions(&bench);
    let eval = |shadow: &str, agent: &str| {
        bench.run(&[
            "--json",
            "eval",
            "acme",
            arg(&questions),
            "--agent",
            agent,
            "--shadow",
            shadow,
        ])
    };
    let chunker = bench.file("chunker.wasm", guests::chunker(WHOLE_TEXT));
    eval(arg(&chunker), "text").fails(2, &["plugin-kind"]);
    eval("recursive", "text").fails(2, &["plugin-kind"]);
    eval("no-such", "text").fails(2, &["neither an agent"]);
    eval("text", "text").fails(2, &["compared with"]);
    let junk = bench.file("junk.wasm", "junk");
    eval(arg(&junk), "text").fails(2, &[]);
    let endless = bench.file("endless.wasm", guests::agent("(loop (br 0)) unreachable"));
    eval(arg(&endless), "text").fails(2, &["plugin-trial"]);
    // It answers the trial's question, which begins with a W, and no other.
    let traps = guests::agent(
        "(if (i32.ne (i32.load8_u (local.get 0)) (i32.const 87)) (then unreachable)) (i32.const 32)",
    );
    let traps = bench.file("traps.wasm", traps);
    let ran = eval(arg(&traps), "text").fails(3, &[]);
    let said = ran.json();
    assert_eq!(said["shadow"]["verdict"], "worse", "{said:#}");
    let failures = said["agents"][arg(&traps)]["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 5);
    let plugins = bench.json(&["plugin", "list", "acme"]);
    let states = plugins["plugins"].as_array().unwrap().iter();
    assert!(
        states
            .map(|plugin| &plugin["state"])
            .all(|state| state == "active")
    );
}

#[test]
fn an_interrupted_evaluation_says_what_it_has() {
    let bench = birds();
    let policy =
        "[agent]\nfuel_max = 1_000_000_000_000\ncpu_ms_max = 600_000\nwall_ms_max = 3_600_000";
    let policy = bench.file("generous.toml", policy);
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    let spins = guests::agent(
        "(if (i32.eq (i32.load8_u (local.get 0)) (i32.const 33)) (then (loop (br 0)))) (i32.const 32)",
    );
    let file = bench.file("spins.wasm", spins);
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    let lines = ["one", "two", "!three", "four"].map(|query| {
        let line = json!({ "query": query, "relevant": ["heron.txt"] });
        format!("{line}\n")
    });
    let questions = bench.file("spinning.jsonl", lines.concat());
    let child = bench
        .command(&[
            "--json",
            "eval",
            "acme",
            arg(&questions),
            "--agent",
            "text",
            "--agent",
            "spins",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| {
        let tasks = bench.json(&["ps"])["tasks"].clone();
        let spinning = |task: &Value| task["subject"] == "!three" && task["phase"] == "call";
        tasks.as_array().unwrap().iter().any(spinning)
    });
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let said: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(
        (&said["interrupted"], &said["asked"]),
        (&json!(true), &json!(2))
    );
    for label in ["text", "spins"] {
        assert_eq!(said["agents"][label]["queries"], 2, "{said:#}");
    }
}

#[test]
fn questions_that_cannot_be_asked_are_refused_by_their_line() {
    let bench = birds();
    for (line, word) in [
        (r#"{"query": " ", "relevant": ["a"]}"#, "`query` is empty"),
        (r#"{"query": "a", "relevant": []}"#, "`relevant` is empty"),
        (r#"{"query": "a"}"#, "relevant"),
        ("", "no questions"),
    ] {
        let file = bench.file("wrong.jsonl", format!("\n{line}\n"));
        bench.run(&["eval", "acme", arg(&file)]).fails(2, &[word]);
    }
}
