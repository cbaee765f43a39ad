//! What the question itself finds: by meaning and by words, fused by rank as the host's hybrid search does. The two
//! are asked for apart, so that the question is embedded once and its vector and scores stay at hand.

use crate::note;
use std::collections::HashMap;
use stockade_guest::{ChunkId, Hit, Retrieval};

/// Hits of each search that are fused.
const DEPTH: u32 = 100;

/// Hits by words whose scores are kept.
const WORDS_DEPTH: u32 = 1_000;

/// How much the first ranks count over later ones.
pub(crate) const RANK_CONSTANT: f64 = 60.0;

/// The question's own passages, with what later steps need of the searches.
pub(crate) struct Seeds<V> {
    /// Best first, with their fused scores.
    pub(crate) ranked: Vec<(ChunkId, f64)>,
    /// The question's, unless that was denied.
    pub(crate) vector: Option<V>,
    /// BM25 with the question; none is 0.
    pub(crate) by_words: HashMap<ChunkId, f32>,
}

impl<V> Seeds<V> {
    /// Fails when both searches are denied; notes when one is.
    pub(crate) fn find<R: Retrieval<Vector = V>>(
        question: &str,
        filter: Option<&str>,
        documents: &R,
        degraded: &mut Vec<String>,
    ) -> Result<Self, String> {
        let vector = documents.embed(question);
        let near = match &vector {
            Ok(vector) => documents.search_vector(vector, DEPTH, filter),
            Err(denied) => Err(denied.clone()),
        };
        let words = documents.search_text(question, WORDS_DEPTH, filter);
        let (near, words) = match (near, words) {
            (Err(_), Err(denied)) => {
                return Err(format!("The search was refused: {}.", denied.reason()));
            }
            (Err(denied), Ok(words)) => {
                note(degraded, "Found by words alone", &denied);
                (Vec::new(), words)
            }
            (Ok(near), Err(denied)) => {
                note(degraded, "Found by meaning alone", &denied);
                (near, Vec::new())
            }
            (Ok(near), Ok(words)) => (near, words),
        };
        let first = &words[..words.len().min(DEPTH as usize)];
        Ok(Self {
            ranked: fuse(&[&near, first]),
            vector: vector.ok(),
            by_words: words.iter().map(|hit| (hit.chunk, hit.score)).collect(),
        })
    }
}

/// Reciprocal rank fusion: 1 / (60 + rank from 1), summed over the lists.
fn fuse(lists: &[&[Hit]]) -> Vec<(ChunkId, f64)> {
    let mut sums: HashMap<ChunkId, f64> = HashMap::new();
    for list in lists {
        for (rank, hit) in (1_u32..).zip(*list) {
            *sums.entry(hit.chunk).or_default() += 1.0 / (RANK_CONSTANT + f64::from(rank));
        }
    }
    let mut fused: Vec<(ChunkId, f64)> = sums.into_iter().collect();
    // The host compares these sums in single precision.
    fused.sort_by(|a, b| (b.1 as f32).total_cmp(&(a.1 as f32)).then(a.0.cmp(&b.0)));
    fused
}
