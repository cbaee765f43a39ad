//! What an agent did: each retrieval call with its cost, what it was shown, what it was refused.
//!
//! It grows with the host calls that the policy allows, and no further.

use crate::corpus::ChunkId;
use std::collections::{BTreeMap, HashSet};

/// Hops that are kept; later ones are counted in `degraded`.
const HOPS_MAX: usize = 1_000;

/// One retrieval call of an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// The function's name.
    pub call: &'static str,
    /// Its arguments, shortened for people.
    pub args: serde_json::Value,
    /// How many results it gave.
    pub results: usize,
    /// What it was charged, meter by meter; empty when it was refused.
    pub cost: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    hops: Vec<Hop>,
    left_out: usize,
    shown: HashSet<ChunkId>,
    degraded: Vec<String>,
}

impl Ledger {
    pub(super) fn add(&mut self, hop: Hop) {
        if self.hops.len() < HOPS_MAX {
            self.hops.push(hop);
        } else {
            self.left_out += 1;
        }
    }

    /// Remembers chunks that the agent may cite.
    pub(super) fn show(&mut self, chunks: impl Iterator<Item = ChunkId>) {
        self.shown.extend(chunks);
    }

    pub(super) fn was_shown(&self, chunk: ChunkId) -> bool {
        self.shown.contains(&chunk)
    }

    /// Notes that the answer may be worse than it could be, once for each reason.
    pub(super) fn degrade(&mut self, reason: String) {
        if self.degraded.len() < HOPS_MAX && !self.degraded.contains(&reason) {
            self.degraded.push(reason);
        }
    }

    pub(super) fn into_parts(mut self) -> (Vec<Hop>, Vec<String>) {
        if self.left_out > 0 {
            let more = format!("{} further calls are not listed", self.left_out);
            self.degraded.push(more);
        }
        (self.hops, self.degraded)
    }
}
