//! What an index refuses, and that a refusal changes nothing.

use super::support::{
    document, open, open_with, put, put_within, try_put, unit_vector, vector_for,
};
use crate::corpus::{ChunkId, TenantId};
use crate::db::{DbError, Interrupt};
use crate::error::Explain;
use crate::index::{
    Index, IndexError, IndexOptions, MAX_HITS, MatrixCache, NeighbourKind, PutKind,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

fn never() -> Interrupt {
    Interrupt::never()
}

fn reopen(folder: &Path, tenant: &str) -> Result<Index, IndexError> {
    let options = IndexOptions {
        model: "model".to_owned(),
        cache: MatrixCache::new(1 << 20),
    };
    Index::open(folder, &TenantId::new(tenant).unwrap(), options)
}

#[test]
fn another_tenant_s_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), "a"));
    let error = reopen(&folder.path().join("a"), "b").unwrap_err();
    assert!(
        matches!(&error, IndexError::OtherTenant { found, .. } if found == "a"),
        "{error}"
    );
    assert!(reopen(&folder.path().join("a"), "a").is_ok());
}

#[test]
fn a_damaged_file_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    for i in 0..30 {
        put(
            &index,
            &document(&format!("{i}"), "T", &"some text\n".repeat(20), "{}"),
        );
    }
    drop(index);
    let file = folder.path().join("a/index.db");
    let whole = std::fs::read(&file).unwrap();
    let mut junk = whole.clone();
    junk[..4_096].fill(0xff);
    let mut holes = whole.clone();
    holes[8_192..].fill(0x55);
    for damaged in [&junk[..], &holes[..], &whole[..whole.len() / 3]] {
        std::fs::write(&file, damaged).unwrap();
        let used = reopen(&folder.path().join("a"), "a").and_then(|index| {
            index.search_vector(&unit_vector(1), 5, None, &never())?;
            index.search_text("text", 5, None, &never()).map(|_| ())
        });
        let error = used.unwrap_err();
        assert_eq!(error.code(), "storage-corrupt", "{error}");
        assert!(error.hint().is_some());
    }
    std::fs::write(&file, whole).unwrap();
    assert_eq!(
        reopen(&folder.path().join("a"), "a")
            .unwrap()
            .counts()
            .unwrap()
            .chunks,
        600
    );
}

#[test]
fn a_put_that_finds_no_space_leaves_the_old_version_and_later_ones_work() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(&index, &document("d", "Old", "old words\n", "{}"));
    let before = index
        .search_vector(&vector_for("old words\n"), 1, None, &never())
        .unwrap();
    let full = index.database().bytes_on_disk() + 100_000;
    index.database().limit_bytes(Some(full)).unwrap();
    let large: String = (0..500).map(|i| format!("new line {i}\n")).collect();
    for _ in 0..2 {
        let error = try_put(&index, &document("d", "New", &large, "{}")).unwrap_err();
        assert!(
            matches!(error, IndexError::Storage(DbError::Full(_))),
            "{error}"
        );
        let now = index
            .search_vector(&vector_for("old words\n"), 1, None, &never())
            .unwrap();
        assert_eq!(now, before);
        assert!(
            index
                .search_text("new", 5, None, &never())
                .unwrap()
                .hits
                .is_empty()
        );
    }
    put(&index, &document("small", "", "fits\n", "{}"));
    index.database().limit_bytes(None).unwrap();
    put(&index, &document("d", "New", &large, "{}"));
    assert!(
        index
            .search_text("old", 5, None, &never())
            .unwrap()
            .hits
            .is_empty()
    );
    assert_eq!(
        index
            .search_text("new", 1_000, None, &never())
            .unwrap()
            .hits
            .len(),
        500
    );
    let near = index
        .search_vector(&vector_for("old words\n"), 1_000, None, &never())
        .unwrap();
    assert_eq!(near.len(), 501);
    assert!(near.iter().all(|hit| hit.chunk != before[0].chunk));
}

#[test]
fn vectors_of_two_models_are_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let cache = MatrixCache::new(1 << 20);
    let old = open_with(folder.path(), "a", "old model", &cache);
    put(&old, &document("1", "", "one\n", "{}"));
    put(&old, &document("2", "", "two\n", "{}"));
    drop(old);
    let index = open_with(folder.path(), "a", "new model", &cache);
    let vector = unit_vector(1);
    for left in [2, 1] {
        assert_eq!(index.counts().unwrap().other_model, left);
        let error = index.search_vector(&vector, 5, None, &never()).unwrap_err();
        assert!(matches!(error, IndexError::OtherModel { documents } if documents == left));
        assert!(
            index
                .search_hybrid("one", &vector, 5, None, &never())
                .is_err()
        );
        assert!(index.vector_of(ChunkId(2)).is_err());
        let known = index
            .known_vectors(&[crate::index::TextHash::of("two\n")])
            .unwrap();
        assert!(known.is_empty());
        assert_eq!(
            index
                .search_text("one", 5, None, &never())
                .unwrap()
                .hits
                .len(),
            1
        );
        put(&index, &document(&left.to_string(), "", "again\n", "{}"));
    }
    assert_eq!(
        index
            .search_vector(&vector, 5, None, &never())
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn unknown_chunks_and_too_much_at_once_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(&index, &document("d", "", "one\ntwo\n", "{}"));
    let vector = unit_vector(1);
    for id in [0, 3, u64::MAX, i64::MAX as u64 + 1] {
        let unknown = [ChunkId(1), ChunkId(id)];
        let next = NeighbourKind::Next;
        for error in [
            index.read(&unknown, &never()).unwrap_err(),
            index.read_cost(&unknown).unwrap_err(),
            index.similarities(&vector, &unknown, &never()).unwrap_err(),
            index.vector_of(ChunkId(id)).unwrap_err(),
            index
                .neighbours(ChunkId(id), next, 1, None, &never())
                .unwrap_err(),
        ] {
            assert!(
                matches!(error, IndexError::UnknownChunk(ChunkId(i)) if i == id),
                "{error}"
            );
        }
    }
    let many = MAX_HITS + 1;
    assert!(index.search_vector(&vector, many, None, &never()).is_err());
    assert!(index.search_text("one", many, None, &never()).is_err());
    assert!(
        index
            .search_hybrid("one", &vector, many, None, &never())
            .is_err()
    );
    assert!(
        index
            .neighbours(ChunkId(1), NeighbourKind::Similar, many, None, &never())
            .is_err()
    );
    assert!(index.read(&[ChunkId(1); 20_000], &never()).is_err());
}

#[test]
fn an_interrupt_ends_every_search_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = MatrixCache::new(64 << 20);
    let index = open_with(folder.path(), "a", "model", &cache);
    let text: String = (0..5_000)
        .map(|i| format!("common words in line {i}\n"))
        .collect();
    put(&index, &document("d", "Common words", &text, "{}"));
    put(&index, &document("e", "Line", &text, "{}"));
    let vector = unit_vector(1);
    let expected = index
        .search_hybrid("common line 7", &vector, 10, None, &never())
        .unwrap();
    type Search<'a> = &'a dyn Fn(&Interrupt) -> Result<(), IndexError>;
    let searches: [Search<'_>; 4] = [
        &|i| index.search_vector(&vector, 10, None, i).map(drop),
        &|i| {
            index
                .search_text("common words line", 10, None, i)
                .map(drop)
        },
        &|i| {
            index
                .neighbours(ChunkId(1), NeighbourKind::MentionedBy, 5, None, i)
                .map(drop)
        },
        &|i| index.read(&vec![ChunkId(1); 3_000], i).map(drop),
    ];
    for search in searches {
        for looks in [0, 1, 3] {
            let left = Arc::new(AtomicUsize::new(looks));
            let over = move || {
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                    .is_err()
            };
            let result = search(&Interrupt::new(over));
            assert!(
                matches!(result, Err(IndexError::Interrupted)),
                "{looks} {result:?}"
            );
        }
    }
    let after = index
        .search_hybrid("common line 7", &vector, 10, None, &never())
        .unwrap();
    assert_eq!(after, expected);
}

#[test]
fn of_several_versions_in_one_transaction_all_are_stored_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    let small = |id: &str| document(id, "", &format!("words of {id}\n"), "{}");
    let large: String = (0..500).map(|i| format!("new line {i}\n")).collect();
    let large = document("large", "", &large, "{}");
    let full = index.database().bytes_on_disk() + 100_000;
    index.database().limit_bytes(Some(full)).unwrap();
    let refused = put_within(&index, &[small("a"), large.clone(), small("b")], 9);
    assert!(refused.unwrap_err().is_full());
    assert_eq!(index.counts().unwrap().documents, 0);
    index.database().limit_bytes(None).unwrap();
    // The third document is one too many; another version of the first is not.
    let versions = [small("a"), large, small("b"), small("a")];
    let puts = put_within(&index, &versions, 2).unwrap();
    let kinds: Vec<_> = puts.iter().map(|put| put.map(|put| put.kind)).collect();
    let (added, replaced) = (Some(PutKind::Added), Some(PutKind::Replaced));
    assert_eq!(kinds, [added, added, None, replaced]);
    let counts = index.counts().unwrap();
    assert_eq!((counts.documents, counts.generation), (2, 1));
    let near = index.search_vector(&vector_for("words of a\n"), 1_000, None, &never());
    assert_eq!(near.unwrap().len(), 501);
}

#[test]
fn an_index_whose_place_another_has_taken_stores_nothing_and_says_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "a");
    put(&index, &document("d", "", "words\n", "{}"));
    let adding = index.adding();
    index.retire();
    drop(adding);
    let put = try_put(&index, &document("e", "", "words\n", "{}"));
    assert!(matches!(put, Err(IndexError::Retired)));
    let delete = index.delete(&["d".to_owned()]);
    assert!(matches!(delete, Err(IndexError::Retired)));
    assert!(matches!(index.stored("d"), Err(IndexError::Retired)));
}
