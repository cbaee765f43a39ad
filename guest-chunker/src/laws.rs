//! What holds of every cut, whatever the text: valid spans, nothing lost, sizes and overlaps kept.

use stockade_guest::{Chunk, Chunker, Options};

use crate::BuiltIn;
use crate::testing::{Numbers, chunks, options, tokens};

const STRATEGIES: [&str; 3] = ["recursive", "markdown", "fixed"];

/// Checks the chunks of `text` against every law.
fn check(text: &str, strategy: &str, size: usize, overlap: usize, unit: &str) {
    let case = || format!("{strategy} {size}/{overlap} {unit} {text:?}");
    let chunks = chunks(text, &options(strategy, size, overlap, unit)).unwrap();
    let count = |chunk: &str| match unit {
        "tokens" => tokens(chunk).len(),
        _ => chunk.chars().count(),
    };
    let mut covered = 0;
    let mut last: Option<&Chunk> = None;
    for chunk in &chunks {
        let cut = text
            .get(chunk.span())
            .unwrap_or_else(|| panic!("{}", case()));
        assert!(!cut.is_empty() && cut.trim() == cut, "{}", case());
        // A cut inside a word may make one more token of it than the whole text has.
        let slack = if unit == "tokens" { 2 } else { 0 };
        assert!(count(cut) <= size + slack, "{cut:?} {}", case());
        if let Some(last) = last {
            assert!(
                (last.start, last.end) < (chunk.start, chunk.end),
                "{}",
                case()
            );
            if last.end > chunk.start {
                let shared = &text[chunk.start as usize..last.end as usize];
                assert!(count(shared) <= overlap + slack, "{shared:?} {}", case());
            }
        }
        let start = chunk.start as usize;
        assert!(
            start <= covered || text[covered..start].trim().is_empty(),
            "{}",
            case()
        );
        covered = covered.max(chunk.end as usize);
        last = Some(chunk);
    }
    assert!(
        text[covered..].trim().is_empty(),
        "lost the end: {}",
        case()
    );
}

#[test]
fn every_cut_is_valid_and_loses_nothing() {
    let mut numbers = Numbers(42);
    for round in 0..4_000 {
        let parts = 1 + numbers.below(120);
        let text = numbers.text(parts);
        let size = 1 + numbers.below(60);
        let overlap = numbers.below(size);
        let strategy = STRATEGIES[round % 3];
        check(
            &text,
            strategy,
            size,
            overlap,
            ["characters", "tokens"][round / 3 % 2],
        );
    }
}

#[test]
fn hostile_texts_are_cut_within_a_second() {
    let length = 1 << 20;
    let texts = [
        "a".repeat(length),
        "a ".repeat(length / 2),
        "\n".repeat(length),
        "a\n".repeat(length / 2),
        "\u{301}".repeat(length / 2),
        "👩\u{200d}".repeat(length / 7),
        ".".repeat(length),
        format!(".{}", ")".repeat(length)),
        "[".repeat(length),
        "*".repeat(length),
        "- ".repeat(length / 2),
        format!("{}a{}", ">".repeat(1_000), "\na".repeat(length / 2)),
        format!("{}a{}", "- ".repeat(100_000), "\n".repeat(length / 2)),
        "# a\n".repeat(length / 4),
        "```\n\n".repeat(length / 5),
        "<!--\n".repeat(length / 5),
        "-\n\n".repeat(length / 3),
        "。".repeat(length / 3),
        " ".repeat(length),
    ];
    for text in &texts {
        for strategy in STRATEGIES {
            for unit in ["characters", "tokens"] {
                let options = options(strategy, 1_000, 999, unit);
                let began = std::time::Instant::now();
                let cut = chunks(text, &options).unwrap();
                let took = began.elapsed();
                let head: String = text.chars().take(9).collect();
                assert!(
                    took.as_millis() < 1_000,
                    "{head:?} {strategy} {unit}: {took:?}, {}",
                    cut.len()
                );
            }
        }
    }
}

#[test]
fn fixed_chunks_are_exact() {
    let text = "0123456789abcdefghij";
    let spans = |options: &Options| -> Vec<_> {
        let chunks = chunks(text, options).unwrap();
        chunks.iter().map(Chunk::span).collect()
    };
    let by_characters = spans(&options("fixed", 8, 3, "characters"));
    assert_eq!(by_characters, [0..8, 5..13, 10..18, 15..20]);
    assert_eq!(
        spans(&options("fixed", 2, 1, "tokens")),
        [0..8, 4..12, 8..16, 12..20]
    );
}

#[test]
fn a_short_text_is_one_chunk() {
    for strategy in STRATEGIES {
        let text = " one\n\ntwo. \n";
        let chunks = chunks(text, &options(strategy, 1_000, 200, "characters")).unwrap();
        assert_eq!(chunks, [Chunk::new(1..10)], "{strategy}");
    }
}

#[test]
fn an_overlap_as_large_as_the_size_is_refused() {
    let error = chunks("text", &options("recursive", 100, 100, "characters")).unwrap_err();
    assert_eq!(
        error,
        "option `overlap` (100) must be less than `size` (100)"
    );
}

#[test]
fn defaults_are_those_of_the_contract() {
    let options = Options::defaults(&BuiltIn::options());
    assert_eq!(options.text("strategy"), Ok("recursive"));
    assert_eq!(options.count("size"), Ok(1_000));
    assert_eq!(options.count("overlap"), Ok(200));
    assert_eq!(options.text("unit"), Ok("characters"));
}
