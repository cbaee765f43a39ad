//! Our loop against the one in `tokenizers`, and on text made to hurt.

use super::*;
use crate::config::Config;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

static FILE: LazyLock<std::path::PathBuf> =
    LazyLock::new(|| Config::default().model_dir.join("tokenizer.json"));

static OURS: LazyLock<Tokenizer> = LazyLock::new(|| Tokenizer::load(&FILE).unwrap());

static THEIRS: LazyLock<tokenizers::Tokenizer> = LazyLock::new(|| {
    let mut tokenizer = tokenizers::Tokenizer::from_file(&*FILE).unwrap();
    tokenizer.with_truncation(None).unwrap().with_padding(None);
    tokenizer
});

fn ends(text: &str) -> Vec<u32> {
    OURS.ends(text, || true).unwrap()
}

/// All ids of `text`, by us and by `tokenizers`.
fn both(text: &str) -> (Vec<u32>, Vec<u32>) {
    let mut ids = vec![];
    OURS.walk(text, |id, _| ids.push(id), || true);
    (
        ids,
        THEIRS.encode_fast(text, false).unwrap().get_ids().to_vec(),
    )
}

#[test]
fn every_character_is_cut_as_tokenizers_cuts_it() {
    let all: Vec<char> = (0..=u32::from(char::MAX))
        .filter_map(char::from_u32)
        .collect();
    for some in all.chunks(1_000) {
        // Inside a word, and between words.
        let text: String = some.iter().map(|c| format!("ab{c}cd {c} ")).collect();
        let (ours, theirs) = both(&text);
        assert!(ours == theirs, "around U+{:04X}", some[0] as u32);
    }
}

#[test]
fn random_mixtures_are_cut_as_tokenizers_cuts_them() {
    let parts = [
        "a",
        "the",
        "Ing",
        " ",
        "\n",
        "\u{a0}",
        "\0",
        "é",
        "e\u{301}\u{323}",
        "字",
        "한국",
        "。",
        "!",
        "[MASK]",
        "[",
        "CLS]",
        "##",
        "İ",
        "ﬁ",
        "😀",
        "\u{200d}",
        "\u{302e}\u{1d165}",
        "xyzzy",
        "1",
        "ß",
        "ก็",
    ];
    let mut seed = 7_u64;
    for _ in 0..2_000 {
        let text: String = (0..40)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                parts[(seed >> 33) as usize % parts.len()]
            })
            .collect();
        let (ours, theirs) = both(&text);
        assert_eq!(ours, theirs, "{text:?}");
    }
}

#[test]
fn a_word_of_a_hundred_characters_is_cut_and_a_longer_one_unknown() {
    for length in [99, 100, 101, 102, 5_000] {
        let (ours, theirs) = both(&"ab".repeat(length)[..length]);
        assert_eq!(ours, theirs, "{length}");
    }
}

#[test]
fn the_model_reads_256_tokens_and_the_rest_is_counted() {
    let tokens = OURS.tokenize(&"word ".repeat(254));
    assert_eq!(
        (tokens.len(), tokens.full(), tokens.truncated()),
        (256, 256, false)
    );
    let tokens = OURS.tokenize(&"word ".repeat(300));
    assert_eq!(
        (tokens.len(), tokens.full(), tokens.truncated()),
        (256, 302, true)
    );
    assert_eq!(tokens.ids()[0], 101);
    assert_eq!(tokens.ids()[255], 102);
    let empty = OURS.tokenize("");
    assert_eq!((empty.ids(), empty.full()), (&[101, 102][..], 2));
}

#[test]
fn ends_are_byte_ends_in_the_original_text() {
    assert_eq!(ends("Hello, world"), [5, 6, 12]);
    assert_eq!(ends("embeddings"), [2, 5, 9, 10]);
    assert_eq!(ends("a\r\n\nb"), [1, 5]);
    assert_eq!(ends("你好"), [3, 6]);
    assert_eq!(ends("[SEP]a"), [5, 6]);
    assert_eq!(ends(" \t\n\0"), [] as [u32; 0]);
}

#[test]
fn invisible_characters_stay_with_the_token_before_them() {
    assert_eq!(ends("e\u{301} b"), [3, 5]);
    assert_eq!(ends("字\u{fe0f}b"), [6, 7]);
    assert_eq!(ends("😀\u{200d}🚀"), [11]);
}

#[test]
fn ends_never_descend_and_never_part_a_character() {
    for text in [
        "한국어 텍스트",
        "ﬁne naïve café",
        "ก็ดี",
        "a\u{301}\u{301}b字\u{e0100}c",
        "İstanbul ẞ",
    ] {
        let ends = ends(text);
        assert!(ends.is_sorted(), "{text}");
        assert!(
            ends.iter().all(|&end| text.is_char_boundary(end as usize)),
            "{text}"
        );
    }
}

#[test]
fn hostile_megabytes_take_little_time() {
    let slow_word = "zqjxzqjxvk".repeat(10) + " ";
    for text in [
        "a",
        "字",
        "\u{301}",
        "\0",
        "[",
        "😀\u{200d}",
        slow_word.as_str(),
    ] {
        let text = text.repeat((2 << 20) / text.len());
        let began = Instant::now();
        OURS.tokenize(&text);
        // About 0.1 s; what grows with the square of the text would take minutes.
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{:?}",
            &text[..8]
        );
    }
}

#[test]
fn going_through_a_long_text_can_be_stopped() {
    let text = "word ".repeat(100_000);
    let mut asked = 0;
    let stopped = OURS.ends(&text, || {
        asked += 1;
        asked < 3
    });
    assert_eq!((stopped, asked), (None, 3));
}

#[test]
fn another_kind_of_tokenizer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&*FILE).unwrap();
    std::fs::write(
        &path,
        text.replacen("\"BertPreTokenizer\"", "\"Whitespace\"", 1),
    )
    .unwrap();
    let error = Tokenizer::load(&path).err().unwrap();
    assert!(error.to_string().contains("pre-tokenizer"), "{error}");
}
