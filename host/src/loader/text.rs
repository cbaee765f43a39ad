//! Bytes become text here, or a reason why they are none; and a plain or Markdown text gives its
//! title. Knows nothing of files.

use super::encoding::Encoding;
use super::error::LoadError;

/// The longest title taken from a text, in characters.
pub(super) const TITLE_CHARS: usize = 200;

/// A first line up to this many characters can be a plain text's title.
const FIRST_LINE_CHARS: usize = 120;

/// Control characters that text has none or few of, up to this share of its bytes.
const CONTROLS_RATIO_MAX: usize = 10;

/// The text of `bytes`: UTF-8, or UTF-16 that says so by a byte-order mark, else what is `declared`. The mark is
/// left out; line endings stay as they are. `nul` says whether NUL characters may occur.
pub(super) fn decode(
    bytes: Vec<u8>,
    place: &str,
    nul: Nul,
    declared: Option<Encoding>,
) -> Result<String, LoadError> {
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => encoded(rest, Encoding::UTF_16_LE, place, 2)?,
        [0xfe, 0xff, rest @ ..] => encoded(rest, Encoding::UTF_16_BE, place, 2)?,
        _ => match declared.filter(|_| !is_plain_utf8(&bytes)) {
            Some(encoding) => encoded(&bytes, encoding, place, 0)?,
            None => {
                refuse_binary(&bytes, place, nul)?;
                return utf8(bytes, place);
            }
        },
    };
    refuse_binary(text.as_bytes(), place, nul)?;
    Ok(text)
}

/// ASCII in two bytes is valid UTF-8 too, with a NUL beside each letter.
fn is_plain_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0)
}

/// Whether NUL characters may occur in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nul {
    /// They may: HTML says what becomes of them.
    Allowed,
    /// They show that it is no text.
    Refused,
}

fn utf8(mut bytes: Vec<u8>, place: &str) -> Result<String, LoadError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    String::from_utf8(bytes).map_err(|error| LoadError::Encoding {
        place: place.to_owned(),
        encoding: "UTF-8",
        offset: error.utf8_error().valid_up_to(),
    })
}

/// `before`: bytes of the file that come before `bytes`.
fn encoded(
    bytes: &[u8],
    encoding: Encoding,
    place: &str,
    before: usize,
) -> Result<String, LoadError> {
    encoding
        .decode(bytes)
        .map_err(|offset| LoadError::Encoding {
            place: place.to_owned(),
            encoding: encoding.name(),
            offset: before + offset,
        })
}

fn refuse_binary(bytes: &[u8], place: &str, nul: Nul) -> Result<(), LoadError> {
    let binary = |what, offset| {
        Err(LoadError::Binary {
            place: place.to_owned(),
            what,
            offset,
        })
    };
    if nul == Nul::Refused
        && let Some(offset) = bytes.iter().position(|&b| b == 0)
    {
        return binary("a NUL", offset);
    }
    let control = |b: u8| b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    let controls = bytes.iter().filter(|&&b| control(b)).count();
    if controls > bytes.len() / CONTROLS_RATIO_MAX {
        let first = bytes.iter().position(|&b| control(b)).unwrap_or_default();
        return binary("too many control characters, the first", first);
    }
    Ok(())
}

/// A plain text's title: its first line, when that is short and a blank line follows.
pub(super) fn plain_title(text: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim().is_empty());
    let first = lines.next()?.trim();
    let alone = lines.next().is_some_and(|line| line.trim().is_empty());
    let short = first.chars().count() <= FIRST_LINE_CHARS;
    (alone && short).then(|| first.to_owned())
}

/// A Markdown text's title: `title:` of its front matter, else its first heading of any form that has
/// words; headings inside fenced code do not count.
pub(super) fn markdown_title(text: &str) -> Option<String> {
    let (front, body) = split_front_matter(text);
    let declared = front.lines().find_map(|line| line.strip_prefix("title:"));
    let declared = declared.map(|title| title.trim().trim_matches(['"', '\'']));
    let title = match declared {
        Some(title) if !title.is_empty() => title.to_owned(),
        _ => first_heading(body)?,
    };
    Some(title.chars().take(TITLE_CHARS).collect())
}

/// The YAML between two `---` lines at the very start, empty when there is none, and the rest.
fn split_front_matter(text: &str) -> (&str, &str) {
    let Some(rest) = text
        .strip_prefix("---\n")
        .or_else(|| text.strip_prefix("---\r\n"))
    else {
        return ("", text);
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        if matches!(line.trim_end(), "---" | "...") {
            return (&rest[..end], &rest[end + line.len()..]);
        }
        end += line.len();
    }
    ("", text)
}

fn first_heading(text: &str) -> Option<String> {
    let mut fence: Option<&str> = None;
    let mut before = "";
    for line in text.lines() {
        let trimmed = line.trim();
        let marker = ["```", "~~~"].into_iter().find(|&m| trimmed.starts_with(m));
        match (fence, marker) {
            (Some(open), Some(close)) if open == close => fence = None,
            (None, Some(open)) => fence = Some(open),
            (None, None) => {
                let heading = if is_underline(trimmed) {
                    before
                } else {
                    atx(line).unwrap_or("")
                };
                let words: String = heading
                    .chars()
                    .filter(|c| !matches!(c, '`' | '*'))
                    .collect();
                if !words.trim().is_empty() {
                    return Some(words.trim().to_owned());
                }
            }
            (Some(_), _) => {}
        }
        before = if fence.is_some() { "" } else { trimmed };
    }
    None
}

/// The words of `# heading ##`.
fn atx(line: &str) -> Option<&str> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let words = line.trim_start_matches(' ').trim_start_matches('#');
    let hashes = line.len() - indent - words.len();
    let legal = indent <= 3 && (1..=6).contains(&hashes) && words.starts_with([' ', '\t']);
    legal.then(|| words.trim().trim_end_matches('#').trim())
}

/// Whether a line makes the one before it a heading of the first level.
fn is_underline(line: &str) -> bool {
    line.len() >= 3 && line.bytes().all(|b| b == b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(bytes: &[u8]) -> Result<String, LoadError> {
        decode(bytes.to_vec(), "a.txt", Nul::Refused, None)
    }

    #[test]
    fn what_is_declared_is_read_so_where_the_bytes_do_not_say_otherwise() {
        let [western, le, be] =
            ["windows-1252", "utf-16le", "utf-16be"].map(|name| name.parse().unwrap());
        let load = |bytes: &[u8], declared| {
            decode(bytes.to_vec(), "a.txt", Nul::Refused, Some(declared)).unwrap()
        };
        assert_eq!(load(b"caf\xe9", western), "café");
        assert_eq!(load("café".as_bytes(), western), "café");
        assert_eq!(load(b"\xff\xfea\0", western), "a");
        assert_eq!(load(b"a\0\xe9\0", le), "aé");
        assert_eq!(load(b"\0a\0b", be), "ab");
        assert_eq!(load(b"plain", le), "plain");
        let binary = decode(
            b"\x7fELF\0\0\xe9".to_vec(),
            "a",
            Nul::Refused,
            Some(western),
        );
        assert!(matches!(binary, Err(LoadError::Binary { .. })));
    }

    #[test]
    fn text_is_kept_as_it_is_but_for_its_mark() {
        assert_eq!(load("é\r\nb\t".as_bytes()).unwrap(), "é\r\nb\t");
        assert_eq!(load(b"\xef\xbb\xbfabc").unwrap(), "abc");
        assert_eq!(load(b"\xff\xfea\0\xe9\0").unwrap(), "aé");
        assert_eq!(load(b"\xfe\xff\0a\xd8\x3d\xde\x00").unwrap(), "a😀");
        assert_eq!(load(b"").unwrap(), "");
    }

    #[test]
    fn wrong_encodings_name_the_byte() {
        let offset = |bytes: &[u8]| match load(bytes) {
            Err(LoadError::Encoding {
                offset, encoding, ..
            }) => (encoding, offset),
            other => panic!("{other:?}"),
        };
        assert_eq!(offset(b"caf\xe9"), ("UTF-8", 3));
        assert_eq!(offset(b"\xff\xfea\0\x00\xd8"), ("UTF-16LE", 4));
        assert_eq!(offset(b"\xff\xfea\0b"), ("UTF-16LE", 4));
    }

    #[test]
    fn binary_is_told_from_text() {
        for binary in [
            &b"\x7fELF\x02\x01\x01\0\0\0"[..],
            b"ab\0",
            b"\x01\x02\x03ab",
            b"\xff\xfea\0\0\0",
        ] {
            assert!(
                matches!(load(binary), Err(LoadError::Binary { .. })),
                "{binary:?}"
            );
        }
        assert!(load(b"\x1b[31mred\x1b[0m\x0c\n").is_ok());
        assert!(
            decode(
                b"<p>some words\0</p>".to_vec(),
                "a.html",
                Nul::Allowed,
                None
            )
            .is_ok()
        );
    }

    #[test]
    fn a_plain_title_is_a_short_line_alone() {
        assert_eq!(
            plain_title("\n Tides \r\n\r\nbody").as_deref(),
            Some("Tides")
        );
        for none in [
            "",
            "Tides",
            "Tides\nbody",
            &format!("{}\n\nbody", "x".repeat(121)),
        ] {
            assert_eq!(plain_title(none), None, "{none}");
        }
    }

    #[test]
    fn a_markdown_title_is_the_first_heading_outside_code() {
        for (text, title) in [
            (
                "words\n\n# The `tide` table ##\n# Second",
                Some("The tide table"),
            ),
            ("```sh\n# comment\n```\n## Real", Some("Real")),
            ("~~~\n```\n# no\n~~~\nTitle\n=====\n", Some("Title")),
            (
                "---\n# note\ntitle: \"From above\"\n---\n# Below",
                Some("From above"),
            ),
            ("---\nauthor: x\n---\n# Below", Some("Below")),
            ("---\nno end\n# Below", Some("Below")),
            ("#hashtag\n\n# \n", None),
            ("", None),
        ] {
            assert_eq!(markdown_title(text).as_deref(), title, "{text}");
        }
    }
}
