//! The data folder: one process at a time, readable by its owner alone.
//!
//! It knows nothing of what others keep in it.

use super::error::RuntimeError;
use crate::error::is_full;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A data folder that this process holds. Given up when dropped, or when the process ends in any way.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Takes the folder, making it where there is none.
    pub fn take(path: &Path) -> Result<Self, RuntimeError> {
        let wrong = |source| RuntimeError::Folder {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(wrong)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = holder(&mut lock);
                return Err(RuntimeError::Held {
                    path: path.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(source)) => return Err(wrong(source)),
        }
        // Who holds it is written for others: a full disk must not keep anybody from what is there.
        match sign(&mut lock) {
            Err(error) if !is_full(&error) => return Err(wrong(error)),
            _ => {}
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes who holds it, for whoever is refused.
fn sign(lock: &mut File) -> std::io::Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    lock.set_len(0)?;
    lock.seek(SeekFrom::Start(0))?;
    writeln!(lock, "process {} (stockade {command})", std::process::id())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(200).read_to_string(&mut text);
    match read.is_ok() && !text.trim().is_empty() {
        true => text.trim().to_owned(),
        false => "another process".to_owned(),
    }
}
