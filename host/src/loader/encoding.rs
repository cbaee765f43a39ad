//! Encodings that a text may have besides those that its own bytes show: declared by the user, or by a page.
//!
//! Nothing is guessed: a text whose encoding nobody declares is UTF-8, or refused. The only user of `encoding_rs`; the
//! labels are those of the WHATWG's Encoding Standard. Knows nothing of files.

use encoding_rs::{DecoderResult, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, X_USER_DEFINED};
use std::str::FromStr;

/// What a text is read as that is not UTF-8 and has no byte-order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// Two bytes a unit, the lower first.
    pub(super) const UTF_16_LE: Self = Self(UTF_16LE);
    /// Two bytes a unit, the higher first.
    pub(super) const UTF_16_BE: Self = Self(UTF_16BE);

    /// Its name in the standard.
    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// The text of `bytes`, every one of them; or where the first is that does not fit.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<String, usize> {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        let mut text = String::with_capacity(room.unwrap_or_default());
        let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
        match result {
            DecoderResult::InputEmpty => {
                text.shrink_to_fit();
                Ok(text)
            }
            DecoderResult::Malformed(wrong, after) => {
                Err(read.saturating_sub(usize::from(wrong) + usize::from(after)))
            }
            // There is room for the longest text that so many bytes can be.
            DecoderResult::OutputFull => Err(read),
        }
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = encoding_rs::Encoding::for_label(name.as_bytes());
        known
            .filter(|encoding| *encoding != REPLACEMENT && *encoding != X_USER_DEFINED)
            .map(Self)
            .ok_or_else(|| {
                "a name as in HTML: windows-1252, iso-8859-15, utf-16le, shift_jis, gb18030, koi8-r, …".to_owned()
            })
    }
}

/// How far into a page its declaration stands: what browsers look through.
const DECLARED_WITHIN: usize = 1_024;

/// What a page says of itself: `charset=` in one of its first elements. `None` where it says nothing, or UTF-8.
pub(super) fn declared(page: &[u8]) -> Option<Encoding> {
    let head = &page[..page.len().min(DECLARED_WITHIN)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, after) = head.split_once("<meta")?;
    let (_, value) = after.split_once("charset")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let name = value.split(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c)));
    let declared = name.into_iter().next()?.parse::<Encoding>().ok();
    // Whoever can be read up to here as ASCII is no UTF-16, whatever it says.
    declared.filter(|encoding| ![UTF_8, UTF_16LE, UTF_16BE].contains(&encoding.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Encoding {
        name.parse().unwrap()
    }

    #[test]
    fn bytes_become_the_characters_of_their_encoding() {
        for (name, bytes, text) in [
            (
                "latin1",
                &b"caf\xe9 \x80 \x93quoted\x94"[..],
                "café € “quoted”",
            ),
            ("Shift_JIS", b"\x93\xfa\x96\x7b", "日本"),
            ("koi8-r", b"\xed\xc9\xd2", "Мир"),
            ("gb18030", b"\xc4\xe3\xba\xc3", "你好"),
            ("utf-16le", b"a\0\xac\x20", "a€"),
        ] {
            assert_eq!(named(name).decode(bytes), Ok(text.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_by_its_first_byte() {
        assert_eq!(named("shift_jis").decode(b"ab\x93\xfa\xa0"), Err(4));
        assert_eq!(named("utf-16be").decode(b"\0a\xd8\0\0b"), Err(2));
        assert_eq!(named("utf-16le").decode(b"a\0b"), Err(2));
    }

    #[test]
    fn a_page_is_what_it_says() {
        let western = Some(named("windows-1252"));
        for (page, said) in [
            (&b"<html><meta charset=windows-1252>"[..], western),
            (b"<META CHARSET = 'Latin1'>", western),
            (
                b"<meta http-equiv=\"Content-Type\" content=\"text/html; charset=ISO-8859-1\">",
                western,
            ),
            (b"<meta charset=shift_jis>", Some(named("shift_jis"))),
            (b"<meta charset=utf-8>", None),
            (b"<meta charset=utf-16le>", None),
            (b"<meta charset=iso-2022-kr>", None),
            (b"charset=latin1", None),
            (b"", None),
        ] {
            assert_eq!(declared(page), said, "{}", String::from_utf8_lossy(page));
        }
    }

    #[test]
    fn names_that_are_not_read_are_refused_with_some_that_are() {
        for name in ["ebcdic", "iso-2022-kr", "x-user-defined", ""] {
            let refused = name.parse::<Encoding>().unwrap_err();
            assert!(refused.contains("windows-1252"), "{name}: {refused}");
        }
    }
}
