//! Documents in memory and the searches over them: BM25, and vectors that count words. A vector here is no
//! model's: texts are near where they share words, and nowhere else. It knows no budgets.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::filter::Subject;
use super::words::stems;
use crate::{Chunk, ChunkId, Document, Hit, Passage};

/// Numbers of a vector.
const DIMENSIONS: usize = 256;
/// BM25, as the host has it.
const K1: f64 = 1.2;
const B: f64 = 0.75;
/// Reciprocal rank fusion, as the host has it.
const RANK_CONSTANT: f64 = 60.0;

/// A document with its chunks, as a test writes it down.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) metadata: Map<String, Value>,
    pub(super) chunks: Vec<Chunk>,
}

impl Stored {
    /// A document of these chunks; its text is theirs with an empty line between. An empty title is none.
    pub fn new(id: &str, title: &str, chunks: &[&str]) -> Self {
        let mut text = String::new();
        let mut spans = Vec::new();
        for chunk in chunks {
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            let start = text.len();
            text.push_str(chunk);
            spans.push(Chunk::new(start..text.len()));
        }
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            text,
            metadata: Map::new(),
            chunks: spans,
        }
    }

    /// A document as a chunker cut it.
    pub fn cut(document: &Document, chunks: Vec<Chunk>) -> Self {
        Self {
            id: document.id.clone(),
            title: document.title.clone(),
            text: document.text.clone(),
            metadata: Map::new(),
            chunks,
        }
    }

    /// The same with this metadata, a JSON object. Panics where it is none.
    #[must_use]
    pub fn metadata(mut self, json: &str) -> Self {
        match serde_json::from_str(json) {
            Ok(metadata) => self.metadata = metadata,
            Err(error) => panic!("the metadata of {} is no JSON object: {error}", self.id),
        }
        self
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            document: &self.id,
            title: &self.title,
            metadata: &self.metadata,
        }
    }
}

/// A text as numbers: a hash of each of its words counted, length 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Vec<f32>);

impl Vector {
    pub(super) fn of(text: &str) -> Self {
        let mut numbers = vec![0.0_f32; DIMENSIONS];
        for stem in stems(text) {
            let hash = hash(&stem);
            let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
            numbers[(hash >> 1) as usize % DIMENSIONS] += sign;
        }
        let length = numbers.iter().map(|n| n * n).sum::<f32>().sqrt();
        if length > 0.0 {
            numbers.iter_mut().for_each(|n| *n /= length);
        } else {
            // A text without words is near to no other.
            numbers[0] = 1.0;
        }
        Self(numbers)
    }

    pub(super) fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// FNV-1a: the same on every machine and in every run.
fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A chunk with what searches need of it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: ChunkId,
    /// Place of its document in the corpus.
    pub(super) document: usize,
    /// Its place in the document, from 0.
    pub(super) ordinal: usize,
    pub(super) text: String,
    pub(super) vector: Vector,
    counts: HashMap<String, u32>,
    length: u32,
}

/// All documents and their chunks. Ids of chunks begin with 1 and follow the order of adding.
#[derive(Clone, Debug, Default)]
pub(super) struct Corpus {
    pub(super) documents: Vec<Stored>,
    pub(super) rows: Vec<Row>,
}

impl Corpus {
    pub(super) fn add(&mut self, stored: Stored) {
        if self.documents.iter().any(|other| other.id == stored.id) {
            panic!("the document {} is added twice", stored.id);
        }
        for (ordinal, chunk) in stored.chunks.iter().enumerate() {
            let Some(text) = stored.text.get(chunk.span()) else {
                let span = chunk.span();
                panic!("{} has no bytes {} to {}", stored.id, span.start, span.end);
            };
            let mut counts = HashMap::new();
            stems(text).for_each(|stem| *counts.entry(stem).or_default() += 1);
            self.rows.push(Row {
                id: self.rows.len() as ChunkId + 1,
                document: self.documents.len(),
                ordinal,
                text: text.to_owned(),
                vector: Vector::of(text),
                length: counts.values().sum(),
                counts,
            });
        }
        self.documents.push(stored);
    }

    pub(super) fn row(&self, chunk: ChunkId) -> Option<&Row> {
        let at = usize::try_from(chunk.checked_sub(1)?).ok()?;
        self.rows.get(at)
    }

    pub(super) fn passage(&self, row: &Row) -> Passage {
        let document = &self.documents[row.document];
        let chunk = &document.chunks[row.ordinal];
        Passage {
            chunk: row.id,
            document: document.id.clone(),
            title: document.title.clone(),
            text: row.text.clone(),
            start: chunk.start,
            end: chunk.end,
            ordinal: u32::try_from(row.ordinal).unwrap_or(u32::MAX),
            labels: chunk.labels.clone(),
            metadata: Value::Object(document.metadata.clone()).to_string(),
        }
    }

    /// The `k` nearest chunks among those that `scope` lets through, best first, ties by id.
    pub(super) fn nearest(
        &self,
        vector: &Vector,
        k: usize,
        scope: impl Fn(&Row) -> bool,
    ) -> Vec<Hit> {
        let hit = |row: &Row| Hit {
            chunk: row.id,
            score: row.vector.cosine(vector),
        };
        let rows = self.rows.iter().filter(|row| scope(row));
        best(rows.map(hit).collect(), k)
    }

    /// The `k` best chunks by BM25 over any of the words of `query`.
    pub(super) fn matching(&self, query: &str, k: usize, scope: impl Fn(&Row) -> bool) -> Vec<Hit> {
        let mut terms: Vec<String> = stems(query).collect();
        terms.sort_unstable();
        terms.dedup();
        let average = self.average_length();
        let mut hits = Vec::new();
        for row in self.rows.iter().filter(|row| scope(row)) {
            let share = |term: &String| {
                let count = *row.counts.get(term)?;
                Some(self.weight(term) * saturation(count, row.length, average))
            };
            let shares: Vec<f64> = terms.iter().filter_map(share).collect();
            if !shares.is_empty() {
                hits.push(Hit {
                    chunk: row.id,
                    score: shares.iter().sum::<f64>() as f32,
                });
            }
        }
        best(hits, k)
    }

    pub(super) fn average_length(&self) -> f64 {
        let words: u32 = self.rows.iter().map(|row| row.length).sum();
        f64::from(words) / (self.rows.len().max(1) as f64)
    }

    /// How many chunks have this stem.
    pub(super) fn chunks_with(&self, stem: &str) -> usize {
        let has = |row: &&Row| row.counts.contains_key(stem);
        self.rows.iter().filter(has).count()
    }

    fn weight(&self, stem: &str) -> f64 {
        let (with, all) = (self.chunks_with(stem) as f64, self.rows.len() as f64);
        ((all - with + 0.5) / (with + 0.5)).ln().max(1e-6)
    }
}

impl Row {
    pub(super) fn length(&self) -> u32 {
        self.length
    }
}

/// BM25 of how often a chunk has a term, without the term's weight.
pub(super) fn saturation(count: u32, length: u32, average: f64) -> f64 {
    let (count, length) = (f64::from(count), f64::from(length) / average.max(1.0));
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))
}

/// Each list's ranks as 1 / (60 + rank from 1), added up.
pub(super) fn fuse(lists: &[&[Hit]], k: usize) -> Vec<Hit> {
    let mut sums: HashMap<ChunkId, f64> = HashMap::new();
    for list in lists {
        for (rank, hit) in (1_u32..).zip(*list) {
            *sums.entry(hit.chunk).or_default() += 1.0 / (RANK_CONSTANT + f64::from(rank));
        }
    }
    let fused = sums.into_iter().map(|(chunk, sum)| Hit {
        chunk,
        score: sum as f32,
    });
    best(fused.collect(), k)
}

/// Best first, ties by id, at most `k`.
pub(super) fn best(mut hits: Vec<Hit>, k: usize) -> Vec<Hit> {
    hits.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| a.chunk.cmp(&b.chunk))
    });
    hits.truncate(k);
    hits
}
