//! Filters: any text is refused or read, and what was read chooses the documents that a second, naive
//! reading of the same JSON chooses.

use crate::driver::Target;
use serde_json::{Map, Value, json};
use stockade::corpus::Filter;

pub(crate) struct Filters;

impl Target for Filters {
    fn name(&self) -> &'static str {
        "filters"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let seeds = [
            r#"{"year": 2020}"#,
            r#"{"year": {"gte": 2020, "lt": 2024.5}, "team": "a"}"#,
            r#"{"or": [{"team": {"in": ["a", "b", null]}}, {"not": {"year": {"gt": -1}}}]}"#,
            r#"{"and": [{"document": "d/1"}, {"title": {"gte": "A"}}, {"open": true}, {"tags": "x"}]}"#,
            r#"{"year": {"lte": 2020}}"#,
            r#"{"year": {"gte": 2020}}"#,
            r#"{"year": {"lt": 2020}}"#,
            r#"{"year": {"gt": 2020}}"#,
            r#"{"team": {"lte": "a"}, "open": {"in": [true]}}"#,
            r#"{"tags": 3}"#,
            r#"{}"#,
        ];
        seeds.map(|seed| seed.as_bytes().to_vec()).to_vec()
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            r#"{"and":["#,
            r#"{"or":["#,
            r#"{"not":{"#,
            "]}",
            "}",
            r#""in":["#,
            r#""gte":"#,
            r#""lt":"#,
            r#""year":"#,
            r#""team":"#,
            r#""tags":"#,
            r#""open":"#,
            r#""document":"#,
            r#""title":"#,
            "null",
            "true",
            "1e400",
            "-0.0",
            "9007199254740993",
            "18446744073709551616",
            r#""\ud800""#,
            ",",
            "\u{0}",
        ]
    }

    fn read(&self, input: &[u8]) -> String {
        let text = String::from_utf8_lossy(input);
        let filter = match Filter::parse(&text) {
            Ok(filter) => filter,
            Err(error) => return complaint(&error.to_string()),
        };
        let Ok(Value::Object(json)) = serde_json::from_str(&text) else {
            panic!("a filter that is no JSON object");
        };
        let mut chosen = 0;
        for metadata in documents() {
            let found = filter.matches("d/1", "A title", &metadata);
            let naive = all(&json, &metadata);
            assert_eq!(found, naive, "{text} on {metadata:?}");
            let both = filter.clone().and(filter.clone());
            assert_eq!(found, both.matches("d/1", "A title", &metadata));
            chosen += usize::from(found);
        }
        format!(
            "read, {} fields, chooses {chosen}",
            filter.fields().len().min(9)
        )
    }

    fn short_run(&self) -> u64 {
        20_000
    }
}

/// What is wrong, without where.
fn complaint(message: &str) -> String {
    let verbs = [" is ", " must ", " has ", " needs ", " cannot "];
    let at = verbs.iter().filter_map(|verb| message.rfind(verb)).max();
    message[at.unwrap_or(0)..].to_owned()
}

fn documents() -> Vec<Map<String, Value>> {
    let documents = [
        json!({}),
        json!({"year": 2020, "team": "a", "open": true}),
        json!({"year": 2024.5, "team": null, "tags": ["x", "y", 3, null]}),
        json!({"year": "2020", "tags": [], "open": false}),
        json!({"year": -1, "team": "b", "tags": [["x"]], "title": "mine"}),
    ];
    let objects = documents.into_iter().filter_map(|value| match value {
        Value::Object(map) => Some(map),
        _ => None,
    });
    objects.collect()
}

fn all(filter: &Map<String, Value>, metadata: &Map<String, Value>) -> bool {
    filter
        .iter()
        .all(|(key, value)| match (key.as_str(), value) {
            ("and", Value::Array(parts)) => parts.iter().all(|part| part_of(part, metadata)),
            ("or", Value::Array(parts)) => parts.iter().any(|part| part_of(part, metadata)),
            ("not", part) => !part_of(part, metadata),
            (field, Value::Object(tests)) => some(field, metadata, |found| passes(found, tests)),
            (field, wanted) => some(field, metadata, |found| equal(found, wanted)),
        })
}

fn part_of(part: &Value, metadata: &Map<String, Value>) -> bool {
    part.as_object().is_some_and(|object| all(object, metadata))
}

/// Whether a field's value, or one of its elements, does.
fn some(field: &str, metadata: &Map<String, Value>, does: impl Fn(&Value) -> bool) -> bool {
    match field {
        "document" => does(&json!("d/1")),
        "title" => does(&json!("A title")),
        _ => match metadata.get(field) {
            Some(Value::Array(elements)) => elements.iter().any(does),
            Some(value) => does(value),
            None => does(&Value::Null),
        },
    }
}

/// All tests of one object hold for the same value.
fn passes(found: &Value, tests: &Map<String, Value>) -> bool {
    use std::cmp::Ordering::{Equal, Greater, Less};
    tests.iter().all(|(test, bound)| match test.as_str() {
        "in" => bound
            .as_array()
            .is_some_and(|set| set.iter().any(|wanted| equal(found, wanted))),
        "gt" => order(found, bound) == Some(Greater),
        "gte" => matches!(order(found, bound), Some(Greater | Equal)),
        "lt" => order(found, bound) == Some(Less),
        "lte" => matches!(order(found, bound), Some(Less | Equal)),
        other => panic!("an unknown test {other} was read"),
    })
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => order(a, b) == Some(std::cmp::Ordering::Equal),
    }
}

/// The documents' numbers are small, so a float holds each exactly; a filter's need not be, and is beyond
/// all of them when it does not fit.
fn order(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Value::String(a), Value::String(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        _ => None,
    }
}
