//! What the hosts for tests do is what they say: searches find, filters hold, budgets deny, rules are kept.
#![allow(clippy::unwrap_used, reason = "a failed test says where")]

use super::*;
use crate::{
    Agent, Answer, Chunk, Chunker, Citation, Denied, Document, Meter, NeighbourKind, OptionSpec,
    Options, Retrieval, Setting, Tokens, budget, k_option,
};

fn harbour() -> Memory {
    Memory::default()
        .with(
            Stored::new(
                "tides",
                "Tide Table",
                &[
                    "High water at the ferry linkspan.",
                    "Low water; ask the Harbour Office.",
                    "Spring tides come twice a month.",
                ],
            )
            .metadata(r#"{"year": 2020}"#),
        )
        .with(
            Stored::new(
                "office",
                "Harbour Office",
                &[
                    "Opening hours of the office.",
                    "The tide table is sold here.",
                ],
            )
            .metadata(r#"{"year": 2024}"#),
        )
        .with(Stored::new(
            "cranes",
            "Cranes",
            &["A crane lifts sixty tonnes."],
        ))
}

fn ids(hits: &[crate::Hit]) -> Vec<u64> {
    hits.iter().map(|hit| hit.chunk).collect()
}

#[test]
fn each_search_finds_the_words_of_the_question() {
    let documents = harbour();
    let (crane, hours) = (documents.chunk("cranes", 0), documents.chunk("office", 0));
    let by_text = documents
        .search_text("What do cranes lift?", 5, None)
        .unwrap();
    assert_eq!(ids(&by_text), [crane]);
    let question = documents.embed("opening hours").unwrap();
    let by_vector = documents.search_vector(&question, 6, None).unwrap();
    assert_eq!((by_vector[0].chunk, by_vector.len()), (hours, 6));
    let hybrid = documents.search_hybrid("opening hours", 1, None).unwrap();
    assert_eq!(ids(&hybrid), [hours]);
    assert!((hybrid[0].score - 2.0 / 61.0).abs() < 1e-6);
}

#[test]
fn equal_scores_are_ordered_by_chunk_and_runs_are_alike() {
    let documents = Memory::default()
        .with(Stored::new("a", "", &["same words", "same words"]))
        .with(Stored::new("b", "", &["same words"]));
    for _ in 0..3 {
        let hits = documents.search_hybrid("same", 3, None).unwrap();
        assert_eq!(ids(&hits), [1, 2, 3]);
    }
}

#[test]
fn neighbours_are_by_place_by_mention_and_by_likeness() {
    let documents = harbour();
    let chunk = |document: &str, ordinal| documents.chunk(document, ordinal);
    let near = |from, kind| ids(&documents.neighbours(from, kind, 9).unwrap());
    let middle = chunk("tides", 1);
    assert_eq!(near(middle, NeighbourKind::Next), [chunk("tides", 2)]);
    assert_eq!(near(middle, NeighbourKind::Previous), [chunk("tides", 0)]);
    assert_eq!(near(middle, NeighbourKind::Mention), [chunk("office", 0)]);
    let sold = chunk("office", 1);
    assert_eq!(near(sold, NeighbourKind::Mention), [chunk("tides", 0)]);
    assert_eq!(near(middle, NeighbourKind::MentionedBy), [sold]);
    assert_eq!(near(sold, NeighbourKind::MentionedBy), [middle]);
    let alike = near(middle, NeighbourKind::Similar);
    assert_eq!((alike[0], alike.len()), (chunk("office", 0), 5));
    assert!(!alike.contains(&middle));
}

#[test]
fn the_longest_title_is_mentioned_and_a_common_word_is_not() {
    let mut documents = Memory::default()
        .with(Stored::new("york", "York", &["A town."]))
        .with(Stored::new("new-york", "New York (city)", &["A city."]))
        .with(Stored::new("it", "It", &["A novel."]))
        .with(Stored::new(
            "from",
            "",
            &["She moved to NEW york; it rained."],
        ));
    for number in 0..40 {
        let id = format!("filler-{number}");
        documents = documents.with(Stored::new(&id, "", &["it rained"]));
    }
    let from = documents.chunk("from", 0);
    let mentions = documents.neighbours(from, NeighbourKind::Mention, 9);
    assert_eq!(ids(&mentions.unwrap()), [documents.chunk("new-york", 0)]);
}

#[test]
fn the_callers_filter_holds_for_every_call_and_the_agents_besides() {
    let documents = harbour().asked_with(r#"{"year": {"gte": 2021}}"#);
    let office = documents.chunk("office", 0);
    let found = documents
        .search_text("water office hours", 9, None)
        .unwrap();
    assert_eq!(ids(&found), [office]);
    let none = documents.search_text("office", 9, Some(r#"{"year": 2020}"#));
    assert!(none.unwrap().is_empty());
    let tides = documents.chunk("tides", 0);
    assert_eq!(
        documents.read(&[office, tides]).unwrap_err(),
        Denied::NotFound
    );
    assert!(documents.read(&[office]).is_ok());
    let wrong = documents.search_text("office", 9, Some("{"));
    assert!(matches!(wrong, Err(Denied::InvalidArgument(_))));
}

#[test]
fn a_spent_budget_denies_and_charges_nothing() {
    let documents = harbour().budget(Meter::Searches, 2).budget(Meter::Read, 40);
    documents.search_text("office", 1, None).unwrap();
    documents.neighbours(1, NeighbourKind::Mention, 1).unwrap();
    let denied = documents.search_text("office", 1, None).unwrap_err();
    assert_eq!(denied, Denied::BudgetSpent(Meter::Searches));
    assert!(documents.neighbours(1, NeighbourKind::Next, 1).is_ok());
    let all = documents.read(&[1, 2]).unwrap_err();
    assert_eq!(all, Denied::BudgetSpent(Meter::Read));
    assert!(documents.read(&[1]).is_ok(), "a smaller call still passes");
    let spent = documents.spent();
    assert_eq!((spent.searches, spent.host_calls), (2, 6));
    assert_eq!(spent.read_bytes, 33);
}

#[test]
fn what_is_left_is_what_the_plugin_is_told() {
    let documents = harbour().budget(Meter::Searches, 2);
    documents.search_text("office", 1, None).unwrap();
    assert_eq!(budget().searches, 1);
    drop(documents);
    assert_eq!(budget().searches, u64::MAX);
}

#[test]
fn wrong_arguments_are_denied_by_name() {
    let documents = harbour();
    for k in [0, 1_001] {
        let denied = documents.search_text("office", k, None).unwrap_err();
        assert!(denied.reason().contains("k must be"), "{denied:?}");
    }
    assert_eq!(documents.vector_of(99).unwrap_err(), Denied::NotFound);
    assert_eq!(documents.vector_of(0).unwrap_err(), Denied::NotFound);
    assert_eq!(documents.read(&[1, 99]).unwrap_err(), Denied::NotFound);
    let vector = documents.vector_of(1).unwrap();
    let cosines = documents.similarities(&vector, &[1, 2]).unwrap();
    assert!((cosines[0] - 1.0).abs() < 1e-6 && cosines[1] < 1.0);
}

#[test]
#[should_panic(expected = "host-calls")]
fn one_call_too_many_ends_the_test_as_it_ends_a_task() {
    let documents = harbour().host_calls_max(1);
    let _ = documents.read(&[1]);
    let _ = documents.read(&[1]);
}

/// Cites what its options say: an agent of every kind.
struct Cites;

const CHUNK: Setting<usize> = Setting::count("chunk", 1, 0..=99, "Which chunk.");
const TIMES: Setting<usize> = Setting::count("times", 1, 0..=200, "How often.");
const SCORE: Setting<String> = Setting::text("score", "1", 9, "Its score.");

impl Agent for Cites {
    fn options() -> Vec<OptionSpec> {
        vec![CHUNK.spec(), TIMES.spec(), SCORE.spec(), k_option()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let found = documents.search_text(question, 9, None);
        found.map_err(|denied| denied.reason())?;
        let citation = Citation {
            chunk: options.get(&CHUNK)? as u64,
            score: options.get(&SCORE)?.parse().unwrap_or(f32::NAN),
            reason: "told to".to_owned(),
        };
        Ok(Answer {
            passages: vec![citation; options.get(&TIMES)?],
            degraded: vec!["a little".to_owned()],
        })
    }
}

#[test]
fn an_answer_is_held_to_the_hosts_rules() {
    let documents = harbour();
    let ask = |given: &[(&str, &str)]| documents.ask::<Cites>("high water", given);
    let reply = ask(&[]).unwrap();
    assert_eq!(reply.documents(), ["tides"]);
    assert_eq!(reply.chunks(), [1]);
    assert_eq!(reply.passages[0].passage.title, "Tide Table");
    assert_eq!(reply.degraded, ["a little"]);
    for (given, word) in [
        ([("chunk", "6")], "never shown"),
        ([("chunk", "99")], "never shown"),
        ([("times", "2")], "cited twice"),
        ([("times", "101")], "passages_max 100"),
        ([("score", "nan")], "not finite"),
        ([("k", "0")], "from 1 to 100"),
        ([("depth", "1")], "no option 'depth'"),
    ] {
        let error = ask(&given).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn each_question_is_a_new_task() {
    let documents = harbour().budget(Meter::Searches, 1);
    for _ in 0..2 {
        assert!(documents.ask::<Cites>("high water", &[]).is_ok());
        assert_eq!(documents.calls(), ["text high water 9 -"]);
    }
    let denied = harbour().budget(Meter::Searches, 0);
    let error = denied.ask::<Cites>("high water", &[]).unwrap_err();
    assert_eq!(
        error,
        "the agent gave up: the budget `searches_max` is spent"
    );
}

/// One chunk a token, from a token on, in the order that an option says.
struct EachToken;

const ORDER: Setting<bool> = Setting::boolean("backwards", false, "Last first.");
const COPIES: Setting<usize> = Setting::count("copies", 1, 1..=99, "Of the whole text.");

impl Chunker for EachToken {
    fn options() -> Vec<OptionSpec> {
        vec![ORDER.spec(), COPIES.spec()]
    }

    fn chunk(
        document: &Document,
        options: &Options,
        tokens: &impl Tokens,
    ) -> Result<Vec<Chunk>, String> {
        if document.text == "refuse" {
            return Err("not today".to_owned());
        }
        let mut chunks = Vec::new();
        let mut start = 0;
        for end in tokens.ends(&document.text) {
            let end = end as usize;
            (1..=options.get(&COPIES)?)
                .for_each(|copy| chunks.push(Chunk::new(start..end - copy + 1)));
            start = end;
        }
        if options.get(&ORDER)? {
            chunks.reverse();
        }
        Ok(chunks)
    }
}

#[test]
fn chunks_are_held_to_the_hosts_rules() {
    let text = document("one two");
    let chunks = cut::<EachToken>(&text, &[]).unwrap();
    assert_eq!(texts(&text, &chunks), ["one", " two"]);
    let stored = Memory::default().with(Stored::cut(&text, chunks));
    assert_eq!(stored.read(&[2]).unwrap()[0].text, " two");
    for (text, given, word) in [
        ("one two", vec![("backwards", "true")], "ascending order"),
        ("one", vec![("copies", "2")], "ascending order"),
        ("refuse", vec![], "refused: not today"),
        ("one", vec![("copies", "0")], "from 1 to 99"),
    ] {
        let error = cut::<EachToken>(&document(text), &given).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn each_rule_of_a_chunkers_answer_is_named_where_it_is_broken() {
    let rules = ChunkRules {
        chunks_max: 3,
        overlap_ratio_max: 2.0,
    };
    let check = |spans: &[(usize, usize)]| {
        let chunks: Vec<Chunk> = spans
            .iter()
            .map(|&(start, end)| Chunk::new(start..end))
            .collect();
        rules.check("aé日b", &chunks)
    };
    assert_eq!(check(&[(0, 1), (1, 3), (3, 7)]), Ok(()));
    for (spans, word) in [
        (vec![(1, 1)], "empty"),
        (vec![(0, 8)], "beyond"),
        (vec![(0, 2)], "character"),
        (vec![(1, 3), (0, 1)], "order"),
        (vec![(0, 1), (0, 1)], "order"),
        (vec![(0, 1), (1, 3), (3, 6), (6, 7)], "chunks_max 3"),
        (vec![(0, 7), (1, 7), (3, 7)], "overlap_ratio_max 2"),
    ] {
        let error = check(&spans).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}
