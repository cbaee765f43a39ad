//! JSON of `backup` and `restore`.

use super::ErrorJson;
use crate::runtime as rt;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is asked of a backup.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupToJson {
    /// Where to: an absolute path on the host's machine.
    pub file: PathBuf,
}

/// What `backup` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct BackupJson {
    /// The tenant.
    pub tenant: String,
    /// Where it is.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Documents in it.
    pub documents: u64,
    /// Chunks in it.
    pub chunks: u64,
    /// Versions of plugins in it, each counted once.
    pub plugins: u64,
    /// The state of the index that it holds.
    pub index_generation: u64,
}

impl BackupJson {
    /// Of a tenant's backup in `file`.
    pub fn new(tenant: String, file: PathBuf, made: &rt::BackedUp) -> Self {
        Self {
            tenant,
            file,
            bytes: made.bytes,
            documents: made.documents,
            chunks: made.chunks,
            plugins: made.plugins,
            index_generation: made.index_generation,
        }
    }
}

/// What is asked of a restoration.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreFromJson {
    /// Where from: an absolute path on the host's machine.
    pub file: PathBuf,
    /// A tenant of that name may be replaced.
    pub replace: bool,
}

/// What `restore` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct RestoreJson {
    /// The tenant.
    pub tenant: String,
    /// Whose backup it was.
    pub from: String,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Versions of plugins that passed their checks and are installed.
    pub plugins: u64,
    /// Versions of plugins that did not pass and are not installed.
    pub refused: Vec<RefusedPluginJson>,
    /// There was a tenant of that name before.
    pub replaced: bool,
    /// It is suspended, as it was when the backup was made.
    pub suspended: bool,
    /// Its vectors are of another model than this host's: its documents have to be ingested again.
    pub other_model: bool,
}

/// A version of a plugin that did not pass its checks.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefusedPluginJson {
    /// Its label.
    pub label: String,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// Why.
    pub error: ErrorJson,
}

impl RestoreJson {
    /// Of a restored tenant.
    pub fn new(tenant: String, restored: rt::Restored) -> Self {
        let refused = restored.refused.into_iter();
        let refused = refused.map(|(label, digest, failure)| RefusedPluginJson {
            label,
            digest: digest.to_string(),
            error: ErrorJson::from(&failure),
        });
        Self {
            tenant,
            from: restored.from.to_string(),
            documents: restored.documents,
            chunks: restored.chunks,
            plugins: restored.plugins,
            refused: refused.collect(),
            replaced: restored.replaced,
            suspended: restored.suspended,
            other_model: restored.other_model,
        }
    }
}
