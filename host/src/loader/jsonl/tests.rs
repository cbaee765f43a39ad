//! What lines become, and that a stream's length costs no memory.

use super::super::LoadOptions;
use super::*;
use std::io::{BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const MAX: u64 = 1 << 10;

fn context() -> Context {
    Context::new(&LoadOptions {
        source: None,
        encoding: None,
        document_bytes_max: MAX,
    })
    .unwrap()
}

fn records(lines: impl Read + Send + 'static) -> impl Iterator<Item = Loaded> {
    let context = context();
    let mut records = Records::new(
        Path::new("d.jsonl"),
        Box::new(BufReader::new(lines)),
        &context,
    );
    std::iter::from_fn(move || records.next(&context))
}

/// What the only line becomes: its document, or `place: message` and whether the id was known.
fn line(bytes: &[u8]) -> Result<Document, (String, bool)> {
    let mut loaded = records(Cursor::new(bytes.to_vec()));
    let first = loaded.next().unwrap();
    assert!(loaded.next().is_none());
    match first {
        Loaded::Document(document) => Ok(document),
        Loaded::Failed {
            error, identified, ..
        } => Err((error.to_string(), identified)),
        Loaded::Skipped { path, reason, .. } => Err((format!("{path} {reason}"), true)),
    }
}

#[test]
fn a_line_is_a_document() {
    let full = line(
        b"\xef\xbb\xbf {\"title\":\"T\",\"id\":\"a\\/b\",\"text\":\"\\u00e9\\n\",\
        \"metadata\":{\"year\":2026,\"tags\":[1,{}]},\"more\":[[]]} \r\n",
    )
    .unwrap();
    assert_eq!(
        (full.id.as_str(), full.title.as_str(), full.text.as_str()),
        ("a/b", "T", "é\n")
    );
    assert_eq!(full.media_type, "text/plain");
    assert_eq!(full.metadata["year"], 2026);
    let bare = line(b"{\"id\":\"a\",\"text\":\"x\",\"title\":null,\"metadata\":null}").unwrap();
    assert!(bare.title.is_empty() && bare.metadata.is_empty());
    let empty = line(b"{\"id\":\"a\",\"text\":\" \"}").unwrap_err();
    assert_eq!(empty.0, "d.jsonl:1 empty");
}

/// A line, what is said of it, and whether its id is known.
const WRONG_LINES: &[(&str, &str, bool)] = &[
    ("words", "not a JSON object (column 1)", false),
    ("[\"a\",\"t\",\"x\"]", "not a JSON object (column 1)", false),
    (
        "{\"id\":\"a\",\"text\":\"x\"",
        "EOF while parsing an object (column 20)",
        false,
    ),
    ("{\"id\":\"a\"}", "missing field `text` (column 10)", true),
    ("{\"text\":\"x\"}", "missing field `id` (column 12)", false),
    (
        "{\"id\":7,\"text\":\"x\"}",
        "invalid type: integer `7`, expected a string (column 7)",
        false,
    ),
    (
        "{\"id\":\"a\",\"text\":null}",
        "invalid type: null, expected a string (column 21)",
        true,
    ),
    (
        "{\"id\":\"a\",\"text\":\"x\",\"metadata\":[1]}",
        "invalid type: sequence, expected a map (column 32)",
        true,
    ),
    (
        "{\"id\":\"a\",\"id\":\"b\",\"text\":\"x\"}",
        "duplicate field `id` (column 14)",
        false,
    ),
    (
        "{\"id\":\"a\",\"text\":\"x\"} {}",
        "trailing characters (column 23)",
        false,
    ),
    (
        "{\"id\":\"a\",\"text\":\"\\ud800\"}",
        "unexpected end of hex escape (column 25)",
        true,
    ),
    (
        "{\"id\":\"\",\"text\":\"x\"}",
        "'' is not a document id",
        false,
    ),
    (
        "{\"id\":\"a\\u0007\",\"text\":\"x\"}",
        "'a\\u{7}' is not a document id",
        false,
    ),
];

#[test]
fn a_wrong_line_says_where_and_what() {
    let deep = format!(
        "{{\"id\":\"a\",\"text\":\"x\",\"metadata\":{{\"m\":{}",
        "[".repeat(100_000)
    );
    let ignored = format!(
        "{{\"id\":\"a\",\"text\":\"x\",\"other\":{}",
        "[".repeat(100_000)
    );
    let nested = [
        (deep.as_str(), "recursion limit exceeded", false),
        (&ignored, "EOF while parsing a list", false),
    ];
    for &(wrong, message, identified) in WRONG_LINES.iter().chain(&nested) {
        let (told, known) = line(wrong.as_bytes()).unwrap_err();
        let start = &wrong[..wrong.len().min(60)];
        assert!(
            told.starts_with("d.jsonl:1: ") && told.contains(message),
            "{start}: {told}"
        );
        assert!(told.len() < 400, "{told}");
        assert_eq!(known, identified, "{start}: {told}");
    }
    let (told, _) = line(b"{\"id\":\"a\",\"text\":\"caf\xe9\"}").unwrap_err();
    assert_eq!(told, "d.jsonl:1 is not valid UTF-8: see byte 21");
}

#[test]
fn one_wrong_line_costs_only_itself() {
    let lines = b"{\"id\":\"a\",\"text\":\"x\"}\n\n \nnot json\n{\"id\":\"b\",\"text\":\"x\"}\n";
    let loaded: Vec<Loaded> = records(Cursor::new(lines.to_vec())).collect();
    let [
        Loaded::Document(a),
        Loaded::Failed { document, .. },
        Loaded::Document(b),
    ] = &loaded[..]
    else {
        panic!("{loaded:?}");
    };
    assert_eq!([&a.id, document, &b.id], ["a", "d.jsonl:4", "b"]);
}

#[test]
fn sizes_obeyed() {
    let text = "x".repeat(MAX as usize);
    assert!(line(format!("{{\"id\":\"a\",\"text\":\"{text}\"}}").as_bytes()).is_ok());
    let escaped = "\\u00e9".repeat(MAX as usize / 2);
    assert!(line(format!("{{\"id\":\"a\",\"text\":\"{escaped}\"}}").as_bytes()).is_ok());
    let metadata = "m".repeat(64 << 10).split_off(8);
    let with = format!("{{\"id\":\"a\",\"text\":\"x\",\"metadata\":{{\"m\":\"{metadata}\"}}}}");
    assert!(line(with.as_bytes()).is_ok());
}

#[test]
fn sizes_violated() {
    let text = "x".repeat(MAX as usize);
    let titled = format!("{{\"id\":\"a\",\"title\":\"t\",\"text\":\"{text}\"}}");
    let (told, known) = line(titled.as_bytes()).unwrap_err();
    let limit = "1025 bytes of title and text, more than the 1024 that a document may have";
    assert_eq!((told, known), (format!("d.jsonl:1: {limit}"), true));
    let metadata = "m".repeat(64 << 10);
    let with = format!("{{\"id\":\"a\",\"text\":\"x\",\"metadata\":{{\"m\":\"{metadata}\"}}}}");
    assert!(
        line(with.as_bytes())
            .unwrap_err()
            .0
            .contains("65544 bytes of metadata")
    );
}

/// Gives `piece` again and again, and counts how many bytes it gave.
struct Endless {
    piece: &'static [u8],
    left: usize,
    given: Arc<AtomicUsize>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut written = 0;
        while self.left > 0 && written + self.piece.len() <= buffer.len() {
            buffer[written..written + self.piece.len()].copy_from_slice(self.piece);
            written += self.piece.len();
            self.left -= 1;
        }
        self.given.fetch_add(written, Ordering::Relaxed);
        Ok(written)
    }
}

#[test]
fn lines_are_read_one_at_a_time() {
    let given = Arc::new(AtomicUsize::new(0));
    let piece = b"{\"id\":\"a\",\"text\":\"some words\"}\n";
    let stream = Endless {
        piece,
        left: 1_000_000,
        given: Arc::clone(&given),
    };
    let mut loaded = records(stream);
    for _ in 0..1_000 {
        assert!(matches!(loaded.next(), Some(Loaded::Document(_))));
    }
    assert!(given.load(Ordering::Relaxed) < 1_000 * piece.len() + (64 << 10));
}

#[test]
fn a_line_beyond_the_limit_is_passed_over_without_being_kept() {
    let given = Arc::new(AtomicUsize::new(0));
    let long = Endless {
        piece: b"{\"aaaaaa",
        left: 25_000_000,
        given,
    };
    let after = Cursor::new(b"\n{\"id\":\"a\",\"text\":\"x\"}".to_vec());
    let limit = line_bytes_max(MAX);
    let mut lines = Lines::new(BufReader::new(long.chain(after)), limit);
    let first = lines.next().unwrap().unwrap();
    assert!(first.number == 1 && first.bytes.is_none());
    assert!(
        lines.line.capacity() as u64 <= 4 * limit,
        "{}",
        lines.line.capacity()
    );
    let second = lines.next().unwrap().unwrap();
    assert_eq!(
        (second.number, id(second.bytes.unwrap()).as_deref()),
        (2, Some("a"))
    );
    assert!(lines.next().unwrap().is_none());
    let (told, _) = line(&vec![b'{'; usize::try_from(limit).unwrap() + 1]).unwrap_err();
    assert_eq!(
        told,
        format!("d.jsonl:1: the line is longer than {limit} bytes")
    );
}

#[test]
fn any_bytes_are_told_line_by_line() {
    let pieces: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b":",
        b",",
        b"\n",
        b"\"id\":\"a\"",
        b"\"text\":\"x\"",
        b"\\u",
        b"\xff",
        b"\0",
        b"1e999",
        b"\"metadata\":{",
        b"\r",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..next(30))
            .flat_map(|_| pieces[next(16)].to_vec())
            .collect();
        let filled = bytes
            .split(|&b| b == b'\n')
            .filter(|line| !line.trim_ascii().is_empty());
        assert_eq!(
            records(Cursor::new(bytes.clone())).count(),
            filled.count(),
            "{bytes:?}"
        );
    }
}
