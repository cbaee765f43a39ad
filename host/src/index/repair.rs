//! A new index file from what can be read of a damaged one: documents, chunks and vectors that are as they were written
//! are taken over, words, titles, lengths and counts are made anew from them.
//!
//! The damaged file is only read, and stays beside the new one. A document of which anything is damaged is left out
//! whole. Nobody may have the index open.

use super::error::IndexError;
use super::schema::{KIND, State};
use super::vector::decode;
use super::write::{self, NewChunk, NewVersion};
use super::{StoredParts, TextHash, made, schema};
use crate::corpus::{Chunk, Document, TenantId};
use crate::db::{Connection, Database, DbError, OptionalExtension, SqlError, Transaction, params};
use std::path::{Path, PathBuf};

/// Documents of one transaction.
const BATCH: usize = 64;

/// A larger number in a damaged file is damage.
const NUMBER_MAX: i64 = 1 << 48;

/// How far beyond a damaged place the next document is looked for.
const PROBES: i64 = 100_000;

/// What a rebuilt index has, and what is missing in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt {
    /// Documents that were taken over.
    pub kept: u64,
    /// Ids of documents that were not, as something of them is damaged.
    pub lost: Vec<String>,
    /// Some documents whose ids cannot be told are missing too.
    pub unknown: bool,
    /// Where the damaged file is now.
    pub aside: PathBuf,
}

/// Rebuilds the index in `folder`. `hash` makes a version's hash of its parts. Fails, with everything as it was, where
/// not even the tables can be found.
pub fn rebuild(
    folder: &Path,
    tenant: &TenantId,
    hash: impl Fn(&StoredParts<'_>) -> [u8; 32],
) -> Result<Rebuilt, IndexError> {
    let (old, new) = (folder.join("index.db"), folder.join("index.db.rebuilt"));
    discard(&new)?;
    let database = Database::open(&new, &KIND)?;
    schema::claim(&database, tenant, false)?;
    let copied = crate::db::salvage(&old, |damaged| {
        let source = Source { damaged, hash };
        source.copy(&database)
    });
    let kept = copied
        .map_err(IndexError::from)
        .and_then(|copied| copied)
        .and_then(|rebuilt| database.checkpoint().map(|()| rebuilt).map_err(Into::into));
    drop(database);
    match kept {
        Ok(mut rebuilt) => {
            rebuilt.aside = crate::db::replace(&old, &new)?;
            Ok(rebuilt)
        }
        Err(error) => {
            discard(&new)?;
            Err(error)
        }
    }
}

fn discard(file: &Path) -> Result<(), IndexError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DbError::from(error).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The damaged file.
struct Source<'a, H> {
    damaged: &'a Connection,
    hash: H,
}

/// A document as the damaged file has it.
struct Found {
    number: i64,
    document: Document,
    metadata: String,
    hash: [u8; 32],
    chunker: String,
    model: String,
    first_chunk: i64,
    chunks: Vec<NewChunk>,
}

impl<H: Fn(&StoredParts<'_>) -> [u8; 32]> Source<'_, H> {
    fn copy(&self, target: &Database) -> Result<Rebuilt, IndexError> {
        let state = State::read(self.damaged).ok();
        let mut rebuilt = Rebuilt::default();
        let mut after = 0;
        loop {
            let (numbers, more) = self.numbers(after, &mut rebuilt)?;
            after = numbers.last().copied().unwrap_or(after);
            target.write(|tx| {
                for number in numbers {
                    self.copy_one(tx, number, &mut rebuilt)?;
                }
                Ok::<_, IndexError>(())
            })?;
            if !more {
                break;
            }
        }
        target.write(|tx| {
            let mut new = State::read(tx)?;
            // Nothing that is remembered of the old file is taken for the new one's.
            let old = state.unwrap_or(new);
            let later = |old: i64, new: i64| old.min(NUMBER_MAX).max(new);
            new.next_document = later(old.next_document, new.next_document);
            new.next_chunk = later(old.next_chunk, new.next_chunk);
            new.generation = later(old.generation, new.generation) + 1;
            new.write(tx)
        })?;
        Ok(rebuilt)
    }

    /// The numbers of the next documents, and whether there may be more.
    fn numbers(&self, after: i64, rebuilt: &mut Rebuilt) -> Result<(Vec<i64>, bool), IndexError> {
        let sql = "SELECT number FROM documents WHERE number > ?1 ORDER BY number LIMIT 1";
        let mut statement = self.damaged.prepare_cached(sql)?;
        let mut numbers = vec![];
        let mut last = after;
        while numbers.len() < BATCH {
            let next = statement.query_row([last], |row| row.get(0)).optional();
            last = match next {
                Ok(Some(number)) => number,
                Ok(None) => return Ok((numbers, false)),
                Err(_) => {
                    rebuilt.unknown = true;
                    match self.beyond(last) {
                        Some(number) => number,
                        None => return Ok((numbers, false)),
                    }
                }
            };
            numbers.push(last);
        }
        Ok((numbers, true))
    }

    /// The first document behind a damaged place that can be read.
    fn beyond(&self, last: i64) -> Option<i64> {
        let sql = "SELECT number FROM documents WHERE number = ?1";
        let mut statement = self.damaged.prepare_cached(sql).ok()?;
        let mut there = |number: &i64| statement.query_row([*number], |_| Ok(())).is_ok();
        (last + 1..last.saturating_add(PROBES)).find(|number| there(number))
    }

    fn copy_one(
        &self,
        tx: &Transaction<'_>,
        number: i64,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), IndexError> {
        let found = match self.find(number) {
            Ok(Some(found)) => found,
            _ => {
                match self.id(number) {
                    Some(id) => rebuilt.lost.push(id),
                    None => rebuilt.unknown = true,
                }
                return Ok(());
            }
        };
        let mut state = State::read(tx)?;
        state.next_document = found.number;
        state.next_chunk = found.first_chunk;
        let version = NewVersion {
            document: &found.document,
            hash: found.hash,
            chunker: &found.chunker,
            chunks: &found.chunks,
        };
        write::insert(tx, &version, &found.model, &mut state)?;
        let (id, title) = (&found.document.id, &found.document.title);
        let seal = schema::document_seal(found.number, id, title, &found.metadata);
        let sql = "UPDATE documents SET metadata = ?2, seal = ?3 WHERE number = ?1";
        tx.execute(sql, params![found.number, found.metadata, seal])?;
        state.write(tx)?;
        rebuilt.kept += 1;
        Ok(())
    }

    fn id(&self, number: i64) -> Option<String> {
        let sql = "SELECT id FROM documents WHERE number = ?1";
        let mut statement = self.damaged.prepare_cached(sql).ok()?;
        statement.query_row([number], |row| row.get(0)).ok()
    }

    /// `None` where it is not what it was hashed from.
    fn find(&self, number: i64) -> Result<Option<Found>, IndexError> {
        let sql = "SELECT documents.id, title, texts.text, media_type, metadata, hash, chunker, \
                          models.digest, first_chunk, chunks, seal \
                   FROM documents JOIN texts ON texts.document = number \
                   JOIN models ON models.id = model WHERE number = ?1";
        let mut statement = self.damaged.prepare_cached(sql)?;
        let read = |row: &crate::db::Row<'_>| -> Result<(Found, i64, Option<i64>), SqlError> {
            let document = Document {
                id: row.get(0)?,
                title: row.get(1)?,
                text: row.get(2)?,
                media_type: row.get(3)?,
                metadata: crate::corpus::Metadata::new(),
            };
            let found = Found {
                number,
                document,
                metadata: row.get(4)?,
                hash: row.get(5)?,
                chunker: row.get(6)?,
                model: row.get(7)?,
                first_chunk: row.get(8)?,
                chunks: vec![],
            };
            Ok((found, row.get(9)?, row.get(10)?))
        };
        let Some((mut found, count, written)) = statement.query_row([number], read).optional()?
        else {
            return Ok(None);
        };
        let (id, title) = (&found.document.id, &found.document.title);
        let seal = schema::document_seal(number, id, title, &found.metadata);
        if written.is_some_and(|written| written != seal) || !self.is_as_hashed(&found) {
            return Ok(None);
        }
        found.chunks = match self.chunks(&found, count)? {
            Some(chunks) => chunks,
            None => return Ok(None),
        };
        Ok(Some(found))
    }

    fn is_as_hashed(&self, found: &Found) -> bool {
        let parts = StoredParts {
            title: &found.document.title,
            text: &found.document.text,
            media_type: &found.document.media_type,
            metadata: &found.metadata,
            chunker: &found.chunker,
            model: &found.model,
        };
        (self.hash)(&parts) == found.hash
    }

    /// A document's chunks; `None` where they are not all there, each with its text and its vector.
    fn chunks(&self, found: &Found, count: i64) -> Result<Option<Vec<NewChunk>>, IndexError> {
        let sql = "SELECT chunks.id, first_byte, end_byte, text_hash, labels, vector, document \
                   FROM chunks JOIN vectors ON chunk = chunks.id \
                   WHERE chunks.id >= ?1 AND chunks.id < ?2 ORDER BY chunks.id";
        let mut statement = self.damaged.prepare_cached(sql)?;
        let (first, end) = (found.first_chunk, found.first_chunk.saturating_add(count));
        let mut rows = statement.query([first, end])?;
        let mut chunks = vec![];
        while let Some(row) = rows.next()? {
            let (id, start, end): (i64, u32, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let hash = TextHash(row.get(3)?);
            let text = found.document.text.get(start as usize..end as usize);
            let whole = text.is_some_and(|text| TextHash::of(text) == hash);
            if !whole || row.get::<_, i64>(6)? != found.number {
                return Ok(None);
            }
            let embedding = decode(id.unsigned_abs(), &row.get::<_, Vec<u8>>(5)?)?;
            let labels = super::read::parse_labels(&row.get::<_, String>(4)?)?;
            let chunk = Chunk { start, end, labels };
            chunks.push(NewChunk {
                chunk,
                hash,
                embedding,
            });
        }
        let complete = chunks.len() as i64 == count;
        Ok(complete.then_some(chunks))
    }
}

/// Makes the index in `folder` another tenant's: `to`'s. On purpose, as where a backup is restored under another name;
/// an index opens for its own tenant alone.
pub fn give_to(folder: &Path, to: &TenantId) -> Result<(), IndexError> {
    let database = Database::open(&folder.join("index.db"), &KIND)?;
    let given: Result<(), IndexError> = database.write(|tx| {
        State::read(tx)?;
        tx.execute("UPDATE state SET tenant = ?1", [to.as_str()])?;
        Ok(())
    });
    given?;
    database.checkpoint()?;
    made::Made::look(folder)?.remember()
}

/// What SQLite finds wrong with `file`, a copy of an index that nobody has open: empty when it is sound.
pub fn check_copy(file: &Path) -> Result<Vec<String>, IndexError> {
    let found = crate::db::peek(file, &KIND, |copy| {
        let mut statement = copy.prepare("PRAGMA quick_check(100)")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut findings = lines.collect::<Result<Vec<_>, _>>()?;
        findings.retain(|line| line != "ok");
        Ok::<_, IndexError>(findings)
    })?;
    Ok(found.unwrap_or_default())
}
