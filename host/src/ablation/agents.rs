//! Attacks by an agent: on its budgets, on what it may cite, on the caller's filter.

use super::{Attack, Outcome, ended, granted};
use crate::attack::Guest;
use crate::guard::Guard;

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = budgets();
    all.extend(answers());
    all.extend(filters());
    all
}

fn budgets() -> Vec<Attack> {
    vec![
        Attack {
            name: "waiting",
            what: "host calls of many times the wall time allowed, one after the other",
            against: &[Guard::WallTimer, Guard::WallTick],
            run: |arena| {
                let long = "(call $f (i32.const 2048) (i32.const 512) (i32.const 256))";
                let words = format!(r#"(data (i32.const 2048) "{}")"#, "a ".repeat(256));
                let guest = calling(15, "embed", READ, long).with(&words);
                let lines = "[agent]\nwall_ms_max = 50\ncpu_ms_max = 50";
                ended(arena.ask(&guest, lines, None))
            },
        },
        Attack {
            name: "handles",
            what: "more handles than allowed, none given back",
            against: &[Guard::Handles, Guard::HandleTable],
            run: |arena| ended(arena.ask(&embedding(20), "[agent]\nhandles_max = 10", None)),
        },
        Attack {
            name: "embedding",
            what: "more tokens embedded than allowed",
            against: &[Guard::EmbedTokens],
            run: |arena| granted(arena.ask(&embedding(20), "[agent]\nembed_tokens_max = 10", None)),
        },
        Attack {
            name: "searching",
            what: "more searches than allowed",
            against: &[Guard::Searches],
            run: |arena| {
                let guest = calling(10, "search-text", SEARCH, SEARCH_CALL);
                granted(arena.ask(&guest, "[agent]\nsearches_max = 3", None))
            },
        },
        Attack {
            name: "scanning",
            what: "a scan of more vectors than allowed",
            against: &[Guard::VectorsScanned],
            run: |arena| {
                let guest = calling(1, "search-hybrid", SEARCH, SEARCH_CALL);
                granted(arena.ask(&guest, "[agent]\nvectors_scanned_max = 2", None))
            },
        },
        Attack {
            name: "reading",
            what: "more text read than allowed",
            against: &[Guard::Read],
            run: |arena| {
                let guest = calling(500, "read", READ, READ_FIRST);
                granted(arena.ask(&guest, "[agent]\nread_kib_max = 1", None))
            },
        },
    ]
}

fn answers() -> Vec<Attack> {
    vec![
        Attack {
            name: "passages",
            what: "more passages than allowed",
            against: &[Guard::Passages],
            run: |arena| {
                ended(arena.ask(&citing([1, 2, 3], "0.5"), "[agent]\npassages_max = 2", None))
            },
        },
        Attack {
            name: "score",
            what: "a score that is not a number",
            against: &[Guard::FiniteScore],
            run: |arena| ended(arena.ask(&citing([1, 2, 3], "nan"), "", None)),
        },
        Attack {
            name: "citation",
            what: "a citation of a chunk that the task was never shown",
            against: &[Guard::Citation],
            run: |arena| ended(arena.ask(&citing([1, 2, 5], "0.5"), "", None)),
        },
        Attack {
            name: "cited-twice",
            what: "the same chunk cited twice",
            against: &[Guard::CitedOnce],
            run: |arena| ended(arena.ask(&citing([1, 2, 2], "0.5"), "", None)),
        },
    ]
}

/// The caller's filter leaves out the document that the agent is after.
const NOT_THE_APPLE: &str = r#"{"not": {"document": "doc-0"}}"#;

fn filters() -> Vec<Attack> {
    vec![
        Attack {
            name: "filtered-search",
            what: "a search that finds what the caller's filter leaves out, and an answer that shows it",
            against: &[Guard::SearchFilter, Guard::AnswerFilter],
            run: |arena| {
                // Cites chunk 1 whether the search found it or not.
                let body = format!(
                    "{SEARCH_CALL}
                    (i64.store (i32.const 8192) (i64.const 1))
                    (i32.store (i32.const 36) (i32.const 8192))
                    (i32.store (i32.const 40) (i32.const 1))
                    (i32.const 32)"
                );
                let guest = importing(Guest::agent(&body), "search-text", SEARCH);
                match arena.ask(&guest, "", Some(NOT_THE_APPLE)) {
                    Ok(answer) => Outcome::of(!answer.passages.is_empty(), "left out"),
                    stopped => ended(stopped),
                }
            },
        },
        Attack {
            name: "filtered-read",
            what: "the agent reads a chunk that the caller's filter leaves out",
            against: &[Guard::ReadFilter],
            run: |arena| {
                let guest = calling(1, "read", READ, READ_FIRST);
                granted(arena.ask(&guest, "", Some(NOT_THE_APPLE)))
            },
        },
    ]
}

const SEARCH: &str = "(param i32 i32 i32 i32 i32 i32 i32)";

/// Searches for 'a apple ', five hits.
const SEARCH_CALL: &str = "
    (i64.store (i32.const 2048) (i64.const 0x20656c7070612061))
    (call $f (i32.const 2048) (i32.const 8) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))";

const READ: &str = "(param i32 i32 i32)";

const READ_FIRST: &str = "
    (i64.store (i32.const 200) (i64.const 1))
    (call $f (i32.const 200) (i32.const 1) (i32.const 256))";

fn importing(guest: Guest, function: &str, parameters: &str) -> Guest {
    let interface = "stockade:plugin/retrieval";
    guest.importing(&format!(
        r#"(import "{interface}" "{function}" (func $f {parameters}))"#
    ))
}

/// Makes a retrieval call `count` times and traps when one is denied. The guest forgets what it was given,
/// so that its memory does not grow.
fn calling(count: u32, function: &str, parameters: &str, call: &str) -> Guest {
    let body = format!(
        "(local.set $i (i32.const {count}))
        (loop
            (global.set $heap (i32.const 16384))
            {call}
            (if (i32.load8_u (i32.const 256)) (then unreachable))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)"
    );
    importing(Guest::agent(&body), function, parameters)
}

/// Embeds 16 bytes again and again; two tokens each.
fn embedding(count: u32) -> Guest {
    let call = "(call $f (i32.const 2048) (i32.const 16) (i32.const 256))";
    calling(count, "embed", READ, call)
}

/// Reads chunks 1 to 3 and cites these with one score.
fn citing(chunks: [u64; 3], score: &str) -> Guest {
    let mut body = String::new();
    for read in 1..=3 {
        body += &format!(
            "(i64.store (i32.const 200) (i64.const {read}))
            (call $f (i32.const 200) (i32.const 1) (i32.const 256))"
        );
    }
    for (chunk, at) in chunks.iter().zip((8_192..).step_by(24)) {
        body += &format!(
            "(i64.store (i32.const {at}) (i64.const {chunk}))
            (f32.store (i32.const {}) (f32.const {score}))",
            at + 8
        );
    }
    body += "(i32.store (i32.const 36) (i32.const 8192)) (i32.store (i32.const 40) (i32.const 3))
        (i32.const 32)";
    importing(Guest::agent(&body), "read", READ)
}
