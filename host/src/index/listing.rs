//! What is in an index: counts, ids and documents, a page at a time.

use super::Index;
use super::error::IndexError;
use super::schema::{KIND, State};
use crate::db::{Connection, Interrupt, Row, params};
use std::path::Path;

/// The most documents on one page.
const PAGE_MAX: usize = 10_000;

/// How much an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Documents.
    pub documents: u64,
    /// Chunks of all documents.
    pub chunks: u64,
    /// Bytes on disk, the write-ahead log included.
    pub bytes: u64,
    /// Grows with every change; equal numbers, equal content.
    pub generation: u64,
    /// Documents embedded by another model than the index was opened for.
    pub other_model: u64,
}

/// A stored document without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentInfo {
    /// The tenant's id.
    pub id: String,
    /// Empty when it has none.
    pub title: String,
    /// As it was put.
    pub media_type: String,
    /// A JSON object.
    pub metadata: String,
    /// As it was put.
    pub hash: [u8; 32],
    /// Digest of the chunker and its options.
    pub chunker: String,
    /// Its chunks.
    pub chunks: u64,
    /// Bytes of its text.
    pub bytes: u64,
}

/// What the index in `folder`, which nobody has open, holds, without opening it for work; `None` where only that would
/// tell. `other_model` is left out: 0.
pub fn glance(folder: &Path) -> Result<Option<Counts>, IndexError> {
    glance_at(&folder.join("index.db"))
}

/// As [`glance`], at the file of an index.
pub fn glance_at(file: &Path) -> Result<Option<Counts>, IndexError> {
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    if bytes == 0 {
        let what = format!("{} is gone or empty", file.display());
        return Err(IndexError::Damaged(what));
    }
    let read = |connection: &Connection| Ok(Counts::of(State::read(connection)?, bytes, 0));
    crate::db::peek(file, &KIND, read)
}

impl Counts {
    fn of(state: State, bytes: u64, other_model: u64) -> Self {
        Self {
            documents: state.documents.unsigned_abs(),
            chunks: state.chunks.unsigned_abs(),
            bytes,
            generation: state.generation.unsigned_abs(),
            other_model,
        }
    }
}

impl Index {
    /// How much there is.
    pub fn counts(&self) -> Result<Counts, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        let state = State::read(&reader)?;
        let other_model = self.other_model(&reader)?;
        Ok(Counts::of(
            state,
            self.database.bytes_on_disk(),
            other_model,
        ))
    }

    /// What a vector search costs, in vectors: all of them, whatever the filter.
    pub fn scan_cost(&self) -> Result<u64, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        Ok(State::read(&reader)?.chunks.unsigned_abs())
    }

    /// Ids of documents, in order, that begin with `prefix` and come after `after` (from the first when
    /// `None`); at most `limit`, or 10,000. Empty: there are no more.
    pub fn document_ids(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(
            "SELECT id FROM documents WHERE id >= ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let limit = limit.min(PAGE_MAX) as i64;
        // No document has the empty id, so everything comes after it.
        let mut rows = statement.query(params![prefix, after.unwrap_or(""), limit])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(0)?;
            if !id.starts_with(prefix) {
                break;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Documents in the order of their ids that come after `after`; at most `limit`, or 10,000.
    pub fn documents(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<DocumentInfo>, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(
            "SELECT id, title, media_type, metadata, hash, chunker, chunks, bytes FROM documents \
             WHERE id > ?1 ORDER BY id LIMIT ?2",
        )?;
        let limit = limit.min(PAGE_MAX) as i64;
        let rows = statement.query_map(params![after.unwrap_or(""), limit], info)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The metadata of document `id`, as a JSON object; `None` when there is no such document.
    pub fn metadata(&self, id: &str) -> Result<Option<String>, IndexError> {
        use crate::db::OptionalExtension;
        let reader = self.database.read(&Interrupt::never())?;
        let sql = "SELECT metadata FROM documents WHERE id = ?1";
        let metadata = reader
            .prepare_cached(sql)?
            .query_row([id], |row| row.get(0));
        Ok(metadata.optional()?)
    }

    /// The stored text of document `id`; `None` when there is no such document.
    pub fn document_text(&self, id: &str) -> Result<Option<String>, IndexError> {
        use crate::db::OptionalExtension;
        let reader = self.database.read(&Interrupt::never())?;
        let sql = "SELECT text FROM texts JOIN documents ON number = document WHERE id = ?1";
        let text = reader
            .prepare_cached(sql)?
            .query_row([id], |row| row.get(0));
        Ok(text.optional()?)
    }
}

fn info(row: &Row<'_>) -> Result<DocumentInfo, crate::db::SqlError> {
    Ok(DocumentInfo {
        id: row.get(0)?,
        title: row.get(1)?,
        media_type: row.get(2)?,
        metadata: row.get(3)?,
        hash: row.get(4)?,
        chunker: row.get(5)?,
        chunks: row.get::<_, i64>(6)?.unsigned_abs(),
        bytes: row.get::<_, i64>(7)?.unsigned_abs(),
    })
}
