//! What an agent may cite: chunks that this task was shown by a search, a neighbour call or a read; not chunks that it
//! only named.

use crate::support::guests::Guest;
use crate::support::stage::{ask, index, stopped};
use stockade::task::Reason;

const IMPORTS: &str = r#"
    (import "stockade:plugin/retrieval" "embed" (func $embed (param i32 i32 i32)))
    (import "stockade:plugin/retrieval" "read" (func $read (param i32 i32 i32)))
    (import "stockade:plugin/retrieval" "vector-of" (func $vector_of (param i64 i32)))
    (import "stockade:plugin/retrieval" "similarities" (func $alike (param i32 i32 i32 i32)))
    (import "stockade:plugin/retrieval" "search-vector"
        (func $by_vector (param i32 i32 i32 i32 i32 i32)))
    (import "stockade:plugin/retrieval" "search-text"
        (func $by_words (param i32 i32 i32 i32 i32 i32 i32)))
    (import "stockade:plugin/retrieval" "search-hybrid"
        (func $by_both (param i32 i32 i32 i32 i32 i32 i32)))
    (import "stockade:plugin/retrieval" "neighbours" (func $near (param i64 i32 i32 i32)))"#;

/// An agent that makes these calls, whatever they give, and then cites one chunk. Chunk 1 as a list is at 200,
/// "heron" at 2,048.
fn cites(calls: &str, chunk: u64) -> Vec<u8> {
    let mut guest = Guest::agent(&format!(
        "(i64.store (i32.const 200) (i64.const 1))
        {calls}
        (i64.store (i32.const 8192) (i64.const {chunk}))
        (f32.store (i32.const 8200) (f32.const 0.5))
        (i32.store (i32.const 36) (i32.const 8192))
        (i32.store (i32.const 40) (i32.const 1))
        (i32.const 32)"
    ));
    guest.imports = IMPORTS.to_owned();
    guest.fields = "(data (i32.const 2048) \"heron\")".to_owned();
    guest.build().unwrap()
}

const WORDS: &str = "(i32.const 2048) (i32.const 5) (i32.const 5)
    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256)";
const READ: &str = "(call $read (i32.const 200) (i32.const 1) (i32.const 256))";
const VECTOR: &str = "(call $vector_of (i64.const 1) (i32.const 256))";

/// K-10: each way to be shown a chunk lets it be cited.
#[test]
fn k_10_what_any_call_showed_may_be_cited() {
    let small = index(&["The heron stands in the reeds.", "A heron flies."]);
    let ways = [
        (format!("(call $by_words {WORDS})"), 1),
        (format!("(call $by_both {WORDS})"), 2),
        (READ.to_owned(), 1),
        (
            format!(
                "{VECTOR} (call $by_vector (i32.load (i32.const 260)) (i32.const 5)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))"
            ),
            2,
        ),
        (
            "(call $near (i64.const 1) (i32.const 4) (i32.const 5) (i32.const 256))".to_owned(),
            2,
        ),
    ];
    for (calls, chunk) in ways {
        let (outcome, _) = ask(&cites(&calls, chunk), "", &small.index);
        let answer = outcome.unwrap_or_else(|stop| panic!("{calls}: {stop}"));
        let cited: Vec<u64> = answer.passages.iter().map(|p| p.passage.chunk.0).collect();
        assert_eq!(cited, [chunk], "{calls}");
    }
}

/// K-10: a chunk that was an argument, or that a denied call would have shown, was not shown.
#[test]
fn k_10_what_was_only_named_may_not_be_cited() {
    let long = "A heron that stands for long. ".repeat(60);
    let small = index(&[&long, "A heron flies."]);
    let ways = [
        String::new(),
        VECTOR.to_owned(),
        format!(
            "{VECTOR} (call $alike (i32.load (i32.const 260)) (i32.const 200) (i32.const 1)
                (i32.const 256))"
        ),
        "(call $near (i64.const 1) (i32.const 4) (i32.const 1) (i32.const 256))".to_owned(),
        // Longer than the policy lets it read.
        READ.to_owned(),
        "(call $embed (i32.const 2048) (i32.const 5) (i32.const 256))".to_owned(),
    ];
    for calls in ways {
        let agent = cites(&calls, 1);
        let (outcome, _) = ask(&agent, "[agent]\nread_kib_max = 1", &small.index);
        assert_eq!(stopped(outcome).0, Reason::InvalidOutput, "{calls}");
    }
}
