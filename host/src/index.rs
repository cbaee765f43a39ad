//! An index holds one tenant's documents, chunks, vectors and titles in one SQLite file, and searches
//! them by vector, by text, by both, and by how chunks are related.
//!
//! It knows nothing of how texts become chunks or vectors, of other tenants, of budgets or of Wasm. All
//! functions block: call them where blocking is allowed.

mod cache;
mod check;
mod error;
mod hybrid;
mod kernel;
mod listing;
mod made;
mod neighbours;
mod read;
mod repair;
mod rows;
mod schema;
mod scope;
mod stems;
mod text;
mod titles;
mod top;
mod vector;
mod view;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use cache::MatrixCache;
pub use check::StoredParts;
pub use error::IndexError;
pub use hybrid::fuse;
pub use listing::{Counts, DocumentInfo, glance, glance_at};
pub use neighbours::NeighbourKind;
pub use repair::{Rebuilt, check_copy, give_to, rebuild};
pub use text::TextHits;
pub use write::{NewChunk, NewVersion, Put, PutKind, StoredVersion, TextHash};

use crate::corpus::TenantId;
use crate::db::{Database, DbError, Kind};
use made::Made;
use rows::Changes;
use scope::Scopes;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use text::Frequencies;

/// The most hits that one search returns.
pub const MAX_HITS: usize = 1_000;

/// The most chunks that one `read` or `similarities` takes.
pub const MAX_CHUNKS_PER_CALL: usize = 10_000;

/// What an index is opened with.
#[derive(Debug, Clone)]
pub struct IndexOptions {
    /// Digest of the embedding model that new vectors and queries come from. Vectors of another model
    /// are never compared with its.
    pub model: String,
    /// Shared by all indexes of the process.
    pub cache: Arc<MatrixCache>,
}

/// One tenant's index. Shared by reference: writes wait for each other, searches for nobody.
#[derive(Debug)]
pub struct Index {
    database: Database,
    model: String,
    cache: Arc<MatrixCache>,
    cache_key: u64,
    /// Held while the rows in memory are brought up to date.
    refresh: Mutex<()>,
    /// Another file has taken this one's place.
    retired: AtomicBool,
    /// Held from looking whether one more document may be added until it is.
    adding: Mutex<()>,
    changes: Mutex<Changes>,
    scopes: Mutex<Scopes>,
    frequencies: Mutex<Frequencies>,
}

impl Index {
    /// Opens `<folder>/index.db`, or makes it (and its folder, for the owner only), unless there was one before: what
    /// is lost is not begun anew in silence. Refuses another tenant's file. Reads no vectors: they are loaded by the
    /// first search that needs them.
    pub fn open(
        folder: &Path,
        tenant: &TenantId,
        options: IndexOptions,
    ) -> Result<Self, IndexError> {
        Self::open_with(folder, tenant, options, Database::open)
    }

    /// As [`Index::open`], but what is acknowledged may be lost when the power goes: to measure what durability
    /// costs, and for nothing else.
    pub fn open_without_sync_for_bench(
        folder: &Path,
        tenant: &TenantId,
        options: IndexOptions,
    ) -> Result<Self, IndexError> {
        let open = Database::open_without_sync_for_bench;
        Self::open_with(folder, tenant, options, open)
    }

    fn open_with(
        folder: &Path,
        tenant: &TenantId,
        options: IndexOptions,
        open: fn(&Path, &Kind) -> Result<Database, DbError>,
    ) -> Result<Self, IndexError> {
        schema::make_folder(folder)?;
        let made = Made::look(folder)?;
        let database = open(&folder.join("index.db"), &schema::KIND)?;
        schema::claim(&database, tenant, made.before())?;
        made.remember()?;
        Ok(Self {
            database,
            model: options.model,
            cache_key: options.cache.new_key(),
            cache: options.cache,
            refresh: Mutex::default(),
            retired: AtomicBool::new(false),
            adding: Mutex::default(),
            changes: Mutex::default(),
            scopes: Mutex::default(),
            frequencies: Mutex::default(),
        })
    }

    /// The file, for backups, checks and limits.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Whoever holds this is the only one to add documents under a limit of their number or bytes, or to lift
    /// it: what it counted stays true until it has added its own.
    pub fn adding(&self) -> MutexGuard<'_, ()> {
        self.adding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another file takes this one's place: from here on nothing is stored in it, and nobody learns from it what is
    /// stored. Whoever calls this holds [`Index::adding`].
    pub fn retire(&self) {
        self.retired.store(true, Ordering::SeqCst);
    }

    fn check_current(&self) -> Result<(), IndexError> {
        match self.retired.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(IndexError::Retired),
        }
    }

    /// Digest of the model that this index was opened for.
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.cache.remove(self.cache_key);
    }
}
