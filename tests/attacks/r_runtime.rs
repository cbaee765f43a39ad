//! Group R: faults of the runtime itself.

use crate::support::guests::{self, Guest, WHOLE_TEXT};
use crate::support::process::{Held, alone};
use crate::support::stage::*;
use crate::support::{Bench, arg, wait_until};
use serde_json::json;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use stockade::corpus::TenantId;
use stockade::error::Failure;
use stockade::runtime::{QueryOutcome, QueryRequest, Runtime};
use stockade::task::{Kind, Reason};

/// The process dies by SIGABRT or SIGSEGV in the middle of an ingest. What a finished command acknowledged is all there;
/// of the rest each document is whole or absent; the next command simply works.
#[test]
fn r_02_what_was_acknowledged_is_there_after_an_abort() {
    for signal in ["-ABRT", "-SEGV"] {
        let bench = Bench::with_tenants(&["acme"]);
        let acknowledged = bench.file("first.txt", "The heron stands in the reeds.");
        bench.run(&["ingest", "acme", arg(&acknowledged)]).ok();
        let line = |n: u32| {
            let text = format!("Sentence number {n} of a document about kettles. ").repeat(40);
            json!({ "id": format!("d{n}"), "text": text }).to_string()
        };
        let lines: Vec<String> = (0..3_000).map(line).collect();
        let file = bench.file("many.jsonl", lines.join("\n"));
        let mut child = bench
            .command(&["ingest", "acme", arg(&file)])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let log = bench.data().join("tenants/acme/index.db-wal");
        // An empty index writes about 0.1 MiB of log: beyond one, documents were committed.
        wait_until(|| std::fs::metadata(&log).is_ok_and(|log| log.len() > 1 << 20));
        let number = child.id().to_string();
        // The first SIGSEGV from outside only takes the handlers away that engine and language put there.
        let status = loop {
            let sent = std::process::Command::new("kill")
                .args([signal, &number])
                .status();
            assert!(sent.unwrap().success());
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        assert_eq!(status.code(), None, "it died by the signal");
        assert_eq!(bench.found("acme", "text", "heron reeds"), ["first.txt"]);
        bench.run(&["doctor"]).ok();
        let stored = bench.json(&["tenant", "show", "acme"]);
        let documents = stored["documents"].as_u64().unwrap();
        assert!(documents > 1 && documents < 3_001, "{stored}");
    }
}

/// Hostile calls of every kind, one after the other: what the process holds afterwards is what it held before.
#[test]
fn r_05_hostile_calls_leave_nothing_behind() {
    alone(
        "attacks::r_runtime::r_05_hostile_calls_leave_nothing_behind",
        || {
            let mut trap_in_start = Guest::chunker("(i32.const 32)");
            trap_in_start.fields = "(func $s unreachable) (start $s)".to_owned();
            let all = [
                (guests::chunker(WHOLE_TEXT), None),
                (chunker_that("unreachable"), Some(Reason::Trap)),
                (trap_in_start.build().unwrap(), Some(Reason::Trap)),
                (chunker_that("(loop (br 0))"), Some(Reason::Fuel)),
                (
                    chunker_that("(loop (drop (memory.grow (i32.const 1))) (br 0))"),
                    Some(Reason::Memory),
                ),
                (guests::chunker("(i32.const -4)"), None),
            ];
            let limits = "[chunker]\nfuel_max = 100_000\nmemory_mib_max = 2";
            let round = || {
                for (component, reason) in &all {
                    let (outcome, _) = chunk(component, limits, "Some text.");
                    if let Some(reason) = reason {
                        assert_eq!(stopped(outcome).0, *reason);
                    }
                }
            };
            (0..100).for_each(|_| round());
            let before = Held::now();
            (0..400).for_each(|_| round());
            let after = Held::now();
            assert!(after.threads <= before.threads + 4, "{before:?} {after:?}");
            assert!(after.files <= before.files + 4, "{before:?} {after:?}");
            assert!(
                after.mappings <= before.mappings + 40,
                "{before:?} {after:?}"
            );
            let more = after.resident_kib.saturating_sub(before.resident_kib);
            assert!(more < 16 << 10, "{before:?} {after:?}");
        },
    );
}

async fn ask_acme(runtime: Arc<Runtime>) -> Result<QueryOutcome, Failure> {
    let request = QueryRequest {
        question: "What is there?".to_owned(),
        agent: Some("text".to_owned()),
        k: 1,
        filter: None,
        options: vec![],
    };
    let acme = TenantId::new("acme").unwrap();
    let asked = runtime.query(&acme, &request);
    let watchdog = tokio::time::timeout(Duration::from_secs(60), asked);
    watchdog.await.expect("it was let in beside the other one")
}

/// Whoever asked goes away while the guest cannot be reached, for no thread is free. Its place is not given to another
/// task before its store is gone.
#[test]
fn a_question_that_was_taken_back_keeps_its_place_until_its_guest_is_gone() {
    let bench = Bench::new();
    let one = "[tenant]\ntasks_running_max = 1\nqueue_ms_max = 200";
    let one = bench.file("one.toml", one);
    let add = ["tenant", "add", "acme", "--policy", arg(&one)];
    bench.run(&add).ok();
    bench.run(&["query", "acme", "x", "--agent", "text"]).ok();
    std::fs::write(bench.data().join("stockade.toml"), "guest_threads = 1").unwrap();
    wait(async {
        let runtime = Arc::new(Runtime::open(&bench.data()).unwrap());
        ask_acme(runtime.clone()).await.unwrap();
        let sandbox = runtime.guests().unwrap().sandbox.clone();
        let (began, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let occupied = tokio::spawn(async move {
            let task = stage().task(Kind::Query, &policy(""));
            let call = sandbox.run(&task, (), |_| {
                Box::pin(async move {
                    began.send(())?;
                    Ok(may_go_on.recv()?)
                })
            });
            call.await
        });
        let begun = tokio::task::spawn_blocking(move || has_begun.recv());
        begun.await.unwrap().unwrap();
        let first = tokio::spawn(ask_acme(runtime.clone()));
        while runtime.registry().tasks().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let refused = || async { ask_acme(runtime.clone()).await.unwrap_err().stop.unwrap() };
        assert_eq!(
            refused().await["reason"],
            "queue",
            "the first has the place"
        );
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(refused().await["reason"], "queue", "its guest has it still");
        go_on.send(()).unwrap();
        occupied.await.unwrap().unwrap();
        let given_back = async { while ask_acme(runtime.clone()).await.is_err() {} };
        let watchdog = tokio::time::timeout(Duration::from_secs(60), given_back);
        watchdog.await.expect("the place was never given back");
    });
}
