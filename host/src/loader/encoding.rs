//! Encodings that a text may have besides those that its own bytes show: declared by the user, or by a page.
//!
//! Nothing is guessed: a text whose encoding nobody declares is UTF-8, or refused.

use std::str::FromStr;

/// What a text is read as that is not UTF-8 and has no byte-order mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// The western one of one byte a character; Latin-1 and ASCII are read as it, as browsers do.
    Windows1252,
    /// Two bytes a unit, the lower first.
    Utf16Le,
    /// Two bytes a unit, the higher first.
    Utf16Be,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.to_ascii_lowercase().as_str() {
            "windows-1252" | "cp1252" | "iso-8859-1" | "latin1" | "latin-1" => {
                Ok(Self::Windows1252)
            }
            "utf-16le" => Ok(Self::Utf16Le),
            "utf-16be" => Ok(Self::Utf16Be),
            _ => Err("windows-1252 (also for latin1), utf-16le or utf-16be".to_owned()),
        }
    }
}

/// How far into a page its declaration stands: what browsers look through.
const DECLARED_WITHIN: usize = 1_024;

/// What a page says of itself: `charset=` in one of its first elements. `None` where it says nothing that we read.
pub(super) fn declared(page: &[u8]) -> Option<Encoding> {
    let head = &page[..page.len().min(DECLARED_WITHIN)];
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, after) = head.split_once("<meta")?;
    let (_, value) = after.split_once("charset")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let name = value.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
    let declared = name.into_iter().next()?.parse().ok();
    // Whoever can be read up to here as ASCII is no UTF-16, whatever it says.
    declared.filter(|encoding| *encoding == Encoding::Windows1252)
}

/// The characters of the bytes 0x80 to 0x9f; those that have none are the control characters of these numbers.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Every sequence of bytes is a text.
pub(super) fn windows_1252(bytes: &[u8]) -> String {
    let character = |byte: &u8| match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    bytes.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_bytes_become_their_characters() {
        assert_eq!(
            windows_1252(b"caf\xe9 \x80 \x93quoted\x94"),
            "café € “quoted”"
        );
    }

    #[test]
    fn a_page_is_what_it_says() {
        let western = Some(Encoding::Windows1252);
        for page in [
            &b"<html><meta charset=windows-1252>"[..],
            b"<META CHARSET = 'Latin1'>",
            b"<meta http-equiv=\"Content-Type\" content=\"text/html; charset=ISO-8859-1\">",
        ] {
            assert_eq!(declared(page), western, "{}", String::from_utf8_lossy(page));
        }
        for page in [
            &b"<meta charset=utf-8>"[..],
            b"<meta charset=shift_jis>",
            b"<meta charset=utf-16le>",
            b"charset=latin1",
            b"",
        ] {
            assert_eq!(declared(page), None, "{}", String::from_utf8_lossy(page));
        }
    }

    #[test]
    fn names_that_are_not_read_are_refused_with_those_that_are() {
        assert_eq!("Latin1".parse(), Ok(Encoding::Windows1252));
        let refused = "shift_jis".parse::<Encoding>().unwrap_err();
        assert!(refused.contains("windows-1252"), "{refused}");
    }
}
