//! The tables of an index file, and the one row that counts them.
//!
//! Invariants, kept by every transaction of `write`: a document's chunks have consecutive ids that
//! begin at `first_chunk`; `chunks`, `vectors` and `fts` have the same ids; no number of a document or
//! chunk is ever used again; `state` counts what is there.

use super::error::IndexError;
use crate::corpus::TenantId;
use crate::cut::{self, Point};
use crate::db::{Connection, Database, DbError, Kind, OptionalExtension, params};
use crate::guard::{self, Guard};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// The index's file. Pages of 8 KiB hold five vectors with little waste (4 KiB: two).
pub(super) const KIND: Kind = Kind {
    name: "stockade index",
    application_id: 0x5354_4958,
    migrations: &[V1, V2],
    connection_sql: STEMMER,
    page_bytes: 8_192,
    cache_kib: 1_024,
};

const V1: &str = "
CREATE TABLE state(
    only INTEGER PRIMARY KEY CHECK (only = 1),
    tenant TEXT NOT NULL,
    generation INTEGER NOT NULL,    -- grows by one with every transaction that changes anything
    next_document INTEGER NOT NULL,
    next_chunk INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    words INTEGER NOT NULL          -- sum of chunks.words
) STRICT;

CREATE TABLE models(
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    documents INTEGER NOT NULL      -- how many it embedded
) STRICT;

CREATE TABLE documents(
    number INTEGER PRIMARY KEY,     -- of this version of the document
    id TEXT NOT NULL UNIQUE,        -- the tenant's
    title TEXT NOT NULL,
    media_type TEXT NOT NULL,
    metadata TEXT NOT NULL,         -- a JSON object
    hash BLOB NOT NULL,             -- of all that the version came from
    chunker TEXT NOT NULL,
    model INTEGER NOT NULL REFERENCES models(id),
    first_chunk INTEGER NOT NULL,
    chunks INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- Apart from documents, which filters read from end to end.
CREATE TABLE texts(
    document INTEGER PRIMARY KEY,
    text TEXT NOT NULL
) STRICT;

CREATE TABLE chunks(
    id INTEGER PRIMARY KEY,
    document INTEGER NOT NULL,
    first_byte INTEGER NOT NULL,
    end_byte INTEGER NOT NULL,
    words INTEGER NOT NULL,         -- its length for BM25
    labels TEXT NOT NULL,           -- JSON pairs; empty for none
    text_hash BLOB NOT NULL
) STRICT;
CREATE INDEX chunks_by_text ON chunks(text_hash);

CREATE TABLE vectors(
    chunk INTEGER PRIMARY KEY,
    vector BLOB NOT NULL            -- 384 f32, little endian, and their seal
) STRICT;

CREATE TABLE titles(
    normal TEXT NOT NULL,           -- words in lower case, one space between
    document INTEGER NOT NULL,
    PRIMARY KEY (normal, document)
) STRICT, WITHOUT ROWID;
CREATE INDEX titles_by_document ON titles(document);

CREATE VIRTUAL TABLE fts USING fts5(text, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE terms USING fts5vocab('fts', 'row');
CREATE VIRTUAL TABLE occurrences USING fts5vocab('fts', 'instance');
";

/// What is read of a document in an answer is what was written.
const V2: &str = "
ALTER TABLE documents ADD COLUMN seal INTEGER; -- of number, id, title and metadata
";

/// Stems words exactly as `fts` does: what is written to `words` can be read from `stems`.
const STEMMER: &str = "
CREATE VIRTUAL TABLE temp.words
    USING fts5(word, content = '', columnsize = 0, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE temp.stems USING fts5vocab('temp', 'words', 'instance');
";

/// Of what an answer shows of a document: the first bytes of a BLAKE3 hash.
pub(super) fn document_seal(number: i64, id: &str, title: &str, metadata: &str) -> i64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&number.to_le_bytes());
    for part in [id, title, metadata] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let hash = hasher.finalize();
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    i64::from_le_bytes(words[0])
}

/// The row that counts everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) generation: i64,
    pub(super) next_document: i64,
    pub(super) next_chunk: i64,
    pub(super) documents: i64,
    pub(super) chunks: i64,
    pub(super) words: i64,
}

impl State {
    pub(super) fn read(connection: &Connection) -> Result<Self, IndexError> {
        let sql =
            "SELECT generation, next_document, next_chunk, documents, chunks, words FROM state";
        let state = connection.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self {
                generation: row.get(0)?,
                next_document: row.get(1)?,
                next_chunk: row.get(2)?,
                documents: row.get(3)?,
                chunks: row.get(4)?,
                words: row.get(5)?,
            })
        });
        state
            .optional()?
            .ok_or_else(|| IndexError::Damaged("it has no state".to_owned()))
    }

    pub(super) fn write(&self, connection: &Connection) -> Result<(), IndexError> {
        let sql = "UPDATE state SET generation = ?1, next_document = ?2, next_chunk = ?3, \
                   documents = ?4, chunks = ?5, words = ?6";
        connection.prepare_cached(sql)?.execute(params![
            self.generation,
            self.next_document,
            self.next_chunk,
            self.documents,
            self.chunks,
            self.words
        ])?;
        Ok(())
    }

    /// Chunks removed since the file was made.
    pub(super) fn removed(&self) -> i64 {
        self.next_chunk - 1 - self.chunks
    }
}

/// Makes the tenant's folder where there is none, readable by its owner only, durably.
pub(super) fn make_folder(folder: &Path) -> Result<(), IndexError> {
    let made = || -> std::io::Result<()> {
        if !folder.is_dir() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            // The folder above may be new, too.
            for above in folder.ancestors().skip(1).take(2) {
                if !above.as_os_str().is_empty() {
                    std::fs::File::open(above)?.sync_all()?;
                }
            }
        }
        Ok(())
    };
    cut::here(Point::IndexFolder);
    made().map_err(|e| DbError::from(e).into())
}

/// Writes the tenant's name into a new file; refuses one that has another's, and one that has lost it.
pub(super) fn claim(
    database: &Database,
    tenant: &TenantId,
    made_before: bool,
) -> Result<(), IndexError> {
    let owner = |connection: &Connection| {
        let sql = "SELECT tenant FROM state";
        connection
            .query_row(sql, [], |row| row.get::<_, String>(0))
            .optional()
    };
    let reader = database.read(&crate::db::Interrupt::never())?;
    let found = owner(&reader)?;
    drop(reader);
    match found {
        Some(found) if found == tenant.as_str() || !guard::stands(Guard::TenantFile) => Ok(()),
        Some(found) => Err(IndexError::OtherTenant {
            found,
            expected: tenant.as_str().to_owned(),
        }),
        None if made_before => Err(IndexError::Damaged("it has no state".to_owned())),
        None => database.write(|tx| {
            cut::here(Point::IndexUnclaimed);
            let sql = "INSERT INTO state VALUES (1, ?1, 0, 1, 1, 0, 0, 0)";
            tx.execute(sql, [tenant.as_str()])?;
            Ok(())
        }),
    }
}
