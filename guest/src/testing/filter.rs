//! The filter grammar of the contract, one document at a time: `{"field": value}`, ranges, sets, `and`, `or`,
//! `not`. It follows the host's own, and both are tried with the cases in `filters.json`.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// How deep `and`, `or` and `not` may nest, the outermost object counted.
const DEPTH_MAX: usize = 8;
/// The longest filter, in bytes.
const BYTES_MAX: usize = 64 * 1_024;
/// The most conditions and set members.
const NODES_MAX: usize = 1_000;

/// A filter that was checked.
#[derive(Clone, Debug)]
pub(super) struct Filter(Map<String, Value>);

/// What a filter asks about.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) document: &'a str,
    pub(super) title: &'a str,
    pub(super) metadata: &'a Map<String, Value>,
}

impl Filter {
    /// Reads and checks a filter; the error is a sentence without its end.
    pub(super) fn parse(json: &str) -> Result<Self, String> {
        if json.len() > BYTES_MAX {
            return Err(format!("the filter is longer than {BYTES_MAX} bytes"));
        }
        let value: Value =
            serde_json::from_str(json).map_err(|e| format!("the filter is not JSON: {e}"))?;
        let mut nodes = 0;
        check_object(&value, 1, &mut nodes).map_err(|what| format!("the filter {what}"))?;
        match value {
            Value::Object(map) => Ok(Self(map)),
            _ => Err("the filter is not an object".to_owned()),
        }
    }

    /// Whether the document is chosen.
    pub(super) fn matches(&self, subject: Subject<'_>) -> bool {
        all_hold(&self.0, subject)
    }
}

fn check_object(value: &Value, depth: usize, nodes: &mut usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("is nested deeper than {DEPTH_MAX}"));
    }
    let Value::Object(map) = value else {
        return Err("has something else where an object belongs".to_owned());
    };
    for (key, value) in map {
        count(nodes)?;
        match (key.as_str(), value) {
            ("and" | "or", Value::Array(items)) => {
                for item in items {
                    check_object(item, depth + 1, nodes)?;
                }
            }
            ("and" | "or", _) => return Err(format!("at '{key}' is not a list of filters")),
            ("not", other) => check_object(other, depth + 1, nodes)?,
            (field, Value::Object(operators)) => check_operators(field, operators, nodes)?,
            (field, Value::Array(_)) => {
                return Err(format!(
                    "at '{field}' is a list: write {{\"in\": [..]}} to match one of it"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn count(nodes: &mut usize) -> Result<(), String> {
    *nodes += 1;
    match *nodes > NODES_MAX {
        true => Err(format!(
            "has more than {NODES_MAX} conditions and set members"
        )),
        false => Ok(()),
    }
}

fn check_operators(
    field: &str,
    operators: &Map<String, Value>,
    nodes: &mut usize,
) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("at '{field}' {what}"));
    let has = |name: &str| operators.contains_key(name);
    if operators.is_empty() {
        return wrong("has none of gte, gt, lte, lt, in");
    }
    if (has("gt") && has("gte")) || (has("lt") && has("lte")) {
        return wrong("has a second bound on the same side");
    }
    let mut numbers = Vec::new();
    for (operator, value) in operators {
        match (operator.as_str(), value) {
            ("gte" | "gt" | "lte" | "lt", Value::Number(_) | Value::String(_)) => {
                numbers.push(value.is_number());
            }
            ("gte" | "gt" | "lte" | "lt", _) => return wrong("is not a number or text"),
            ("in", Value::Array(items)) => {
                for item in items {
                    count(nodes)?;
                    if item.is_array() || item.is_object() {
                        return wrong("is not null, a boolean, a number or text");
                    }
                }
            }
            ("in", _) => return wrong("is not a list of values"),
            _ => return wrong("is not one of gte, gt, lte, lt, in"),
        }
    }
    match numbers.windows(2).any(|pair| pair[0] != pair[1]) {
        true => wrong("has a number on one side and text on the other"),
        false => Ok(()),
    }
}

fn all_hold(map: &Map<String, Value>, subject: Subject<'_>) -> bool {
    map.iter().all(|(key, value)| holds(key, value, subject))
}

fn object_holds(value: &Value, subject: Subject<'_>) -> bool {
    value.as_object().is_some_and(|map| all_hold(map, subject))
}

fn holds(key: &str, value: &Value, subject: Subject<'_>) -> bool {
    match (key, value) {
        ("and", Value::Array(items)) => items.iter().all(|item| object_holds(item, subject)),
        ("or", Value::Array(items)) => items.iter().any(|item| object_holds(item, subject)),
        ("not", other) => !object_holds(other, subject),
        (field, Value::Object(operators)) => {
            let (sets, bounds): (Vec<_>, Vec<_>) =
                operators.iter().partition(|(name, _)| *name == "in");
            let in_range = bounds.is_empty()
                || subject.some(field, |found| {
                    bounds
                        .iter()
                        .all(|(name, bound)| within(found, name, bound))
                });
            let in_set = |set: &Value| {
                let members = set.as_array().map_or(&[][..], Vec::as_slice);
                subject.some(field, |found| members.iter().any(|m| equal(found, m)))
            };
            in_range && sets.iter().all(|(_, set)| in_set(set))
        }
        (field, scalar) => subject.some(field, |found| equal(found, scalar)),
    }
}

impl Subject<'_> {
    /// Whether what `field` holds, or one element of it, passes `test`.
    fn some(&self, field: &str, test: impl Fn(&Value) -> bool) -> bool {
        match (field, self.metadata.get(field)) {
            ("document", _) => test(&Value::from(self.document)),
            ("title", _) => test(&Value::from(self.title)),
            (_, None) => test(&Value::Null),
            (_, Some(Value::Array(items))) => items.iter().any(test),
            (_, Some(value)) => test(value),
        }
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => order(a, b) == Some(Ordering::Equal),
    }
}

fn within(found: &Value, operator: &str, bound: &Value) -> bool {
    let order = order(found, bound);
    match operator {
        "gte" => order.is_some_and(Ordering::is_ge),
        "gt" => order.is_some_and(Ordering::is_gt),
        "lte" => order.is_some_and(Ordering::is_le),
        _ => order.is_some_and(Ordering::is_lt),
    }
}

/// Numbers with numbers, text with text, nothing else.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(compare(a, b)),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// By value and exactly: no integer is rounded to compare it with a fraction.
fn compare(a: &Number, b: &Number) -> Ordering {
    let float = |n: &Number| n.as_f64().unwrap_or_default();
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(a), None) => with_fraction(a, float(b)),
        (None, Some(b)) => with_fraction(b, float(a)).reverse(),
        (None, None) => float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal),
    }
}

fn integer(n: &Number) -> Option<i128> {
    n.as_i64()
        .map(i128::from)
        .or_else(|| n.as_u64().map(i128::from))
}

fn with_fraction(a: i128, b: f64) -> Ordering {
    let floor = b.floor();
    // The cast saturates far beyond every 64-bit integer, so the order is kept.
    match a.cmp(&(floor as i128)) {
        Ordering::Equal if b > floor => Ordering::Less,
        order => order,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;

    #[test]
    fn every_case_that_the_host_is_tried_with_ends_the_same() {
        let cases: Value = serde_json::from_str(include_str!("filters.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let filter = case["filter"].as_str().unwrap();
            let metadata = case["metadata"].as_object().unwrap();
            let subject = Subject {
                document: "docs/a.md",
                title: "Über",
                metadata,
            };
            let said = Filter::parse(filter).map(|filter| filter.matches(subject));
            assert_eq!(said.ok(), case["holds"].as_bool(), "{filter}");
        }
    }

    #[test]
    fn a_filter_is_bounded() {
        let wide = format!(r#"{{"a": {{"in": [{}1]}}}}"#, "1,".repeat(NODES_MAX));
        assert!(Filter::parse(&wide).is_err());
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(BYTES_MAX));
        assert!(Filter::parse(&long).is_err());
    }
}
