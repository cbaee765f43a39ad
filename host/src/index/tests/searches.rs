//! What searches find, and that filters, ties and memory do not change it.

use super::support::{document, open, open_with, put, unit_vector, vector_for};
use crate::corpus::{ChunkId, Filter, Hit, best_first};
use crate::db::Interrupt;
use crate::index::{Index, MatrixCache, NeighbourKind, TextHash};
use crate::statistics::SplitMix64;

const WORDS: [&str; 12] = [
    "river", "stone", "running", "cloud", "the", "of", "lamp", "green", "seven", "music", "winter",
    "glass",
];

fn never() -> Interrupt {
    Interrupt::never()
}

fn ids(hits: &[Hit]) -> Vec<u64> {
    hits.iter().map(|h| h.chunk.0).collect()
}

/// `count` documents of three lines each, some lines equal, metadata of every type.
fn fill(index: &Index, count: u64) {
    let mut random = SplitMix64(7);
    for i in 0..count {
        let mut line = |n: u64| {
            let words = (0..3 + random.below(9)).map(|_| WORDS[random.below(12)]);
            format!("{} {}\n", words.collect::<Vec<_>>().join(" "), n % 5)
        };
        let text: String = (0..3).map(&mut line).collect();
        let lang = ["en", "de", "fr"][i as usize % 3];
        let metadata = match i % 4 {
            0 => format!(r#"{{"lang": "{lang}", "year": {}}}"#, 2000 + i % 20),
            1 => format!(r#"{{"lang": ["{lang}", "xx"], "a\"b": {{"deep": [1]}}, "year": "old"}}"#),
            2 => format!(r#"{{"year": {}.5, "draft": true}}"#, 2000 + i % 20),
            _ => "{}".to_owned(),
        };
        put(
            index,
            &document(
                &format!("src/{i:04}"),
                &format!("Title {i}"),
                &text,
                &metadata,
            ),
        );
    }
}

fn filters() -> Vec<Filter> {
    [
        "{}",
        r#"{"lang": "en"}"#,
        r#"{"lang": {"in": ["de", "xx"]}}"#,
        r#"{"year": {"gte": 2005, "lt": 2012}}"#,
        r#"{"not": {"year": null}}"#,
        r#"{"or": [{"draft": true}, {"a\"b": null, "lang": "fr"}]}"#,
        r#"{"a\"b": 1}"#,
        r#"{"document": {"gte": "src/0010", "lt": "src/0020"}}"#,
        r#"{"title": {"in": ["Title 3", "Title 4"]}, "lang": null}"#,
        r#"{"no such field": 1}"#,
    ]
    .iter()
    .map(|f| Filter::parse(f).unwrap())
    .collect()
}

/// Whether the evaluator itself chooses the chunk's document.
fn chosen(index: &Index, chunk: ChunkId, filter: &Filter) -> bool {
    let passage = &index.read(&[chunk], &never()).unwrap()[0];
    let metadata = serde_json::from_str(&passage.metadata).unwrap();
    filter.matches(&passage.document, &passage.title, &metadata)
}

#[test]
fn an_index_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Index>();
}

#[test]
fn a_filter_never_loses_or_adds_a_passage() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    fill(&index, 60);
    let query = unit_vector(1);
    for filter in filters() {
        let keep = |hits: Vec<Hit>| -> Vec<Hit> {
            hits.into_iter()
                .filter(|h| chosen(&index, h.chunk, &filter))
                .collect()
        };
        let some = Some(&filter);
        let all = index.search_vector(&query, 1_000, None, &never()).unwrap();
        assert_eq!(all.len(), 180);
        assert_eq!(
            index.search_vector(&query, 1_000, some, &never()).unwrap(),
            keep(all)
        );
        let all = index
            .search_text("river stone", 1_000, None, &never())
            .unwrap()
            .hits;
        assert_eq!(
            index
                .search_text("river stone", 1_000, some, &never())
                .unwrap()
                .hits,
            keep(all)
        );
        let one = ChunkId(50);
        let kind = NeighbourKind::Similar;
        let all = index.neighbours(one, kind, 999, None, &never()).unwrap();
        assert_eq!(
            index.neighbours(one, kind, 999, some, &never()).unwrap(),
            keep(all)
        );
    }
}

#[test]
fn vector_search_equals_a_sorted_list_of_all_cosines_and_ties_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    fill(&index, 40);
    put(&index, &document("twin", "", "same\nsame\nsame\n", "{}"));
    let query = vector_for("same\n");
    let all: Vec<ChunkId> = (1..=123).map(ChunkId).collect();
    let scores = index.similarities(&query, &all, &never()).unwrap();
    let pairs = all
        .iter()
        .zip(scores)
        .map(|(&chunk, score)| Hit { chunk, score });
    let mut expected: Vec<Hit> = pairs.collect();
    expected.sort_by(best_first);
    for k in [0, 1, 2, 5, 123, 1_000] {
        let hits = index.search_vector(&query, k, None, &never()).unwrap();
        assert_eq!(hits, expected[..k.min(123)]);
    }
    assert_eq!(ids(&expected[..3]), [121, 122, 123]);
    assert_eq!(index.vector_of(ChunkId(122)).unwrap(), query);
}

#[test]
fn text_scores_equal_those_of_fts5() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    fill(&index, 60);
    index
        .delete(&["src/0003".to_owned(), "src/0033".to_owned()])
        .unwrap();
    let reader = index.database().read(&never()).unwrap();
    let sql = "SELECT rowid, -bm25(fts) FROM fts WHERE fts MATCH ?1 ORDER BY bm25(fts), rowid";
    for (query, fts5) in [
        ("Running  WINTER!", "running OR winter"),
        ("the glass", "the OR glass"),
    ] {
        let mut statement = reader.prepare(sql).unwrap();
        let row = |r: &crate::db::Row<'_>| Ok((r.get::<_, i64>(0)?, r.get::<_, f64>(1)?));
        let expected: Vec<_> = statement
            .query_map([fts5], row)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let found = index.search_text(query, 1_000, None, &never()).unwrap();
        assert!(found.left_out.is_empty());
        assert_eq!(found.hits.len(), expected.len());
        for (hit, (_, score)) in found.hits.iter().zip(&expected) {
            assert!(
                (f64::from(hit.score) - score).abs() < 1e-6,
                "{hit:?} {score}"
            );
            let same = expected
                .iter()
                .find(|(id, _)| *id == hit.chunk.0 as i64)
                .unwrap();
            assert!((f64::from(hit.score) - same.1).abs() < 1e-6);
        }
    }
}

#[test]
fn any_text_is_a_legal_query() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(
        &index,
        &document("d", "T", "one NEAR two AND three\n", "{}"),
    );
    let long = "word ".repeat(100_000);
    let many: String = (0..2_000).map(|i| format!("w{i} ")).collect();
    for query in [
        "",
        " ",
        "\"",
        "'",
        "\"one",
        "one\" OR \"",
        "NEAR(",
        "AND",
        "OR NOT",
        "*",
        "one*",
        "text:one",
        "^one",
        "{",
        "fts",
        "-one",
        "a\0b one",
        "💥",
        "';DROP TABLE chunks;--",
        "%",
        "é\u{301}",
        &long,
        &many,
    ] {
        let found = index.search_text(query, 10, None, &never()).unwrap();
        let finds = ["one", "near", "and", "three"].iter().any(|w| {
            query
                .to_lowercase()
                .split(|c: char| !c.is_alphanumeric())
                .any(|q| q == *w)
        });
        assert_eq!(!found.hits.is_empty(), finds, "{query:.40}");
    }
    assert!(
        !index
            .search_text(&many, 10, None, &never())
            .unwrap()
            .left_out
            .is_empty()
    );
    assert_eq!(index.counts().unwrap().chunks, 1);
}

#[test]
fn vectors_beyond_the_budget_are_read_from_disk_with_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let cache = MatrixCache::new(0);
    let tiny = open_with(folder.path(), "a", "model", &cache);
    fill(&tiny, 50);
    let query = unit_vector(3);
    let streamed = tiny.search_vector(&query, 20, None, &never()).unwrap();
    let hybrid = tiny
        .search_hybrid("river lamp", &query, 20, None, &never())
        .unwrap();
    assert_eq!(cache.bytes(), 0);
    drop(tiny);
    let cache = MatrixCache::new(64 << 20);
    let large = open_with(folder.path(), "a", "model", &cache);
    assert_eq!(
        large.search_vector(&query, 20, None, &never()).unwrap(),
        streamed
    );
    assert_eq!(
        large
            .search_hybrid("river lamp", &query, 20, None, &never())
            .unwrap(),
        hybrid
    );
    assert!(cache.bytes() > 150 * 384 * 4);
    drop(large);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn tenants_share_the_budget_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let cache = MatrixCache::new(300_000);
    let (a, b) = (
        open_with(folder.path(), "a", "model", &cache),
        open_with(folder.path(), "b", "model", &cache),
    );
    fill(&a, 50);
    put(&b, &document("src/0001", "Only here", "river of b\n", "{}"));
    for _ in 0..3 {
        assert_eq!(
            a.search_vector(&unit_vector(1), 1_000, None, &never())
                .unwrap()
                .len(),
            150
        );
        assert_eq!(
            ids(&b
                .search_vector(&unit_vector(1), 1_000, None, &never())
                .unwrap()),
            [1]
        );
        assert!(cache.bytes() <= cache.budget());
    }
    assert_eq!(
        ids(&b.search_text("river", 10, None, &never()).unwrap().hits),
        [1]
    );
    let known = b
        .known_vectors(&[TextHash::of("river of b\n"), TextHash::of("x")])
        .unwrap();
    assert_eq!(
        known[&TextHash::of("river of b\n")],
        vector_for("river of b\n")
    );
    assert_eq!(known.len(), 1);
    assert!(
        a.known_vectors(&[TextHash::of("river of b\n")])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn frequent_terms_are_left_out_beyond_the_budget_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    for (id, lines) in [("large", 0..45_000), ("small", 45_000..51_000)] {
        let text: String = lines.map(|i| format!("the w{} r{i}\n", i % 10)).collect();
        put(&index, &document(id, "", &text, "{}"));
    }
    for _ in 0..2 {
        // 1 + 5,100 + 51,000 rows are more than 50,000.
        let found = index.search_text("The R7 w7?", 5, None, &never()).unwrap();
        assert_eq!(found.left_out, ["The"]);
        assert_eq!(found.hits[0].chunk, ChunkId(8));
    }
    let two = index.search_text("the THE r7", 5, None, &never()).unwrap();
    assert!(two.left_out.is_empty(), "two terms stay, however frequent");
    assert_eq!(two.hits.len(), 5);
    index.delete(&["small".to_owned()]).unwrap();
    let fewer = index.search_text("the r7 w7", 5, None, &never()).unwrap();
    assert!(fewer.left_out.is_empty(), "1 + 4,500 + 45,000 fit");
}

/// The rows that generations hand on equal those that a fresh index reads, through additions that fill
/// blocks and removals that empty them; also when another process's writes leave gaps.
#[test]
fn rows_brought_up_to_date_equal_rows_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let index = open_with(folder.path(), "a", "model", &MatrixCache::new(256 << 20));
    let other = open_with(folder.path(), "a", "model", &MatrixCache::new(0));
    let mut random = SplitMix64(5);
    for step in 0..60 {
        let id = format!("d{}", random.below(6));
        let writer = if step % 10 == 9 { &other } else { &index };
        if random.below(3) == 0 {
            writer.delete(&[id]).unwrap();
        } else {
            let lines = if random.below(8) == 0 {
                4_500
            } else {
                random.below(300)
            };
            let text: String = (0..lines)
                .map(|i| format!("{step} line {}\n", i % 50))
                .collect();
            put(writer, &document(&id, &id, &text, "{}"));
        }
        if random.below(3) > 0 {
            let fresh = open_with(folder.path(), "a", "model", &MatrixCache::new(0));
            assert_same_answers(&index, &fresh, step);
        }
    }
    assert!(index.check(&never()).unwrap().is_empty());
}

fn assert_same_answers(one: &Index, two: &Index, step: u64) {
    let query = unit_vector(step);
    let filter = Filter::parse(r#"{"title": {"in": ["d1", "d2", "d3"]}}"#).unwrap();
    for filter in [None, Some(&filter)] {
        let near = |i: &Index| i.search_vector(&query, 1_000, filter, &never()).unwrap();
        assert_eq!(near(one), near(two));
        let text = |i: &Index| i.search_text("line 7", 1_000, filter, &never()).unwrap();
        assert_eq!(text(one), text(two));
    }
}

#[test]
fn text_hits_with_equal_scores_stand_in_the_order_of_ids() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(
        &index,
        &document("d", "", "zebra one\napple two\nnothing here\n", "{}"),
    );
    for k in [1, 2] {
        let hits = index
            .search_text("apple zebra", k, None, &never())
            .unwrap()
            .hits;
        assert_eq!(ids(&hits), [1, 2][..k]);
    }
}

#[test]
fn searches_beside_writes_see_whole_versions() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    fill(&index, 20);
    let version = |n: usize| document("d", "", &format!("alpha v{n}\n").repeat(1 + n % 4), "{}");
    put(&index, &version(0));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let search = || {
            let mut searches = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) || searches == 0 {
                let hits = index.search_text("alpha", 10, None, &never()).unwrap().hits;
                let ids = ids(&hits);
                let least = *ids.iter().min().unwrap();
                assert_eq!(ids, (least..least + ids.len() as u64).collect::<Vec<_>>());
                let all = index
                    .search_vector(&unit_vector(1), 1_000, None, &never())
                    .unwrap();
                assert!((61..=64).contains(&all.len()), "{}", all.len());
                let found: Vec<ChunkId> = hits.iter().map(|h| h.chunk).collect();
                if let Ok(passages) = index.read(&found, &never()) {
                    let number = passages[0].text.trim().rsplit('v').next();
                    let n: usize = number.unwrap().parse().unwrap();
                    assert_eq!(passages.len(), 1 + n % 4);
                }
                searches += 1;
            }
        };
        let threads = [scope.spawn(search), scope.spawn(search)];
        for n in 1..200 {
            put(&index, &version(n));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
    assert!(index.check(&never()).unwrap().is_empty());
}
