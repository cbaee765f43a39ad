//! Each limit of a chunker's call on both sides: under it the task goes on, over it the task gets exactly the stop that the
//! policy promises.

use crate::support::guests::{self, Guest};
use crate::support::stage::{chunk, chunker_that, stopped};
use stockade::attack::imports::LOG;
use stockade::error::Blame;
use stockade::task::{Reason, Stop};

/// Both sides of a chunker's limit: `misdeed` under a policy that covers it, and under one that does not.
fn pair(misdeed: &str, covers: &str, refuses: &str, reason: Reason) -> Stop {
    let component = chunker_that(misdeed);
    let text = "Some text.";
    let (obeyed, _) = chunk(&component, &format!("[chunker]\n{covers}"), text);
    assert_eq!(obeyed.map(|chunks| chunks.len()), Ok(0), "under {covers}");
    let (violated, _) = chunk(&component, &format!("[chunker]\n{refuses}"), text);
    let stop = violated.expect_err("it should have been stopped");
    assert_eq!(stop.reason, reason, "{stop}");
    stop
}

const MILLION_TURNS: &str = "
    (local.set $i (i32.const 1000000))
    (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))";

const FOR_EVER: &str = "(loop (br 0))";

#[test]
fn fuel() {
    let stop = pair(
        MILLION_TURNS,
        "fuel_max = 50_000_000",
        "fuel_max = 100_000",
        Reason::Fuel,
    );
    assert_eq!((stop.blame, stop.phase.as_str()), (Blame::Guest, "call"));
    assert_eq!(stop.limit.0, 100_000.0);
}

#[test]
fn a_loop_for_ever_ends_by_fuel_or_by_cpu() {
    let spin = chunker_that(FOR_EVER);
    let (by_fuel, _) = chunk(&spin, "[chunker]\nfuel_max = 5_000_000", "x");
    assert_eq!(stopped(by_fuel).0, Reason::Fuel);
    let limits = "[chunker]\nfuel_max = 1_000_000_000_000\ncpu_ms_max = 30";
    let (by_cpu, usage) = chunk(&spin, limits, "x");
    assert_eq!(stopped(by_cpu).0, Reason::Cpu);
    assert!(usage.guest_cpu_ms >= 30.0, "{usage:?}");
    assert!(
        usage.fuel > 1_000_000,
        "fuel is true after a kill: {usage:?}"
    );
}

#[test]
fn cpu() {
    let generous = "cpu_ms_max = 2_000\nfuel_max = 1_000_000_000_000";
    let tight = "cpu_ms_max = 1\nfuel_max = 1_000_000_000_000";
    let long = MILLION_TURNS.replace("1000000", "60000000");
    pair(&long, generous, tight, Reason::Cpu);
}

#[test]
fn recursion_without_end_overflows_the_guests_stack_alone() {
    let mut guest = Guest::chunker("(call $deep (i32.const 1)) drop (i32.const 32)");
    guest.fields = "(func $deep (param i32) (result i32)
        (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))"
        .to_owned();
    let (outcome, _) = chunk(&guest.build().unwrap(), "", "x");
    assert_eq!(stopped(outcome).0, Reason::Stack);
}

#[test]
fn memory_over_the_whole_store() {
    let grow = "(drop (memory.grow (i32.const 100)))";
    let stop = pair(
        grow,
        "memory_mib_max = 8",
        "memory_mib_max = 4",
        Reason::Memory,
    );
    assert_eq!((stop.limit.0, stop.blame), (4.0, Blame::Guest));
}

#[test]
fn a_declared_minimum_beyond_the_limit_is_refused_at_instantiation() {
    let mut guest = Guest::chunker("(i32.const 32)");
    guest.pages = 17;
    let component = guest.build().unwrap();
    assert!(
        chunk(&component, "[chunker]\nmemory_mib_max = 2", "x")
            .0
            .is_ok()
    );
    let (outcome, _) = chunk(&component, "[chunker]\nmemory_mib_max = 1", "x");
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Memory, "instantiate"));
}

#[test]
fn tables_count_as_memory() {
    let mut guest = Guest::chunker(
        "(drop (table.grow $t (ref.null func) (i32.const 200000)))
        (i32.const 32)",
    );
    guest.fields = "(table $t 1 funcref)".to_owned();
    let component = guest.build().unwrap();
    assert!(
        chunk(&component, "[chunker]\nmemory_mib_max = 4", "x")
            .0
            .is_ok()
    );
    let (outcome, _) = chunk(&component, "[chunker]\nmemory_mib_max = 1", "x");
    assert_eq!(stopped(outcome).0, Reason::Memory);
}

#[test]
fn a_loop_in_a_start_function_is_stopped_before_the_call() {
    let mut guest = Guest::chunker("(i32.const 32)");
    guest.fields = "(func $begin (loop (br 0))) (start $begin)".to_owned();
    let (outcome, _) = chunk(
        &guest.build().unwrap(),
        "[chunker]\nfuel_max = 1_000_000",
        "x",
    );
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Fuel, "instantiate"));
}

#[test]
fn a_loop_while_the_host_hands_over_the_document_is_stopped() {
    let mut guest = Guest::chunker("(i32.const 32)");
    guest.realloc = "(loop (br 0)) unreachable".to_owned();
    let (outcome, _) = chunk(
        &guest.build().unwrap(),
        "[chunker]\nfuel_max = 1_000_000",
        "x",
    );
    assert_eq!(stopped(outcome).0, Reason::Fuel);
}

/// Writes `count` log records of 1 KiB.
fn logger(count: u32) -> Vec<u8> {
    let body = format!(
        "(local.set $i (i32.const {count}))
        (loop
            (call $log (i32.const 1) (i32.const 2048) (i32.const 1024))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)"
    );
    let mut guest = Guest::chunker(&body);
    guest.imports = LOG.to_owned();
    guest.build().unwrap()
}

#[test]
fn log_beyond_the_limit_is_cut_and_counted_and_the_task_goes_on() {
    let (outcome, usage) = chunk(&logger(100), "[chunker]\nlog_kib_max = 4", "x");
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(usage.log_bytes, 100 * 1024);
    assert_eq!(usage.host_calls, 100);
}

#[test]
fn host_calls() {
    let component = logger(100);
    assert!(
        chunk(&component, "[chunker]\nhost_calls_max = 100", "x")
            .0
            .is_ok()
    );
    let (outcome, usage) = chunk(&component, "[chunker]\nhost_calls_max = 99", "x");
    let (reason, blame, phase) = stopped(outcome);
    assert_eq!(
        (reason, blame, phase.as_str()),
        (Reason::HostCalls, Blame::Guest, "host:log")
    );
    assert_eq!(usage.host_calls, 99);
}

#[test]
fn boundary() {
    let small = "[ingest]\ndocument_kib_max = 64\n[chunker]\noutput_kib_max = 32\n";
    let component = logger(100);
    let policy = |kib| format!("{small}boundary_kib_max = {kib}");
    assert!(chunk(&component, &policy(128), "x").0.is_ok());
    let (outcome, usage) = chunk(&component, &policy(64), "x");
    assert_eq!(stopped(outcome).0, Reason::Boundary);
    assert!(usage.boundary_bytes <= 64 * 1024);
}

#[test]
fn a_length_of_two_gigabytes_is_refused_before_anything_is_copied() {
    let mut guest = Guest::chunker(
        "(call $log (i32.const 1) (i32.const 0) (i32.const 0x7fffffff)) (i32.const 32)",
    );
    guest.imports = LOG.to_owned();
    let (outcome, _) = chunk(&guest.build().unwrap(), "", "x");
    assert_eq!(stopped(outcome).0, Reason::Trap);
}

/// A result of `count` chunks whose fields are written by `write`, with `$i` as the chunk's address.
fn many_chunks(count: u32, write: &str) -> Vec<u8> {
    let mut guest = Guest::chunker(&chunks_body(count, write));
    guest.pages = 20;
    guest.build().unwrap()
}

fn chunks_body(count: u32, write: &str) -> String {
    format!(
        "(local.set $i (i32.const 65536))
        (local.set $n (i32.const 0))
        (loop
            {write}
            (local.set $i (i32.add (local.get $i) (i32.const 16)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $n) (i32.const {count}))))
        (i32.store (i32.const 36) (i32.const 65536))
        (i32.store (i32.const 40) (i32.const {count}))
        (i32.const 32)"
    )
}

const ONE_BYTE_EACH: &str = "(i32.store (local.get $i) (local.get $n))
    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";

const GROWING: &str = "(i32.store (local.get $i) (i32.const 0))
    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";

/// One byte each, and one label, whose value is the same 4 KiB of memory.
fn labelled() -> String {
    format!(
        "{ONE_BYTE_EACH}
        (i32.store offset=8 (local.get $i) (i32.const 512))
        (i32.store offset=12 (local.get $i) (i32.const 1))
        (i32.store (i32.const 520) (i32.const 4096))
        (i32.store (i32.const 524) (i32.const 4096))"
    )
}

#[test]
fn chunks() {
    let component = many_chunks(50, ONE_BYTE_EACH);
    let text = "x".repeat(50);
    let (obeyed, _) = chunk(&component, "[chunker]\nchunks_max = 50", &text);
    assert_eq!(obeyed.map(|chunks| chunks.len()), Ok(50));
    let (violated, _) = chunk(&component, "[chunker]\nchunks_max = 49", &text);
    let stop = violated.unwrap_err();
    assert_eq!(
        (stop.reason, stop.limit.0, stop.used.0),
        (Reason::Chunks, 49.0, 50.0)
    );
}

#[test]
fn overlap_ratio() {
    let component = many_chunks(50, GROWING);
    let text = "x".repeat(50);
    let (obeyed, _) = chunk(&component, "[chunker]\noverlap_ratio_max = 26.0", &text);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    let (violated, _) = chunk(&component, "[chunker]\noverlap_ratio_max = 25.0", &text);
    let stop = violated.unwrap_err();
    assert_eq!((stop.reason, stop.used.0), (Reason::OverlapRatio, 25.5));
}

#[test]
fn output() {
    let component = many_chunks(50, &labelled());
    let text = "x".repeat(50);
    let (obeyed, usage) = chunk(&component, "[chunker]\noutput_kib_max = 256", &text);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert!(usage.output_bytes > 200 << 10);
    let (violated, _) = chunk(&component, "[chunker]\noutput_kib_max = 128", &text);
    assert_eq!(stopped(violated).0, Reason::Output);
}

/// The guest ends at the call's return, at no cost: its result is measured as a result all the same.
#[test]
fn output_behind_a_last_host_call_is_refused_before_it_is_copied() {
    let mut guest = Guest::chunker(&format!(
        "{}
        (call $log (i32.const 1) (i32.const 2048) (i32.const 8))",
        chunks_body(50, &labelled())
    ));
    guest.pages = 20;
    guest.imports = LOG.to_owned();
    let component = guest.build().unwrap();
    let text = "x".repeat(50);
    let (obeyed, _) = chunk(&component, "[chunker]\noutput_kib_max = 256", &text);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    let (violated, _) = chunk(&component, "[chunker]\noutput_kib_max = 128", &text);
    let (reason, _, phase) = stopped(violated);
    assert_eq!((reason, phase.as_str()), (Reason::Output, "result"));
}

/// The guest traps at the call's return, at no cost: the trap is its own, not the host call's.
#[test]
fn a_trap_behind_a_host_call_is_the_guests_own() {
    for body in [
        "(call $log (i32.const 1) (i32.const 2048) (i32.const 8)) unreachable",
        "(call $log (i32.const 1) (i32.const 2048) (i32.const 8)) (i32.const 1) drop unreachable",
    ] {
        let guest = Guest::chunker(body).importing(LOG);
        let (outcome, usage) = chunk(&guest.build().unwrap(), "", "x");
        let (reason, _, phase) = stopped(outcome);
        assert_eq!((reason, phase.as_str()), (Reason::Trap, "call"));
        assert_eq!(usage.host_calls, 1);
    }
}

#[test]
fn lying_results_are_refused_without_harm() {
    let cases = [
        // A list beyond the memory; a list of four billion; an unknown discriminant; an odd address.
        "(i32.store (i32.const 36) (i32.const 0xffff0000)) (i32.store (i32.const 40) (i32.const 4))",
        "(i32.store (i32.const 36) (i32.const 64)) (i32.store (i32.const 40) (i32.const -1))",
        "(i32.store8 (i32.const 32) (i32.const 7))",
    ];
    for case in cases {
        let (outcome, _) = chunk(&chunker_that(case), "", "x");
        let reason = stopped(outcome).0;
        assert!(
            matches!(
                reason,
                Reason::InvalidOutput | Reason::Trap | Reason::Output
            ),
            "{case}: {reason:?}"
        );
    }
    let (outcome, _) = chunk(&guests::chunker("(i32.const 3)"), "", "x");
    assert!(matches!(
        stopped(outcome).0,
        Reason::InvalidOutput | Reason::Trap
    ));
}

#[test]
fn spans_that_do_not_fit_the_text_are_invalid_output() {
    let beyond = "(i32.store (local.get $i) (i32.const 0))
        (i32.store offset=4 (local.get $i) (i32.const 99))";
    let cut = "(i32.store (local.get $i) (i32.const 0))
        (i32.store offset=4 (local.get $i) (i32.const 1))";
    for (write, text) in [(beyond, "short"), (cut, "é")] {
        let (outcome, _) = chunk(&many_chunks(1, write), "", text);
        let (reason, blame, phase) = stopped(outcome);
        assert_eq!(
            (reason, blame, phase.as_str()),
            (Reason::InvalidOutput, Blame::Guest, "check")
        );
    }
}

#[test]
fn a_trap_is_the_guests_own() {
    let (outcome, _) = chunk(&chunker_that("unreachable"), "", "x");
    assert_eq!(
        stopped(outcome),
        (Reason::Trap, Blame::Guest, "call".to_owned())
    );
}

#[test]
fn the_same_call_gives_the_same_chunks_and_the_same_fuel() {
    let component = many_chunks(20, ONE_BYTE_EACH);
    let text = "y".repeat(20);
    let (first, usage) = chunk(&component, "", &text);
    for _ in 0..100 {
        let (again, used) = chunk(&component, "", &text);
        assert_eq!(again, first);
        assert_eq!(used.fuel, usage.fuel);
    }
}
