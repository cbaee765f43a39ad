//! Pieces of a text and how they are merged into chunks. Nothing here knows where a piece may end.

use std::ops::Range;

use crate::Sizes;

/// A byte range of the text, on character boundaries.
pub(crate) type Span = Range<usize>;

/// A stretch of text that is not cut further, without the white space around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// The text's units before `start`.
    pub(crate) before: u32,
    /// The text's units before `end`.
    pub(crate) until: u32,
}

/// `span` without the white space at its ends; empty when there is nothing else.
pub(crate) fn trimmed(text: &str, span: Span) -> Span {
    // Nearly always the white space is ASCII, and so is what it ends at.
    let bytes = text.as_bytes();
    let Span { mut start, mut end } = span;
    while start < end && is_space(bytes[start]) {
        start += 1;
    }
    while start < end && is_space(bytes[end - 1]) {
        end -= 1;
    }
    if start == end || (bytes[start].is_ascii() && bytes[end - 1].is_ascii()) {
        return start..end;
    }
    let inner = text[start..end].trim_end();
    let end = start + inner.len();
    end - inner.trim_start().len()..end
}

/// Whether `byte` is white space of ASCII: what [`char::is_whitespace`] says of it.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Runs of neighbouring pieces, each as long as `size` allows. A run begins with as many of the last
/// one's pieces as `overlap` covers. Each piece is looked at twice at most.
pub(crate) fn merge(pieces: &[Piece], sizes: Sizes) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut first = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let fits = |first: usize| piece.until - pieces[first].before <= sizes.size;
        if first == index || fits(first) {
            continue;
        }
        let last = pieces[index - 1];
        spans.push(span(pieces[first], last));
        while first < index && !(fits(first) && last.until - pieces[first].before <= sizes.overlap)
        {
            first += 1;
        }
    }
    if let (Some(&first), Some(&last)) = (pieces.get(first), pieces.last()) {
        spans.push(span(first, last));
    }
    spans
}

fn span(first: Piece, last: Piece) -> Span {
    first.start as usize..last.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(lengths: &[u32]) -> Vec<Piece> {
        let mut at = 0;
        let mut piece = |&length: &u32| {
            let start = at;
            at += length + 1;
            Piece {
                start,
                end: start + length,
                before: start,
                until: start + length,
            }
        };
        lengths.iter().map(&mut piece).collect()
    }

    #[test]
    fn runs_fill_the_size_and_repeat_what_the_overlap_covers() {
        let sizes = Sizes {
            size: 11,
            overlap: 5,
        };
        let spans = merge(&words(&[3, 3, 3, 3, 3]), sizes);
        assert_eq!(spans, [0..11, 8..19]);
    }

    #[test]
    fn a_piece_longer_than_the_overlap_is_not_repeated() {
        let sizes = Sizes {
            size: 7,
            overlap: 2,
        };
        assert_eq!(merge(&words(&[3, 3, 3, 3]), sizes), [0..7, 8..15]);
    }

    #[test]
    fn no_pieces_no_runs() {
        let sizes = Sizes {
            size: 7,
            overlap: 2,
        };
        assert!(merge(&[], sizes).is_empty());
    }

    #[test]
    fn white_space_is_trimmed_at_both_ends() {
        assert_eq!(trimmed("  a b\u{3000}\n", 0..9), 2..5);
        assert!(trimmed(" \n ", 0..3).is_empty());
    }
}
