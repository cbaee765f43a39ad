//! The agent, run natively: `cargo test`.

use __crate__::Mentions;
use stockade_guest::Meter;
use stockade_guest::testing::{Memory, Stored};

fn harbour() -> Memory {
    Memory::default()
        .with(Stored::new(
            "ferry",
            "Ferry",
            &["The ferry sails with the water; see the Tide Table."],
        ))
        .with(Stored::new("tides", "Tide Table", &["High at noon."]))
        .with(Stored::new("cranes", "Cranes", &["A crane lifts."]))
}

#[test]
fn what_a_passage_mentions_stands_behind_it() {
    let reply = harbour()
        .ask::<Mentions>("When does the ferry sail?", &[("k", "2")])
        .unwrap();
    assert_eq!(reply.documents(), ["ferry", "tides"]);
    assert!(reply.degraded.is_empty());
}

#[test]
fn without_following_it_is_a_plain_search() {
    let documents = harbour();
    let reply = documents
        .ask::<Mentions>("crane", &[("follow", "0"), ("k", "1")])
        .unwrap();
    assert_eq!(reply.documents(), ["cranes"]);
    assert_eq!(documents.calls(), ["hybrid crane 1 -"]);
}

#[test]
fn a_spent_budget_is_said_and_the_rest_is_answered() {
    let reply = harbour()
        .budget(Meter::Searches, 1)
        .ask::<Mentions>("When does the ferry sail?", &[("k", "1")])
        .unwrap();
    assert_eq!(reply.documents(), ["ferry"]);
    assert!(reply.degraded.iter().any(|said| said.contains("mention")));
}

#[test]
fn a_refused_search_is_an_error() {
    let refused = harbour()
        .budget(Meter::Searches, 0)
        .ask::<Mentions>("anything", &[])
        .unwrap_err();
    assert!(refused.contains("searches_max"), "{refused}");
}
