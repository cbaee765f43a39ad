//! Each limit on both sides: under it the task goes on, over it the task gets exactly the stop that the
//! policy promises.

use crate::support::guests::{self, Guest};
use crate::support::stage::{agent_that, ask, chunk, chunker_that, index};
use stockade::error::Blame;
use stockade::task::{Reason, Stop};

fn stopped<T: std::fmt::Debug>(outcome: Result<T, Stop>) -> (Reason, Blame, String) {
    let stop = outcome.expect_err("it should have been stopped");
    (stop.reason, stop.blame, stop.phase)
}

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
    let (outcome, _) = chunk(&guest.build(), "", "x");
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
    let component = guest.build();
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
    let component = guest.build();
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
    let (outcome, _) = chunk(&guest.build(), "[chunker]\nfuel_max = 1_000_000", "x");
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Fuel, "instantiate"));
}

#[test]
fn a_loop_while_the_host_hands_over_the_document_is_stopped() {
    let mut guest = Guest::chunker("(i32.const 32)");
    guest.realloc = "(loop (br 0)) unreachable".to_owned();
    let (outcome, _) = chunk(&guest.build(), "[chunker]\nfuel_max = 1_000_000", "x");
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
    guest.imports =
        r#"(import "stockade:plugin/host" "log" (func $log (param i32 i32 i32)))"#.to_owned();
    guest.build()
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
    guest.imports =
        r#"(import "stockade:plugin/host" "log" (func $log (param i32 i32 i32)))"#.to_owned();
    let (outcome, _) = chunk(&guest.build(), "", "x");
    assert_eq!(stopped(outcome).0, Reason::Trap);
}

/// A result of `count` chunks whose fields are written by `write`, with `$i` as the chunk's address.
fn many_chunks(count: u32, write: &str) -> Vec<u8> {
    let mut guest = Guest::chunker(&format!(
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
    ));
    guest.pages = 20;
    guest.build()
}

const ONE_BYTE_EACH: &str = "(i32.store (local.get $i) (local.get $n))
    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";

const GROWING: &str = "(i32.store (local.get $i) (i32.const 0))
    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";

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
    // Every chunk has one label whose value is the same 4 KiB of memory.
    let labelled = format!(
        "{ONE_BYTE_EACH}
        (i32.store offset=8 (local.get $i) (i32.const 512))
        (i32.store offset=12 (local.get $i) (i32.const 1))
        (i32.store (i32.const 520) (i32.const 4096))
        (i32.store (i32.const 524) (i32.const 4096))"
    );
    let component = many_chunks(50, &labelled);
    let text = "x".repeat(50);
    let (obeyed, usage) = chunk(&component, "[chunker]\noutput_kib_max = 256", &text);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert!(usage.output_bytes > 200 << 10);
    let (violated, _) = chunk(&component, "[chunker]\noutput_kib_max = 128", &text);
    assert_eq!(stopped(violated).0, Reason::Output);
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

const EMBED: &str =
    r#"(import "stockade:plugin/retrieval" "embed" (func $embed (param i32 i32 i32)))"#;

/// Embeds 16 bytes again and again, `count` times, and traps when a call is denied.
fn embedder(count: u32) -> Vec<u8> {
    let body = format!(
        "(local.set $i (i32.const {count}))
        (loop
            (call $embed (i32.const 2048) (i32.const 16) (i32.const 256))
            (if (i32.load8_u (i32.const 256)) (then unreachable))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    );
    agent_that(EMBED, &body)
}

#[test]
fn handles() {
    let (index, _folder) = index(&[]);
    let (obeyed, _) = ask(&embedder(5), "[agent]\nhandles_max = 10", &index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    let (violated, _) = ask(&embedder(20), "[agent]\nhandles_max = 10", &index);
    assert_eq!(stopped(violated).0, Reason::Handles);
}

#[test]
fn wall_while_waiting_in_the_host_is_nobodys_fault() {
    let (index, _folder) = index(&[]);
    let policy = "[agent]\nwall_ms_max = 60\ncpu_ms_max = 60\nhandles_max = 100_000\n\
                  embed_tokens_max = 1_000_000";
    let (outcome, usage) = ask(&embedder(100_000), policy, &index);
    let (reason, blame, _) = stopped(outcome);
    assert_eq!((reason, blame), (Reason::Wall, Blame::Limit));
    assert!(usage.host_wait_ms > usage.guest_cpu_ms, "{usage:?}");
}

#[test]
fn embed_tokens_are_denied_and_the_task_goes_on() {
    let (index, _folder) = index(&[]);
    // 16 NUL bytes are two tokens: the special ones.
    let (obeyed, usage) = ask(&embedder(5), "[agent]\nembed_tokens_max = 10", &index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.embed_tokens, 10);
    let (denied, usage) = ask(&embedder(5), "[agent]\nembed_tokens_max = 9", &index);
    assert_eq!(stopped(denied).0, Reason::Trap, "the guest itself gives up");
    assert_eq!(usage.embed_tokens, 8);
}

/// Searches by text `count` times, whatever the answer, and answers emptily.
fn searcher(count: u32) -> Vec<u8> {
    let imports = r#"(import "stockade:plugin/retrieval" "search-text"
        (func $search (param i32 i32 i32 i32 i32 i32 i32)))"#;
    let body = format!(
        "(i64.store (i32.const 2048) (i64.const 0x20656c7070612061))   ;; 'a apple '
        (local.set $i (i32.const {count}))
        (loop
            (call $search (i32.const 2048) (i32.const 8) (i32.const 5)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    );
    agent_that(imports, &body)
}

#[test]
fn searches_are_denied_and_the_receipt_says_so() {
    let (index, _folder) = index(&["An apple a day.", "A pear."]);
    let (obeyed, _) = ask(&searcher(3), "[agent]\nsearches_max = 3", &index);
    assert!(obeyed.unwrap().degraded.is_empty());
    let (denied, usage) = ask(&searcher(10), "[agent]\nsearches_max = 3", &index);
    let answer = denied.unwrap();
    assert_eq!(usage.searches, 3);
    assert_eq!(usage.host_calls, 10, "denied calls count too");
    assert!(
        answer.degraded[0].contains("searches_max"),
        "{:?}",
        answer.degraded
    );
}

#[test]
fn vectors_scanned_are_denied() {
    let (index, _folder) = index(&["One.", "Two.", "Three."]);
    let imports = r#"(import "stockade:plugin/retrieval" "search-hybrid"
        (func $search (param i32 i32 i32 i32 i32 i32 i32)))"#;
    let body = "(call $search (i32.const 2048) (i32.const 8) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
        (if (i32.load8_u (i32.const 256)) (then unreachable))";
    let agent = agent_that(imports, body);
    let (obeyed, usage) = ask(&agent, "[agent]\nvectors_scanned_max = 3", &index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.vectors_scanned, 3);
    let (denied, _) = ask(&agent, "[agent]\nvectors_scanned_max = 2", &index);
    assert_eq!(stopped(denied).0, Reason::Trap);
}

/// Reads chunk 1 `count` times and traps when that is denied.
fn reader(count: u32) -> Vec<u8> {
    let imports = r#"(import "stockade:plugin/retrieval" "read" (func $read (param i32 i32 i32)))"#;
    let body = format!(
        "(i64.store (i32.const 200) (i64.const 1))
        (local.set $i (i32.const {count}))
        (loop
            (call $read (i32.const 200) (i32.const 1) (i32.const 256))
            (if (i32.load8_u (i32.const 256)) (then unreachable))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    );
    agent_that(imports, &body)
}

#[test]
fn read_bytes_are_denied() {
    let text = "word ".repeat(205);
    let (index, _folder) = index(&[&text]);
    let (obeyed, usage) = ask(&reader(2), "[agent]\nread_kib_max = 3", &index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.read_bytes, 2 * text.len() as u64);
    let (denied, _) = ask(&reader(3), "[agent]\nread_kib_max = 3", &index);
    assert_eq!(stopped(denied).0, Reason::Trap);
}

/// Cites chunks 1 to `count` with this score, having read those up to `read`.
fn citing(count: u32, read: u32, score: &str) -> Vec<u8> {
    let imports = r#"(import "stockade:plugin/retrieval" "read" (func $read (param i32 i32 i32)))"#;
    let mut guest = Guest::agent(&format!(
        "(local.set $i (i32.const 0))
        (loop
            (i64.store (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 24)))
                (i64.extend_i32_u (i32.add (local.get $i) (i32.const 1))))
            (f32.store (i32.add (i32.const 8200) (i32.mul (local.get $i) (i32.const 24)))
                (f32.const {score}))
            (if (i32.lt_u (local.get $i) (i32.const {read})) (then
                (i64.store (i32.const 200) (i64.extend_i32_u (i32.add (local.get $i) (i32.const 1))))
                (call $read (i32.const 200) (i32.const 1) (i32.const 256))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const {count}))))
        (i32.store (i32.const 36) (i32.const 8192))
        (i32.store (i32.const 40) (i32.const {count}))
        (i32.const 32)"
    ));
    guest.imports = imports.to_owned();
    guest.build()
}

#[test]
fn passages() {
    let texts: Vec<String> = (0..5).map(|n| format!("Text number {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (index, _folder) = index(&texts);
    let (obeyed, _) = ask(&citing(5, 5, "0.5"), "[agent]\npassages_max = 5", &index);
    assert_eq!(obeyed.unwrap().passages.len(), 5);
    let (violated, _) = ask(&citing(5, 5, "0.5"), "[agent]\npassages_max = 4", &index);
    assert_eq!(stopped(violated).0, Reason::Passages);
}

#[test]
fn citations_that_were_never_shown_or_not_finite_are_invalid_output() {
    let (index, _folder) = index(&["One text.", "Another text."]);
    for (component, word) in [
        (citing(2, 1, "0.5"), "never shown"),
        (citing(1, 1, "nan"), "not finite"),
        (citing(1, 1, "inf"), "not finite"),
    ] {
        let (outcome, _) = ask(&component, "", &index);
        let stop = outcome.unwrap_err();
        assert_eq!(stop.reason, Reason::InvalidOutput);
        assert!(stop.detail.contains(word), "{stop}");
    }
}

#[test]
fn ten_million_passages_are_refused_before_they_are_copied() {
    let (index, _folder) = index(&[]);
    let huge = agent_that(
        "",
        "(i32.store (i32.const 36) (i32.const 1024))
        (i32.store (i32.const 40) (i32.const 10000000))",
    );
    let (outcome, _) = ask(&huge, "", &index);
    let reason = stopped(outcome).0;
    assert!(
        matches!(reason, Reason::Output | Reason::InvalidOutput),
        "{reason:?}"
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
