//! What an agent did: each retrieval call with its cost, what it was shown, what it was refused.
//!
//! It grows with the host calls that the policy allows, and no further.

use crate::corpus::ChunkId;
use std::collections::{BTreeMap, HashSet};

/// Hops that are kept, and sentences in `degraded`; further ones are counted there.
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
    /// What it was charged, meter by meter; what a call that was denied had paid for before.
    pub cost: BTreeMap<&'static str, u64>,
    /// Why it was not carried out; `None` where it was.
    pub denied: Option<String>,
}

/// What a ledger says when its agent has ended.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) hops: Vec<Hop>,
    pub(super) degraded: Vec<String>,
    /// Calls that were not carried out, listed or not.
    pub(super) denied: u64,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    hops: Vec<Hop>,
    left_out: usize,
    shown: HashSet<ChunkId>,
    degraded: Vec<String>,
    unsaid: usize,
    denied: u64,
}

impl Ledger {
    pub(super) fn add(&mut self, hop: Hop) {
        if let Some(why) = &hop.denied {
            self.denied += 1;
            self.degrade(format!("{} was denied: {why}", hop.call));
        }
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
        if self.degraded.contains(&reason) {
            return;
        }
        if self.degraded.len() < HOPS_MAX {
            self.degraded.push(reason);
        } else {
            self.unsaid += 1;
        }
    }

    pub(super) fn account(mut self) -> Account {
        let unlisted = [
            (self.left_out, "calls"),
            (self.unsaid, "reasons why the answer may be worse"),
        ];
        for (number, what) in unlisted.into_iter().filter(|(number, _)| *number > 0) {
            let more = format!("{number} further {what} are not listed");
            self.degraded.push(more);
        }
        Account {
            hops: self.hops,
            degraded: self.degraded,
            denied: self.denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(denied: Option<&str>) -> Hop {
        Hop {
            call: "read",
            args: serde_json::Value::Null,
            results: 0,
            cost: BTreeMap::new(),
            denied: denied.map(str::to_owned),
        }
    }

    #[test]
    fn every_denial_counts_and_is_said_once() {
        let mut ledger = Ledger::default();
        for denied in [Some("no such chunk"), None, Some("no such chunk")] {
            ledger.add(hop(denied));
        }
        let account = ledger.account();
        assert_eq!((account.denied, account.hops.len()), (2, 3));
        assert_eq!(account.degraded, ["read was denied: no such chunk"]);
    }

    #[test]
    fn what_is_beyond_the_lists_is_counted() {
        let mut ledger = Ledger::default();
        for number in 0..HOPS_MAX + 7 {
            ledger.add(hop(None));
            ledger.degrade(format!("reason {number}"));
        }
        let account = ledger.account();
        assert_eq!(account.hops.len(), HOPS_MAX);
        let said = &account.degraded[HOPS_MAX..];
        assert_eq!(said[0], "7 further calls are not listed");
        assert!(said[1].starts_with("7 further reasons"), "{said:?}");
    }
}
