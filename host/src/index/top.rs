//! The best k of many hits, in the memory of k.

use crate::corpus::{ChunkId, Hit, best_first};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Keeps the best `k` hits that it is shown, ties by chunk id.
#[derive(Debug)]
pub(super) struct Top {
    k: usize,
    heap: BinaryHeap<Ranked>,
}

/// The heap's greatest is the worst hit.
#[derive(Debug)]
struct Ranked(Hit);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        best_first(&self.0, &other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

impl Top {
    pub(super) fn new(k: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::with_capacity(k + 1),
        }
    }

    /// Whether a hit with this score could get in: cheaper than `push`.
    pub(super) fn wants(&self, score: f32) -> bool {
        self.heap.len() < self.k || self.heap.peek().is_some_and(|worst| score >= worst.0.score)
    }

    pub(super) fn push(&mut self, chunk: u64, score: f32) {
        self.heap.push(Ranked(Hit {
            chunk: ChunkId(chunk),
            score,
        }));
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    /// Best first.
    pub(super) fn into_hits(self) -> Vec<Hit> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|ranked| ranked.0)
            .collect()
    }
}
