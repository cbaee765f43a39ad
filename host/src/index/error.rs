//! What an index could not do, and whose fault that is.

use crate::corpus::{ChunkId, CorpusError};
use crate::db::{DbError, SqlError};
use crate::error::{Blame, Explain};

/// An index's refusal or failure. After any of them the index is as it was before the call.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The file below it failed.
    #[error("the index could not be read or written: {0}")]
    Storage(#[source] DbError),
    /// The interrupt said that the task is over.
    #[error("interrupted")]
    Interrupted,
    /// This tenant has no such chunk.
    #[error("no chunk {}", .0.0)]
    UnknownChunk(ChunkId),
    /// More was asked for than one call gives.
    #[error("{what} is {given}; at most {limit} in one call")]
    Limit {
        /// What is too much.
        what: &'static str,
        /// What was given.
        given: usize,
        /// The most.
        limit: usize,
    },
    /// The file holds another tenant's documents.
    #[error("the index file belongs to tenant '{found}', not to '{expected}'")]
    OtherTenant {
        /// Whose file it is.
        found: String,
        /// Who asked.
        expected: String,
    },
    /// Some documents were embedded by another model than the one that runs.
    #[error("{documents} documents were embedded by another model")]
    OtherModel {
        /// How many.
        documents: u64,
    },
    /// Another file has taken this one's place since it was opened.
    #[error("the tenant was replaced from a backup meanwhile")]
    Retired,
    /// The file's parts do not agree.
    #[error("the index is damaged: {0}")]
    Damaged(String),
}

impl IndexError {
    /// There was no room for a version: the disk is full, or the file's limit is reached.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Storage(DbError::Full(_)))
    }
}

impl From<DbError> for IndexError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Interrupted => Self::Interrupted,
            other => Self::Storage(other),
        }
    }
}

impl From<SqlError> for IndexError {
    fn from(error: SqlError) -> Self {
        match error {
            // A column that is not what the schema says.
            SqlError::InvalidColumnType(..)
            | SqlError::FromSqlConversionFailure(..)
            | SqlError::IntegralValueOutOfRange(..)
            | SqlError::Utf8Error(..) => Self::Damaged(error.to_string()),
            other => DbError::from(other).into(),
        }
    }
}

impl From<CorpusError> for IndexError {
    /// A stored noun that no longer passes its check.
    fn from(error: CorpusError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl Explain for IndexError {
    fn code(&self) -> &'static str {
        match self {
            Self::Storage(error) => error.code(),
            Self::Interrupted => "interrupted",
            Self::UnknownChunk(_) => "not-found",
            Self::Limit { .. } => "invalid-argument",
            Self::OtherTenant { .. } => "index-other-tenant",
            Self::OtherModel { .. } => "index-other-model",
            Self::Retired => "tenant-replaced",
            Self::Damaged(_) => "storage-corrupt",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Storage(error) => error.blame(),
            Self::Interrupted | Self::UnknownChunk(_) | Self::Limit { .. } | Self::Retired => {
                Blame::Caller
            }
            Self::OtherTenant { .. } | Self::OtherModel { .. } | Self::Damaged(_) => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Storage(error) => return error.hint(),
            Self::OtherTenant { .. } => "Put the tenants' folders back as they were.",
            Self::OtherModel { .. } => "Ingest these documents again; those that are gone, delete.",
            Self::Retired => "Begin again: what was done before went with the old documents.",
            Self::Damaged(_) => "Run 'stockade doctor', then restore this tenant from a backup.",
            Self::Interrupted | Self::UnknownChunk(_) | Self::Limit { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
