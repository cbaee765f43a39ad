//! Looks through a copy of a tenant's index: every document whole and findable, nothing else there.
//!
//! Where something is amiss it says so and stops.

use super::world::{Slot, Tenant, Version, full_id, title};
use crate::support::stage::stage;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use stockade::corpus::{ChunkId, Embedding, Filter, TenantId};
use stockade::db::Interrupt;
use stockade::index::{Index, IndexOptions, MatrixCache, NeighbourKind};
use stockade::policy::Policy;
use stockade::task::Kind;

/// Chunks' vectors, by their texts, as the model gives them.
#[derive(Default)]
pub struct Oracle {
    vectors: HashMap<String, Embedding>,
}

/// Versions that are gone whose words are looked for, the latest.
const GONE: usize = 24;

fn never() -> Interrupt {
    Interrupt::never()
}

impl Oracle {
    /// Holds the index in `folder` against `tenant`; the number of the version found for each id.
    pub fn look(&mut self, folder: &Path, name: &str, tenant: &Tenant) -> BTreeMap<u64, u64> {
        let options = IndexOptions {
            model: stage().embedder.model().digest.clone(),
            cache: MatrixCache::new(16 << 20),
        };
        let index = Index::open(folder, &TenantId::new(name).unwrap(), options).unwrap();
        let sound = index.database().integrity_check(&never()).unwrap();
        assert!(sound.is_empty(), "{name}: {sound:?}");
        let sound = index.check(&never()).unwrap();
        assert!(sound.is_empty(), "{name}: {sound:?}");
        let mut ids = index.document_ids("", None, 1_000).unwrap();
        let mut found = BTreeMap::new();
        for (id, slot) in &tenant.slots {
            let full = full_id(*id);
            let at = ids.iter().position(|other| *other == full);
            let version = at.map(|at| version_of(&index, &ids.swap_remove(at)));
            assert!(
                slot.allows(version),
                "{name} {full}: found {version:?}, {slot:#?}"
            );
            if let Some(number) = version {
                self.whole(&index, name, slot, number);
                found.insert(*id, number);
            }
        }
        assert!(ids.is_empty(), "{name}: nobody meant {ids:?}");
        mentions(&index, name, &found);
        for word in tenant.gone.iter().rev().take(GONE) {
            let hits = index.search_text(word, 10, None, &never()).unwrap().hits;
            assert!(hits.is_empty(), "{name}: {word} is gone and found");
        }
        found
    }

    /// A version that is there is there in every table, and found by its word and by its vectors.
    fn whole(&mut self, index: &Index, name: &str, slot: &Slot, number: u64) {
        let candidates = [
            slot.acknowledged.as_ref(),
            slot.meant.as_ref().and_then(Option::as_ref),
        ];
        let version = candidates
            .into_iter()
            .flatten()
            .find(|v| v.number == number)
            .unwrap();
        let (id, what) = (full_id(version.id), format!("{name} {version:?}"));
        assert_eq!(
            index.document_text(&id).unwrap().as_ref(),
            Some(&version.text),
            "{what}"
        );
        let chunks = chunks(index, &id);
        assert!(!chunks.is_empty(), "{what}");
        let mut end = 0;
        for passage in index.read(&chunks, &never()).unwrap() {
            let (from, to) = (passage.start as usize, passage.end as usize);
            assert_eq!(passage.text, version.text[from..to], "{what}");
            assert_eq!(passage.title, title(version.id), "{what}");
            assert!(from <= end, "{what}: a hole before {from}");
            end = to;
            self.found_by_vector(index, passage.chunk, &passage.text, &what);
        }
        assert_eq!(end, version.text.len(), "{what}");
        found_by_word(index, version, &chunks, &what);
    }

    fn found_by_vector(&mut self, index: &Index, chunk: ChunkId, text: &str, what: &str) {
        let stored = index.vector_of(chunk).unwrap();
        let known = self
            .vectors
            .entry(text.to_owned())
            .or_insert_with(|| embed(text));
        let apart = stored
            .values()
            .iter()
            .zip(known.values())
            .map(|(a, b)| (a - b).abs());
        let largest = apart.fold(0.0, f32::max);
        assert!(largest <= 1e-6, "{what}: its vector is {largest} away");
        let near = index.search_vector(&stored, 3, None, &never()).unwrap();
        assert!(
            near.iter().any(|hit| hit.chunk == chunk),
            "{what}: not near itself"
        );
    }
}

fn embed(text: &str) -> Embedding {
    let task = stage().task(Kind::Query, &Policy::shipped("default").unwrap());
    crate::support::stage::wait(stage().embed(&task, text)).unwrap()
}

fn version_of(index: &Index, id: &str) -> u64 {
    let metadata = index.metadata(id).unwrap().unwrap();
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    metadata["version"].as_u64().unwrap()
}

/// A document's chunks in the order of the text.
fn chunks(index: &Index, id: &str) -> Vec<ChunkId> {
    let filter = Filter::parse(&format!(r#"{{"document": "{id}"}}"#)).unwrap();
    let zero = embed_any();
    let hits = index
        .search_vector(&zero, 1_000, Some(&filter), &never())
        .unwrap();
    let mut chunks: Vec<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
    chunks.sort();
    chunks
}

/// Some vector: which one does not matter where all are wanted.
fn embed_any() -> Embedding {
    let mut values = vec![0.0; stockade::corpus::DIMENSIONS];
    values[0] = 1.0;
    Embedding::new(values).unwrap()
}

fn found_by_word(index: &Index, version: &Version, chunks: &[ChunkId], what: &str) {
    let hits = index
        .search_text(&version.word, 10, None, &never())
        .unwrap()
        .hits;
    assert!(!hits.is_empty(), "{what}: not found by its word");
    for hit in hits {
        assert!(
            chunks.contains(&hit.chunk),
            "{what}: its word is elsewhere, too"
        );
    }
}

/// Every text mentions its neighbour's title: found where the neighbour is there.
fn mentions(index: &Index, name: &str, found: &BTreeMap<u64, u64>) {
    for id in found.keys() {
        let first = chunks(index, &full_id(*id))[0];
        let kind = NeighbourKind::Mention;
        let hits = index.neighbours(first, kind, 20, None, &never()).unwrap();
        let hits: Vec<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        let passages = index.read(&hits, &never()).unwrap();
        let other = full_id(id ^ 1);
        let mentioned = passages.iter().any(|passage| passage.document == other);
        let there = found.contains_key(&(id ^ 1));
        assert_eq!(
            mentioned,
            there,
            "{name}: {} mentions {other}",
            full_id(*id)
        );
    }
}
