//! Memory for vectors, shared by all indexes of the process under one budget; those not used for
//! longest go first. It does not know what is in a matrix.

use super::rows::Rows;
use super::view::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Keeps the rows of recently searched indexes.
///
/// The budget covers what is kept. A search that has already begun keeps its rows until it ends, even
/// when they have been evicted meanwhile.
#[derive(Debug)]
pub struct MatrixCache {
    budget: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Counts uses; also numbers the indexes.
    clock: u64,
    bytes: usize,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    rows: Arc<Rows>,
    bytes: usize,
    used: u64,
}

impl MatrixCache {
    /// A cache of at most `budget` bytes.
    pub fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            budget,
            kept: Mutex::default(),
        })
    }

    /// The most bytes it keeps.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes it keeps now.
    pub fn bytes(&self) -> usize {
        lock(&self.kept).bytes
    }

    pub(super) fn new_key(&self) -> u64 {
        lock(&self.kept).tick()
    }

    pub(super) fn get(&self, key: u64) -> Option<Arc<Rows>> {
        let mut kept = lock(&self.kept);
        let now = kept.tick();
        let entry = kept.entries.get_mut(&key)?;
        entry.used = now;
        Some(Arc::clone(&entry.rows))
    }

    /// Evicts until `bytes` more fit beside what `key` has. Called before they are allocated.
    pub(super) fn make_room(&self, key: u64, bytes: usize) {
        lock(&self.kept).evict(key, self.budget.saturating_sub(bytes));
    }

    /// Keeps `rows` for `key`, unless they are larger than the budget.
    pub(super) fn keep(&self, key: u64, rows: &Arc<Rows>) {
        let bytes = rows.bytes();
        let mut kept = lock(&self.kept);
        kept.remove(key);
        if bytes <= self.budget {
            kept.evict(key, self.budget - bytes);
            let used = kept.tick();
            kept.bytes += bytes;
            kept.entries.insert(
                key,
                Entry {
                    rows: Arc::clone(rows),
                    bytes,
                    used,
                },
            );
        }
    }

    pub(super) fn remove(&self, key: u64) {
        lock(&self.kept).remove(key);
    }
}

impl Kept {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn remove(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.bytes;
        }
    }

    /// Removes others than `key`, the least recently used first, until at most `target` bytes of others
    /// are kept.
    fn evict(&mut self, key: u64, target: usize) {
        let own = self.entries.get(&key).map_or(0, |e| e.bytes);
        while self.bytes - own > target {
            let others = self.entries.iter().filter(|(k, _)| **k != key);
            let Some((&oldest, _)) = others.min_by_key(|(_, e)| e.used) else {
                return;
            };
            self.remove(oldest);
        }
    }
}
