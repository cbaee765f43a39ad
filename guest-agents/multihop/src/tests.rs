//! The agent on documents in memory.
#![allow(clippy::unwrap_used, reason = "a failed test says where")]

use super::*;
use stockade_guest::testing::{Memory, Stored};
use stockade_guest::{ChunkId, Meter};

const QUESTION: &str = "Who painted the ceiling of the theatre built by Marlow?";

/// Two passages answer the question: one names the theatre, the other, which it mentions, the painter. Between them
/// in the search stand passages that share the question's words.
fn town() -> Memory {
    let mut documents = Memory::default()
        .with(Stored::new(
            "marlow",
            "Edwin Marlow",
            &["Edwin Marlow was a builder. Marlow built the theatre called Golden Lyre Hall."],
        ))
        .with(Stored::new(
            "lyre",
            "Golden Lyre Hall",
            &["Golden Lyre Hall stands on a hill. Ines Vale decorated its roof."],
        ));
    for number in 0..12 {
        let text = format!("A ceiling was painted in week {number}.");
        documents = documents.with(Stored::new(&format!("noise-{number}"), "", &[&text]));
    }
    documents
}

fn ask(documents: &Memory, given: &[(&str, &str)]) -> stockade_guest::testing::Reply {
    documents.ask::<MultihopAgent>(QUESTION, given).unwrap()
}

#[test]
fn a_mentioned_passage_comes_up_with_the_hop_in_its_reason() {
    let documents = town();
    let without = ask(&documents, &[("hops", "0"), ("k", "5")]);
    assert!(!without.documents().contains(&"lyre"), "{without:?}");
    let reply = ask(&documents, &[("k", "10")]);
    let place = |id| reply.documents().iter().position(|found| *found == id);
    assert!(place("marlow").is_some_and(|place| place < 5), "{reply:?}");
    let lyre = place("lyre").unwrap();
    let reason = &reply.passages[lyre].reason;
    assert!(
        reason.contains("hop 1: mentioned by \"Edwin Marlow\""),
        "{reason}"
    );
    assert!(reply.degraded.is_empty(), "{:?}", reply.degraded);
}

#[test]
fn the_first_passage_of_the_search_stays_first() {
    let documents = town();
    let hybrid = ask(&documents, &[("hops", "0"), ("k", "1")]);
    assert_eq!(ask(&documents, &[("k", "1")]).chunks(), hybrid.chunks());
}

#[test]
fn without_hops_it_is_the_hybrid_search() {
    let documents = town();
    let found = documents.search_hybrid(QUESTION, 8, None).unwrap();
    let ids: Vec<ChunkId> = found.iter().map(|hit| hit.chunk).collect();
    assert_eq!(ask(&documents, &[("hops", "0"), ("k", "8")]).chunks(), ids);
}

#[test]
fn documents_without_titles_give_what_the_search_gives() {
    let mut documents = Memory::default();
    for number in 0..9 {
        let text = format!("Theatre number {number} was painted by somebody.");
        documents = documents.with(Stored::new(&format!("d{number}"), "", &[&text]));
    }
    let found = documents.search_hybrid(QUESTION, 5, None).unwrap();
    let ids: Vec<ChunkId> = found.iter().map(|hit| hit.chunk).collect();
    assert_eq!(ask(&documents, &[]).chunks(), ids);
}

#[test]
fn each_spent_budget_leaves_an_answer_that_says_so() {
    for (meter, most, word) in [
        (Meter::EmbedTokens, 0, "Found by words alone"),
        (Meter::Searches, 1, "Found by meaning alone"),
        (Meter::Searches, 3, "Not all mentions were followed"),
        (Meter::Read, 200, "Not all passages were read"),
        (Meter::VectorsScanned, 14, "were not compared"),
    ] {
        let reply = ask(&town().budget(meter, most), &[]);
        let said = reply.degraded.join(" ");
        assert!(said.contains(word), "{meter:?} {most}: {said}");
        assert!(!reply.chunks().is_empty(), "{meter:?}");
    }
    let nothing = town().budget(Meter::Searches, 0);
    let error = nothing.ask::<MultihopAgent>(QUESTION, &[]).unwrap_err();
    assert!(error.contains("`searches_max` is spent"), "{error}");
}

#[test]
fn an_own_filter_holds_for_all_that_is_shown() {
    let documents = Memory::default()
        .with(
            Stored::new(
                "marlow",
                "Edwin Marlow",
                &["Marlow built Golden Lyre Hall."],
            )
            .metadata(r#"{"y": 1}"#),
        )
        .with(
            Stored::new("lyre", "Golden Lyre Hall", &["Painted by Vale."]).metadata(r#"{"y": 2}"#),
        );
    let reply = ask(&documents, &[("filter", r#"{"y": 1}"#)]);
    assert_eq!(reply.documents(), ["marlow"]);
    assert!(
        reply.degraded[0].contains("`filter`"),
        "{:?}",
        reply.degraded
    );
    let asked = documents.asked_with(r#"{"y": 1}"#);
    let reply = ask(&asked, &[]);
    assert_eq!(reply.documents(), ["marlow"]);
    assert!(reply.degraded.is_empty());
}

#[test]
fn what_is_open_is_asked_for_with_the_title_that_was_found() {
    let documents = Memory::default()
        .with(Stored::new(
            "a",
            "Tern Island",
            &["The keeper of Tern Island light wrote letters."],
        ))
        .with(Stored::new("b", "", &["Nothing here."]))
        .with(Stored::new("c", "", &["A sermon was printed."]));
    let question = "Which sermon was printed by the keeper of Tern Island?";
    documents.ask::<MultihopAgent>(question, &[]).unwrap();
    let calls = documents.calls();
    let again = calls.iter().find(|call| call.starts_with("hybrid"));
    let again = again.unwrap();
    assert!(again.contains("sermon was printed Tern Island"), "{again}");
    documents
        .ask::<MultihopAgent>(question, &[("ask-again", "false")])
        .unwrap();
    assert!(
        !documents
            .calls()
            .iter()
            .any(|call| call.starts_with("hybrid"))
    );
}

#[test]
fn documents_that_all_mention_each_other_cost_a_bounded_number_of_calls() {
    let title = |number: usize| {
        format!(
            "Lamp {} Street",
            ["Amber", "Birch", "Cedar", "Dune", "Elm"][number % 5].repeat(1 + number / 5)
        )
    };
    let all: Vec<String> = (0..40).map(title).collect();
    let mut documents = Memory::default();
    for number in 0..40 {
        let text = format!("{} is near {}.", all[number], all.join(", "));
        documents = documents.with(Stored::new(&number.to_string(), &all[number], &[&text]));
    }
    let question = "Which street is near Lamp Amber Street and far from the harbour?";
    let reply = documents
        .ask::<MultihopAgent>(question, &[("k", "100")])
        .unwrap();
    assert_eq!(reply.chunks().len(), 40);
    let spent = documents.spent();
    assert!(spent.searches <= 16, "{spent:?}");
}

#[test]
fn a_question_that_finds_nothing_is_answered_with_nothing() {
    let reply = Memory::default().ask::<MultihopAgent>("", &[]).unwrap();
    assert!(reply.chunks().is_empty());
}
