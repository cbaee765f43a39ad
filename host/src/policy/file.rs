//! One policy file: TOML text in, checked values with their positions out, and everything that is
//! wrong with it. It knows neither the file system nor what the file extends.

use super::error::Problem;
use super::keys::{Key, Kind, SECTIONS, Value, grouped, keys};
use super::spelling;
use crate::guard::{self, Guard};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// Problems located and reported of one file; more are only counted.
const PROBLEMS_MAX: usize = 100;

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl<T> Located<T> {
    /// A problem at this place.
    pub(super) fn problem(&self, message: String) -> Problem {
        let position = Some((self.line, self.column));
        Problem {
            file: self.file.clone(),
            position,
            message,
        }
    }
}

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// What it extends, if it says so.
    pub(super) extends: Option<Located<String>>,
    /// Its legal values, by path.
    pub(super) values: BTreeMap<String, Located<Value>>,
    /// Paths of known keys with an illegal value.
    refused: BTreeSet<String>,
    /// It is not TOML throughout, so values may be missing here.
    torn: bool,
}

impl Layer {
    /// Whether this file may have meant another value for `path` than the one that is inherited.
    pub(super) fn doubtful(&self, path: &str) -> bool {
        self.torn || self.refused.contains(path)
    }
}

/// Reads `text`, called `file` in messages. The layer is usable when there are no problems.
pub(super) fn read(file: &str, text: &str) -> (Layer, Vec<Problem>) {
    let mut reader = Reader {
        file,
        lines: Lines::new(text),
        layer: Layer::default(),
        faults: Vec::new(),
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    reader.document(table.get_ref());
    reader.syntax(&errors);
    let problems = reader.problems();
    (reader.layer, problems)
}

struct Reader<'a> {
    file: &'a str,
    lines: Lines<'a>,
    layer: Layer,
    /// Byte offset and message; located at the end, when it is known how many there are.
    faults: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn document(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let text: &str = name.get_ref();
            match SECTIONS.iter().find(|section| **section == text) {
                Some(section) => self.section(section, name, value),
                None if text == "extends" => self.extends(value),
                None => self.key("", name, value),
            }
        }
    }

    fn section(&mut self, section: &'static str, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => {
                for (name, value) in table {
                    self.key(section, name, value);
                }
            }
            other => {
                let message = format!(
                    "[{section}] must be a section of keys, not {}",
                    typed(other)
                );
                self.faults.push((name.span().start, message));
            }
        }
    }

    fn extends(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::String(text) => {
                let text = text.to_string();
                self.layer.extends = Some(self.located(value.span().start, text));
            }
            other => {
                let message = format!(
                    "extends must be the name of a policy or a file in quotes, not {}",
                    typed(other)
                );
                self.faults.push((value.span().start, message));
            }
        }
    }

    fn key(&mut self, section: &'static str, name: &Name<'_>, value: &Spanned<DeValue<'_>>) {
        let text: &str = name.get_ref();
        let known = keys()
            .iter()
            .find(|key| key.section == section && key.name == text);
        let Some(key) = known else {
            let is_table = matches!(value.get_ref(), DeValue::Table(_));
            let message = spelling::unknown(section, text, is_table);
            if guard::stands(Guard::PolicyKeys) {
                self.faults.push((name.span().start, message));
            }
            return;
        };
        match checked(key, value.get_ref()) {
            Ok(checked) => {
                let located = self.located(name.span().start, checked);
                self.layer.values.insert(key.path(), located);
            }
            Err(message) => {
                self.layer.refused.insert(key.path());
                self.faults
                    .push((start(value.span(), name.span()), message));
            }
        }
    }

    fn located<T>(&self, offset: usize, value: T) -> Located<T> {
        let (line, column) = self.lines.position(offset);
        Located {
            value,
            file: self.file.to_owned(),
            line,
            column,
        }
    }

    /// Adds what the parser refused. What else was said of those lines is dropped: they were half read.
    fn syntax(&mut self, errors: &[toml::de::Error]) {
        if errors.is_empty() {
            return;
        }
        self.layer.torn = true;
        let offset = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let torn: BTreeSet<usize> = errors.iter().map(|e| self.lines.line(offset(e))).collect();
        self.faults
            .retain(|(offset, _)| !torn.contains(&self.lines.line(*offset)));
        for error in errors {
            let message = spelling::shown(error.message(), 200);
            self.faults
                .push((offset(error), format!("not valid TOML: {message}")));
        }
    }

    fn problems(&mut self) -> Vec<Problem> {
        self.faults.sort();
        let more = self.faults.len().saturating_sub(PROBLEMS_MAX);
        let located = self
            .faults
            .iter()
            .take(PROBLEMS_MAX)
            .map(|(offset, message)| Problem {
                file: self.file.to_owned(),
                position: Some(self.lines.position(*offset)),
                message: message.clone(),
            });
        let rest = (more > 0).then(|| Problem {
            file: self.file.to_owned(),
            position: None,
            message: format!("{} more problems", grouped(more as u64)),
        });
        located.chain(rest).collect()
    }
}

type Name<'i> = Spanned<DeString<'i>>;

/// Where a value begins; its key's start for tables, which have no text of their own.
fn start(value: Range<usize>, name: Range<usize>) -> usize {
    if value.is_empty() {
        name.start
    } else {
        value.start
    }
}

fn checked(key: &Key, value: &DeValue<'_>) -> Result<Value, String> {
    match (key.kind, value) {
        (Kind::Count { min, max }, DeValue::Integer(integer)) => {
            let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
            let legal = number.filter(|number| (min..=max).contains(number));
            legal
                .map(Value::Count)
                .ok_or_else(|| outside(key, &integer.to_string()))
        }
        (Kind::Ratio { min, max }, DeValue::Float(float)) => {
            let number = float.as_str().parse().ok();
            ratio(number, min, max).ok_or_else(|| outside(key, float.as_str()))
        }
        (Kind::Ratio { min, max }, DeValue::Integer(integer)) => {
            let number = i32::from_str_radix(integer.as_str(), integer.radix());
            ratio(number.ok().map(f64::from), min, max)
                .ok_or_else(|| outside(key, &integer.to_string()))
        }
        (Kind::Word(words), DeValue::String(text)) => {
            let word = words.iter().find(|word| *word == text);
            let shown = || format!("'{}'", spelling::shown(text, 40));
            word.map(|word| Value::Word(word))
                .ok_or_else(|| mistyped(key, &shown()))
        }
        (_, other) => Err(mistyped(key, typed(other))),
    }
}

/// NaN and the infinities lie in no range.
fn ratio(number: Option<f64>, min: f64, max: f64) -> Option<Value> {
    number
        .filter(|number| (min..=max).contains(number))
        .map(Value::Ratio)
}

fn outside(key: &Key, written: &str) -> String {
    let written = spelling::shown(written, 40);
    let unlimited = if written == "0" {
        "; nothing is unlimited"
    } else {
        ""
    };
    format!(
        "{} = {written} is out of range: {}{unlimited}",
        key.path(),
        key.range()
    )
}

fn mistyped(key: &Key, found: &str) -> String {
    let wanted = match key.kind {
        Kind::Count { .. } => "a whole number, ",
        Kind::Ratio { .. } => "a number, ",
        Kind::Word(_) => "",
    };
    format!(
        "{} must be {wanted}{}, not {found}",
        key.path(),
        key.range()
    )
}

fn typed(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

/// Byte offsets to lines and columns, without reading the text again for each.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let after_breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0)
            .chain(after_breaks.map(|(at, _)| at + 1))
            .collect();
        Self { text, starts }
    }

    /// The line of a byte offset, from 1.
    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Line and column of a byte offset, both from 1, the column in characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let rest = self.text[start..].char_indices();
        let before = rest.take_while(|(at, _)| start + at < offset).count();
        (line, before + 1)
    }
}
