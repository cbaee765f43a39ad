//! Where a text may be cut, from the coarsest boundary to the finest. Nothing here knows how long a
//! piece may be. Every search goes forwards over bytes and looks at a character only where its first
//! byte says that it matters.

use unicode_segmentation::GraphemeCursor;

use crate::piece::is_space;

/// What a piece ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// A blank line.
    Paragraph,
    /// A line feed.
    Line,
    /// A full stop and its like, followed by white space where the script has any.
    Sentence,
    /// White space.
    Word,
    /// Any character, or token.
    Letters,
}

impl Level {
    /// The next finer level. There is nothing finer than letters.
    pub(crate) fn finer(self) -> Self {
        match self {
            Self::Paragraph => Self::Line,
            Self::Line => Self::Sentence,
            Self::Sentence => Self::Word,
            Self::Word | Self::Letters => Self::Letters,
        }
    }

    /// The length of the first piece of `text`, the white space that ends it included. Letters are as
    /// many as the caller wants: here, all.
    pub(crate) fn first(self, text: &str) -> usize {
        match self {
            Self::Paragraph => paragraph(text),
            Self::Line => line_feed(text.as_bytes()).map_or(text.len(), |at| at + 1),
            Self::Sentence => sentence(text),
            Self::Word => word(text),
            Self::Letters => text.len(),
        }
    }
}

/// Where the first line feed is. Eight bytes at a time, and nothing to set up: most lines are short.
pub(crate) fn line_feed(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let zeros = u64::from_le_bytes(*word) ^ (ONES * b'\n' as u64);
        // The lowest bit set marks the lowest byte that is zero.
        let found = zeros.wrapping_sub(ONES) & !zeros & (ONES << 7);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(|&byte| byte == b'\n');
    last.map(|at| bytes.len() - rest.len() + at)
}

fn paragraph(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(line) = line_feed(&bytes[at..]) {
        at += line + 1;
        let indent = run(&bytes[at..], |byte| matches!(byte, b' ' | b'\t' | b'\r'));
        at += indent;
        if bytes.get(at) == Some(&b'\n') {
            return at + run(&bytes[at..], is_space);
        }
    }
    text.len()
}

/// First bytes of white space.
const SPACES: [bool; 256] = table(b" \t\n\x0B\x0C\r\xC2\xE1\xE2\xE3");
/// First bytes of what may end a sentence.
const TERMINATORS: [bool; 256] = table(b".!?\xD8\xDB\xE0\xE2\xE3\xEF");

/// A text is skimmed for `bytes` in a few instructions each.
const fn table(bytes: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
}

/// Where the first byte at or after `from` is that `table` holds. Four at a time, for they are rare.
fn skim(bytes: &[u8], from: usize, table: &[bool; 256]) -> Option<usize> {
    let held = |byte: &u8| table[*byte as usize];
    let rest = &bytes[from..];
    // In Japanese the first byte of a full stop is that of most letters.
    if rest.first().is_some_and(held) {
        return Some(from);
    }
    let (quads, _) = rest.as_chunks::<4>();
    let quad = quads
        .iter()
        .position(|[a, b, c, d]| held(a) | held(b) | held(c) | held(d));
    let skipped = quad.unwrap_or(quads.len()) * 4;
    let found = rest[skipped..].iter().position(held);
    found.map(|at| from + skipped + at)
}

/// How long the character is that begins with `first`, which one of the tables holds.
fn width(first: u8) -> usize {
    match first {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        _ => 3,
    }
}

fn word(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = skim(text.as_bytes(), from, &SPACES) {
        match spaces(&text[at..]) {
            0 => from = at + width(text.as_bytes()[at]),
            space => return at + space,
        }
    }
    text.len()
}

/// The sentence rules of UAX #29, as far as they do without tables: a terminator, more of them or
/// closing marks, then white space (which wide terminators do without), and no lower-case letter
/// after a full stop.
fn sentence(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(mut at) = skim(bytes, from, &TERMINATORS) {
        let Some((length, wide)) = terminator(&bytes[at..]) else {
            from = at + width(bytes[at]);
            continue;
        };
        let stop = bytes[at] == b'.';
        at += length;
        at += closing(&text[at..]);
        let space = spaces(&text[at..]);
        at += space;
        if wide || (space > 0 && !(stop && begins_lower(&text[at..]))) {
            return at;
        }
        from = at;
    }
    text.len()
}

/// The length of the sentence terminator that `bytes` begin with, and whether no space follows it in
/// its script.
fn terminator(bytes: &[u8]) -> Option<(usize, bool)> {
    match bytes {
        [b'.' | b'!' | b'?', ..] => Some((1, false)),
        // Arabic question mark and full stop.
        [0xD8, 0x9F, ..] | [0xDB, 0x94, ..] => Some((2, false)),
        // Danda and double danda; ellipsis.
        [0xE0, 0xA5, 0xA4 | 0xA5, ..] | [0xE2, 0x80, 0xA6, ..] => Some((3, false)),
        // Ideographic and half-width full stop; full-width ! . ?
        [0xE3, 0x80, 0x82, ..] | [0xEF, 0xBD, 0xA1, ..] | [0xEF, 0xBC, 0x81 | 0x8E | 0x9F, ..] => {
            Some((3, true))
        }
        _ => None,
    }
}

/// The length of the further terminators and closing marks at the beginning of `text`.
fn closing(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += match &bytes[at..] {
            [b')' | b']' | b'}' | b'"' | b'\'', ..] => 1,
            // Closing quotation marks and corner brackets.
            [0xE2, 0x80, 0x99 | 0x9D, ..] | [0xE3, 0x80, 0x8D | 0x8F, ..] => 3,
            rest => match terminator(rest) {
                Some((length, _)) => length,
                None => return at,
            },
        };
    }
}

/// Whether the first letter of `text` is a small one. Digits and marks before it do not matter, but
/// only so many are looked at.
fn begins_lower(text: &str) -> bool {
    let mut near = text.chars().take(32);
    let letter = near.find(|char| char.is_alphabetic() || matches!(char, '\n' | '.' | '!' | '?'));
    letter.is_some_and(char::is_lowercase)
}

/// The length of the white space at the beginning of `text`.
fn spaces(text: &str) -> usize {
    let mut at = 0;
    loop {
        match white_space(&text[at..]) {
            0 => return at,
            length => at += length,
        }
    }
}

/// The length of the white space character that `text` begins with; 0 when it is none.
fn white_space(text: &str) -> usize {
    match text.as_bytes() {
        [byte, ..] if is_space(*byte) => 1,
        // Next line, no-break space.
        [0xC2, 0x85 | 0xA0, ..] => 2,
        // Ogham space mark; U+2000 to U+200A, the separators, narrow and mathematical space; ideographic
        // space.
        [0xE1, 0x9A, 0x80, ..]
        | [0xE2, 0x80, 0x80..=0x8A | 0xA8 | 0xA9 | 0xAF, ..]
        | [0xE2, 0x81, 0x9F, ..]
        | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}

fn run(bytes: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|&&byte| belongs(byte)).count()
}

/// The last place at or before `cut` and after `from` that splits no grapheme; `cut` itself when there
/// is none within reach. A grapheme has no greatest length, so only the text close by is looked at:
/// what that gets wrong is longer than anything a reader would call a letter.
pub(crate) fn between_graphemes(text: &str, from: usize, cut: usize) -> usize {
    const REACH: usize = 64;
    if cut >= text.len() || text.as_bytes()[cut - 1..=cut].is_ascii() {
        return cut;
    }
    let low = text.ceil_char_boundary(from.max(cut.saturating_sub(REACH)));
    let high = text.floor_char_boundary((cut + REACH).min(text.len()));
    let near = &text[low..high];
    let mut cursor = GraphemeCursor::new(cut - low, near.len(), true);
    let found = match cursor.is_boundary(near, 0) {
        Ok(false) => cursor.prev_boundary(near, 0).ok().flatten(),
        _ => return cut,
    };
    match found {
        Some(at) if low + at > from && at > 0 => low + at,
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_segmentation::UnicodeSegmentation;

    fn pieces(level: Level, text: &str) -> Vec<&str> {
        let mut rest = text;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(level.first(rest));
            pieces.push(piece);
            rest = after;
        }
        pieces
    }

    #[test]
    fn paragraphs_end_with_a_blank_line() {
        let text = "a\nb\n \t\r\n\n c\n\nd";
        assert_eq!(
            pieces(Level::Paragraph, text),
            ["a\nb\n \t\r\n\n ", "c\n\n", "d"]
        );
    }

    #[test]
    fn a_line_feed_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut bytes = vec![0x0B_u8; length];
            assert_eq!(line_feed(&bytes), None);
            for at in (0..length).rev() {
                bytes[at] = b'\n';
                assert_eq!(line_feed(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn words_end_with_any_white_space() {
        let text = "one two\u{3000}三\u{a0}\tfour";
        assert_eq!(
            pieces(Level::Word, text),
            ["one ", "two\u{3000}", "三\u{a0}\t", "four"]
        );
    }

    #[test]
    fn white_space_is_what_unicode_says() {
        for char in '\0'..=char::MAX {
            let length = if char.is_whitespace() {
                char.len_utf8()
            } else {
                0
            };
            assert_eq!(
                white_space(char.encode_utf8(&mut [0; 4])),
                length,
                "{char:?}"
            );
        }
    }

    #[test]
    fn sentences_of_many_scripts() {
        let text = "He left (at 3.14 a.m. or so.) Why?! \"No.\" 好吗？好。「是。」؟ هو यह। ok";
        assert_eq!(
            pieces(Level::Sentence, text),
            [
                "He left (at 3.14 a.m. or so.) ",
                "Why?! ",
                "\"No.\" ",
                "好吗？",
                "好。",
                "「是。」؟ ",
                "هو यह। ",
                "ok"
            ]
        );
    }

    #[test]
    fn plain_prose_is_cut_as_the_unicode_rules_cut_it() {
        let text = "It works. Does it? Yes! See section 3.2 for more, e.g. this. Dr. Who (b. 1963) came. \
                    \"Really.\" He said... nothing. The U.S. army. End";
        let theirs: Vec<&str> = text.split_sentence_bounds().collect();
        assert_eq!(pieces(Level::Sentence, text), theirs);
    }

    #[test]
    fn a_cut_never_lands_inside_a_grapheme() {
        let text = "ae\u{301}👩‍👩‍👧🇩🇪x";
        let ends: Vec<usize> = text
            .grapheme_indices(true)
            .map(|(at, part)| at + part.len())
            .collect();
        for (cut, _) in text.char_indices().skip(1) {
            let found = between_graphemes(text, 0, cut);
            assert!(found <= cut && ends.contains(&found), "{cut} -> {found}");
        }
    }

    #[test]
    fn a_grapheme_without_end_is_cut_all_the_same() {
        let text = "\u{301}".repeat(1_000);
        assert_eq!(between_graphemes(&text, 0, 500), 500);
    }
}
