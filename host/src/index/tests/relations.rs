//! Neighbours of popular titles, and filters of any form, against what is stored.

use super::support::{document, open, put, unit_vector};
use crate::corpus::{ChunkId, Filter, Hit};
use crate::db::Interrupt;
use crate::index::{Index, NeighbourKind};
use crate::statistics::SplitMix64;

fn never() -> Interrupt {
    Interrupt::never()
}

/// Of a title that very many chunks mention, the shortest of them are found, however many there are.
#[test]
fn a_popular_title_is_found_in_the_shortest_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(
        &index,
        &document(
            "star",
            "Quorble Zander Mimsy Borogove",
            "It shines.\n",
            "{}",
        ),
    );
    let line =
        |n| format!("line {n} of many that say little names Quorble Zander Mimsy Borogove\n");
    let long: String = (0..700).map(line).collect();
    put(&index, &document("many", "", &long, "{}"));
    let short = "See quorble-zander, mimsy borogove!\n";
    put(&index, &document("short", "", short, "{}"));
    // Enough that says nothing of it: a title that is everywhere would not be telling.
    let plain: String = (0..3_000).map(|n| format!("line {n} is plain\n")).collect();
    put(&index, &document("plain", "", &plain, "{}"));
    let hits = index
        .neighbours(
            ChunkId(1),
            NeighbourKind::MentionedBy,
            1_000,
            None,
            &never(),
        )
        .unwrap();
    assert_eq!(hits[0].chunk, ChunkId(702));
    assert!((2..=600).contains(&hits.len()), "{}", hits.len());
    let only = Filter::parse(r#"{"document": "short"}"#).unwrap();
    let hits = index
        .neighbours(
            ChunkId(1),
            NeighbourKind::MentionedBy,
            5,
            Some(&only),
            &never(),
        )
        .unwrap();
    assert_eq!(hits.len(), 1, "the filter comes before the bound");
}

/// A text that is nothing but titles, and titles that begin alike.
#[test]
fn a_text_full_of_titles_has_as_many_neighbours_as_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    let title = |n: u64| format!("Aa Bb {}", "Cc ".repeat((n % 14) as usize) + &n.to_string());
    for n in 0..400 {
        put(
            &index,
            &document(&format!("d{n}"), &title(n), "A line.\n", "{}"),
        );
    }
    let text: String = (0..400).map(|n| title(n) + ", ").collect();
    put(
        &index,
        &document("all", "All Of Them", &(text + "\n"), "{}"),
    );
    for k in [0, 1, 7, 100] {
        let hits = index
            .neighbours(ChunkId(401), NeighbourKind::Mention, k, None, &never())
            .unwrap();
        assert_eq!(hits.len(), k);
    }
}

/// Any filter over the fields that [`fill`] writes, and some that nobody has.
fn any_filter(random: &mut SplitMix64, depth: u64) -> String {
    let field = ["n", "tag", "list", "flag", "none", "document", "title"];
    let field = field[random.below(7)];
    let value = |random: &mut SplitMix64| match random.below(5) {
        0 => format!("{}", random.below(6)),
        1 => format!("\"t{}\"", random.below(4)),
        2 => "true".to_owned(),
        3 => format!("\"d{}\"", random.below(40)),
        _ => format!("{}.5", random.below(6)),
    };
    let below = |random: &mut SplitMix64| any_filter(random, depth.saturating_sub(1));
    match random.below(if depth == 0 { 4 } else { 7 }) {
        0 | 1 => format!("{{\"{field}\": {}}}", value(random)),
        2 => format!(
            "{{\"{field}\": {{\"gte\": {}, \"lt\": {}}}}}",
            random.below(4),
            2 + random.below(5)
        ),
        3 => format!(
            "{{\"{field}\": {{\"in\": [{}, {}]}}}}",
            value(random),
            value(random)
        ),
        4 => format!("{{\"and\": [{}, {}]}}", below(random), below(random)),
        5 => format!("{{\"or\": [{}, {}]}}", below(random), below(random)),
        _ => format!("{{\"not\": {}}}", below(random)),
    }
}

fn fill(index: &Index, random: &mut SplitMix64) {
    for n in 0..40 {
        let metadata = match random.below(4) {
            0 => format!(
                r#"{{"n": {}, "tag": "t{}"}}"#,
                random.below(6),
                random.below(4)
            ),
            1 => format!(r#"{{"n": {}.5, "flag": true}}"#, random.below(6)),
            2 => format!(
                r#"{{"list": ["t{}", {}], "n": "x"}}"#,
                random.below(4),
                random.below(6)
            ),
            _ => "{}".to_owned(),
        };
        let text = format!("stone river {n}\nriver lamp {}\n", random.below(9));
        put(
            index,
            &document(&format!("d{n}"), &format!("Title {n}"), &text, &metadata),
        );
    }
}

#[test]
fn no_filter_loses_or_adds_a_passage_in_any_search() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    let mut random = SplitMix64(11);
    fill(&index, &mut random);
    let (query, mut chose) = (unit_vector(1), 0);
    for _ in 0..400 {
        let json = any_filter(&mut random, 3);
        let Ok(filter) = Filter::parse(&json) else {
            continue;
        };
        let chosen = |hit: &Hit| {
            let passage = &index.read(&[hit.chunk], &never()).unwrap()[0];
            let metadata = serde_json::from_str(&passage.metadata).unwrap();
            filter.matches(&passage.document, &passage.title, &metadata)
        };
        let near = |filter: Option<&Filter>| {
            index
                .search_vector(&query, 1_000, filter, &never())
                .unwrap()
        };
        let words = |filter: Option<&Filter>| {
            index
                .search_text("river", 1_000, filter, &never())
                .unwrap()
                .hits
        };
        let alike = |filter: Option<&Filter>| {
            let kind = NeighbourKind::Similar;
            index
                .neighbours(ChunkId(9), kind, 999, filter, &never())
                .unwrap()
        };
        type Search<'a> = &'a dyn Fn(Option<&Filter>) -> Vec<Hit>;
        let searches: [Search<'_>; 3] = [&near, &words, &alike];
        for search in searches {
            let mut expected = search(None);
            expected.retain(chosen);
            assert_eq!(search(Some(&filter)), expected, "{json}");
        }
        chose += usize::from((1..80).contains(&near(Some(&filter)).len()));
    }
    assert!(chose > 60, "filters that choose some: {chose}");
}
