//! Search by vector and by text at once, fused by rank.

use super::Index;
use super::error::IndexError;
use super::text::TextHits;
use super::view::check_k;
use crate::corpus::{ChunkId, Embedding, Filter, Hit, best_first};
use crate::db::Interrupt;
use std::collections::HashMap;

/// How much the first ranks count over later ones, as in the paper.
const RANK_CONSTANT: f64 = 60.0;

/// Hits of each search that are fused.
const DEPTH: usize = 100;

/// Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009): a chunk's score is the sum, over
/// the lists that have it, of 1 / (60 + its rank there, from 1). The best `k`, ties by id.
pub fn fuse(lists: &[&[Hit]], k: usize) -> Vec<Hit> {
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
    let mut hits: Vec<Hit> = fused.collect();
    hits.sort_unstable_by(best_first);
    hits.truncate(k);
    hits
}

impl Index {
    /// Both searches on one state of the index, each 100 deep (or `k`), fused by [`fuse`]. `vector` is
    /// the embedding of `query`. `k` is at most [`super::MAX_HITS`].
    pub fn search_hybrid(
        &self,
        query: &str,
        vector: &Embedding,
        k: usize,
        filter: Option<&Filter>,
        interrupt: &Interrupt,
    ) -> Result<TextHits, IndexError> {
        let depth = check_k(k)?.max(DEPTH);
        let view = self.view(interrupt)?;
        let scope = view.scope(filter)?;
        let near = view.nearest(vector, depth, &scope)?;
        let TextHits { hits, left_out } = view.matching(query, depth, &scope)?;
        Ok(TextHits {
            hits: fuse(&[&near, &hits], k),
            left_out,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[u64]) -> Vec<Hit> {
        ids.iter()
            .map(|&id| Hit {
                chunk: ChunkId(id),
                score: 0.0,
            })
            .collect()
    }

    #[test]
    fn fusion_adds_reciprocal_ranks_and_breaks_ties_by_id() {
        let fused = fuse(&[&list(&[3, 1, 2]), &list(&[1, 4])], 10);
        let ids: Vec<u64> = fused.iter().map(|h| h.chunk.0).collect();
        assert_eq!(ids, [1, 3, 4, 2]);
        assert!((fused[0].score - (1.0 / 62.0 + 1.0 / 61.0)).abs() < 1e-7);
        assert!((fused[1].score - 1.0 / 61.0).abs() < 1e-7);
        let tied = fuse(&[&list(&[7, 8]), &list(&[8, 7])], 1);
        assert_eq!(tied[0].chunk.0, 7);
        assert!(fuse(&[], 3).is_empty());
    }
}
