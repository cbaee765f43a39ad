//! Plugins that keep being stopped and documents that stop them: what is lost, what goes on, what comes
//! back, over several runs of the real program.

use crate::support::guests::{self, WHOLE_TEXT};
use crate::support::{Bench, arg, wait_until};
use serde_json::{Value, json};

/// Opens after five stops on distinct inputs, one task at a time so that none is under way beside it.
const STRICT: &str = "[breaker]\nstops_max = 5\nstops_ratio_max = 0.25\nwindow_s = 3_600\n\
    cooldown_s = 3_600\n[tenant]\ntasks_running_max = 1\n";

/// A chunker that traps where `condition` holds; `salt` makes its bytes differ.
fn chunker(condition: &str, salt: u32) -> Vec<u8> {
    let trap = format!("(drop (i32.const {salt})) (if {condition} (then unreachable))");
    guests::chunker(&format!("{trap} {WHOLE_TEXT}"))
}

/// Whether the document begins with this byte.
fn begins(byte: char) -> String {
    let code = u32::from(byte);
    format!("(i32.eq (i32.load8_u (local.get 6)) (i32.const {code}))")
}

/// A chunker that manages nothing but its trial run, whose document begins with `#`.
fn hopeless(salt: u32) -> Vec<u8> {
    chunker(&format!("(i32.eqz {})", begins('#')), salt)
}

/// A tenant under `policy`.
fn tenant(bench: &Bench, name: &str, policy: &str) {
    let file = bench.file(&format!("policies/{name}.toml"), policy);
    bench
        .run(&["tenant", "add", name, "--policy", arg(&file)])
        .ok();
}

/// Installs a component as the tenant's chunker `lines`.
fn install(bench: &Bench, name: &str, component: &[u8]) {
    let file = bench.file("lines.wasm", component);
    bench.run(&["plugin", "install", name, arg(&file)]).ok();
    bench.run(&["plugin", "use", name, "lines"]).ok();
}

/// Documents that differ in their titles; equal texts share a vector.
fn documents(bench: &Bench, file: &str, number: u32, text: impl Fn(u32) -> &'static str) -> String {
    let line = |n: u32| {
        json!({ "id": format!("{file}-{n}"), "title": format!("{n}"), "text": text(n) }).to_string()
    };
    let lines: Vec<String> = (0..number).map(line).collect();
    let path = bench.file(&format!("{file}.jsonl"), lines.join("\n"));
    arg(&path).to_owned()
}

fn ingest(bench: &Bench, name: &str, path: &str, more: &[&str]) -> Value {
    let mut words = vec!["--json", "ingest", name, path];
    words.extend(more);
    let ran = bench.run(&words);
    assert!(ran.code == 0 || ran.code == 3, "{ran:?}");
    ran.json()
}

/// How many documents failed with this code.
fn failed(report: &Value, code: &str) -> usize {
    let failures = report["failures"].as_array().unwrap();
    failures
        .iter()
        .filter(|failure| failure["error"]["code"] == code)
        .count()
}

/// The tenant's only plugin, as `tenant show` tells it.
fn plugin(bench: &Bench, name: &str) -> Value {
    bench.json(&["tenant", "show", name])["plugins"][0].clone()
}

#[test]
fn five_poison_documents_in_a_large_folder_lose_five_documents() {
    let bench = Bench::new();
    tenant(&bench, "acme", "");
    install(&bench, "acme", &chunker(&begins('P'), 0));
    for first in [0, 200] {
        let poison = first..first + 5;
        let text = |n| match poison.contains(&n) {
            true => "Poison.",
            false => "Harmless.",
        };
        let file = documents(&bench, &format!("from-{first}"), 400, text);
        let counts = |added, unchanged, quarantined, report: Value| {
            let found = &report["documents"];
            assert_eq!(found["added"], added, "{report}");
            assert_eq!(found["unchanged"], unchanged, "{report}");
            assert_eq!(found["failed"], 5, "{report}");
            assert_eq!(report["quarantined"], quarantined, "{report}");
            assert_eq!(report["breaker"], json!([]), "{report}");
        };
        counts(395, 0, 0, ingest(&bench, "acme", &file, &[]));
        counts(0, 395, 0, ingest(&bench, "acme", &file, &[]));
        counts(0, 395, 5, ingest(&bench, "acme", &file, &[]));
    }
    let shown = bench.json(&["tenant", "show", "acme"]);
    assert_eq!(shown["documents"], 790);
    assert_eq!(shown["plugins"][0]["state"], "active");
}

#[test]
fn a_document_that_was_stopped_twice_is_left_alone_until_it_changes_or_is_asked_for() {
    let bench = Bench::new();
    tenant(&bench, "acme", "");
    // It manages what begins with Q where there is a second byte of R.
    let second = "(i32.ne (i32.load8_u offset=1 (local.get 6)) (i32.const 82))";
    let poison = format!("(i32.and {} {second})", begins('Q'));
    install(&bench, "acme", &chunker(&poison, 0));
    let file = documents(&bench, "d", 1, |_| "Q: poison.");
    for _ in 0..2 {
        assert_eq!(failed(&ingest(&bench, "acme", &file, &[]), "stopped"), 1);
    }
    let skipped = ingest(&bench, "acme", &file, &[]);
    assert_eq!(failed(&skipped, "quarantined"), 1, "{skipped}");
    assert_eq!(
        skipped["guest_cpu_ms"].as_f64(),
        Some(0.0),
        "it was not run"
    );
    let error = &skipped["failures"][0]["error"];
    assert_eq!(error["stop"]["reason"], "trap", "{error}");
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains("--retry-quarantined")
    );
    assert_eq!(bench.json(&["tenant", "show", "acme"])["quarantined"], 1);
    let again = ingest(&bench, "acme", &file, &["--retry-quarantined"]);
    assert_eq!(failed(&again, "stopped"), 1, "{again}");
    let changed = documents(&bench, "d", 1, |_| "QR: harmless.");
    assert_eq!(
        ingest(&bench, "acme", &changed, &[])["documents"]["added"],
        1
    );
    // Another version of the plugin makes another version of the document.
    let file = documents(&bench, "d", 1, |_| "Q: poison.");
    install(&bench, "acme", &chunker(&begins('Z'), 1));
    assert_eq!(
        ingest(&bench, "acme", &file, &[])["documents"]["replaced"],
        1
    );
}

#[test]
fn a_retry_that_succeeds_takes_the_document_out_of_quarantine() {
    let bench = Bench::new();
    tenant(&bench, "acme", "[chunker]\nmemory_mib_max = 1\n");
    // The trial needs little; a document that begins with P needs 2 MiB more.
    let grow = format!(
        "(if {} (then (drop (memory.grow (i32.const 32)))))",
        begins('P')
    );
    install(
        &bench,
        "acme",
        &guests::chunker(&format!("{grow} {WHOLE_TEXT}")),
    );
    let file = documents(&bench, "d", 1, |_| "Plenty.");
    for _ in 0..2 {
        assert_eq!(failed(&ingest(&bench, "acme", &file, &[]), "stopped"), 1);
    }
    assert_eq!(
        failed(&ingest(&bench, "acme", &file, &[]), "quarantined"),
        1
    );
    bench.run(&["tenant", "policy", "acme", "default"]).ok();
    assert_eq!(
        failed(&ingest(&bench, "acme", &file, &[]), "quarantined"),
        1
    );
    let retried = ingest(&bench, "acme", &file, &["--retry-quarantined"]);
    assert_eq!(retried["documents"]["added"], 1, "{retried}");
    assert_eq!(bench.json(&["tenant", "show", "acme"])["quarantined"], 0);
}

#[test]
fn an_open_breaker_refuses_without_running_the_plugin_until_it_is_resumed() {
    let bench = Bench::new();
    for name in ["acme", "globex"] {
        tenant(&bench, name, STRICT);
        install(&bench, name, &hopeless(0));
    }
    let file = documents(&bench, "bad", 30, |_| "Anything.");
    let report = ingest(&bench, "acme", &file, &[]);
    assert_eq!(failed(&report, "stopped"), 5, "{report}");
    assert_eq!(failed(&report, "breaker-open"), 25, "{report}");
    assert_eq!(report["breaker"][0]["label"], "lines");
    assert_eq!(report["breaker"][0]["state"], "open");
    assert_eq!(report["breaker"][0]["breaker_stops"], 5);
    // Another process: the state was kept, and no guest runs.
    let report = ingest(&bench, "acme", &file, &[]);
    assert_eq!(failed(&report, "breaker-open"), 30, "{report}");
    assert_eq!(report["guest_cpu_ms"].as_f64(), Some(0.0));
    let error = &report["failures"][0]["error"];
    assert_eq!(error["blame"], "guest");
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("stockade plugin resume acme lines"), "{hint}");
    let said = bench.run(&["ingest", "acme", &file]).out;
    assert!(
        said.contains("breaker open after 5 stops, tries again in"),
        "{said}"
    );
    // The neighbour has the same plugin, and its own breaker.
    let good = documents(&bench, "good", 3, |_| "# Fine.");
    assert_eq!(
        ingest(&bench, "globex", &good, &[])["documents"]["added"],
        3
    );
    assert_eq!(plugin(&bench, "globex")["state"], "active");
    bench.run(&["plugin", "resume", "acme", "lines"]).ok();
    assert_eq!(plugin(&bench, "acme")["state"], "active");
    assert_eq!(ingest(&bench, "acme", &good, &[])["documents"]["added"], 3);
}

#[test]
fn the_last_version_that_worked_takes_over_in_the_same_run_and_everybody_is_told() {
    let bench = Bench::new();
    tenant(&bench, "acme", STRICT);
    install(&bench, "acme", &chunker(&begins('Z'), 1));
    let early = documents(&bench, "early", 2, |_| "Early.");
    assert_eq!(ingest(&bench, "acme", &early, &[])["documents"]["added"], 2);
    let good = plugin(&bench, "acme")["digest"].clone();
    install(&bench, "acme", &hopeless(2));
    let bad = plugin(&bench, "acme")["digest"].clone();
    assert_ne!(good, bad);

    let file = documents(&bench, "late", 30, |_| "Late.");
    let report = ingest(&bench, "acme", &file, &[]);
    assert_eq!(failed(&report, "stopped"), 5, "{report}");
    assert_eq!(report["documents"]["added"], 25, "{report}");
    let told = &report["breaker"][0];
    assert_eq!((&told["digest"], &told["rolled_back_from"]), (&good, &bad));
    let shown = plugin(&bench, "acme");
    assert_eq!(
        (&shown["digest"], &shown["rolled_back_from"]),
        (&good, &bad)
    );
    assert_eq!(shown["state"], "rolled-back");
    let listed = bench.run(&["plugin", "list", "acme"]).ok().out;
    let from = format!("rolled back from {}", &bad.as_str().unwrap()[..12]);
    assert!(listed.contains(&from), "{listed}");
    // What the earlier version made is as it was, and needs no work.
    let again = ingest(&bench, "acme", &early, &[]);
    assert_eq!(again["documents"]["unchanged"], 2, "{again}");
    assert_eq!(again["breaker"][0]["state"], "rolled-back");

    bench.run(&["plugin", "resume", "acme", "lines"]).ok();
    let shown = plugin(&bench, "acme");
    assert_eq!(
        (&shown["digest"], &shown["state"]),
        (&bad, &json!("active"))
    );
    assert_eq!(shown["rolled_back_from"], Value::Null);
}

#[test]
fn after_the_cooldown_one_document_decides() {
    let bench = Bench::new();
    // Long enough for seven documents of a busy machine.
    let short = STRICT.replace("cooldown_s = 3_600", "cooldown_s = 5");
    tenant(&bench, "acme", &short);
    install(&bench, "acme", &hopeless(0));
    let cooled = || wait_until(|| plugin(&bench, "acme")["state"] == "half-open");
    let bad = documents(&bench, "bad", 5, |_| "Anything.");
    ingest(&bench, "acme", &bad, &[]);
    cooled();
    let worse = documents(&bench, "worse", 8, |_| "Anything else.");
    let report = ingest(&bench, "acme", &worse, &[]);
    assert_eq!(failed(&report, "stopped"), 1, "{report}");
    assert_eq!(failed(&report, "breaker-open"), 7, "{report}");
    cooled();
    // Those that come while the trial runs wait for it.
    let good = documents(&bench, "good", 8, |_| "# Fine.");
    let report = ingest(&bench, "acme", &good, &[]);
    assert_eq!(report["documents"]["added"], 8, "{report}");
    assert_eq!(plugin(&bench, "acme")["state"], "active");
}

#[test]
fn stops_that_are_nobodys_fault_neither_open_it_nor_set_documents_aside() {
    let bench = Bench::new();
    let eager = STRICT
        .replace("stops_max = 5", "stops_max = 1")
        .replace("0.25", "0.05");
    let policy = format!("{eager}[ingest]\nembed_tokens_max = 1\n");
    tenant(&bench, "acme", &policy);
    install(&bench, "acme", &chunker(&begins('Z'), 0));
    let file = documents(&bench, "d", 30, |_| "More than one token.");
    for _ in 0..3 {
        let report = ingest(&bench, "acme", &file, &[]);
        assert_eq!(failed(&report, "stopped"), 30, "{report}");
        assert_eq!(report["failures"][0]["error"]["blame"], "limit");
    }
    let shown = bench.json(&["tenant", "show", "acme"]);
    assert_eq!(shown["plugins"][0]["state"], "active");
    assert_eq!(shown["quarantined"], 0);
}

/// An agent that traps on questions that do not begin with W, as its trial question does.
fn agent(traps: bool, salt: u32) -> Vec<u8> {
    let other = "(i32.ne (i32.load8_u (local.get 0)) (i32.const 87))";
    let trap = match traps {
        true => format!("(if {other} (then unreachable))"),
        false => String::new(),
    };
    guests::agent(&format!("(drop (i32.const {salt})) {trap} (i32.const 32)"))
}

#[test]
fn agents_have_breakers_too_and_the_same_question_counts_once() {
    let bench = Bench::new();
    let policy = STRICT
        .replace("stops_max = 5", "stops_max = 2")
        .replace("0.25", "0.1");
    tenant(&bench, "acme", &policy);
    let ask = |question| bench.run(&["--json", "query", "acme", question, "--agent", "mute"]);
    let install = |component: &[u8]| {
        let file = bench.file("mute.wasm", component);
        bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    };
    install(&agent(true, 1));
    for _ in 0..3 {
        ask("Hm?").fails(3, &["trap"]);
    }
    assert_eq!(plugin(&bench, "acme")["state"], "active");
    ask("Hm, hm?").fails(3, &["trap"]);
    ask("What now?").fails(4, &["breaker-open", "stockade plugin resume acme mute"]);

    install(&agent(false, 2));
    ask("Hm?").ok();
    install(&agent(true, 3));
    ask("Hm?").fails(3, &["trap"]);
    ask("Hm, hm?").fails(3, &["trap"]);
    let answer = ask("Hm, hm, hm?").ok().json();
    let degraded = answer["receipt"]["degraded"].to_string();
    assert!(degraded.contains("rolled 'mute' back"), "{answer}");
    assert_eq!(plugin(&bench, "acme")["state"], "rolled-back");
}

#[test]
fn one_document_does_not_pass_the_storage_limit_and_raising_it_lets_it_in() {
    let bench = Bench::new();
    tenant(&bench, "acme", "[tenant]\nstorage_mib_max = 1\n");
    install(&bench, "acme", &chunker(&begins('Z'), 0));
    let small = bench.file("small.txt", "A small document about otters.");
    assert_eq!(
        ingest(&bench, "acme", arg(&small), &[])["documents"]["added"],
        1
    );
    let large = bench.file("large.txt", "many words of no importance ".repeat(30_000));
    let report = ingest(&bench, "acme", arg(&large), &[]);
    let stop = &report["failures"][0]["error"]["stop"];
    assert_eq!(
        (&stop["reason"], &stop["limit"], &stop["blame"]),
        (&json!("storage"), &json!(1), &json!("limit")),
        "{report}"
    );
    let file = std::fs::metadata(bench.data().join("tenants/acme/index.db")).unwrap();
    assert!(file.len() <= 1 << 20, "{}", file.len());
    assert_eq!(bench.found("acme", "text", "otters"), ["small.txt"]);
    let more = bench.file("policies/more.toml", "[tenant]\nstorage_mib_max = 64\n");
    bench.run(&["tenant", "policy", "acme", arg(&more)]).ok();
    assert_eq!(
        ingest(&bench, "acme", arg(&large), &[])["documents"]["added"],
        1
    );
    bench
        .run(&[
            "tenant",
            "policy",
            "acme",
            arg(&bench.path("policies/acme.toml")),
        ])
        .ok();
    // Beyond its limit by now: nothing grows, and deleting works.
    let other = bench.file("other.txt", "other words entirely ".repeat(30_000));
    let report = ingest(&bench, "acme", arg(&other), &[]);
    assert_eq!(
        report["failures"][0]["error"]["stop"]["reason"], "storage",
        "{report}"
    );
    bench.run(&["delete", "acme", "large.txt"]).ok();
    assert_eq!(
        ingest(&bench, "acme", arg(&other), &[])["documents"]["added"],
        1
    );
}
