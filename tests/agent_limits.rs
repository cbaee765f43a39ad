//! Each limit of an agent's call on both sides: what is denied, what ends the task, what is never believed.

use crate::support::guests::Guest;
use crate::support::stage::{agent_that, ask, index, stopped};
use stockade::attack::imports::{EMBED, READ, SEARCH_HYBRID, SEARCH_TEXT};
use stockade::error::Blame;
use stockade::task::Reason;

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
    let small = index(&[]);
    let (obeyed, _) = ask(&embedder(5), "[agent]\nhandles_max = 10", &small.index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    let (violated, _) = ask(&embedder(20), "[agent]\nhandles_max = 10", &small.index);
    assert_eq!(stopped(violated).0, Reason::Handles);
}

#[test]
fn wall_while_waiting_in_the_host_is_nobodys_fault() {
    let small = index(&[]);
    let policy = "[agent]\nwall_ms_max = 1_000\ncpu_ms_max = 1_000\nhandles_max = 100_000\n\
                  embed_tokens_max = 1_000_000";
    let (outcome, usage) = ask(&embedder(100_000), policy, &small.index);
    let (reason, blame, _) = stopped(outcome);
    assert_eq!((reason, blame), (Reason::Wall, Blame::Limit));
    assert!(usage.host_wait_ms > usage.guest_cpu_ms, "{usage:?}");
}

#[test]
fn embed_tokens_are_denied_and_the_task_goes_on() {
    let small = index(&[]);
    // 16 NUL bytes are two tokens: the special ones.
    let (obeyed, usage) = ask(&embedder(5), "[agent]\nembed_tokens_max = 10", &small.index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.embed_tokens, 10);
    let (denied, usage) = ask(&embedder(5), "[agent]\nembed_tokens_max = 9", &small.index);
    assert_eq!(stopped(denied).0, Reason::Trap, "the guest itself gives up");
    assert_eq!(usage.embed_tokens, 8);
}

/// Searches by text `count` times, whatever the answer, and answers emptily.
fn searcher(count: u32) -> Vec<u8> {
    let imports = SEARCH_TEXT;
    let body = format!(
        "(i64.store (i32.const 2048) (i64.const 0x20656c7070612061))   ;; 'a apple '
        (local.set $i (i32.const {count}))
        (loop
            (call $search_text (i32.const 2048) (i32.const 8) (i32.const 5)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    );
    agent_that(imports, &body)
}

#[test]
fn searches_are_denied_and_the_receipt_says_so() {
    let small = index(&["An apple a day.", "A pear."]);
    let (obeyed, _) = ask(&searcher(3), "[agent]\nsearches_max = 3", &small.index);
    assert!(obeyed.unwrap().degraded.is_empty());
    let (denied, usage) = ask(&searcher(10), "[agent]\nsearches_max = 3", &small.index);
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
    let small = index(&["One.", "Two.", "Three."]);
    let imports = SEARCH_HYBRID;
    let body = "(call $search_hybrid (i32.const 2048) (i32.const 8) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
        (if (i32.load8_u (i32.const 256)) (then unreachable))";
    let agent = agent_that(imports, body);
    let (obeyed, usage) = ask(&agent, "[agent]\nvectors_scanned_max = 3", &small.index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.vectors_scanned, 3);
    let (denied, _) = ask(&agent, "[agent]\nvectors_scanned_max = 2", &small.index);
    assert_eq!(stopped(denied).0, Reason::Trap);
}

/// Reads chunk 1 `count` times and traps when that is denied.
fn reader(count: u32) -> Vec<u8> {
    let imports = READ;
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
    let small = index(&[&text]);
    let (obeyed, usage) = ask(&reader(2), "[agent]\nread_kib_max = 3", &small.index);
    assert!(obeyed.is_ok(), "{obeyed:?}");
    assert_eq!(usage.read_bytes, 2 * text.len() as u64);
    let (denied, _) = ask(&reader(3), "[agent]\nread_kib_max = 3", &small.index);
    assert_eq!(stopped(denied).0, Reason::Trap);
}

/// Cites chunks 1 to `count` with this score, having read those up to `read`.
fn citing(count: u32, read: u32, score: &str) -> Vec<u8> {
    let imports = READ;
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
    guest.build().unwrap()
}

#[test]
fn passages() {
    let texts: Vec<String> = (0..5).map(|n| format!("Text number {n}.")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let small = index(&texts);
    let (obeyed, _) = ask(
        &citing(5, 5, "0.5"),
        "[agent]\npassages_max = 5",
        &small.index,
    );
    assert_eq!(obeyed.unwrap().passages.len(), 5);
    let (violated, _) = ask(
        &citing(5, 5, "0.5"),
        "[agent]\npassages_max = 4",
        &small.index,
    );
    assert_eq!(stopped(violated).0, Reason::Passages);
}

#[test]
fn citations_that_were_never_shown_or_not_finite_are_invalid_output() {
    let small = index(&["One text.", "Another text."]);
    for (component, word) in [
        (citing(2, 1, "0.5"), "never shown"),
        (citing(1, 1, "nan"), "not finite"),
        (citing(1, 1, "inf"), "not finite"),
    ] {
        let (outcome, _) = ask(&component, "", &small.index);
        let stop = outcome.unwrap_err();
        assert_eq!(stop.reason, Reason::InvalidOutput);
        assert!(stop.detail.contains(word), "{stop}");
    }
}

#[test]
fn ten_million_passages_are_refused_before_they_are_copied() {
    let small = index(&[]);
    let huge = agent_that(
        "",
        "(i32.store (i32.const 36) (i32.const 1024))
        (i32.store (i32.const 40) (i32.const 10000000))",
    );
    let (outcome, _) = ask(&huge, "", &small.index);
    let reason = stopped(outcome).0;
    assert!(
        matches!(reason, Reason::Output | Reason::InvalidOutput),
        "{reason:?}"
    );
}
