//! A filter chooses documents by their metadata. The grammar is one JSON object, the same on the
//! command line and in the contract with agents:
//!
//! `{"field": value}`, `{"field": {"gte": 1, "lt": 9}}`, `{"field": {"in": [..]}}`, `{"and": [..]}`,
//! `{"or": [..]}`, `{"not": {..}}`. Several keys of one object must all hold.
//!
//! This module says what a filter means, document by document. It does not know where documents are
//! stored or how a search avoids asking about each.

#[cfg(test)]
mod tests;

use super::{Metadata, shorten};
use crate::error::{Blame, Explain};
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

/// How deep `and`, `or` and `not` may nest, the outermost object counted.
pub const MAX_FILTER_DEPTH: usize = 8;

/// The longest filter, in bytes of JSON.
const MAX_FILTER_BYTES: usize = 64 * 1_024;

/// The most conditions and set members in one filter.
const MAX_FILTER_NODES: usize = 1_000;

/// A checked filter: at most [`MAX_FILTER_DEPTH`] deep, 64 KiB long and 1,000 conditions and set members
/// large, so that its cost on one document is bounded.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    root: Condition,
}

/// One condition on a document.
///
/// A field is a key of the document's metadata, taken literally (no paths), except `document` and
/// `title`, which are the document's own. A field that holds an array meets a condition where one of
/// its elements does. Numbers compare by value (1 equals 1.0), text by its bytes, and values of
/// different types are neither equal nor ordered. `null` equals a field that is absent.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All hold; an empty list always does.
    All(Vec<Self>),
    /// One holds; an empty list never does.
    Any(Vec<Self>),
    /// The other does not hold.
    Not(Box<Self>),
    /// The field equals one of these scalars.
    In {
        /// Which field.
        field: String,
        /// Null, booleans, numbers, text.
        values: Vec<Value>,
    },
    /// The field lies between two bounds, which are both numbers or both text.
    Range {
        /// Which field.
        field: String,
        /// From `gte` or `gt`.
        low: Bound<Value>,
        /// From `lte` or `lt`.
        high: Bound<Value>,
    },
}

impl Filter {
    /// Reads and checks `json`. The error says what is wrong and where in the filter.
    pub fn parse(json: &str) -> Result<Self, FilterError> {
        if json.len() > MAX_FILTER_BYTES {
            return Err(FilterError::new(
                "",
                format!("is longer than {MAX_FILTER_BYTES} bytes"),
            ));
        }
        let value = serde_json::from_str(json)
            .map_err(|e| FilterError::new("", format!("is not JSON: {e}")))?;
        let mut parser = Parser { nodes: 0 };
        let root = parser.object(&value, "", 1)?;
        Ok(Self { root })
    }

    /// The filter that holds where both do. May be one level deeper than what `parse` accepts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            root: Condition::All(vec![self.root, other.root]),
        }
    }

    /// What must hold.
    pub fn condition(&self) -> &Condition {
        &self.root
    }

    /// Whether the document with this id, title and metadata is chosen.
    pub fn matches(&self, document: &str, title: &str, metadata: &Metadata) -> bool {
        self.root.holds(&Subject {
            document,
            title,
            metadata,
        })
    }

    /// The metadata fields that the filter looks at; no other field can change what it says.
    pub fn fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.root.collect_fields(&mut fields);
        fields
    }
}

impl std::str::FromStr for Filter {
    type Err = FilterError;
    fn from_str(json: &str) -> Result<Self, FilterError> {
        Self::parse(json)
    }
}

struct Subject<'a> {
    document: &'a str,
    title: &'a str,
    metadata: &'a Metadata,
}

#[derive(Clone, Copy)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(&'a Number),
    Text(&'a str),
    Other,
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => Self::Number(n),
            Value::String(s) => Self::Text(s),
            Value::Array(_) | Value::Object(_) => Self::Other,
        }
    }

    fn equals(self, other: Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// Numbers with numbers, text with text, nothing else.
    fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(compare(a, b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    fn above(self, low: &Bound<Value>) -> bool {
        match low {
            Bound::Unbounded => true,
            Bound::Included(v) => self.order(Scalar::of(v)).is_some_and(Ordering::is_ge),
            Bound::Excluded(v) => self.order(Scalar::of(v)).is_some_and(Ordering::is_gt),
        }
    }

    fn below(self, high: &Bound<Value>) -> bool {
        match high {
            Bound::Unbounded => true,
            Bound::Included(v) => self.order(Scalar::of(v)).is_some_and(Ordering::is_le),
            Bound::Excluded(v) => self.order(Scalar::of(v)).is_some_and(Ordering::is_lt),
        }
    }
}

impl Condition {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|p| p.holds(subject)),
            Self::Any(parts) => parts.iter().any(|p| p.holds(subject)),
            Self::Not(part) => !part.holds(subject),
            Self::In { field, values } => subject.some(field, |found| {
                values.iter().any(|v| found.equals(Scalar::of(v)))
            }),
            Self::Range { field, low, high } => {
                subject.some(field, |found| found.above(low) && found.below(high))
            }
        }
    }

    fn collect_fields<'a>(&'a self, fields: &mut BTreeSet<&'a str>) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().for_each(|p| p.collect_fields(fields));
            }
            Self::Not(part) => part.collect_fields(fields),
            Self::In { field, .. } | Self::Range { field, .. } => {
                if !matches!(field.as_str(), "document" | "title") {
                    fields.insert(field);
                }
            }
        }
    }
}

impl Subject<'_> {
    /// Whether what `field` holds, or one element of it, passes `test`.
    fn some(&self, field: &str, test: impl Fn(Scalar<'_>) -> bool) -> bool {
        match (field, self.metadata.get(field)) {
            ("document", _) => test(Scalar::Text(self.document)),
            ("title", _) => test(Scalar::Text(self.title)),
            (_, None) => test(Scalar::Null),
            (_, Some(Value::Array(items))) => items.iter().any(|i| test(Scalar::of(i))),
            (_, Some(value)) => test(Scalar::of(value)),
        }
    }
}

/// By value and exactly: no integer is rounded to compare it with a fraction.
fn compare(a: &Number, b: &Number) -> Ordering {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => integer_to_float(a, float(b)),
        (None, Some(b)) => integer_to_float(b, float(a)).reverse(),
        (None, None) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

fn integer(n: &Number) -> Option<i128> {
    n.as_i64()
        .map(i128::from)
        .or_else(|| n.as_u64().map(i128::from))
}

/// JSON's numbers are finite.
fn float(n: &Number) -> f64 {
    n.as_f64().unwrap_or_default()
}

fn integer_to_float(a: i128, b: f64) -> Ordering {
    let floor = b.floor();
    // The cast saturates far beyond every 64-bit integer, so the order is kept.
    match a.cmp(&(floor as i128)) {
        Ordering::Equal if b > floor => Ordering::Less,
        order => order,
    }
}

struct Parser {
    nodes: usize,
}

impl Parser {
    fn count(&mut self, at: &str) -> Result<(), FilterError> {
        self.nodes += 1;
        if self.nodes > MAX_FILTER_NODES {
            let what = format!("has more than {MAX_FILTER_NODES} conditions and set members");
            return Err(FilterError::new(at, what));
        }
        Ok(())
    }

    fn object(&mut self, value: &Value, at: &str, depth: usize) -> Result<Condition, FilterError> {
        if depth > MAX_FILTER_DEPTH {
            let what = format!("is nested deeper than {MAX_FILTER_DEPTH}");
            return Err(FilterError::new(at, what));
        }
        let Value::Object(map) = value else {
            return Err(FilterError::new(at, "is not an object"));
        };
        let mut parts = Vec::with_capacity(map.len());
        for (key, value) in map {
            parts.push(self.member(key, value, &join(at, key), depth)?);
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Condition::All(parts),
        })
    }

    fn member(
        &mut self,
        key: &str,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Condition, FilterError> {
        self.count(at)?;
        match key {
            "and" => Ok(Condition::All(self.list(value, at, depth)?)),
            "or" => Ok(Condition::Any(self.list(value, at, depth)?)),
            "not" => Ok(Condition::Not(Box::new(self.object(
                value,
                at,
                depth + 1,
            )?))),
            field => self.field(field, value, at),
        }
    }

    fn list(
        &mut self,
        value: &Value,
        at: &str,
        depth: usize,
    ) -> Result<Vec<Condition>, FilterError> {
        let Value::Array(items) = value else {
            return Err(FilterError::new(at, "is not a list of filters"));
        };
        let place = |(i, item)| (format!("{at}[{i}]"), item);
        let items = items.iter().enumerate().map(place);
        items
            .map(|(at, item)| self.object(item, &at, depth + 1))
            .collect()
    }

    fn field(&mut self, field: &str, value: &Value, at: &str) -> Result<Condition, FilterError> {
        match value {
            Value::Object(operators) => self.operators(field, operators, at),
            Value::Array(_) => Err(FilterError::new(
                at,
                "is a list: write {\"in\": [..]} to match one of it",
            )),
            scalar => Ok(Condition::In {
                field: field.to_owned(),
                values: vec![scalar.clone()],
            }),
        }
    }

    fn operators(
        &mut self,
        field: &str,
        operators: &Map<String, Value>,
        at: &str,
    ) -> Result<Condition, FilterError> {
        let (mut low, mut high) = (Bound::Unbounded, Bound::Unbounded);
        let mut set = None;
        for (operator, value) in operators {
            let at = join(at, operator);
            match operator.as_str() {
                "gte" => put(&mut low, Bound::Included(bound(value, &at)?), &at)?,
                "gt" => put(&mut low, Bound::Excluded(bound(value, &at)?), &at)?,
                "lte" => put(&mut high, Bound::Included(bound(value, &at)?), &at)?,
                "lt" => put(&mut high, Bound::Excluded(bound(value, &at)?), &at)?,
                "in" => set = Some(self.set(field, value, &at)?),
                _ => return Err(FilterError::new(&at, "is not one of gte, gt, lte, lt, in")),
            }
        }
        let range = range(field, low, high, at)?;
        match (range, set) {
            (Some(range), Some(set)) => Ok(Condition::All(vec![range, set])),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err(FilterError::new(at, "has none of gte, gt, lte, lt, in")),
        }
    }

    fn set(&mut self, field: &str, value: &Value, at: &str) -> Result<Condition, FilterError> {
        let Value::Array(items) = value else {
            return Err(FilterError::new(at, "is not a list of values"));
        };
        for (i, item) in items.iter().enumerate() {
            self.count(at)?;
            if item.is_array() || item.is_object() {
                let what = "is not null, a boolean, a number or text";
                return Err(FilterError::new(&format!("{at}[{i}]"), what));
            }
        }
        Ok(Condition::In {
            field: field.to_owned(),
            values: items.clone(),
        })
    }
}

fn bound(value: &Value, at: &str) -> Result<Value, FilterError> {
    match value {
        Value::Number(_) | Value::String(_) => Ok(value.clone()),
        _ => Err(FilterError::new(at, "is not a number or text")),
    }
}

fn put(slot: &mut Bound<Value>, bound: Bound<Value>, at: &str) -> Result<(), FilterError> {
    if *slot != Bound::Unbounded {
        return Err(FilterError::new(at, "is a second bound on the same side"));
    }
    *slot = bound;
    Ok(())
}

fn range(
    field: &str,
    low: Bound<Value>,
    high: Bound<Value>,
    at: &str,
) -> Result<Option<Condition>, FilterError> {
    let inner = |b: &Bound<Value>| match b {
        Bound::Included(v) | Bound::Excluded(v) => Some(v.is_number()),
        Bound::Unbounded => None,
    };
    match (inner(&low), inner(&high)) {
        (None, None) => Ok(None),
        (Some(a), Some(b)) if a != b => Err(FilterError::new(
            at,
            "has a number on one side and text on the other",
        )),
        _ => Ok(Some(Condition::Range {
            field: field.to_owned(),
            low,
            high,
        })),
    }
}

fn join(at: &str, key: &str) -> String {
    let key = shorten(key, 80);
    if at.is_empty() {
        key
    } else {
        format!("{}.{key}", tail(at))
    }
}

/// Keeps places short, however deep and long the keys are.
fn tail(at: &str) -> String {
    match at.char_indices().nth_back(400) {
        Some((from, _)) => format!("…{}", &at[from..]),
        None => at.to_owned(),
    }
}

/// A filter that is not in the grammar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter{} {what}", place(.at))]
pub struct FilterError {
    /// Where: keys joined by dots, list positions in brackets; empty for the whole.
    pub at: String,
    /// What is wrong there.
    pub what: String,
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!(" at '{at}'")
    }
}

impl FilterError {
    fn new(at: &str, what: impl Into<String>) -> Self {
        Self {
            at: at.to_owned(),
            what: what.into(),
        }
    }
}

impl Explain for FilterError {
    fn code(&self) -> &'static str {
        "filter"
    }
    fn blame(&self) -> Blame {
        Blame::Caller
    }
    fn hint(&self) -> Option<String> {
        let example = r#"{"lang": "en", "year": {"gte": 2020}}"#;
        Some(format!(
            "A filter looks like {example}; combine with and, or, not."
        ))
    }
}
