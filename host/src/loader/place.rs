//! Names of files and lines for messages: printable whatever the bytes. Knows nothing of what is in
//! them.

use crate::corpus::shorten;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The longest name in a message, in bytes.
const NAME_BYTES: usize = 300;

/// `path` for a message: control characters escaped, bytes that are not UTF-8 as `\xNN`.
pub(super) fn show(path: &Path) -> String {
    let mut name = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        name.push_str(&shorten(chunk.valid(), usize::MAX));
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(name, "\\x{byte:02x}");
        }
    }
    shorten(&name, NAME_BYTES)
}

/// A line of a file for a message; lines count from 1.
pub(super) fn line(path: &Path, number: u64) -> String {
    format!("{}:{number}", show(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn names_are_printable_whatever_their_bytes() {
        let path = Path::new(OsStr::from_bytes(b"caf\xe9/\x1b[31m.txt"));
        assert_eq!(show(path), "caf\\xe9/\\u{1b}[31m.txt");
        assert_eq!(line(Path::new("a.jsonl"), 3), "a.jsonl:3");
        assert!(show(Path::new(&"x".repeat(9_000))).len() < 320);
    }
}
