//! Whatever made an answer less than it could be is in its `degraded`: denials, text that was not read, words that
//! were not searched for, chunks that went, and what the agent itself says.

use crate::support::guests::Guest;
use crate::support::stage::{agent_that, ask, ask_task, index, policy, tenant};
use std::time::{Duration, Instant};
use stockade::agent::Answer;
use stockade::task::{Kind, Limits, Task};

const EMBED: &str =
    r#"(import "stockade:plugin/retrieval" "embed" (func $embed (param i32 i32 i32)))"#;
const READ: &str =
    r#"(import "stockade:plugin/retrieval" "read" (func $read (param i32 i32 i32)))"#;
const SEARCH: &str = r#"(import "stockade:plugin/retrieval" "search-text"
    (func $search (param i32 i32 i32 i32 i32 i32 i32)))"#;
const NEAR: &str = r#"(import "stockade:plugin/retrieval" "neighbours"
    (func $near (param i64 i32 i32 i32)))"#;

/// What an agent that does this, whatever it is told, answers over two texts.
fn answer(imports: &str, body: &str, toml: &str) -> Answer {
    let small = index(&["An apple a day.", "A pear."]);
    let (outcome, _) = ask(&agent_that(imports, body), toml, &small.index);
    outcome.unwrap()
}

/// The sentences, each of which must contain the words at its place.
#[track_caller]
fn says(answer: &Answer, words: &[&str]) {
    assert_eq!(answer.degraded.len(), words.len(), "{:?}", answer.degraded);
    for (sentence, word) in answer.degraded.iter().zip(words) {
        assert!(sentence.contains(word), "'{word}' is not in '{sentence}'");
    }
}

#[test]
fn every_denial_is_said_and_counted() {
    let embed = "(call $embed (i32.const 2048) (i32.const 16) (i32.const 256))";
    let denied = answer(EMBED, embed, "[agent]\nembed_tokens_max = 1");
    says(&denied, &["embed was denied: embed_tokens_max is spent"]);
    assert_eq!(denied.denied, 1);
    assert_eq!(
        denied.hops[0].denied.as_deref(),
        Some("embed_tokens_max is spent")
    );
    let unknown = "(i64.store (i32.const 200) (i64.const 77))
        (call $read (i32.const 200) (i32.const 1) (i32.const 256))
        (call $read (i32.const 200) (i32.const 1) (i32.const 256))";
    let denied = answer(READ, unknown, "");
    says(&denied, &["read was denied: no such chunk"]);
    assert_eq!((denied.denied, denied.hops.len()), (2, 2));
    let near = "(call $near (i64.const 1) (i32.const 4) (i32.const 5) (i32.const 256))";
    let denied = answer(NEAR, near, "[agent]\nvectors_scanned_max = 1");
    says(
        &denied,
        &["neighbours was denied: vectors_scanned_max is spent"],
    );
    let done = answer(NEAR, near, "");
    says(&done, &[]);
    assert_eq!((done.denied, &done.hops[0].denied), (0, &None));
}

#[test]
fn no_number_of_results_is_clamped_in_silence() {
    let search = |k: u32| {
        format!(
            "(call $search (i32.const 2048) (i32.const 4) (i32.const {k})
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))"
        )
    };
    says(&answer(SEARCH, &search(1_000), ""), &[]);
    for k in [0, 1_001, 1_000_000] {
        let denied = answer(SEARCH, &search(k), "");
        says(&denied, &["search-text was denied: k must be from 1 to"]);
    }
}

/// An agent that has this text at 16,384 does this with it.
fn with_text(imports: &str, text: &str, call: &str) -> Vec<u8> {
    let mut guest = Guest::agent(&format!("{call} (i32.const 32)"));
    guest.imports = imports.to_owned();
    guest.fields = format!("(data (i32.const 16384) \"{text}\")");
    guest.build().unwrap()
}

#[test]
fn text_that_the_model_does_not_read_is_said() {
    let small = index(&[]);
    let embed = |words: usize| {
        let text = "heron ".repeat(words);
        let call = format!(
            "(call $embed (i32.const 16384) (i32.const {}) (i32.const 256))",
            text.len()
        );
        let agent = with_text(EMBED, &text, &call);
        ask(&agent, "", &small.index).0.unwrap()
    };
    says(&embed(20), &[]);
    let long = embed(400);
    says(&long, &["the model read the first 256"]);
    assert_eq!(long.denied, 0);
}

#[test]
fn words_that_are_not_searched_for_are_said() {
    let small = index(&["One text."]);
    let words: Vec<String> = (0..300).map(|n| format!("w{n}q")).collect();
    let text = words.join(" ");
    let call = format!(
        "(call $search (i32.const 16384) (i32.const {}) (i32.const 5)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))",
        text.len()
    );
    let agent = with_text(SEARCH, &text, &call);
    let answer = ask(&agent, "", &small.index).0.unwrap();
    says(
        &answer,
        &["text search left out very frequent words: w256q"],
    );
}

/// An agent that says `count` sentences of degradation, of which every one is its number.
fn apologising(count: u32) -> Vec<u8> {
    let guest = Guest::agent(&format!(
        "(loop
            (i32.store8 (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 2)))
                (i32.add (i32.const 33) (i32.rem_u (local.get $i) (i32.const 90))))
            (i32.store8 (i32.add (i32.const 4097) (i32.mul (local.get $i) (i32.const 2)))
                (i32.add (i32.const 33) (i32.div_u (local.get $i) (i32.const 90))))
            (i32.store (i32.add (i32.const 8192) (i32.mul (local.get $i) (i32.const 8)))
                (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 2))))
            (i32.store (i32.add (i32.const 8196) (i32.mul (local.get $i) (i32.const 8))) (i32.const 2))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const {count}))))
        (i32.store (i32.const 44) (i32.const 8192))
        (i32.store (i32.const 48) (i32.const {count}))
        (i32.const 32)"
    ));
    guest.build().unwrap()
}

#[test]
fn what_the_agent_itself_says_is_kept_and_what_is_too_much_of_it_is_counted() {
    let small = index(&[]);
    let answer = ask(&apologising(3), "", &small.index).0.unwrap();
    assert_eq!(answer.degraded, ["!!", "\"!", "#!"]);
    let answer = ask(&apologising(150), "", &small.index).0.unwrap();
    assert_eq!(answer.degraded.len(), 101);
    assert_eq!(
        answer.degraded[100],
        "50 further sentences of the agent are not listed"
    );
}

/// K-14: chunks that are deleted while the agent is at work, after it was shown them: they are left out, the receipt
/// says so, and the rest of the answer comes.
#[test]
fn k_14_a_citation_of_what_was_deleted_meanwhile_is_left_out_and_said() {
    let small = index(&["The heron stands.", "A pear."]);
    // Reads chunks 1 and 2, looks for the heron until it is gone, and cites both.
    let mut guest = Guest::agent(
        "(i64.store (i32.const 200) (i64.const 1))
        (i64.store (i32.const 208) (i64.const 2))
        (call $read (i32.const 200) (i32.const 2) (i32.const 256))
        (loop
            (call $search (i32.const 2048) (i32.const 5) (i32.const 5)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
            (if (i32.load8_u (i32.const 256)) (then unreachable))
            (global.set $heap (i32.const 32768))
            (br_if 0 (i32.load (i32.const 264))))
        (i64.store (i32.const 8192) (i64.const 1))
        (f32.store (i32.const 8200) (f32.const 0.9))
        (i64.store (i32.const 8216) (i64.const 2))
        (f32.store (i32.const 8224) (f32.const 0.1))
        (i32.store (i32.const 36) (i32.const 8192))
        (i32.store (i32.const 40) (i32.const 2))
        (i32.const 32)",
    );
    guest.imports = format!("{READ} {SEARCH}");
    guest.fields = "(data (i32.const 2048) \"heron\")".to_owned();
    let agent = guest.build().unwrap();
    let toml = "[agent]\nsearches_max = 100_000\nhost_calls_max = 1_000_000\nwall_ms_max = 120_000\n\
                boundary_kib_max = 1_000_000\nfuel_max = 100_000_000_000\ncpu_ms_max = 60_000";
    let limits = Limits::query(&policy(toml));
    let task = Task::new(tenant(), Kind::Query, "question", limits);
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_task(&agent, toml, &small.index, &task));
        let watchdog = Instant::now() + Duration::from_secs(60);
        while task.usage().host_calls < 3 && !asking.is_finished() {
            assert!(Instant::now() < watchdog, "it never searched");
            std::thread::yield_now();
        }
        let deleted = small.index.delete(&["doc-0".to_owned()]).unwrap();
        assert_eq!(deleted, [true]);
        asking.join().unwrap().unwrap()
    });
    says(&answer, &["chunk 1 is gone or does not match"]);
    let chunks: Vec<u64> = answer.passages.iter().map(|p| p.passage.chunk.0).collect();
    assert_eq!(chunks, [2], "the rest of the answer comes");
}
