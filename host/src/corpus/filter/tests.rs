//! What filters choose, and what is not a filter.

use super::*;

fn matches(filter: &str, metadata: &str) -> bool {
    let metadata: Metadata = serde_json::from_str(metadata).unwrap();
    Filter::parse(filter)
        .unwrap()
        .matches("docs/a.md", "Über", &metadata)
}

#[test]
fn conditions_hold_where_they_should() {
    let meta =
        r#"{"year": 2021, "lang": "en", "tags": ["a", 7, null], "draft": false, "x.\"y": 1.5}"#;
    for yes in [
        "{}",
        r#"{"year": 2021}"#,
        r#"{"year": 2021.0, "lang": "en"}"#,
        r#"{"year": {"gte": 2021, "lt": 2021.5}}"#,
        r#"{"lang": {"gt": "em", "lte": "en"}}"#,
        r#"{"lang": {"in": ["de", "en"]}}"#,
        r#"{"tags": "a"}"#,
        r#"{"tags": {"gt": 6}}"#,
        r#"{"tags": null}"#,
        r#"{"absent": null}"#,
        r#"{"draft": false}"#,
        r#"{"x.\"y": 1.5}"#,
        r#"{"document": "docs/a.md", "title": "Über"}"#,
        r#"{"document": {"gte": "docs/", "lt": "docs0"}}"#,
        r#"{"not": {"year": 2020}}"#,
        r#"{"or": [{"year": 1}, {"and": [{"lang": "en"}, {"not": {"draft": true}}]}]}"#,
        r#"{"and": []}"#,
    ] {
        assert!(matches(yes, meta), "{yes}");
    }
    for no in [
        r#"{"year": "2021"}"#,
        r#"{"year": 2021, "lang": "de"}"#,
        r#"{"year": {"gt": 2021}}"#,
        r#"{"year": {"gte": "2021"}}"#,
        r#"{"absent": {"lt": 9}}"#,
        r#"{"lang": {"in": []}}"#,
        r#"{"tags": ""}"#,
        r#"{"draft": 0}"#,
        r#"{"x": 1.5}"#,
        r#"{"not": {}}"#,
        r#"{"or": []}"#,
    ] {
        assert!(!matches(no, meta), "{no}");
    }
}

/// The in-memory host of the authors' crate is held to the same cases.
#[test]
fn cases_shared_with_the_authors_crate_end_as_written() {
    let cases = include_str!("../../../../guest/src/testing/filters.json");
    let cases: Value = serde_json::from_str(cases).unwrap();
    for case in cases.as_array().unwrap() {
        let filter = case["filter"].as_str().unwrap();
        let metadata = case["metadata"].as_object().unwrap();
        let said = Filter::parse(filter).map(|f| f.matches("docs/a.md", "Über", metadata));
        assert_eq!(said.ok(), case["holds"].as_bool(), "{filter}");
    }
}

#[test]
fn numbers_compare_exactly() {
    let big = r#"{"n": 9007199254740993}"#;
    assert!(matches(r#"{"n": 9007199254740993}"#, big));
    assert!(!matches(r#"{"n": 9007199254740992.0}"#, big));
    assert!(matches(
        r#"{"n": {"gt": 9007199254740992.0, "lt": 1e300}}"#,
        big
    ));
    assert!(matches(
        r#"{"n": {"gt": -1e300}}"#,
        r#"{"n": 18446744073709551615}"#
    ));
    assert!(matches(r#"{"n": {"lt": -1}}"#, r#"{"n": -1.5}"#));
    assert!(matches(r#"{"n": {"gt": -2}}"#, r#"{"n": -1.5}"#));
}

#[test]
fn errors_say_what_and_where() {
    let nested = |n: usize| format!("{}{{}}{}", r#"{"not":"#.repeat(n), "}".repeat(n));
    assert!(Filter::parse(&nested(MAX_FILTER_DEPTH - 1)).is_ok());
    let wide = format!(r#"{{"a": {{"in": [{}1]}}}}"#, "1,".repeat(MAX_FILTER_NODES));
    for (filter, at) in [
        ("", ""),
        ("[]", ""),
        (r#"{"a": [1]}"#, "a"),
        (r#"{"a": {}}"#, "a"),
        (r#"{"a": {"like": 1}}"#, "a.like"),
        (r#"{"a": {"gt": null}}"#, "a.gt"),
        (r#"{"a": {"gt": 1, "gte": 1}}"#, "a.gte"),
        (r#"{"a": {"gt": 1, "lt": "b"}}"#, "a"),
        (r#"{"a": {"in": [1, {}]}}"#, "a.in[1]"),
        (r#"{"a": {"in": 1}}"#, "a.in"),
        (r#"{"and": {}}"#, "and"),
        (r#"{"or": [{"a": 1}, 2]}"#, "or[1]"),
        (r#"{"not": [1]}"#, "not"),
        (
            &nested(MAX_FILTER_DEPTH),
            &["not"; MAX_FILTER_DEPTH].join("."),
        ),
        (&wide, "a.in"),
        (
            &format!(r#"{{"a": "{}"}}"#, "x".repeat(MAX_FILTER_BYTES)),
            "",
        ),
    ] {
        let error = Filter::parse(filter).expect_err(filter);
        assert_eq!(error.at, at, "{error}");
    }
}

#[test]
fn the_caller_s_filter_holds_besides() {
    let meta = serde_json::from_str(r#"{"a": 1, "b": 2}"#).unwrap();
    let one = |f: &str| Filter::parse(f).unwrap();
    assert!(
        one(r#"{"a": 1}"#)
            .and(one(r#"{"b": 2}"#))
            .matches("", "", &meta)
    );
    assert!(
        !one(r#"{"a": 1}"#)
            .and(one(r#"{"b": 3}"#))
            .matches("", "", &meta)
    );
    let fields = one(r#"{"or": [{"a": 1, "title": "t"}, {"not": {"b": {"gt": 1}}}]}"#);
    assert_eq!(fields.fields().into_iter().collect::<Vec<_>>(), ["a", "b"]);
}
