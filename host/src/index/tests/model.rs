//! Any sequence of writes leaves what a fresh index of the survivors would hold.

use super::support::{document, open, put, vector_for};
use crate::corpus::{ChunkId, Document, Hit};
use crate::db::Interrupt;
use crate::index::{Index, NeighbourKind, PutKind};
use crate::statistics::SplitMix64;
use std::collections::{BTreeMap, BTreeSet};

fn never() -> Interrupt {
    Interrupt::never()
}

/// Passages as (document, ordinal), which do not depend on history.
fn places(index: &Index, hits: &[Hit]) -> Vec<(String, u32)> {
    let chunks: Vec<ChunkId> = hits.iter().map(|h| h.chunk).collect();
    let passages = index.read(&chunks, &never()).unwrap();
    passages
        .into_iter()
        .map(|p| (p.document, p.ordinal))
        .collect()
}

fn first_chunk(index: &Index, document: &str) -> ChunkId {
    let filter = format!(r#"{{"document": "{document}"}}"#);
    let filter = crate::corpus::Filter::parse(&filter).unwrap();
    let hits = index
        .search_vector(&vector_for(""), 1_000, Some(&filter), &never())
        .unwrap();
    hits.iter().map(|h| h.chunk).min().unwrap()
}

const NAMES: [&str; 8] = [
    "Ada Lovelace",
    "Ada",
    "Zurich (city)",
    "New York",
    "New York City",
    "O'Hara",
    "Nile",
    "Über Alles",
];

fn random_document(random: &mut SplitMix64) -> Document {
    let name = random.below(8);
    let lines = 1 + random.below(4);
    let mut text = String::new();
    for _ in 0..lines {
        let mentioned = NAMES[random.below(8)]
            .trim_end_matches(" (city)")
            .to_uppercase();
        text.push_str(&format!(
            "word{} saw {mentioned}; then word{}\n",
            random.below(30),
            random.below(30)
        ));
    }
    document(
        &format!("d{name}"),
        NAMES[name],
        &text,
        &format!(r#"{{"n": {}}}"#, random.below(3)),
    )
}

#[test]
fn any_history_equals_a_fresh_index_of_the_survivors() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..12 {
        let mut random = SplitMix64(seed);
        let mut index = open(folder.path(), &format!("t{seed}"));
        let mut survivors: BTreeMap<String, Document> = BTreeMap::new();
        for step in 0..25 {
            if random.below(4) == 0 {
                let id = format!("d{}", random.below(8));
                let existed = index.delete(std::slice::from_ref(&id)).unwrap();
                assert_eq!(existed, [survivors.remove(&id).is_some()]);
            } else {
                let document = random_document(&mut random);
                let done = put(&index, &document);
                let old = survivors.insert(document.id.clone(), document);
                assert_eq!(done.kind == PutKind::Replaced, old.is_some());
            }
            match random.below(6) {
                0 => drop(
                    index
                        .search_vector(&vector_for("x"), 3, None, &never())
                        .unwrap(),
                ),
                1 if step % 5 == 0 => {
                    drop(index);
                    index = open(folder.path(), &format!("t{seed}"));
                }
                _ => {}
            }
        }
        let fresh = open(folder.path(), &format!("fresh{seed}"));
        for document in survivors.values() {
            put(&fresh, document);
        }
        assert_same(&index, &fresh, &survivors);
    }
}

pub(crate) fn assert_same(index: &Index, fresh: &Index, survivors: &BTreeMap<String, Document>) {
    assert!(index.check(&never()).unwrap().is_empty());
    let (one, two) = (index.counts().unwrap(), fresh.counts().unwrap());
    assert_eq!((one.documents, one.chunks), (two.documents, two.chunks));
    let all = survivors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(index.document_ids("", None, 100).unwrap(), all);
    assert_eq!(
        index.documents(None, 100).unwrap(),
        fresh.documents(None, 100).unwrap()
    );
    for query in ["word3 word7 saw", "new york", "ada lovelace then"] {
        let vector = vector_for(query);
        let near = |i: &Index| i.search_vector(&vector, 100, None, &never()).unwrap();
        assert_same_hits(index, &near(index), fresh, &near(fresh));
        let text = |i: &Index| i.search_text(query, 100, None, &never()).unwrap().hits;
        assert_same_hits(index, &text(index), fresh, &text(fresh));
    }
    for (id, document) in survivors {
        assert_eq!(
            index.document_text(id).unwrap().as_deref(),
            Some(document.text.as_str())
        );
        for kind in [
            NeighbourKind::Next,
            NeighbourKind::Mention,
            NeighbourKind::MentionedBy,
            NeighbourKind::Similar,
        ] {
            let hits = |i: &Index| {
                i.neighbours(first_chunk(i, id), kind, 100, None, &never())
                    .unwrap()
            };
            let set = |i: &Index| places(i, &hits(i)).into_iter().collect::<BTreeSet<_>>();
            assert_eq!(set(index), set(fresh), "{id} {kind:?}");
        }
    }
}

/// Equal scores may stand in another order: chunk ids depend on history.
fn assert_same_hits(a: &Index, hits_a: &[Hit], b: &Index, hits_b: &[Hit]) {
    let scored = |index: &Index, hits: &[Hit]| {
        let places = places(index, hits).into_iter();
        let rounded = hits
            .iter()
            .map(|h| (f64::from(h.score) * -1e5).round() as i64);
        rounded.zip(places).collect::<BTreeSet<_>>()
    };
    assert_eq!(scored(a, hits_a), scored(b, hits_b));
}

#[test]
fn a_version_is_stored_once_and_read_as_it_was_put() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    assert_eq!(index.stored("d").unwrap(), None);
    let mut text = document("d", "Tïtle", "één\ntwo\nthree\n", r#"{"b": 1, "a": [2]}"#);
    let first = put(&index, &text);
    assert_eq!(
        (first.kind, first.chunks, first.generation),
        (PutKind::Added, 3, 1)
    );
    let stored = index.stored("d").unwrap().unwrap();
    assert_eq!(stored.chunks, 3);
    let passages = index
        .read(&[ChunkId(2), ChunkId(1), ChunkId(2)], &never())
        .unwrap();
    assert_eq!(passages[0], passages[2]);
    assert_eq!(
        (passages[0].text.as_str(), passages[0].ordinal),
        ("two\n", 1)
    );
    assert_eq!(
        (
            passages[1].text.as_str(),
            passages[1].start,
            passages[1].end
        ),
        ("één\n", 0, 6)
    );
    assert_eq!(passages[1].metadata, r#"{"b":1,"a":[2]}"#);
    assert_eq!(passages[1].title, "Tïtle");
    assert_eq!(index.read_cost(&[ChunkId(1), ChunkId(2)]).unwrap(), 10);
    text.text = "four\n".to_owned();
    let second = put(&index, &text);
    assert_eq!(
        (second.kind, second.chunks, second.generation),
        (PutKind::Replaced, 1, 2)
    );
    assert_ne!(index.stored("d").unwrap().unwrap().hash, stored.hash);
    assert!(
        index.read(&[ChunkId(1)], &never()).is_err(),
        "ids are not reused"
    );
    assert_eq!(
        index.read(&[ChunkId(4)], &never()).unwrap()[0].text,
        "four\n"
    );
    assert_eq!(
        index.delete(&["d".to_owned(), "e".to_owned()]).unwrap(),
        [true, false]
    );
    drop(index);
    let index = open(folder.path(), "a");
    put(&index, &text);
    assert_eq!(
        index.read(&[ChunkId(5)], &never()).unwrap()[0].text,
        "four\n"
    );
    assert_eq!(index.counts().unwrap().generation, 4);
}

#[test]
fn pages_of_ids_keep_to_their_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    for id in ["a/1", "a/2", "a/3", "a0", "a", "b/1", "é/1"] {
        put(&index, &document(id, "", "", "{}"));
    }
    let page = |after, limit| index.document_ids("a/", after, limit).unwrap();
    assert_eq!(page(None, 2), ["a/1", "a/2"]);
    assert_eq!(page(Some("a/2"), 2), ["a/3"]);
    assert!(page(Some("a/3"), 2).is_empty());
    assert_eq!(index.document_ids("", None, 100).unwrap().len(), 7);
    assert_eq!(index.document_ids("é", None, 100).unwrap(), ["é/1"]);
}

#[test]
fn mentions_are_the_longest_titles_and_never_the_document_itself() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    for (id, title) in [
        ("ny", "New York"),
        ("nyc", "New York City"),
        ("hg", "Mercury (element)"),
    ] {
        put(
            &index,
            &document(id, title, &format!("{title} begins\nsecond\n"), "{}"),
        );
    }
    put(
        &index,
        &document(
            "t",
            "Trip",
            "Trip: new YORK-city, then New York; no mercury.\n",
            "{}",
        ),
    );
    let mentioned = |document: &str, kind| {
        let hits = index
            .neighbours(first_chunk(&index, document), kind, 10, None, &never())
            .unwrap();
        places(&index, &hits)
    };
    let place = |d: &str, n| (d.to_owned(), n);
    let mentions = mentioned("t", NeighbourKind::Mention);
    let set = |list: &[(String, u32)]| list.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(
        set(&mentions),
        set(&[place("nyc", 0), place("ny", 0), place("hg", 0)])
    );
    assert_eq!(mentions.len(), 3);
    assert_eq!(mentioned("hg", NeighbourKind::MentionedBy), [place("t", 0)]);
    assert_eq!(
        set(&mentioned("ny", NeighbourKind::MentionedBy)),
        set(&[place("t", 0), place("nyc", 0)])
    );
    assert_eq!(mentioned("ny", NeighbourKind::Next), [place("ny", 1)]);
    let second = ChunkId(first_chunk(&index, "ny").0 + 1);
    let previous = index
        .neighbours(second, NeighbourKind::Previous, 5, None, &never())
        .unwrap();
    assert_eq!(places(&index, &previous), [place("ny", 0)]);
    assert_eq!(previous[0].score, 1.0);
    index.delete(&["nyc".to_owned()]).unwrap();
    assert_eq!(
        set(&mentioned("t", NeighbourKind::Mention)),
        set(&[place("ny", 0), place("hg", 0)])
    );
}

#[test]
fn d_11_writers_of_one_document_come_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    let version = |writer: usize, n: usize| {
        let text = format!("writer{writer} wrote {n}\n").repeat(1 + (writer + n) % 3);
        document("d", &format!("Title {writer} {n}"), &text, "{}")
    };
    let put_all = &|writer| {
        for n in 0..15 {
            put(&index, &version(writer, n));
        }
    };
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || put_all(writer));
        }
    });
    let counts = index.counts().unwrap();
    assert_eq!((counts.documents, counts.generation), (1, 60));
    let last: Vec<Document> = (0..4).map(|writer| version(writer, 14)).collect();
    let text = index.document_text("d").unwrap().unwrap();
    let found = last.iter().find(|document| document.text == text).unwrap();
    assert_eq!(index.documents(None, 2).unwrap()[0].title, found.title);
    assert!(index.check(&never()).unwrap().is_empty());
}
