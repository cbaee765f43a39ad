//! The kill switch: what another terminal sees of a running command, and what it can end.

mod requests;

use crate::support::guests::{WHOLE_TEXT, agent, chunker};
use crate::support::running::{Running, ingest_lines, put, socket};
use crate::support::{Bench, arg, wait_until};
use serde_json::{Value, json};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Stdio;

/// A guest may spin for as long as a test needs, one at a time.
const GENEROUS: &str = "
    [chunker]
    fuel_max = 1_000_000_000_000
    cpu_ms_max = 600_000
    wall_ms_max = 3_600_000
    [agent]
    fuel_max = 1_000_000_000_000
    cpu_ms_max = 600_000
    wall_ms_max = 3_600_000
    [tenant]
    tasks_running_max = 1
";

/// Tenant `acme` whose chunker and agent spin on a text or a question that begins with `!`, and `globex`
/// with a document.
fn two_tenants() -> Bench {
    let bench = Bench::with_tenants(&["globex"]);
    let policy = bench.file("generous.toml", GENEROUS);
    bench
        .run(&["tenant", "add", "acme", "--policy", arg(&policy)])
        .ok();
    let spin = |text: u32| {
        format!(
            "(if (i32.eq (i32.load8_u (local.get {text})) (i32.const 33)) (then (loop (br 0))))"
        )
    };
    let cuts = bench.file("cuts.wasm", chunker(&format!("{} {WHOLE_TEXT}", spin(6))));
    let asks = bench.file("asks.wasm", agent(&format!("{} (i32.const 32)", spin(0))));
    for (file, label) in [(&cuts, "cuts"), (&asks, "asks")] {
        bench
            .run(&["plugin", "install", "acme", arg(file), "--as", label])
            .ok();
        bench.run(&["plugin", "use", "acme", label]).ok();
    }
    let heron = bench.file("heron.txt", "The heron stands in the reeds.");
    bench.run(&["ingest", "globex", arg(&heron)]).ok();
    bench
}

fn tasks(bench: &Bench) -> Vec<Value> {
    let said = bench.json(&["ps"]);
    said["tasks"].as_array().unwrap().clone()
}

/// Ids of the tasks in a phase.
fn in_phase(bench: &Bench, phase: &str) -> Vec<String> {
    let tasks = tasks(bench).into_iter();
    tasks
        .filter(|task| task["phase"] == phase)
        .map(|task| task["task"].as_str().unwrap().to_owned())
        .collect()
}

fn wait_for_documents(bench: &Bench, number: u64) {
    wait_until(|| bench.json(&["tenant", "show", "acme"])["documents"] == number);
}

#[test]
fn a_running_and_a_queued_task_are_killed_and_the_others_go_on() {
    let bench = two_tenants();
    bench.file("docs/one.txt", "!one");
    bench.file("docs/two.txt", "!two");
    bench.file("docs/plain.txt", "Plain text.");
    let docs = bench.path("docs");
    let running = Running::start(&bench, &["--json", "ingest", "acme", arg(&docs)]);
    wait_until(|| in_phase(&bench, "call").len() == 1 && !in_phase(&bench, "queued").is_empty());
    let table = bench.run(&["ps"]).ok().out;
    assert!(table.starts_with("TASK"), "{table}");
    let seen = tasks(&bench);
    let meters = seen[0]["usage"].as_object().unwrap();
    assert_eq!(meters.len(), 13, "every meter is shown: {meters:?}");
    let spins = |task: &Value| task["subject"] != "plain.txt";
    let mut left: Vec<Value> = seen.into_iter().filter(spins).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // The one that waits for its place first, then the one that runs.
    left.sort_by_key(|task| task["phase"] != "queued");
    for task in &left {
        let id = task["task"].as_str().unwrap();
        let killed = bench.json(&["kill", id]);
        assert_eq!(killed["killed"], json!([id]));
    }
    let ended = running.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    let report = ended.json();
    assert_eq!(report["documents"]["added"], 1, "{report}");
    assert_eq!(report["failures"].as_array().unwrap().len(), 2, "{report}");
    for failure in report["failures"].as_array().unwrap() {
        assert_eq!(failure["error"]["stop"]["reason"], "killed", "{report}");
    }
    assert!(!socket(&bench).exists());
}

#[test]
fn without_anybody_at_work_there_is_nothing_to_kill() {
    let bench = Bench::with_tenants(&["acme"]);
    assert_eq!(bench.run(&["ps"]).ok().out, "No tasks.\n");
    assert_eq!(bench.json(&["ps"]), json!({ "tasks": [] }));
    bench.run(&["kill", "t7"]).fails(2, &["no task 't7'"]);
    bench.run(&["kill", "seven"]).fails(2, &["seven"]);
    bench
        .run(&["kill", "--tenant", "nobody"])
        .fails(2, &["no tenant 'nobody'"]);
    bench.run(&["kill", "--tenant", "acme"]).ok();
    assert_eq!(
        bench.json(&["tenant", "show", "acme"])["suspended"],
        json!(true)
    );
}

#[test]
fn a_killed_tenants_tasks_end_and_nobody_elses() {
    let bench = two_tenants();
    bench.file("docs/0.txt", "!spins");
    for number in 1..100 {
        bench.file(&format!("docs/{number}.txt"), format!("Document {number}."));
    }
    let docs = bench.path("docs");
    let running = Running::start(&bench, &["--json", "ingest", "acme", arg(&docs)]);
    let spins = |task: &Value| task["subject"] == "0.txt" && task["phase"] == "call";
    wait_until(|| tasks(&bench).iter().any(spins));
    let said = bench.json(&["kill", "--tenant", "acme"]);
    assert_eq!(said["suspended"], true);
    assert!(said["ended"].as_u64() >= Some(1), "{said}");
    let ended = running.end();
    assert_eq!(ended.code, 4, "{ended:?}");
    let report = ended.json();
    let early = &report["ended_early"];
    assert_eq!(early["reason"], "suspended", "{report}");
    assert_eq!(report["interrupted"], false);
    let counts = &report["documents"];
    assert_eq!(counts["failed"], 0, "{report}");
    let done = counts["added"].as_u64().unwrap() + report["unfinished"].as_u64().unwrap();
    assert_eq!(counts["seen"].as_u64(), Some(done), "{report}");
    let show = bench.json(&["tenant", "show", "acme"]);
    assert_eq!(
        (&show["documents"], &show["suspended"]),
        (&counts["added"], &json!(true))
    );
    bench
        .run(&["ingest", "acme", arg(&docs)])
        .fails(4, &["suspended"]);
    assert_eq!(bench.found("globex", "text", "heron"), ["heron.txt"]);
}

#[test]
fn a_suspension_ends_an_ingest_between_two_documents_and_says_where() {
    let bench = two_tenants();
    let (running, mut input) = ingest_lines(&bench);
    put(&mut input, "one", "The first.");
    wait_for_documents(&bench, 1);
    bench.run(&["tenant", "suspend", "acme"]).ok();
    bench
        .run(&["query", "acme", "first"])
        .fails(4, &["suspended"]);
    put(&mut input, "two", "The second.");
    put(&mut input, "three", "The third.");
    drop(input);
    let ended = running.end();
    assert_eq!(ended.code, 4, "{ended:?}");
    let report = ended.json();
    assert_eq!(
        report["ended_early"],
        json!({ "reason": "suspended", "last_committed": "one", "first_not_begun": "two" })
    );
    assert_eq!(report["documents"]["seen"], 1, "{report}");
    bench.run(&["tenant", "resume", "acme"]).ok();
    bench.run(&["query", "acme", "first"]).ok();
}

#[test]
fn a_policy_change_acts_on_the_next_document() {
    let bench = two_tenants();
    let (running, mut input) = ingest_lines(&bench);
    put(&mut input, "one", &"Long enough. ".repeat(200));
    wait_for_documents(&bench, 1);
    let small = bench.file("small.toml", "[ingest]\ndocument_kib_max = 1\n");
    bench.run(&["tenant", "policy", "acme", arg(&small)]).ok();
    assert!(
        bench
            .run(&["policy", "show", "acme"])
            .ok()
            .out
            .contains("small.toml:2")
    );
    put(&mut input, "two", &"Too long now. ".repeat(200));
    put(&mut input, "three", "Short.");
    drop(input);
    let ended = running.end();
    assert_eq!(ended.code, 3, "{ended:?}");
    let report = ended.json();
    assert_eq!(report["documents"]["added"], 2, "{report}");
    assert_eq!(report["failures"][0]["document"], "two");
    assert_eq!(report["failures"][0]["error"]["stop"]["reason"], "document");
}

#[test]
fn an_answer_is_the_same_whoever_gives_it() {
    let bench = two_tenants();
    let commands: &[&[&str]] = &[
        &["tenant", "show", "globex"],
        &["tenant", "list"],
        &["policy", "show", "globex"],
        &["query", "globex", "heron", "--agent", "none"],
        &["query", "globex", "heron", "--k", "0"],
        &["query", "nobody", "heron"],
        &["--json", "query", "globex", "heron", "--filter", "{"],
    ];
    let said = || -> Vec<_> {
        let ran = commands.iter().map(|words| bench.run(words));
        ran.map(|ran| (ran.code, ran.out, ran.err)).collect()
    };
    let passages = || bench.json(&["query", "globex", "where is the heron"])["passages"].clone();
    // The ingest below opens the tenant's index, which then has a size.
    bench.run_with_input(&["ingest", "acme", "-"], "").ok();
    // Answered questions are counted: the same number of them both times.
    let (found, alone) = (passages(), said());
    let (running, input) = ingest_lines(&bench);
    let (forwarded, found_again) = (said(), passages());
    drop(input);
    running.end();
    assert_eq!(alone, forwarded);
    assert_eq!(found, found_again);
}

#[test]
fn a_forwarded_question_is_killed_or_taken_back() {
    let bench = two_tenants();
    let (running, input) = ingest_lines(&bench);
    let ask = || {
        let asking = Running::start(&bench, &["query", "acme", "!spin"]);
        wait_until(|| in_phase(&bench, "call").len() == 1);
        asking
    };
    let asking = ask();
    let id = in_phase(&bench, "call").pop().unwrap();
    bench.run(&["kill", &id]).ok();
    asking.end().fails(3, &["killed"]);
    let asking = ask();
    asking.signal("-INT");
    assert_eq!(asking.end().code, 130);
    wait_until(|| tasks(&bench).is_empty());
    let asking = ask();
    bench.run(&["tenant", "suspend", "acme"]).ok();
    asking.end().fails(4, &["suspended"]);
    drop(input);
    assert_eq!(running.end().code, 0);
}

#[test]
fn what_only_the_holder_may_do_is_refused_and_the_holder_named() {
    let bench = two_tenants();
    let (running, input) = ingest_lines(&bench);
    let holder = format!("process {}", running.0.as_ref().unwrap().id());
    let refused: &[&[&str]] = &[
        &["tenant", "add", "third"],
        &["tenant", "remove", "acme"],
        &["plugin", "list", "acme"],
        &["ingest", "globex", "-"],
        &["delete", "acme", "one"],
        &["doctor"],
    ];
    for words in refused {
        bench.run(words).fails(4, &[&holder]);
    }
    drop(input);
    running.end().ok();
}

#[test]
fn short_commands_at_once_wait_for_each_other() {
    let bench = two_tenants();
    let asking: Vec<_> = (0..3)
        .map(|_| Running::start(&bench, &["tenant", "list"]))
        .collect();
    for asked in asking {
        asked.end().ok();
    }
}

#[test]
fn a_socket_that_a_killed_process_left_is_replaced() {
    let bench = two_tenants();
    let (running, _input) = ingest_lines(&bench);
    let about = std::fs::metadata(socket(&bench)).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    running.signal("-KILL");
    running.end();
    assert!(socket(&bench).exists());
    assert_eq!(bench.run(&["ps"]).ok().out, "No tasks.\n");
    let (running, mut input) = ingest_lines(&bench);
    put(&mut input, "one", "The first.");
    wait_for_documents(&bench, 1);
    drop(input);
    running.end().ok();
    assert!(!socket(&bench).exists());
}

#[test]
fn a_signal_ends_an_ingest_cleanly_and_says_where() {
    let bench = two_tenants();
    bench.file("docs/0.txt", "!spins");
    for number in 1..100 {
        bench.file(
            &format!("docs/{number:02}.txt"),
            format!("Document {number}."),
        );
    }
    let docs = bench.path("docs");
    for signal in ["-INT", "-TERM"] {
        let running = Running::start(&bench, &["--json", "ingest", "acme", arg(&docs)]);
        let spins = |task: &Value| task["subject"] == "0.txt" && task["phase"] == "call";
        wait_until(|| tasks(&bench).iter().any(spins));
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.code, 130, "{signal}: {ended:?}");
        assert!(!socket(&bench).exists());
        let report = ended.json();
        let early = &report["ended_early"];
        assert_eq!(report["interrupted"], true, "{report}");
        assert_eq!(early["reason"], "shutdown", "{report}");
        assert!(report["unfinished"].as_u64() >= Some(1), "{report}");
        assert_eq!(report["documents"]["failed"], 0, "{report}");
        let seen = report["documents"]["seen"].as_u64().unwrap();
        assert_eq!(early["first_not_begun"].is_null(), seen == 100, "{report}");
    }
}

#[test]
fn a_signal_ends_other_long_commands_cleanly_too() {
    let bench = two_tenants();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = bench.command(arguments);
        command.env("TMPDIR", &temporary).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    };
    let line = json!({ "id": "q", "query": "!spin", "relevant": ["one"] });
    let queries = bench.file("queries.jsonl", format!("{line}\n"));
    let evaluating = start(&["eval", "acme", arg(&queries)]);
    wait_until(|| in_phase(&bench, "call").len() == 1);
    evaluating.signal("-INT");
    assert_eq!(evaluating.end().code, 130);
    assert!(!socket(&bench).exists());
    // Nobody holds the folder: the command itself runs the guest.
    let asking = start(&["query", "acme", "!spin"]);
    let name = format!("process {} ", asking.0.as_ref().unwrap().id());
    let lock = bench.data().join("lock");
    let signed = || std::fs::read_to_string(&lock).unwrap().starts_with(&name);
    wait_until(signed);
    asking.signal("-TERM");
    assert_eq!(asking.end().code, 130);
    let measuring = start(&["bench", "ingest", "--documents", "50000"]);
    wait_until(|| std::fs::read_dir(&temporary).unwrap().count() > 0);
    measuring.signal("-INT");
    assert_eq!(measuring.end().code, 130);
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}
