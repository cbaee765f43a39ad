//! The chunks of an index as searches see them: ids, documents, lengths and, where the cache's budget
//! allows, vectors, in contiguous blocks in the order of ids.
//!
//! Rows never change; those of the next generation share all blocks that it did not touch. This
//! file does not know when a new generation is due.

use super::error::IndexError;
use super::vector::{decode_into, read_vectors};
use crate::corpus::DIMENSIONS;
use crate::db::{Connection, Interrupt, ValueRef};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a full block: 3 MiB of vectors, copied when a write falls into it.
pub(super) const BLOCK_ROWS: usize = 2_048;

/// How many generations back rows can be brought up to date without reading all again.
const CHANGES_KEPT: usize = 1_024;

/// What one row takes besides its vector.
const ROW_BYTES: usize = 8 + 8 + 4;

/// Consecutive chunks.
#[derive(Debug, Clone, Default)]
pub(super) struct Block {
    pub(super) ids: Vec<u64>,
    /// Numbers of their documents' versions.
    pub(super) documents: Vec<u64>,
    /// Their lengths for BM25.
    pub(super) words: Vec<u32>,
    /// Row-major; empty when the vectors stay on disk.
    pub(super) vectors: Vec<f32>,
}

/// All chunks of one generation.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) generation: i64,
    /// Not empty, each.
    pub(super) blocks: Vec<Arc<Block>>,
    /// The position of each block's first row.
    starts: Vec<usize>,
    pub(super) len: usize,
    /// Sum of all lengths.
    pub(super) words: u64,
    /// Whether the blocks have vectors.
    pub(super) in_memory: bool,
}

/// Chunk ids `[first, end)` that are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) first: i64,
    pub(super) end: i64,
}

/// What the latest generations removed. What they added is found by its higher ids.
#[derive(Debug, Default)]
pub(super) struct Changes {
    recent: VecDeque<(i64, Vec<Removed>)>,
}

impl Changes {
    /// Noted before `generation` is committed. Should the commit fail, the next one takes its number
    /// and its place.
    pub(super) fn note(&mut self, generation: i64, mut removed: Vec<Removed>) {
        // A document without chunks: beside the next one's range it would be out of order.
        removed.retain(|range| range.first < range.end);
        while self
            .recent
            .back()
            .is_some_and(|(last, _)| *last >= generation)
        {
            self.recent.pop_back();
        }
        if self.recent.len() == CHANGES_KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back((generation, removed));
    }

    /// All that was removed after generation `from`, up to and with `to`; `None` when this process does
    /// not know all of these generations.
    pub(super) fn between(&self, from: i64, to: i64) -> Option<Vec<Removed>> {
        let wanted = self.recent.iter().filter(|(g, _)| *g > from && *g <= to);
        let mut removed = Vec::new();
        let mut known = 0;
        for (_, ranges) in wanted {
            removed.extend_from_slice(ranges);
            known += 1;
        }
        removed.sort_unstable_by_key(|r| r.first);
        (known == to - from).then_some(removed)
    }
}

impl Rows {
    /// Memory that `rows` chunks take.
    pub(super) fn bytes_of(rows: usize, in_memory: bool) -> usize {
        rows * (ROW_BYTES + if in_memory { DIMENSIONS * 4 } else { 0 })
    }

    pub(super) fn bytes(&self) -> usize {
        Self::bytes_of(self.len, self.in_memory)
    }

    /// Reads everything.
    pub(super) fn load(
        connection: &Connection,
        generation: i64,
        in_memory: bool,
        interrupt: &Interrupt,
    ) -> Result<Self, IndexError> {
        let mut blocks = Vec::new();
        append(connection, &mut blocks, 0, in_memory, interrupt)?;
        Ok(Self::of(blocks, generation, in_memory))
    }

    /// The rows of a later generation: without `removed`, with what has higher ids than there were.
    pub(super) fn advance(
        &self,
        connection: &Connection,
        generation: i64,
        removed: &[Removed],
        interrupt: &Interrupt,
    ) -> Result<Self, IndexError> {
        let last = self
            .blocks
            .last()
            .and_then(|b| b.ids.last().copied())
            .unwrap_or(0);
        let mut blocks = Vec::with_capacity(self.blocks.len() + 1);
        for block in &self.blocks {
            match block.without(removed) {
                None => blocks.push(Arc::clone(block)),
                Some(rest) if rest.ids.is_empty() => {}
                Some(rest) => blocks.push(Arc::new(rest)),
            }
        }
        append(connection, &mut blocks, last, self.in_memory, interrupt)?;
        Ok(Self::of(blocks, generation, self.in_memory))
    }

    fn of(blocks: Vec<Arc<Block>>, generation: i64, in_memory: bool) -> Self {
        let mut starts = Vec::with_capacity(blocks.len());
        let (mut len, mut words) = (0, 0);
        for block in &blocks {
            starts.push(len);
            len += block.ids.len();
            words += block.words.iter().map(|w| u64::from(*w)).sum::<u64>();
        }
        Self {
            generation,
            blocks,
            starts,
            len,
            words,
            in_memory,
        }
    }

    /// Whether removals have left so many small blocks that reading all again is better.
    pub(super) fn is_fragmented(&self) -> bool {
        self.blocks.len() > 2 * self.len.div_ceil(BLOCK_ROWS) + 8
    }

    /// The position of chunk `id` among all rows.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        let block = self
            .blocks
            .partition_point(|b| b.ids[0] <= id)
            .checked_sub(1)?;
        let row = self.blocks[block].ids.binary_search(&id).ok()?;
        Some(self.starts[block] + row)
    }

    /// The block and the row within it at `position`, which [`Rows::position`] gave.
    pub(super) fn at(&self, position: usize) -> (&Block, usize) {
        let block = self.starts.partition_point(|s| *s <= position) - 1;
        (&self.blocks[block], position - self.starts[block])
    }

    /// Calls `visit` with each block and its vectors, in the order of ids, from memory or from disk.
    pub(super) fn scan(
        &self,
        connection: &Connection,
        interrupt: &Interrupt,
        mut visit: impl FnMut(&Block, &[f32]),
    ) -> Result<(), IndexError> {
        if self.in_memory {
            for block in &self.blocks {
                interrupt.check()?;
                visit(block, &block.vectors);
            }
            return Ok(());
        }
        let mut statement = connection.prepare_cached(read_vectors())?;
        let mut stored = statement.query([0])?;
        let mut vectors = Vec::with_capacity(BLOCK_ROWS * DIMENSIONS);
        for block in &self.blocks {
            interrupt.check()?;
            vectors.clear();
            for id in &block.ids {
                take_vector(stored.next()?, *id, &mut vectors)?;
            }
            visit(block, &vectors);
        }
        Ok(())
    }
}

impl Block {
    /// The block without `removed`, which is sorted and has no empty range; `None` when none of it is here.
    fn without(&self, removed: &[Removed]) -> Option<Self> {
        let (first, last) = (*self.ids.first()?, *self.ids.last()?);
        let from = removed.partition_point(|r| r.end.unsigned_abs() <= first);
        let here = removed[from..]
            .iter()
            .take_while(|r| r.first.unsigned_abs() <= last);
        let here: Vec<Removed> = here.copied().collect();
        let gone = |id: u64| {
            let next = here.partition_point(|r| r.end.unsigned_abs() <= id);
            here.get(next).is_some_and(|r| r.first.unsigned_abs() <= id)
        };
        let stay: Vec<usize> = (0..self.ids.len())
            .filter(|&i| !gone(self.ids[i]))
            .collect();
        (stay.len() < self.ids.len()).then(|| self.only(&stay))
    }

    fn only(&self, rows: &[usize]) -> Self {
        let vector = |&i: &usize| {
            self.vectors
                .chunks_exact(DIMENSIONS)
                .nth(i)
                .unwrap_or_default()
        };
        Self {
            ids: rows.iter().map(|&i| self.ids[i]).collect(),
            documents: rows.iter().map(|&i| self.documents[i]).collect(),
            words: rows.iter().map(|&i| self.words[i]).collect(),
            vectors: rows.iter().flat_map(vector).copied().collect(),
        }
    }

    fn reserve(&mut self, in_memory: bool) {
        let rows = BLOCK_ROWS - self.ids.len();
        self.ids.reserve_exact(rows);
        self.documents.reserve_exact(rows);
        self.words.reserve_exact(rows);
        if in_memory {
            self.vectors.reserve_exact(rows * DIMENSIONS);
        }
    }
}

/// Reads the chunks with ids above `last` and puts them behind `blocks`.
fn append(
    connection: &Connection,
    blocks: &mut Vec<Arc<Block>>,
    last: u64,
    in_memory: bool,
    interrupt: &Interrupt,
) -> Result<(), IndexError> {
    let sql = "SELECT id, document, words FROM chunks WHERE id > ?1 ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let mut chunks = statement.query([last.cast_signed()])?;
    let mut vector_statement = connection.prepare_cached(read_vectors())?;
    let mut vectors = vector_statement.query([last.cast_signed()])?;
    let mut open: Option<Block> = None;
    while let Some(row) = chunks.next()? {
        let block = open.get_or_insert_with(|| reopen(blocks, in_memory));
        let id = row.get::<_, i64>(0)?.unsigned_abs();
        if in_memory {
            take_vector(vectors.next()?, id, &mut block.vectors)?;
        }
        block.ids.push(id);
        block.documents.push(row.get::<_, i64>(1)?.unsigned_abs());
        block.words.push(row.get(2)?);
        if block.ids.len() == BLOCK_ROWS {
            interrupt.check()?;
            blocks.extend(open.take().map(Arc::new));
        }
    }
    blocks.extend(open.map(Arc::new));
    Ok(())
}

/// The last block, to be filled up, or a new one.
fn reopen(blocks: &mut Vec<Arc<Block>>, in_memory: bool) -> Block {
    let mut block = match blocks.pop() {
        Some(last) if last.ids.len() < BLOCK_ROWS => Block::clone(&last),
        Some(full) => {
            blocks.push(full);
            Block::default()
        }
        None => Block::default(),
    };
    block.reserve(in_memory);
    block
}

fn take_vector(
    row: Option<&crate::db::Row<'_>>,
    id: u64,
    vectors: &mut Vec<f32>,
) -> Result<(), IndexError> {
    let row = row.ok_or_else(|| missing(id))?;
    match (row.get::<_, i64>(0)?.unsigned_abs(), row.get_ref(1)?) {
        (found, ValueRef::Blob(bytes)) if found == id => decode_into(id, bytes, vectors),
        _ => Err(missing(id)),
    }
}

fn missing(id: u64) -> IndexError {
    IndexError::Damaged(format!("chunk {id} has no vector"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(first: i64, end: i64) -> Removed {
        Removed { first, end }
    }

    #[test]
    fn changes_are_complete_or_unknown() {
        let mut changes = Changes::default();
        changes.note(5, vec![removed(9, 10)]);
        changes.note(6, vec![removed(1, 3)]);
        changes.note(6, vec![removed(4, 5)]);
        assert_eq!(
            changes.between(4, 6),
            Some(vec![removed(4, 5), removed(9, 10)])
        );
        assert_eq!(changes.between(5, 6), Some(vec![removed(4, 5)]));
        assert_eq!(changes.between(6, 6), Some(vec![]));
        assert_eq!(changes.between(3, 6), None);
        assert_eq!(changes.between(6, 7), None);
        // Of a document without chunks, noted after the one that came behind it.
        changes.note(7, vec![removed(20, 30), removed(20, 20)]);
        assert_eq!(changes.between(6, 7), Some(vec![removed(20, 30)]));
    }

    #[test]
    fn a_block_loses_exactly_what_was_removed() {
        let ids: Vec<u64> = (10..20).collect();
        let block = Block {
            documents: ids.clone(),
            words: vec![1; 10],
            vectors: ids
                .iter()
                .flat_map(|i| vec![*i as f32; DIMENSIONS])
                .collect(),
            ids,
        };
        assert!(
            block
                .without(&[removed(1, 10), removed(12, 12), removed(20, 30)])
                .is_none()
        );
        let rest = block
            .without(&[removed(5, 12), removed(14, 15), removed(19, 25)])
            .unwrap();
        assert_eq!(rest.ids, [12, 13, 15, 16, 17, 18]);
        assert_eq!(rest.documents, rest.ids);
        let heads: Vec<u64> = rest
            .vectors
            .chunks(DIMENSIONS)
            .map(|v| v[0] as u64)
            .collect();
        assert_eq!(heads, rest.ids);
    }
}
