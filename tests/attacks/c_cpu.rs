//! Group C: time and processor.

use crate::support::guests::{self, Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::support::stage::*;
use crate::support::{Bench, arg, wait_until};
use std::sync::Arc;
use stockade::attack::imports::{EMBED, ENDS, LOG};
use stockade::corpus::{Chunk, Filter, TenantId};
use stockade::error::Blame;
use stockade::runtime::{QueryRequest, Runtime};
use stockade::task::{Kind, Limits, Phase, Reason, Task};

/// Limits that nothing here reaches: what spins under them spins until it is killed.
const ENDLESS: &str = "fuel_max = 1_000_000_000_000\ncpu_ms_max = 600_000\nwall_ms_max = 600_000\n";

/// Loops for ever. Stop: `fuel` in phase `call`, the same count on every run.
#[test]
fn c_01_a_loop_is_stopped_at_the_same_instruction_every_time() {
    let spin = chunker_that("(loop (br 0))");
    let mut counts = vec![];
    for _ in 0..3 {
        let (outcome, usage) = chunk(&spin, "[chunker]\nfuel_max = 3_000_000", "x");
        let (reason, blame, phase) = stopped(outcome);
        assert_eq!(
            (reason, blame, phase.as_str()),
            (Reason::Fuel, Blame::Guest, "call")
        );
        counts.push(usage.fuel);
    }
    assert_eq!(counts, [3_000_000; 3]);
}

/// Two functions call each other for ever. Stop: `stack` in phase `call`; the next call works.
#[test]
fn c_02_mutual_recursion_overflows_the_guests_stack_alone() {
    let guest = Guest::chunker("(call $ping) (i32.const 32)")
        .with("(func $ping (call $pong)) (func $pong (call $ping) (call $ping))");
    let (outcome, _) = chunk(&guest.build().unwrap(), "", "x");
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Stack, "call"));
    assert!(chunk(&guests::chunker(WHOLE_TEXT), "", "x").0.is_ok());
}

/// Loops in its start function. Stop at the upload check: `fuel` in phase `instantiate`.
#[test]
fn c_03_a_start_loop_is_stopped_at_the_upload_check_too() {
    let bench = Bench::new();
    let guest = Guest::chunker("(i32.const 32)").with("(func $s (loop (br 0))) (start $s)");
    let file = bench.file("start.wasm", guest.build().unwrap());
    // On a slow machine CPU time would end first.
    let policy = "[chunker]\ncpu_ms_max = 600_000\nwall_ms_max = 600_000\n";
    let policy = bench.file("patient.toml", policy);
    let check = ["plugin", "check", arg(&file), "--policy", arg(&policy)];
    bench.run(&check).fails(2, &["fuel in instantiate"]);
}

/// Loops in `cabi_realloc`: while the host lowers the call's arguments (phase `call`: they are part of it), or the
/// result of a host call (phase `realloc`). Stop: `fuel`.
#[test]
fn c_04_a_loop_in_realloc_is_stopped() {
    let limits = "[chunker]\nfuel_max = 1_000_000";
    let mut arguments = Guest::chunker("(i32.const 32)");
    arguments.realloc = "(loop (br 0)) unreachable".to_owned();
    let mut result = Guest::chunker(
        "(global.set $armed (i32.const 1))
        (call $ends (local.get 6) (local.get 7) (i32.const 256)) (i32.const 32)",
    )
    .importing(ENDS)
    .with("(global $armed (mut i32) (i32.const 0))");
    result.realloc = "(if (global.get $armed) (then (loop (br 0)))) (i32.const 4096)".to_owned();
    for (guest, place) in [(arguments, "call"), (result, "realloc")] {
        let (outcome, _) = chunk(&guest.build().unwrap(), limits, "some words");
        let (reason, _, phase) = stopped(outcome);
        assert_eq!((reason, phase.as_str()), (Reason::Fuel, place));
    }
}

/// Calls an import from `cabi_realloc`, which the component model forbids. Stop: `trap`; the host is unharmed.
#[test]
fn c_04_an_import_called_from_realloc_is_a_trap() {
    let mut guest = Guest::chunker("(i32.const 32)").importing(LOG);
    guest.realloc =
        "(call $log (i32.const 1) (i32.const 0) (i32.const 0)) (i32.const 4096)".to_owned();
    let (outcome, usage) = chunk(&guest.build().unwrap(), "", "x");
    assert_eq!(stopped(outcome).0, Reason::Trap);
    assert_eq!(usage.host_calls, 0);
    assert!(chunk(&guests::chunker(WHOLE_TEXT), "", "x").0.is_ok());
}

/// Grows memory page by page: growth is charged by the page. And loops over nothing but `nop` and empty blocks, which
/// cost no fuel by themselves. Stop: `fuel` in phase `call`.
#[test]
fn c_07_cheap_instructions_with_expensive_effects_are_charged() {
    let grow = |pages: u32| {
        let body = format!("(drop (memory.grow (i32.const {pages})))");
        chunk(&chunker_that(&body), "", "x").1.fuel
    };
    assert!(grow(100) - grow(0) >= 100 * 250, "255 fuel a page");
    let nothing = format!("(loop {} (block) (br 0))", "nop ".repeat(1_000));
    let (outcome, _) = chunk(
        &chunker_that(&nothing),
        "[chunker]\nfuel_max = 1_000_000",
        "x",
    );
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Fuel, "call"));
}

/// Embeds for ever and is killed while it waits for the model. Stop: `killed`; nothing is charged afterwards.
#[test]
fn c_09_a_guest_killed_while_the_host_works_for_it_is_charged_no_more() {
    let small = index(&[]);
    let imports = EMBED;
    let component = agent_that(
        imports,
        "(loop (call $embed (i32.const 2048) (i32.const 16) (i32.const 256)) (br 0))",
    );
    let toml =
        format!("[agent]\n{ENDLESS}handles_max = 1_000_000\nembed_tokens_max = 10_000_000\n");
    let limits = Limits::query(&policy(&toml));
    let task = Task::new(tenant(), Kind::Query, "question", limits);
    let outcome = std::thread::scope(|scope| {
        let asked = scope.spawn(|| ask_task(&component, &toml, &small.index, &task));
        wait_until(|| task.phase() == Phase::HostEmbed && task.usage().embed_tokens > 100);
        task.end_with(Reason::Killed, "by the test");
        asked.join().unwrap()
    });
    assert_eq!(stopped(outcome).0, Reason::Killed);
    let charged = task.usage().embed_tokens;
    let other = stage().task(Kind::Query, &policy(""));
    assert!(wait(stage().embed(&other, "the queue goes on")).is_ok());
    assert_eq!(task.usage().embed_tokens, charged);
}

/// Runs `beside` while eight guests spin, and says whether all of them still did when it was done.
fn while_guests_spin(beside: impl FnOnce()) -> bool {
    let spin = chunker_that("(loop (br 0))");
    let toml = format!("[chunker]\n{ENDLESS}");
    let limits = || Limits::ingest(&policy(&toml));
    let tasks: Vec<_> = (0..8)
        .map(|n| Task::new(tenant(), Kind::Ingest, &n.to_string(), limits()))
        .collect();
    std::thread::scope(|scope| {
        for task in &tasks {
            let (spin, toml) = (&spin, &toml);
            scope.spawn(move || chunk_task(spin, toml, "x", task));
        }
        wait_until(|| tasks.iter().all(|task| task.usage().guest_cpu_ms > 0.0));
        beside();
        let spinning = tasks.iter().all(|task| task.stop().is_none());
        for task in &tasks {
            task.end_with(Reason::Killed, "the test is over");
        }
        spinning
    })
}

/// Eight guests never yield by themselves. The threads that accept requests go on while they spin.
#[test]
fn c_10_whoever_accepts_requests_goes_on_while_guests_spin() {
    let went_on = while_guests_spin(|| {
        for _ in 0..200 {
            wait(async { tokio::time::sleep(std::time::Duration::from_millis(1)).await });
        }
    });
    assert!(went_on, "no guest had to end for it");
}

/// Eight guests spin beside a victim with a tight CPU limit. The victim is never stopped: waiting is not its CPU.
#[test]
fn c_11_a_victim_is_not_blamed_for_an_attackers_load() {
    let victim = guests::chunker(WHOLE_TEXT);
    let went_on = while_guests_spin(|| {
        for _ in 0..100 {
            let (outcome, usage) = chunk(&victim, "[chunker]\ncpu_ms_max = 200", "A sentence.");
            assert!(outcome.is_ok(), "{outcome:?} {usage:?}");
        }
    });
    assert!(went_on);
}

/// A million spans, the deepest and the longest filter: the host's own loops over a guest's data are linear or refused
/// by size. A quadratic one would take hours.
#[test]
fn c_14_host_work_over_guest_data_is_linear_or_refused() {
    let text = "x".repeat(1_000_000);
    let span = |n: u32| Chunk {
        start: n,
        end: n + 1,
        labels: vec![],
    };
    let spans: Vec<Chunk> = (0..1_000_000).map(span).collect();
    assert!(Chunk::check_all(&spans, &text).is_ok());
    let many: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
    let set = format!("{{\"a\": {{\"in\": [{}]}}}}", many.join(","));
    let deep = format!("{}{{}}{}", "{\"not\":".repeat(100_000), "}".repeat(100_000));
    let fields: String = (0..5_000).map(|n| format!("\"f{n}\":1,")).collect();
    let wide = format!("{{{}\"last\":1}}", fields);
    for filter in [set, deep, wide] {
        assert!(Filter::parse(&filter).is_err());
    }
}

/// A flood of questions by one tenant whose agent spins: 68 are admitted or wait, the others are refused with
/// `tasks-queued`, and another tenant's questions are answered as if nothing were.
#[test]
fn c_15_a_flood_of_questions_is_refused_and_others_are_answered() {
    let bench = Bench::with_tenants(&["flood", "victim"]);
    // Spins when the question begins with an S: the trial's does not.
    let spin = "(if (i32.eq (i32.load8_u (local.get 0)) (i32.const 83)) (then (loop (br 0))))";
    let spin = format!("{spin} {NO_PASSAGES}");
    for (tenant, agent, body) in [("victim", "mute", NO_PASSAGES), ("flood", "spin", &spin)] {
        let file = bench.file(&format!("{agent}.wasm"), guests::agent(body));
        bench.run(&["plugin", "install", tenant, arg(&file)]).ok();
        // Compiled by the program, so that this process finds it in the cache.
        bench.run(&["query", tenant, "warm", "--agent", agent]).ok();
    }
    let policy = bench.file(
        "flood.toml",
        format!("[tenant]\nqueue_ms_max = 300_000\n[agent]\n{ENDLESS}"),
    );
    bench.run(&["tenant", "policy", "flood", arg(&policy)]).ok();
    wait(flood(&bench));
}

async fn flood(bench: &Bench) {
    let runtime = Arc::new(Runtime::open(&bench.data()).unwrap());
    let ask = |tenant: &str, agent: &str| {
        let (runtime, tenant) = (runtime.clone(), TenantId::new(tenant).unwrap());
        let request = QueryRequest {
            question: "Spin!".to_owned(),
            agent: Some(agent.to_owned()),
            k: 5,
            filter: None,
            options: vec![],
        };
        async move { runtime.query(&tenant, &request).await }
    };
    let flood: Vec<_> = (0..10_000)
        .map(|_| tokio::spawn(ask("flood", "spin")))
        .collect();
    let waiting = 4 + 64;
    while flood.iter().filter(|task| !task.is_finished()).count() > waiting {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for _ in 0..20 {
        assert!(ask("victim", "mute").await.is_ok());
    }
    let killed = runtime
        .registry()
        .end(Reason::Killed, "the test is over", |_| true);
    assert_eq!(killed, waiting);
    let mut refused = 0;
    for task in flood {
        let stop = task.await.unwrap().unwrap_err().stop.unwrap();
        refused += usize::from(stop["reason"] == "tasks-queued");
    }
    assert_eq!(refused, 10_000 - waiting);
}
