//! What a person or a machine reads: lines and tables, or one JSON text; errors on standard error.
//!
//! A reader that goes away is no error: what is left is not written.

use crate::api::{ErrorBody, ErrorJson};
use crate::error::{Exit, Failure};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    styled: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            styled: !json && !plain && std::io::stdout().is_terminal(),
        }
    }

    /// One line for a person; nothing when a machine listens.
    pub(super) fn line(&self, text: impl std::fmt::Display) {
        if !self.json {
            let _ = writeln!(std::io::stdout().lock(), "{text}");
        }
    }

    /// One JSON text on a line of its own.
    pub(super) fn value<T: Serialize>(&self, value: &T) {
        let text = serde_json::to_string(value).unwrap_or_default();
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// The machine's answer, or the person's.
    pub(super) fn answer<T: Serialize>(&self, value: &T, person: impl FnOnce(&Self)) {
        match self.json {
            true => self.value(value),
            false => person(self),
        }
    }

    /// A remark beside the answer, on standard error.
    pub(super) fn remark(&self, text: impl std::fmt::Display) {
        if !self.json {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Says what went wrong, and how the command ends.
    pub(super) fn failure(&self, failure: &Failure) -> Exit {
        let mut stderr = std::io::stderr().lock();
        if self.json {
            let body = ErrorBody {
                error: ErrorJson::from(failure),
            };
            let _ = writeln!(
                stderr,
                "{}",
                serde_json::to_string(&body).unwrap_or_default()
            );
        } else {
            let _ = writeln!(stderr, "error: {}", failure.message);
            if let Some(hint) = &failure.hint {
                let _ = writeln!(stderr, "  {hint}");
            }
        }
        failure.exit
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.style("1", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.style("2", text)
    }

    fn style(&self, code: &str, text: &str) -> String {
        match self.styled {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}

/// A table without frames: the first column left, the others as `right` says.
pub(super) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.into_iter().map(Cell::new));
    }
    for &column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table
}

/// Documents are strangers' texts: control characters must not reach a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// `12,345`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the largest unit that leaves a whole part.
pub(super) fn bytes(number: u64) -> String {
    let size = number as f64;
    match number {
        0..1_024 => format!("{number} B"),
        1_024..1_048_576 => format!("{:.1} KiB", size / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", size / 1_048_576.0),
        _ => format!("{:.2} GiB", size / 1_073_741_824.0),
    }
}

/// `1 document`, `2 documents`.
pub(super) fn plural(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", thousands(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(plural(1, "chunk"), "1 chunk");
        assert_eq!(plural(2_000, "chunk"), "2,000 chunks");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
