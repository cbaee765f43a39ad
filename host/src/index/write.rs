//! Writing: one transaction brings one version of one document into every table, or takes it out.
//!
//! What a version is made of is decided elsewhere; this file keeps the tables in step.

use super::Index;
use super::error::IndexError;
use super::rows::Removed;
use super::schema::{State, document_seal};
use super::titles;
use crate::corpus::{Chunk, Document, Embedding};
use crate::cut::{self, Point};
use crate::db::{Interrupt, OptionalExtension, Transaction, params};
use crate::law::{self, Law};
use std::collections::HashMap;

/// Documents deleted in one transaction, so that the write-ahead log stays short.
const DELETES_PER_TRANSACTION: usize = 64;

/// What a chunk's text is recognised by: its BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextHash(pub [u8; 32]);

impl TextHash {
    /// The hash of `text`.
    pub fn of(text: &str) -> Self {
        Self(*blake3::hash(text.as_bytes()).as_bytes())
    }
}

/// A chunk with its vector.
#[derive(Debug, Clone)]
pub struct NewChunk {
    /// Where it stands; checked against the document's text.
    pub chunk: Chunk,
    /// Of its text.
    pub hash: TextHash,
    /// Of its text.
    pub embedding: Embedding,
}

/// One version of a document, complete.
#[derive(Debug, Clone, Copy)]
pub struct NewVersion<'a> {
    /// The document.
    pub document: &'a Document,
    /// Of all that decides the version: title, text, metadata, chunker, options, model.
    pub hash: [u8; 32],
    /// Digest of the chunker and its options.
    pub chunker: &'a str,
    /// In the order of the text; may be empty.
    pub chunks: &'a [NewChunk],
}

/// Whether a document was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutKind {
    /// It was not.
    Added,
    /// It was, and that version is gone.
    Replaced,
}

/// What a put did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Added or replaced.
    pub kind: PutKind,
    /// How many chunks the document has now.
    pub chunks: u64,
    /// The index's state after it.
    pub generation: u64,
}

/// What is stored of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVersion {
    /// As it was put.
    pub hash: [u8; 32],
    /// How many chunks it has.
    pub chunks: u64,
}

/// Where a stored document's parts are.
struct Place {
    number: i64,
    first_chunk: i64,
    chunks: i64,
    model: i64,
}

impl Index {
    /// The stored version of document `id`; `None` when there is none.
    pub fn stored(&self, id: &str) -> Result<Option<StoredVersion>, IndexError> {
        self.check_current()?;
        let reader = self.database.read(&Interrupt::never())?;
        let mut statement =
            reader.prepare_cached("SELECT hash, chunks FROM documents WHERE id = ?1")?;
        let row = statement.query_row([id], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)));
        let stored = row.optional()?;
        Ok(stored.map(|(hash, chunks)| StoredVersion {
            hash,
            chunks: chunks.unsigned_abs(),
        }))
    }

    /// The vectors of those texts that some chunk of this tenant already has from the same model.
    pub fn known_vectors(
        &self,
        hashes: &[TextHash],
    ) -> Result<HashMap<TextHash, Embedding>, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(known_vector())?;
        let mut known = HashMap::new();
        for hash in hashes {
            let read = |row: &crate::db::Row<'_>| {
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    row.get::<_, i64>(1)?.unsigned_abs(),
                ))
            };
            let blob = statement
                .query_row(params![hash.0, self.model], read)
                .optional()?;
            if let Some((blob, chunk)) = blob {
                known.insert(*hash, super::vector::decode(chunk, &blob)?);
            }
        }
        Ok(known)
    }

    /// Stores `version` in place of what there was of its document. When this returns, it is on disk
    /// and every later search sees it whole; when it fails, nothing has changed.
    pub fn put(&self, version: &NewVersion<'_>) -> Result<Put, IndexError> {
        self.write(|tx, state, removed| {
            let old = find(tx, &version.document.id)?;
            self.replace(tx, version, old.as_ref(), state, removed)
        })
    }

    /// As [`Index::put`] for each of `versions`, in order and in one transaction: when it fails, none is stored. One
    /// that would be one document more than `documents_max` is left out with `None`.
    pub fn put_within(
        &self,
        versions: &[NewVersion<'_>],
        documents_max: u64,
    ) -> Result<Vec<Option<Put>>, IndexError> {
        self.write(|tx, state, removed| {
            let put = |version: &NewVersion<'_>| {
                let old = find(tx, &version.document.id)?;
                let fits = old.is_some() || state.documents.unsigned_abs() < documents_max;
                let put = || self.replace(tx, version, old.as_ref(), state, removed);
                fits.then(put).transpose()
            };
            versions.iter().map(put).collect()
        })
    }

    fn replace(
        &self,
        tx: &Transaction<'_>,
        version: &NewVersion<'_>,
        old: Option<&Place>,
        state: &mut State,
        removed: &mut Vec<Removed>,
    ) -> Result<Put, IndexError> {
        if let Some(place) = old {
            removed.push(remove(tx, place, state)?);
        }
        insert(tx, version, &self.model, state)?;
        Ok(Put {
            kind: match old {
                Some(_) => PutKind::Replaced,
                None => PutKind::Added,
            },
            chunks: version.chunks.len() as u64,
            generation: state.generation.unsigned_abs() + 1,
        })
    }

    /// Deletes documents, and says of each whether it was there. After an error, the first ones may be
    /// deleted already.
    pub fn delete(&self, ids: &[String]) -> Result<Vec<bool>, IndexError> {
        let mut existed = Vec::with_capacity(ids.len());
        for batch in ids.chunks(DELETES_PER_TRANSACTION) {
            existed.extend(self.delete_batch(batch)?);
        }
        Ok(existed)
    }

    fn delete_batch(&self, ids: &[String]) -> Result<Vec<bool>, IndexError> {
        self.write(|tx, state, removed| {
            let mut existed = Vec::with_capacity(ids.len());
            for id in ids {
                let place = find(tx, id)?;
                existed.push(place.is_some());
                if let Some(place) = place {
                    removed.push(remove(tx, &place, state)?);
                }
            }
            Ok(existed)
        })
    }

    /// Changes the index in one transaction. Its last steps, where anything has changed, are a new generation, and a
    /// note of what searches in memory must forget, made before anyone can see that generation.
    fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>, &mut State, &mut Vec<Removed>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.check_current()?;
        self.database.write(|tx| {
            let (mut state, mut removed) = (State::read(tx)?, Vec::new());
            let before = state;
            let changed = change(tx, &mut state, &mut removed)?;
            if state != before {
                state.generation += i64::from(law::holds(Law::GenerationGrows));
                state.write(tx)?;
                cut::here(Point::Counted);
                super::view::lock(&self.changes).note(state.generation, removed);
            }
            Ok(changed)
        })
    }
}

/// The vector of a text, by its hash and the model's digest.
fn known_vector() -> &'static str {
    if !law::holds(Law::SameText) {
        return "SELECT vector, chunk FROM vectors WHERE ?1 <> ?2 LIMIT 1";
    }
    if !law::holds(Law::SameModel) {
        return "SELECT vector, chunk FROM chunks JOIN vectors ON vectors.chunk = chunks.id \
                WHERE chunks.text_hash = ?1 AND ?2 <> '' LIMIT 1";
    }
    "SELECT vector, chunk FROM chunks JOIN vectors ON vectors.chunk = chunks.id \
     JOIN documents ON documents.number = chunks.document \
     JOIN models ON models.id = documents.model \
     WHERE chunks.text_hash = ?1 AND models.digest = ?2 LIMIT 1"
}

fn find(tx: &Transaction<'_>, id: &str) -> Result<Option<Place>, IndexError> {
    let sql = "SELECT number, first_chunk, chunks, model FROM documents WHERE id = ?1";
    let place = tx.prepare_cached(sql)?.query_row([id], |row| {
        Ok(Place {
            number: row.get(0)?,
            first_chunk: row.get(1)?,
            chunks: row.get(2)?,
            model: row.get(3)?,
        })
    });
    Ok(place.optional()?)
}

fn remove(tx: &Transaction<'_>, old: &Place, state: &mut State) -> Result<Removed, IndexError> {
    let (first, end) = (old.first_chunk, old.first_chunk + old.chunks);
    let sql = "SELECT coalesce(sum(words), 0) FROM chunks WHERE id >= ?1 AND id < ?2";
    let words: i64 = tx
        .prepare_cached(sql)?
        .query_row([first, end], |row| row.get(0))?;
    for (sql, goes) in [
        (
            "DELETE FROM fts WHERE rowid >= ?1 AND rowid < ?2",
            law::holds(Law::WordsGo),
        ),
        ("DELETE FROM chunks WHERE id >= ?1 AND id < ?2", true),
        (
            "DELETE FROM vectors WHERE chunk >= ?1 AND chunk < ?2",
            law::holds(Law::VectorsGo),
        ),
    ] {
        if goes {
            tx.prepare_cached(sql)?.execute([first, end])?;
        }
        cut::here(Point::WordsOut);
    }
    for (sql, goes) in [
        (
            "DELETE FROM titles WHERE document = ?1",
            law::holds(Law::TitlesGo),
        ),
        ("DELETE FROM texts WHERE document = ?1", true),
        ("DELETE FROM documents WHERE number = ?1", true),
    ] {
        if goes {
            tx.prepare_cached(sql)?.execute([old.number])?;
        }
    }
    cut::here(Point::OldOut);
    let sql = "UPDATE models SET documents = documents - 1 WHERE id = ?1";
    tx.prepare_cached(sql)?.execute([old.model])?;
    state.documents -= 1;
    state.chunks -= old.chunks;
    state.words -= words;
    Ok(Removed { first, end })
}

pub(super) fn insert(
    tx: &Transaction<'_>,
    version: &NewVersion<'_>,
    model: &str,
    state: &mut State,
) -> Result<(), IndexError> {
    let document = version.document;
    let number = state.next_document;
    let count = version.chunks.len() as i64;
    let metadata = serde_json::to_string(&document.metadata)
        .map_err(|e| IndexError::Damaged(e.to_string()))?;
    let sql = "INSERT INTO documents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    tx.prepare_cached(sql)?.execute(params![
        number,
        document.id,
        document.title,
        document.media_type,
        metadata,
        version.hash,
        version.chunker,
        count_model(tx, model)?,
        state.next_chunk,
        count,
        document.text.len() as i64,
        document_seal(number, &document.id, &document.title, &metadata),
    ])?;
    tx.prepare_cached("INSERT INTO texts VALUES (?1, ?2)")?
        .execute(params![number, document.text])?;
    cut::here(Point::RowIn);
    if !law::holds(Law::OneTransaction) {
        tx.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
    }
    let titled = |_: &String| law::holds(Law::TitlesCome);
    for normal in titles::forms(&document.title).into_iter().filter(titled) {
        tx.prepare_cached("INSERT OR IGNORE INTO titles VALUES (?1, ?2)")?
            .execute(params![normal, number])?;
    }
    cut::here(Point::TitlesIn);
    for (chunk, id) in version.chunks.iter().zip(state.next_chunk..) {
        state.words += insert_chunk(tx, id, number, chunk, &document.text)?;
    }
    cut::here(Point::ChunksIn);
    state.next_document += 1;
    state.next_chunk += count;
    state.documents += 1;
    state.chunks += count;
    Ok(())
}

/// Returns the chunk's length in words, as BM25 counts it.
fn insert_chunk(
    tx: &Transaction<'_>,
    id: i64,
    document: i64,
    new: &NewChunk,
    text: &str,
) -> Result<i64, IndexError> {
    let words = insert_words(tx, id, new.chunk.text(text))?;
    let labels = match new.chunk.labels.as_slice() {
        [] => String::new(),
        some => serde_json::to_string(some).map_err(|e| IndexError::Damaged(e.to_string()))?,
    };
    let (start, end) = (new.chunk.start, new.chunk.end);
    tx.prepare_cached("INSERT INTO chunks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![id, document, start, end, words, labels, new.hash.0])?;
    cut::here(Point::ChunkIn);
    tx.prepare_cached("INSERT INTO vectors VALUES (?1, ?2)")?
        .execute(params![
            id,
            super::vector::encode(id.unsigned_abs(), &new.embedding)
        ])?;
    Ok(words)
}

/// Makes a chunk's text searchable: its length in words, as BM25 counts it.
fn insert_words(tx: &Transaction<'_>, id: i64, text: &str) -> Result<i64, IndexError> {
    tx.prepare_cached("INSERT INTO fts(rowid, text) VALUES (?1, ?2)")?
        .execute(params![id, text])?;
    cut::here(Point::WordsIn);
    let sql = "SELECT sz FROM fts_docsize WHERE id = ?1";
    let size: Vec<u8> = tx.prepare_cached(sql)?.query_row([id], |row| row.get(0))?;
    Ok(varint(&size))
}

/// The model's number; it has one more document.
fn count_model(tx: &Transaction<'_>, digest: &str) -> Result<i64, IndexError> {
    let sql = "INSERT INTO models(digest, documents) VALUES (?1, 1) \
               ON CONFLICT (digest) DO UPDATE SET documents = documents + 1 RETURNING id";
    Ok(tx
        .prepare_cached(sql)?
        .query_row([digest], |row| row.get(0))?)
}

/// SQLite's variable-length integer: seven bits a byte, most significant first. (Nine-byte numbers do
/// not occur: FTS5 counts the words of one chunk.)
fn varint(bytes: &[u8]) -> i64 {
    let mut value = 0;
    for byte in bytes.iter().take(8) {
        value = value << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
