//! Reading chunks as passages.

use super::error::IndexError;
use super::schema::document_seal;
use super::vector::check_count;
use super::{Index, TextHash};
use crate::corpus::{ChunkId, Passage};
use crate::db::{Connection, Interrupt, OptionalExtension, Row, SqlError};

/// Where a chunk stands.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) document: i64,
    pub(super) first_chunk: i64,
    pub(super) chunks: i64,
    pub(super) title: String,
}

impl Index {
    /// Bytes of the texts of `chunks`: what reading them costs. One unknown chunk fails all.
    pub fn read_cost(&self, chunks: &[ChunkId]) -> Result<u64, IndexError> {
        check_count(chunks.len())?;
        let reader = self.database.read(&Interrupt::never())?;
        let sql = "SELECT end_byte - first_byte FROM chunks WHERE id = ?1";
        let mut statement = reader.prepare_cached(sql)?;
        let mut bytes = 0;
        for chunk in chunks {
            let length = statement.query_row([key(*chunk)?], |row| row.get::<_, i64>(0));
            let length = length.optional()?.ok_or(IndexError::UnknownChunk(*chunk))?;
            bytes += length.unsigned_abs();
        }
        Ok(bytes)
    }

    /// The passages of `chunks`, in the order given, all of one state of the index. One unknown chunk
    /// fails all.
    pub fn read(
        &self,
        chunks: &[ChunkId],
        interrupt: &Interrupt,
    ) -> Result<Vec<Passage>, IndexError> {
        check_count(chunks.len())?;
        let reader = self.database.read(interrupt)?;
        let mut statement = reader.prepare_cached(
            "SELECT documents.id, title, fts.text, first_byte, end_byte, chunks.id - first_chunk, \
                    labels, metadata, text_hash, number, documents.chunks, seal \
             FROM chunks JOIN documents ON documents.number = chunks.document \
             JOIN fts ON fts.rowid = chunks.id WHERE chunks.id = ?1",
        )?;
        let mut passages = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            interrupt.check()?;
            let found = statement
                .query_row([key(*chunk)?], |row| passage(*chunk, row))
                .optional()?;
            if found.is_none() {
                refuse_torn(&reader, *chunk)?;
            }
            let (mut passage, labels, written) = found.ok_or(IndexError::UnknownChunk(*chunk))?;
            if !written.is(&passage) {
                let what = format!("chunk {} is not as it was written", chunk.0);
                return Err(IndexError::Damaged(what));
            }
            passage.labels = parse_labels(&labels)?;
            passages.push(passage);
        }
        Ok(passages)
    }
}

/// A chunk without its document or its text is no unknown chunk.
fn refuse_torn(connection: &Connection, chunk: ChunkId) -> Result<(), IndexError> {
    let sql = "SELECT count(*) FROM chunks WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    match statement.query_row([key(chunk)?], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        _ => {
            let what = format!("chunk {} has lost its document or its text", chunk.0);
            Err(IndexError::Damaged(what))
        }
    }
}

/// A number that no chunk can have is one that no chunk has.
pub(super) fn key(chunk: ChunkId) -> Result<i64, IndexError> {
    i64::try_from(chunk.0).map_err(|_| IndexError::UnknownChunk(chunk))
}

pub(super) fn place(connection: &Connection, chunk: ChunkId) -> Result<Place, IndexError> {
    let mut statement = connection.prepare_cached(
        "SELECT number, documents.first_chunk, documents.chunks, title \
         FROM chunks JOIN documents ON number = document WHERE chunks.id = ?1",
    )?;
    let place = statement.query_row([key(chunk)?], |row| {
        Ok(Place {
            document: row.get(0)?,
            first_chunk: row.get(1)?,
            chunks: row.get(2)?,
            title: row.get(3)?,
        })
    });
    place.optional()?.ok_or(IndexError::UnknownChunk(chunk))
}

pub(super) fn text(connection: &Connection, chunk: i64) -> Result<String, IndexError> {
    let mut statement = connection.prepare_cached("SELECT text FROM fts WHERE rowid = ?1")?;
    let text = statement.query_row([chunk], |row| row.get(0)).optional()?;
    text.ok_or_else(|| IndexError::Damaged(format!("chunk {chunk} has no text")))
}

/// What a passage has to agree with: SQLite does not notice a changed bit.
struct Written {
    text: [u8; 32],
    number: i64,
    chunks: i64,
    /// `None` where it was written before there were seals.
    seal: Option<i64>,
}

impl Written {
    fn is(&self, passage: &Passage) -> bool {
        let (document, title, metadata) = (&passage.document, &passage.title, &passage.metadata);
        let seal = document_seal(self.number, document, title, metadata);
        let length = i64::from(passage.end) - i64::from(passage.start);
        TextHash::of(&passage.text).0 == self.text
            && length == passage.text.len() as i64
            && i64::from(passage.ordinal) < self.chunks
            && self.seal.is_none_or(|written| written == seal)
    }
}

fn passage(chunk: ChunkId, row: &Row<'_>) -> Result<(Passage, String, Written), SqlError> {
    let written = Written {
        text: row.get(8)?,
        number: row.get(9)?,
        chunks: row.get(10)?,
        seal: row.get(11)?,
    };
    let passage = Passage {
        chunk,
        document: row.get(0)?,
        title: row.get(1)?,
        text: row.get(2)?,
        start: row.get(3)?,
        end: row.get(4)?,
        ordinal: row.get(5)?,
        labels: Vec::new(),
        metadata: row.get(7)?,
    };
    Ok((passage, row.get(6)?, written))
}

pub(super) fn parse_labels(json: &str) -> Result<Vec<(String, String)>, IndexError> {
    match json {
        "" => Ok(Vec::new()),
        json => serde_json::from_str(json).map_err(|e| IndexError::Damaged(e.to_string())),
    }
}
