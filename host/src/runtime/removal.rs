//! Removing a tenant's folder so that a crash finds it whole or gone: it is moved aside, its row goes, and only
//! then it is taken apart. The row decides.
//!
//! It knows nothing of what is in the folder, and asks others whether there is a row.

use super::RuntimeError;
use super::files::sync_folder;
use crate::corpus::TenantId;
use crate::cut::{self, Point};
use crate::error::Failure;
use crate::law::{self, Law};
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

/// Before the name of a folder that is aside. No tenant's name begins so.
const ASIDE: &str = ".removed-";

fn aside(tenants: &Path, name: &TenantId) -> PathBuf {
    tenants.join(format!("{ASIDE}{name}"))
}

/// Moves the folder of `name` aside, then lets `forget` take its row away; when that fails, all is as before.
pub(super) fn remove(
    tenants: &Path,
    name: &TenantId,
    forget: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    if !law::holds(Law::FolderBeforeRow) {
        forget()?;
        cut::here(Point::TenantUnnamed);
        return Ok(rename(&tenants.join(name.as_str()), &aside(tenants, name))?);
    }
    finish(tenants, name)?;
    let (own, aside) = (tenants.join(name.as_str()), aside(tenants, name));
    rename(&own, &aside)?;
    cut::here(Point::FolderAside);
    if let Err(failure) = forget() {
        rename(&aside, &own)?;
        return Err(failure);
    }
    cut::here(Point::TenantUnnamed);
    Ok(())
}

/// Takes apart what is aside of `name`, whose row is gone.
pub(super) fn finish(tenants: &Path, name: &TenantId) -> Result<(), RuntimeError> {
    take_apart(&aside(tenants, name))?;
    cut::here(Point::TenantGone);
    Ok(())
}

/// After a crash: what is aside of a tenant that is `there` goes back to its place, the rest goes.
pub(super) fn recover(
    tenants: &Path,
    there: &dyn Fn(&TenantId) -> bool,
) -> Result<(), RuntimeError> {
    let Ok(folders) = std::fs::read_dir(tenants) else {
        return Ok(());
    };
    for folder in folders.flatten() {
        let file_name = folder.file_name();
        let Some(name) = file_name.to_str().and_then(|name| name.strip_prefix(ASIDE)) else {
            continue;
        };
        let own = tenants.join(name);
        match TenantId::new(name) {
            Ok(name) if there(&name) && !own.exists() => rename(&folder.path(), &own)?,
            Ok(_) => take_apart(&folder.path())?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn take_apart(folder: &Path) -> Result<(), RuntimeError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != NotFound => Err(wrong(folder, error)),
        _ => Ok(()),
    }
}

/// Durably. Nothing happens where there is no folder.
fn rename(from: &Path, to: &Path) -> Result<(), RuntimeError> {
    match std::fs::rename(from, to) {
        Ok(()) => sync_folder(to.parent()).map_err(|error| wrong(to, error)),
        Err(error) if error.kind() == NotFound => Ok(()),
        Err(error) => Err(wrong(from, error)),
    }
}

fn wrong(path: &Path, source: std::io::Error) -> RuntimeError {
    let path = path.to_owned();
    RuntimeError::Folder { path, source }
}
