//! The agent on documents in memory.
#![allow(clippy::unwrap_used, reason = "a failed test says where")]

use super::*;
use stockade_guest::Meter;
use stockade_guest::testing::{Memory, Reply, Stored};

fn office() -> Memory {
    Memory::default()
        .with(
            Stored::new(
                "old",
                "Refunds",
                &["An invoice is refunded within a month."],
            )
            .metadata(r#"{"team": "billing", "year": 2019}"#),
        )
        .with(
            Stored::new(
                "new",
                "",
                &["A refund of an invoice takes a week; VAT is kept."],
            )
            .metadata(r#"{"team": "billing", "year": 2024}"#),
        )
        .with(
            Stored::new("post", "", &["An invoice comes by post."])
                .metadata(r#"{"team": "mail", "year": 2024}"#),
        )
}

const QUESTION: &str = "How is an invoice refunded?";

fn ask(rules: &str) -> Reply {
    try_ask(&office(), rules).unwrap()
}

fn said(reply: &Reply) -> String {
    reply.degraded.join(" ")
}

fn try_ask(documents: &Memory, rules: &str) -> Result<Reply, String> {
    documents.ask::<RulesAgent>(QUESTION, &[("rules", rules)])
}

#[test]
fn without_rules_it_is_a_hybrid_search() {
    let reply = ask("");
    let found = office().search_hybrid(QUESTION, 50, None).unwrap();
    let ids: Vec<u64> = found.iter().map(|hit| hit.chunk).collect();
    assert_eq!(reply.chunks(), ids);
    assert!(
        reply.passages[0]
            .reason
            .starts_with("found by hybrid search")
    );
}

#[test]
fn a_rule_speaks_only_when_its_condition_holds() {
    let mail = r#"when "INVOICE" and not "week": filter {"team": "mail"}"#;
    let reply = ask(mail);
    assert_eq!(reply.documents(), ["post"]);
    let reason = &reply.passages[0].reason;
    assert!(
        reason.contains(r#"rule 1 filters by {"team": "mail"}"#),
        "{reason}"
    );
    for silent in [
        r#"when "invoices": filter {"team": "mail"}"#,
        r#"when starts "invoice": filter {"team": "mail"}"#,
        r#"when words < 5: filter {"team": "mail"}"#,
        r#"when words > 5 or not "how": filter {"team": "mail"}"#,
    ] {
        assert_eq!(ask(silent).documents().len(), 3, "{silent}");
    }
}

#[test]
fn filters_of_several_rules_and_the_option_hold_together() {
    let rules = "filter {\"year\": 2024}\nfilter {\"team\": {\"in\": [\"billing\"]}}";
    assert_eq!(ask(rules).documents(), ["new"]);
    let given = [("rules", rules), ("filter", r#"{"year": 2019}"#)];
    let reply = office().ask::<RulesAgent>(QUESTION, &given).unwrap();
    assert!(reply.documents().is_empty());
}

#[test]
fn a_boost_brings_its_documents_up_and_says_so() {
    assert_eq!(ask("").documents()[0], "old");
    let reply = ask(r#"boost 3 {"team": "mail"}"#);
    assert_eq!(reply.documents()[0], "post");
    assert!(
        reply.passages[0]
            .reason
            .contains("rule 1 multiplies its score by 3")
    );
    assert!(!reply.passages[1].reason.contains("multiplies"));
    let less = ask(r#"boost 0.5 {"team": "billing"}"#);
    assert_eq!(less.documents()[0], "post");
}

#[test]
fn required_words_leave_out_passages_without_them() {
    let reply = ask(r#"require "vat", require "a week""#);
    assert_eq!(reply.documents(), ["new"]);
    assert!(reply.passages[0].reason.contains("requires \"vat\""));
}

#[test]
fn the_first_rule_chooses_the_way() {
    let documents = office();
    try_ask(&documents, "by text; by vector").unwrap();
    assert_eq!(documents.calls(), [format!("text {QUESTION} 50 -")]);
    let reply = ask("by vector");
    assert!(reply.passages[0].reason.contains("found by meaning"));
    assert!(
        reply.passages[0]
            .reason
            .contains("rule 1 chose this search")
    );
}

#[test]
fn when_nothing_is_found_the_fallback_answers_and_the_receipt_says_so() {
    let none = r#"filter {"team": "legal"}"#;
    assert!(ask(none).chunks().is_empty());
    let reply = ask(&format!("{none}; otherwise unfiltered"));
    assert_eq!(reply.documents().len(), 3);
    assert_eq!(
        reply.degraded,
        ["Nothing was found, so rule 2 searched without rules' filters and required words."]
    );
    assert!(!reply.passages[0].reason.contains("filters by"));
    let reply = ask("require \"nowhere\", otherwise unfiltered");
    assert_eq!(reply.documents().len(), 3);
    assert!(
        ask(&format!("{none}; otherwise nothing"))
            .degraded
            .is_empty()
    );
}

#[test]
fn a_spent_budget_is_a_fallback_or_an_error_sentence() {
    let reply = try_ask(&office().budget(Meter::EmbedTokens, 1), "").unwrap();
    assert!(
        said(&reply).contains("by words alone"),
        "{:?}",
        reply.degraded
    );
    let one = office().budget(Meter::Searches, 1);
    let reply = try_ask(&one, "boost 2 {\"team\": \"mail\"}").unwrap();
    assert!(said(&reply).contains("Rule 1 boosted nothing"));
    let unread = office().budget(Meter::Read, 30);
    let reply = try_ask(&unread, "require \"invoice\"").unwrap();
    assert_eq!(reply.documents(), ["post"]);
    assert!(said(&reply).contains("required words"));
    let error = try_ask(&office().budget(Meter::Searches, 0), "").unwrap_err();
    assert!(error.contains("`searches_max` is spent"), "{error}");
}

#[test]
fn what_is_wrong_is_refused_in_a_sentence_that_names_the_rule() {
    let error = try_ask(&office(), "by text; flter {}").unwrap_err();
    assert!(error.contains("Rule 2 cannot be read"), "{error}");
    let error = try_ask(&office(), r#"filter {"a": {"gtt": 1}}"#).unwrap_err();
    assert!(
        error.contains("the filter of rule 1 was refused"),
        "{error}"
    );
    let error = try_ask(&office(), r#"by text; boost 2 {"a": {"gtt": 1}}"#).unwrap_err();
    assert!(error.contains("The boost of rule 2 was refused"), "{error}");
}
