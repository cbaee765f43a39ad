//! What a database could not do, sorted by what one can do about it.

use super::SqlError;
use crate::error::{Blame, Explain, FREE_SPACE, STORAGE_FULL, is_full};
use rusqlite::ffi;
use std::path::PathBuf;

/// What a database could not do.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The disk, or the limit of [`limit_bytes`](super::Database::limit_bytes), is full. Nothing was written.
    #[error("no space left for the database")]
    Full(#[source] SqlError),
    /// The file is damaged or is no database.
    #[error("the database file is damaged: {0}")]
    Corrupt(#[source] SqlError),
    /// The write-ahead log is damaged, and transactions that were acknowledged lie behind the damage.
    #[error(
        "the write-ahead log {path} is damaged: {commits} transactions can be read, and those behind them cannot"
    )]
    LogDamaged {
        /// Which log.
        path: PathBuf,
        /// Transactions before the damage.
        commits: u64,
    },
    /// Somebody else holds the file.
    #[error("the database file is in use by another process")]
    Busy(#[source] SqlError),
    /// The file cannot be opened, read or written.
    #[error("the database file cannot be read or written: {0}")]
    File(#[source] SqlError),
    /// The folder or the file cannot be read or written.
    #[error("the database's folder cannot be read or written: {0}")]
    Folder(#[from] std::io::Error),
    /// The task is over.
    #[error("interrupted")]
    Interrupted,
    /// Not our file.
    #[error("{path} is not a {name}")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        name: &'static str,
    },
    /// A later version of Stockade wrote the file.
    #[error("{path} has schema version {found}; this version of stockade knows {known}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i32,
        /// The newest that we know.
        known: usize,
    },
    /// The file system cannot keep a write-ahead log.
    #[error("the database cannot keep a write-ahead log here, only '{mode}'")]
    Log {
        /// What SQLite fell back to.
        mode: String,
    },
    /// The SQLite that is linked is too old to be safe.
    #[error("SQLite {found} is too old")]
    Library {
        /// Its version.
        found: &'static str,
    },
    /// SQLite refused a statement: our mistake.
    #[error("the database refused a statement: {0}")]
    Statement(#[source] SqlError),
}

impl From<SqlError> for DbError {
    fn from(error: SqlError) -> Self {
        use rusqlite::ErrorCode as Code;
        let SqlError::SqliteFailure(cause, _) = &error else {
            return Self::Statement(error);
        };
        match cause.code {
            // The shared-memory index cannot grow: a full disk reports itself so.
            _ if cause.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Self::Full(error),
            Code::DiskFull => Self::Full(error),
            Code::DatabaseCorrupt | Code::NotADatabase => Self::Corrupt(error),
            Code::DatabaseBusy | Code::DatabaseLocked => Self::Busy(error),
            Code::OperationInterrupted => Self::Interrupted,
            Code::SystemIoFailure
            | Code::CannotOpen
            | Code::ReadOnly
            | Code::PermissionDenied
            | Code::FileLockingProtocolFailed
            | Code::OutOfMemory
            | Code::NoLargeFileSupport => Self::File(error),
            _ => Self::Statement(error),
        }
    }
}

impl Explain for DbError {
    fn code(&self) -> &'static str {
        match self {
            Self::Full(_) => STORAGE_FULL,
            Self::Folder(error) if is_full(error) => STORAGE_FULL,
            Self::Corrupt(_) | Self::LogDamaged { .. } => "storage-corrupt",
            Self::Busy(_) => "storage-busy",
            Self::File(_) | Self::Folder(_) | Self::Log { .. } => "storage-io",
            Self::Interrupted => "interrupted",
            Self::Foreign { .. } => "storage-foreign",
            Self::Newer { .. } => "storage-newer",
            Self::Library { .. } | Self::Statement(_) => "storage-bug",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Interrupted => Blame::Caller,
            _ => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Full(_) => FREE_SPACE,
            Self::Folder(error) if is_full(error) => FREE_SPACE,
            Self::Corrupt(_) => {
                "Run `stockade doctor`, then restore this file with `stockade restore` or `stockade doctor --repair`."
            }
            Self::LogDamaged { .. } => {
                "Restore the file with `stockade restore`, or let `stockade doctor --repair` keep what comes before the damage."
            }
            Self::Busy(_) => "Stop the other process that uses this data folder.",
            Self::File(_) | Self::Folder(_) => {
                "Check the disk and the permissions of the data folder."
            }
            Self::Foreign { .. } => "Move the file away; stockade makes a new one.",
            Self::Newer { .. } => "Use the newer stockade, or restore a backup made by this one.",
            Self::Log { .. } => "Put the data folder on a local file system.",
            Self::Interrupted | Self::Library { .. } | Self::Statement(_) => return None,
        };
        Some(hint.to_owned())
    }
}
