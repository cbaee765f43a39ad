//! Folders follow the catalog: what a transaction noted is done with them, now or by whoever opens the data folder next.
//!
//! Each step can be repeated, so that a process may be killed between any two.

use super::Runtime;
use super::error::RuntimeError;
use crate::catalog::{Catalog, Move};
use crate::error::Failure;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

/// What a folder is called that is to become a tenant's. No tenant's name begins with a dot.
pub(super) const RESTORING: &str = ".restoring-";

/// Does what the catalog notes. Nobody may have an index in those folders open for writing.
pub(super) fn finish(data: &Path, catalog: &Catalog) -> Result<(), Failure> {
    for step in catalog.moves()? {
        take(&data.join("tenants"), &step).map_err(|source| RuntimeError::Folder {
            path: data.join("tenants").join(step.tenant.as_str()),
            source,
        })?;
        catalog.moved(&step.tenant)?;
    }
    Ok(())
}

fn take(tenants: &Path, step: &Move) -> std::io::Result<()> {
    let place = tenants.join(step.tenant.as_str());
    match &step.source {
        // It is in its place already.
        Some(source) if !tenants.join(source).exists() => Ok(()),
        Some(source) => {
            remove(&place)?;
            std::fs::rename(tenants.join(source), &place)?;
            File::open(tenants)?.sync_all()
        }
        None => remove(&place),
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes folders of restorations that ended before the catalog knew of them.
pub(super) fn sweep(data: &Path) {
    let Ok(entries) = std::fs::read_dir(data.join("tenants")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(RESTORING.as_bytes()) {
            let _ = remove(&entry.path());
        }
    }
}

impl Runtime {
    /// As [`finish`], while tenants are being changed by nobody else.
    pub(super) fn finish_moves(&self) -> Result<(), Failure> {
        finish(self.data(), &self.catalog)
    }
}
