//! Files that are damaged, seen before they are used and kept when another takes their place.
//!
//! It looks at files as wholes; what is in a database is not its business.

use super::{DbError, log, sync_folder};
use std::path::{Path, PathBuf};

/// A log whose damage would lose what was acknowledged is not read up to the damage and thrown away.
pub(super) fn check_log(path: &Path) -> Result<(), DbError> {
    let log = log::look(path)?;
    if log.lost_what_was_acknowledged() {
        return Err(DbError::LogDamaged {
            path: log::path_of(path),
            commits: log.commits,
        });
    }
    if log.lost > 0 {
        let log = log::path_of(path);
        tracing::warn!(log = %log.display(), "the last transaction before the process ended is not whole and is left out");
    }
    Ok(())
}

/// Puts `new`, a closed database, in the place of `old`, which is kept with its log: where. Nobody may have either open.
pub fn replace(old: &Path, new: &Path) -> Result<PathBuf, DbError> {
    std::fs::File::open(new)?.sync_all()?;
    let aside = unused(old);
    std::fs::hard_link(old, &aside)?;
    // A log that stayed would be taken for the new file's.
    for suffix in ["-wal", "-shm"] {
        match std::fs::rename(log::beside(old, suffix), log::beside(&aside, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    sync_folder(old)?;
    std::fs::rename(new, old)?;
    sync_folder(old)?;
    Ok(aside)
}

/// A name beside `path` that nothing has.
fn unused(path: &Path) -> PathBuf {
    let names = (1_u32..).map(|number| log::beside(path, &format!(".damaged-{number}")));
    let mut free = names.filter(|name| !name.exists());
    free.next().unwrap_or_else(|| log::beside(path, ".damaged"))
}
