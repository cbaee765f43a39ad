//! K: answers of a chunker that have the right types and lie. Nothing of a wrong answer is stored, and what was
//! there of the document stays.

use crate::support::guests::{Guest, WHOLE_TEXT, chunker};
use crate::support::stage::{chunk, stopped};
use crate::support::{Bench, arg};
use stockade::error::Blame;
use stockade::task::{Reason, Stop};

/// Where a guest's spans lie: beyond what it is given.
const SPANS: usize = 32_768;

/// A chunker that gives these spans, without labels.
fn spans(spans: &[(u32, u32)]) -> Vec<u8> {
    let mut body = String::new();
    for (number, (start, end)) in spans.iter().enumerate() {
        let at = SPANS + number * 16;
        body.push_str(&format!(
            "(i32.store (i32.const {at}) (i32.const {}))
            (i32.store (i32.const {}) (i32.const {}))\n",
            start.cast_signed(),
            at + 4,
            end.cast_signed()
        ));
    }
    let count = spans.len();
    body.push_str(&format!(
        "(i32.store (i32.const 36) (i32.const {SPANS})) (i32.store (i32.const 40) (i32.const {count}))
        (i32.const 32)"
    ));
    chunker(&body)
}

/// The stop of an answer that the check must refuse as a whole.
#[track_caller]
fn refused(component: &[u8], text: &str) -> Stop {
    let stop = chunk(component, "", text).0.unwrap_err();
    assert_eq!(
        (stop.reason, stop.blame, stop.phase.as_str()),
        (Reason::InvalidOutput, Blame::Guest, "check"),
        "{stop}"
    );
    stop
}

/// K-01: spans that end before they begin, beyond the text, or near 2^32 are invalid output, in the check.
#[test]
fn k_01_spans_outside_the_text_are_refused() {
    for lie in [
        (4, 2),
        (0, 11),
        (10, 11),
        (11, 12),
        (0, u32::MAX),
        (u32::MAX, u32::MAX),
        (u32::MAX, 0),
        (5, 5 | 1 << 31),
    ] {
        refused(&spans(&[lie]), "ten bytes!");
        refused(&spans(&[(0, 2), lie]), "ten bytes!");
    }
    assert!(chunk(&spans(&[(0, 10)]), "", "ten bytes!").0.is_ok());
}

/// K-01, K-11: a new version whose chunks are wrong, and one whose chunker traps with its answer already written:
/// the document fails, and its old version is found as before.
#[test]
fn k_01_k_11_the_old_version_stays_when_the_new_one_fails() {
    let bench = Bench::with_tenants(&["acme"]);
    let trap = format!("{WHOLE_TEXT} drop unreachable");
    let plugins = [
        ("whole", chunker(WHOLE_TEXT), ""),
        ("beyond", spans(&[(0, 1), (2, 4_000_000)]), "outside"),
        ("traps", chunker(&trap), "unreachable"),
    ];
    for (label, component, word) in plugins {
        let file = bench.file(&format!("{label}.wasm"), component);
        // The trial run would find a chunker that fails on every text; this one fails on all but that.
        let installed = bench.run(&["plugin", "install", "acme", arg(&file)]);
        if word.is_empty() {
            installed.ok();
            bench.run(&["plugin", "use", "acme", label]).ok();
            let first = bench.file("a.txt", "The old heron stands in the reeds.");
            bench.run(&["ingest", "acme", arg(&first)]).ok();
        } else {
            installed.fails(2, &["trial"]);
        }
    }
    let file = bench.file("short.wasm", fails_on_long_texts());
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    bench.run(&["plugin", "use", "acme", "short"]).ok();
    for words in ["invalid span ", "trap "] {
        let second = bench.file("a.txt", words.repeat(1_000));
        let ran = bench.run(&["ingest", "acme", arg(&second)]).fails(3, &[]);
        assert!(ran.out.contains("a.txt"), "{ran:?}");
        assert_eq!(bench.found("acme", "text", "heron reeds"), ["a.txt"]);
        assert_eq!(bench.found("acme", "vector", "heron reeds"), ["a.txt"]);
        assert!(bench.found("acme", "text", words).is_empty());
    }
}

/// Cuts short texts well; with long ones it goes beyond the text, or traps when they begin with `t`.
fn fails_on_long_texts() -> Vec<u8> {
    chunker(&format!(
        "{WHOLE_TEXT} drop
        (if (i32.gt_u (local.get 7) (i32.const 3000)) (then
            (if (i32.eq (i32.load8_u (local.get 6)) (i32.const 116)) (then unreachable))
            (i32.store (i32.const 68) (i32.const 9999999))))
        (i32.const 32)"
    ))
}

/// K-02: every cut of a text of two-, three- and four-byte characters that parts one of them.
#[test]
fn k_02_a_span_that_parts_a_character_is_refused() {
    let text = "é€😀";
    for at in 1..9u32 {
        let inside = !text.is_char_boundary(at as usize);
        let component = spans(&[(0, at)]);
        match inside {
            true => drop(refused(&component, text)),
            false => assert!(chunk(&component, "", text).0.is_ok(), "{at}"),
        }
    }
}

/// K-03: empty spans, and one span a thousand times.
#[test]
fn k_03_empty_and_repeated_spans_are_refused() {
    for at in [0, 5, 10] {
        refused(&spans(&[(at, at)]), "ten bytes!");
    }
    refused(&spans(&[(0, 5), (0, 5)]), "ten bytes!");
    refused(&spans(&[(0, 5); 1_000]), &"x".repeat(5_000));
}

/// K-05: sixteen million chunks, claimed and not there, and a million that are: refused before they are copied.
#[test]
fn k_05_millions_of_chunks_are_refused_before_they_are_copied() {
    let claims = |count: u32, pages: u32| {
        let mut guest = Guest::chunker(&format!(
            "(i32.store (i32.const 36) (i32.const 1024)) (i32.store (i32.const 40) (i32.const {count}))
            (i32.const 32)"
        ));
        guest.pages = pages;
        guest.build().unwrap()
    };
    let (outcome, _) = chunk(&claims(16_000_000, 1), "", "x");
    let (reason, blame, phase) = stopped(outcome);
    assert!(
        matches!(reason, Reason::Output | Reason::InvalidOutput),
        "{reason:?}"
    );
    assert_eq!((blame, phase.as_str()), (Blame::Guest, "result"));
    let (outcome, usage) = chunk(&claims(1_000_000, 260), "", "x");
    assert_eq!(stopped(outcome).0, Reason::Output);
    assert!(usage.output_bytes <= 1 << 20, "{usage:?}");
}

/// K-07: spans out of order are refused; overlapping ones in order are not.
#[test]
fn k_07_spans_out_of_order_are_refused() {
    refused(&spans(&[(5, 10), (0, 5)]), "ten bytes!");
    refused(&spans(&[(0, 6), (0, 5)]), "ten bytes!");
    let overlapping = [(0, 5), (0, 6), (3, 10)];
    assert!(chunk(&spans(&overlapping), "", "ten bytes!").0.is_ok());
}

/// One chunk, the whole text, with a label of these bytes as name and value.
fn labelled(bytes: &str, count: u32) -> Vec<u8> {
    let length = count / 4;
    let body = format!(
        "{WHOLE_TEXT} drop
        (i32.store (i32.const 72) (i32.const 128)) (i32.store (i32.const 76) (i32.const 1))
        (i32.store (i32.const 128) (i32.const 2048)) (i32.store (i32.const 132) (i32.const {length}))
        (i32.store (i32.const 136) (i32.const 2048)) (i32.store (i32.const 140) (i32.const {length}))
        (i32.const 32)"
    );
    let data = format!("(data (i32.const 2048) \"{bytes}\")");
    Guest::chunker(&body).with(&data).build().unwrap()
}

/// K-12: a label that is not UTF-8 is refused when it is taken over; one of control characters is only text.
#[test]
fn k_12_labels_are_checked_as_text() {
    let (outcome, _) = chunk(&labelled("\\ff\\fe\\ff\\fe", 16), "", "x");
    let (reason, blame, phase) = stopped(outcome);
    assert_eq!((reason, blame), (Reason::InvalidOutput, Blame::Guest));
    assert_eq!(phase, "result");
    let chunks = chunk(&labelled("\\1b[2J", 16), "", "x").0.unwrap();
    assert_eq!(chunks[0].labels, [("\u{1b}[2J".into(), "\u{1b}[2J".into())]);
}

/// K-13: a chunker that refuses with a mebibyte of terminal codes: its sentence is cut and escaped.
#[test]
fn k_13_a_chunkers_own_words_are_cut_and_escaped() {
    let mut guest = Guest::chunker(
        "(i32.store8 (i32.const 32) (i32.const 1))
        (i32.store (i32.const 36) (i32.const 2048)) (i32.store (i32.const 40) (i32.const 65536))
        (memory.fill (i32.const 2048) (i32.const 27) (i32.const 65536))
        (i32.const 32)",
    );
    guest.pages = 3;
    let stop = refused(&guest.build().unwrap(), "x");
    assert!(stop.detail.starts_with("the chunker refused: "), "{stop}");
    assert!(stop.detail.len() < 4_000, "{}", stop.detail.len());
    assert!(!stop.detail.contains('\u{1b}'));
}
