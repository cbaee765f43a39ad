//! What a tour has in the clone's `target`: its data folder, the components of its plugins, and a hold
//! of the binary. One tour at a time. It does not know what goes into the folders.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cache;
use crate::ui;

/// The data folder, relative to the workspace's root.
pub(super) const DATA: &str = "target/demo-data";
/// The folder of components, relative to the workspace's root.
pub(super) const PLUGINS: &str = "target/demo-plugins";
const BINARY: &str = "target/demo-stockade";
const LOCK: &str = "target/demo.lock";

/// The folders, for as long as no other tour may have them. Let go when dropped.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    _alone: File,
}

impl Folders {
    /// Claims the folders of the workspace at `root`; fails while another tour has them.
    pub(super) fn claim(root: &Path) -> Result<Self> {
        fs::create_dir_all(root.join("target"))?;
        let path = root.join(LOCK);
        let cannot = |what| format!("cannot {what} {}", path.display());
        let file = File::create(&path).with_context(|| cannot("open"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self {
                root: root.to_owned(),
                _alone: file,
            }),
            Err(TryLockError::WouldBlock) => Err(ui::todo(
                "another demo is running in this clone",
                "wait until it has ended, then:\ncargo xtask demo",
            )),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| cannot("lock")),
        }
    }

    /// Where the tour's commands keep tenants and documents.
    pub(super) fn data(&self) -> PathBuf {
        self.root.join(DATA)
    }

    /// Where the tour's commands find components.
    pub(super) fn plugins(&self) -> PathBuf {
        self.root.join(PLUGINS)
    }

    /// Removes what an earlier tour left.
    pub(super) fn renew(&self) -> Result<()> {
        for folder in [self.data(), self.plugins()] {
            cache::remove_dir(&folder)?;
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(())
    }

    /// Takes hold of a binary as it is now, whatever another clone's set-up builds in its place.
    pub(super) fn hold(&self, binary: &Path) -> Result<Held> {
        let held = Held {
            path: self.root.join(BINARY),
        };
        let _ = fs::remove_file(&held.path);
        fs::hard_link(binary, &held.path)
            .or_else(|_| fs::copy(binary, &held.path).map(|_| ()))
            .with_context(|| format!("cannot copy {}", binary.display()))?;
        Ok(held)
    }
}

/// A second name of a binary; removed when dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_second_demo_in_the_same_clone_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let first = Folders::claim(root.path()).unwrap();
        let error = Folders::claim(root.path()).unwrap_err().to_string();
        assert!(error.contains("another demo"), "{error}");
        drop(first);
        // A child that another test has just forked holds the lock until it is another program.
        let watchdog = Instant::now() + Duration::from_secs(60);
        while Folders::claim(root.path()).is_err() {
            assert!(Instant::now() < watchdog, "the lock stays");
            std::thread::yield_now();
        }
    }

    #[test]
    fn nothing_of_an_earlier_tour_is_left() {
        let root = tempfile::tempdir().unwrap();
        let folders = Folders::claim(root.path()).unwrap();
        folders.renew().unwrap();
        fs::write(folders.data().join("old"), "").unwrap();
        folders.renew().unwrap();
        assert_eq!(fs::read_dir(folders.data()).unwrap().count(), 0);
        assert!(folders.plugins().is_dir());
    }

    #[test]
    fn a_held_binary_stays_when_another_takes_its_place() {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join("stockade");
        fs::write(&binary, "old").unwrap();
        let held = Folders::claim(root.path()).unwrap().hold(&binary).unwrap();
        fs::remove_file(&binary).unwrap();
        fs::write(&binary, "new").unwrap();
        assert_eq!(fs::read_to_string(&held.path).unwrap(), "old");
        let path = held.path.clone();
        drop(held);
        assert!(!path.exists());
    }
}
