//! A backup on disk: one file with all that is a tenant's, whole or refused.
//!
//! The index (a database by itself), the plugins' bytes, a manifest in JSON, and 64 bytes that say where what begins,
//! the last 32 of them a BLAKE3 hash of everything before. It knows no runtime and no folder but the one it is told.

use crate::catalog::TenantSnapshot;
use crate::corpus::TenantId;
use crate::error::{Blame, Exit, Explain};
use crate::plugin::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 16] = b"stockade-backup\n";
const VERSION: u32 = 1;
const HASH: usize = 32;
/// Magic, version, four bytes that are 0, bytes of the manifest, hash.
const TRAILER: usize = 16 + 4 + 4 + 8 + HASH;

/// The largest manifest: a hundred thousand stopped documents fit.
const MANIFEST_MAX: u64 = 1 << 30;

/// Bytes between two looks at the interrupt.
const SLICE: usize = 1 << 20;

/// What is in a backup. Sizes in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The Stockade that made it.
    pub(super) stockade: String,
    /// Whose it is.
    pub(super) tenant: TenantId,
    /// Digest of the model that the tenant's vectors are of.
    pub(super) model: String,
    pub(super) documents: u64,
    pub(super) chunks: u64,
    pub(super) index_generation: u64,
    /// 0: the tenant had no documents yet, and no index.
    pub(super) index_bytes: u64,
    /// In the order in which their bytes follow the index.
    pub(super) plugins: Vec<PluginPart>,
    pub(super) catalog: TenantSnapshot,
}

/// A plugin's place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PluginPart {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// A backup could not be made, or is none.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error("cannot {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is something else of that name.
    #[error("{0} is there and is no backup: it is not overwritten")]
    Occupied(PathBuf),
    /// Another backup is being written to the same file.
    #[error("{0} is being written by another backup")]
    Busy(PathBuf),
    /// It does not end like a backup.
    #[error("{0} is not a backup of a tenant, or its end is missing")]
    NotOne(PathBuf),
    /// A later Stockade made it.
    #[error("{path} is a backup of format {found}; this version of stockade knows {VERSION}")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It is not as it was written.
    #[error("the backup {path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The index to be backed up is damaged.
    #[error("the index of '{tenant}' is damaged: {what}")]
    Source {
        /// Whose.
        tenant: TenantId,
        /// What SQLite says of it.
        what: String,
    },
    /// Nobody waits for it any more.
    #[error("the backup was given up")]
    GivenUp,
}

impl ArchiveError {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

impl Explain for ArchiveError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "backup-io",
            Self::Occupied(_) => "backup-occupied",
            Self::Busy(_) => "backup-busy",
            Self::NotOne(_) => "backup-not-one",
            Self::Newer { .. } => "backup-newer",
            Self::Damaged { .. } => "backup-damaged",
            Self::Source { .. } => "storage-corrupt",
            Self::GivenUp => "interrupted",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Damaged { .. } | Self::Source { .. } => Blame::Host,
            Self::Busy(_) => Blame::Limit,
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::GivenUp => Exit::Interrupted,
            Self::Busy(_) => Exit::Refused,
            Self::Io { .. } | Self::Damaged { .. } | Self::Source { .. } => Exit::HostFault,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Io { .. } => "Check the path, its permissions and the space on its disk.",
                Self::Occupied(_) => "Name another file.",
                Self::Busy(_) => "Wait until it ends, or name another file.",
                Self::NotOne(_) => "Name a file that `stockade backup` wrote.",
                Self::Newer { .. } => "Use the stockade that made it, or a newer one.",
                Self::Damaged { .. } => "Use another backup: nothing of this one was restored.",
                Self::Source { .. } => {
                    "Run `stockade doctor`; an earlier backup is better than one of a damaged index."
                }
                Self::GivenUp => return None,
            }
            .to_owned(),
        )
    }
}

/// A backup that is being written, under another name until it is whole. Dropped before, it leaves nothing.
#[derive(Debug)]
pub(super) struct Writing {
    target: PathBuf,
    partial: PathBuf,
    /// Held so that two do not write one file.
    _lock: File,
    done: bool,
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.partial);
        }
        let _ = std::fs::remove_file(lock_of(&self.target));
    }
}

/// Where a backup is written before it has its name.
pub fn partial_of(target: &Path) -> PathBuf {
    beside(target, ".partial")
}

fn lock_of(target: &Path) -> PathBuf {
    beside(target, ".lock")
}

fn beside(target: &Path, suffix: &str) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

impl Writing {
    pub(super) fn begin(target: &Path) -> Result<Self, ArchiveError> {
        if target.exists() && !is_backup(target) {
            return Err(ArchiveError::Occupied(target.to_owned()));
        }
        let path = lock_of(target);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let lock = lock.map_err(ArchiveError::io("write", &path))?;
        if lock.try_lock().is_err() {
            return Err(ArchiveError::Busy(target.to_owned()));
        }
        let partial = partial_of(target);
        // Left by one that was killed.
        let _ = std::fs::remove_file(&partial);
        Ok(Self {
            target: target.to_owned(),
            partial,
            _lock: lock,
            done: false,
        })
    }

    /// Where the index is to be copied to; nothing is there.
    pub(super) fn partial(&self) -> &Path {
        &self.partial
    }

    fn file(&self) -> std::io::Result<File> {
        let mut how = OpenOptions::new();
        how.read(true).append(true).create(true).open(&self.partial)
    }

    /// Writes one plugin behind what is there.
    pub(super) fn plugin(&self, digest: Digest, bytes: &[u8]) -> Result<PluginPart, ArchiveError> {
        let written = self.file().and_then(|mut file| file.write_all(bytes));
        written.map_err(ArchiveError::io("write", &self.partial))?;
        Ok(PluginPart {
            digest,
            bytes: bytes.len() as u64,
        })
    }

    /// Writes what follows the plugins, and gives the file its name: its size.
    pub(super) fn finish(
        mut self,
        manifest: &Manifest,
        given_up: &dyn Fn() -> bool,
    ) -> Result<u64, ArchiveError> {
        let failed = |error| ArchiveError::io("write", &self.partial)(error);
        let mut file = self.file().map_err(failed)?;
        let said = serde_json::to_vec(manifest).map_err(|error| failed(error.into()))?;
        file.write_all(&said).map_err(failed)?;
        let mut head = Vec::with_capacity(TRAILER - HASH);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 4]);
        head.extend_from_slice(&(said.len() as u64).to_le_bytes());
        file.write_all(&head).map_err(failed)?;
        let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let hash = hash(&mut file, size, given_up, &self.partial)?;
        file.write_all(hash.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        std::fs::rename(&self.partial, &self.target)
            .map_err(ArchiveError::io("write", &self.target))?;
        self.done = true;
        let folder = self.target.parent().filter(|p| !p.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(ArchiveError::io("write", folder))?;
        Ok(size + HASH as u64)
    }
}

fn is_backup(path: &Path) -> bool {
    let trailer = File::open(path).and_then(|mut file| {
        let mut trailer = [0; TRAILER];
        file.seek(SeekFrom::End(-(TRAILER as i64)))?;
        file.read_exact(&mut trailer)?;
        Ok(trailer)
    });
    trailer.is_ok_and(|trailer| trailer.starts_with(MAGIC))
}

/// Of the first `size` bytes.
fn hash(
    file: &mut File,
    size: u64,
    given_up: &dyn Fn() -> bool,
    path: &Path,
) -> Result<blake3::Hash, ArchiveError> {
    let failed = |error| ArchiveError::io("read", path)(error);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut hasher = blake3::Hasher::new();
    let mut rest = file.take(size);
    let mut slice = vec![0; SLICE];
    loop {
        if given_up() {
            return Err(ArchiveError::GivenUp);
        }
        match rest.read(&mut slice).map_err(failed)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&slice[..read]),
        };
    }
}

/// A backup that was looked at from end to end: it is as it was written.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    pub(super) manifest: Manifest,
}

impl Archive {
    /// Reads all of it.
    pub(super) fn open(path: &Path, given_up: &dyn Fn() -> bool) -> Result<Self, ArchiveError> {
        let failed = |error| ArchiveError::io("read", path)(error);
        let damaged = |what: &str| ArchiveError::Damaged {
            path: path.to_owned(),
            what: what.to_owned(),
        };
        let mut file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        let size = about.len();
        if !about.is_file() || size < TRAILER as u64 {
            return Err(ArchiveError::NotOne(path.to_owned()));
        }
        let mut trailer = [0; TRAILER];
        file.seek(SeekFrom::Start(size - TRAILER as u64))
            .map_err(failed)?;
        file.read_exact(&mut trailer).map_err(failed)?;
        if !trailer.starts_with(MAGIC) {
            return Err(ArchiveError::NotOne(path.to_owned()));
        }
        let number = |from: usize, to: usize| {
            let bytes = trailer[from..to].iter().rev();
            bytes.fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let found = u32::try_from(number(16, 20)).unwrap_or(u32::MAX);
        if found > VERSION {
            let path = path.to_owned();
            return Err(ArchiveError::Newer { path, found });
        }
        let hashed = hash(&mut file, size - HASH as u64, given_up, path)?;
        if hashed.as_bytes()[..] != trailer[TRAILER - HASH..] {
            return Err(damaged("its checksum is wrong"));
        }
        let length = number(24, 32);
        let at = (size - TRAILER as u64).checked_sub(length);
        let at = at.filter(|_| length <= MANIFEST_MAX);
        let at = at.ok_or_else(|| damaged("its manifest is longer than the file"))?;
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut said = Vec::new();
        (&file)
            .take(length)
            .read_to_end(&mut said)
            .map_err(failed)?;
        let manifest: Manifest =
            serde_json::from_slice(&said).map_err(|error| damaged(&error.to_string()))?;
        let parts = manifest.plugins.iter().map(|part| part.bytes);
        let parts = parts.fold(manifest.index_bytes, u64::saturating_add);
        if parts != at {
            return Err(damaged("its parts do not add up"));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            manifest,
        })
    }

    /// The bytes of the plugin at `place` in the manifest, which are what their digest says.
    pub(super) fn plugin(&mut self, place: usize) -> Result<Vec<u8>, ArchiveError> {
        let before = self.manifest.plugins[..place].iter().map(|part| part.bytes);
        let at = before.fold(self.manifest.index_bytes, u64::saturating_add);
        let part = &self.manifest.plugins[place];
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| {
            let mut part = (&self.file).take(part.bytes);
            part.read_to_end(&mut bytes)
        });
        read.map_err(ArchiveError::io("read", &self.path))?;
        match Digest::of(&bytes) == part.digest {
            true => Ok(bytes),
            false => Err(ArchiveError::Damaged {
                path: self.path.clone(),
                what: format!("plugin {} is not what it is called", part.digest.short()),
            }),
        }
    }

    /// Copies the index to `target`, durably.
    pub(super) fn index(
        &mut self,
        target: &Path,
        given_up: &dyn Fn() -> bool,
    ) -> Result<(), ArchiveError> {
        let written = |error| ArchiveError::io("write", target)(error);
        let mut copy = File::create_new(target).map_err(written)?;
        let start = self.file.seek(SeekFrom::Start(0));
        start.map_err(ArchiveError::io("read", &self.path))?;
        let mut left = self.manifest.index_bytes;
        while left > 0 {
            if given_up() {
                return Err(ArchiveError::GivenUp);
            }
            let mut slice = (&self.file).take(left.min(SLICE as u64));
            match std::io::copy(&mut slice, &mut copy).map_err(written)? {
                0 => return Err(ArchiveError::NotOne(self.path.clone())),
                copied => left -= copied,
            }
        }
        copy.sync_all().map_err(written)
    }
}
