//! The chunker, run natively: `cargo test`.

use __crate__::Paragraphs;
use stockade_guest::testing::{cut, document, texts};

const TEXT: &str = "One, two.\n\nThree.\n\n\n  Four, five, six.\n";

#[test]
fn short_paragraphs_share_a_chunk() {
    let document = document(TEXT);
    let chunks = cut::<Paragraphs>(&document, &[]).unwrap();
    assert_eq!(texts(&document, &chunks), [TEXT.trim_end()]);
}

#[test]
fn a_chunk_has_no_more_tokens_than_it_may() {
    let document = document(TEXT);
    let chunks = cut::<Paragraphs>(&document, &[("tokens", "6")]).unwrap();
    let expected = ["One, two.\n\nThree.", "Four, five, six."];
    assert_eq!(texts(&document, &chunks), expected);
}

#[test]
fn a_text_without_words_has_no_chunks() {
    assert_eq!(cut::<Paragraphs>(&document("\n\n \n"), &[]).unwrap(), []);
}

#[test]
fn an_option_out_of_range_is_refused() {
    let refused = cut::<Paragraphs>(&document(TEXT), &[("tokens", "0")]).unwrap_err();
    assert!(refused.contains("'tokens' must be from 1"), "{refused}");
}
