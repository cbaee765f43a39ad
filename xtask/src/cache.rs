//! The cache folder: where each thing lies, the lock that keeps two commands apart, and the only
//! way to put something there: whole and verified, or not at all. It does not know where things
//! come from.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use crate::ui;

/// The folder that all clones of one user share.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// Held while a command works in the cache; let go when dropped, and by the kernel if we are killed.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Cache {
    /// `$STOCKADE_CACHE`, else `$XDG_CACHE_HOME/stockade`, else `~/.cache/stockade`; made if absent.
    pub(crate) fn from_env() -> Result<Self> {
        let set = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = set("STOCKADE_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("stockade")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache/stockade")))
            .ok_or_else(|| {
                ui::todo(
                    "no place for the cache folder",
                    "export STOCKADE_CACHE=/some/folder",
                )
            })?;
        Self::at(&std::path::absolute(root)?)
    }

    /// The cache in the given folder, made if absent.
    pub(crate) fn at(root: &Path) -> Result<Self> {
        fs::create_dir_all(root)
            .with_context(|| format!("cannot make the cache folder {}", root.display()))?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// The folder itself, as children find it in `STOCKADE_CACHE`.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The library that the embedder loads.
    pub(crate) fn onnxruntime(&self, version: &str) -> PathBuf {
        self.root
            .join(format!("onnxruntime-{version}/libonnxruntime.so.{version}"))
    }

    /// The folder of the embedding model.
    pub(crate) fn model(&self) -> PathBuf {
        self.root.join("models/all-MiniLM-L6-v2")
    }

    /// The folder of all built guests; each set in a folder named by its key.
    pub(crate) fn guests(&self) -> PathBuf {
        self.root.join("guests")
    }

    /// Cargo's target folder for the host and all checks.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Cargo's target folder for the guests: another compiler may fill it.
    pub(crate) fn target_guests(&self) -> PathBuf {
        self.root.join("target-guests")
    }

    /// How guests are compiled here, for `stockade plugin build`.
    pub(crate) fn guest_toolchain(&self) -> PathBuf {
        self.root.join("guest-toolchain.json")
    }

    /// The host binary that the set-up builds.
    pub(crate) fn stockade(&self) -> PathBuf {
        self.target().join("release/stockade")
    }

    /// A tool that the set-up brought.
    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// The chunker in Python that the tests run, and the tool that makes it.
    pub(crate) fn python_guest(&self) -> PathBuf {
        self.root.join("python-guest")
    }

    /// The Python environment of the peers.
    pub(crate) fn peers(&self) -> PathBuf {
        self.root.join("peers")
    }

    /// Waits until no other command holds the lock of this name, and says so while it waits.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock> {
        let path = self.root.join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                ui::line("another set-up is running, waiting for it to end …");
                file.lock()
                    .with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(anyhow!(error).context(format!("cannot lock {}", path.display())));
            }
        }
        Ok(Lock { _file: file })
    }

    /// The folder for downloads under way, emptied of what an interrupted command left. Holding
    /// the lock is what makes that safe, so it has to be shown.
    pub(crate) fn downloads(&self, _lock: &Lock) -> Result<PathBuf> {
        let folder = self.root.join("downloads");
        remove_dir(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

/// Whether the file is there and has this SHA-256; a truncated or changed file has not.
pub(crate) fn has_sha256(path: &Path, sha256: &str) -> Result<bool> {
    match File::open(path) {
        Ok(mut file) => Ok(digest(&mut file)? == sha256),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(anyhow!(error).context(format!("cannot read {}", path.display()))),
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn digest(reader: &mut dyn Read) -> Result<String> {
    let mut hasher = Sha256::new();
    io::copy(reader, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Puts what the reader yields at `path` if it has this SHA-256: written beside it, flushed to the
/// disk, verified, renamed. Whoever looks at `path` sees the old file, none, or the whole new one.
pub(crate) fn put_verified(path: &Path, reader: &mut dyn Read, sha256: &str) -> Result<()> {
    let part = part_of(path);
    let file = create(&part)?;
    let mut writer = Hashing {
        file,
        hasher: Sha256::new(),
    };
    io::copy(reader, &mut writer).with_context(|| format!("cannot write {}", part.display()))?;
    writer.file.sync_all()?;
    let found = hex(&writer.hasher.finalize());
    if found != sha256 {
        fs::remove_file(&part)?;
        bail!(
            "{} should have the SHA-256 {sha256}, but what came has {found}",
            path.display()
        );
    }
    rename(&part, path)
}

/// Puts these bytes at `path` in the same way; writes nothing where they are there already, so
/// that cargo sees no change. True where something was written.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let part = part_of(path);
    let mut file = create(&part)?;
    file.write_all(bytes)
        .with_context(|| format!("cannot write {}", part.display()))?;
    file.sync_all()?;
    rename(&part, path)?;
    Ok(true)
}

/// Puts a whole folder at `path`: `fill` writes into a folder beside it, which then takes the name.
pub(crate) fn put_dir(path: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let part = part_of(path);
    remove_dir(&part)?;
    fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    fill(&part)?;
    remove_dir(path)?;
    rename(&part, path)
}

/// Makes the file executable.
pub(crate) fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}

/// Removes a folder with all that is in it; one that is not there is fine.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(anyhow!(error).context(format!("cannot remove {}", path.display())))
        }
        _ => Ok(()),
    }
}

/// The name that `path` has until it is whole. It is fixed, so an interrupted command leaves at
/// most one, which the next command overwrites.
fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn create(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))?;
    if let Some(folder) = to.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes to a file and hashes on the way.
struct Hashing {
    file: File,
    hasher: Sha256,
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn bytes_with_the_right_hash_are_put() {
        let folder = folder();
        let path = folder.path().join("deep/er/file");
        put_verified(&path, &mut &b"hello"[..], HELLO).unwrap();
        assert!(has_sha256(&path, HELLO).unwrap());
        assert!(!part_of(&path).exists());
    }

    #[test]
    fn bytes_with_a_wrong_hash_leave_the_old_file_and_no_rest() {
        let folder = folder();
        let path = folder.path().join("file");
        fs::write(&path, "hello").unwrap();
        let error = put_verified(&path, &mut &b"hellO"[..], HELLO)
            .unwrap_err()
            .to_string();
        assert!(error.contains(HELLO), "{error}");
        assert!(has_sha256(&path, HELLO).unwrap());
        assert!(!part_of(&path).exists());
    }

    #[test]
    fn a_reader_that_breaks_off_leaves_the_old_file() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("line cut"))
            }
        }
        let folder = folder();
        let path = folder.path().join("file");
        fs::write(&path, "hello").unwrap();
        assert!(put_verified(&path, &mut Read::chain(&b"hel"[..], Breaks), HELLO).is_err());
        assert!(has_sha256(&path, HELLO).unwrap());
    }

    #[test]
    fn what_an_interrupted_put_left_does_not_disturb_the_next() {
        let folder = folder();
        let path = folder.path().join("file");
        fs::write(part_of(&path), "much longer than what comes now").unwrap();
        put_verified(&path, &mut &b"hello"[..], HELLO).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"hello");
    }

    #[test]
    fn a_truncated_or_absent_file_has_not_the_hash() {
        let folder = folder();
        let path = folder.path().join("file");
        assert!(!has_sha256(&path, HELLO).unwrap());
        fs::write(&path, "hell").unwrap();
        assert!(!has_sha256(&path, HELLO).unwrap());
    }

    #[test]
    fn the_same_bytes_are_not_written_again() {
        let folder = folder();
        let path = folder.path().join("pointer");
        assert!(put(&path, b"one").unwrap());
        assert!(!put(&path, b"one").unwrap());
        assert!(put(&path, b"two").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn a_folder_is_put_whole_or_not_at_all() {
        let folder = folder();
        let path = folder.path().join("set");
        let broken = put_dir(&path, |part| {
            fs::write(part.join("a"), "half")?;
            bail!("interrupted")
        });
        assert!(broken.is_err() && !path.exists());
        put_dir(&path, |part| Ok(fs::write(part.join("b"), "whole")?)).unwrap();
        assert!(path.join("b").exists() && !path.join("a").exists());
    }

    #[test]
    fn downloads_starts_empty() {
        let folder = folder();
        let cache = Cache::at(folder.path()).unwrap();
        let lock = cache.lock("setup").unwrap();
        fs::create_dir_all(folder.path().join("downloads/left/behind")).unwrap();
        assert_eq!(
            fs::read_dir(cache.downloads(&lock).unwrap())
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn the_second_of_two_waits_for_the_lock() {
        let folder = folder();
        let cache = Cache::at(folder.path()).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let first = cache.lock("setup").unwrap();
        let waiting = std::thread::spawn(move || {
            let _second = cache.lock("setup").unwrap();
            sender.send("second").unwrap();
        });
        assert!(receiver.try_recv().is_err());
        drop(first);
        assert_eq!(receiver.recv().unwrap(), "second");
        waiting.join().unwrap();
    }
}
