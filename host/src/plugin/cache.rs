//! Compiled artefacts on disk, each with a keyed MAC: loading forged machine code would be running it.
//!
//! The key lives beside the artefacts, readable by the owner alone, and is made once per data folder.
//! An artefact that does not verify, or is of another engine, is as good as absent.

use super::{Digest, PluginError};
use crate::guard::{self, Guard};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wasmtime::component::Component;

const MAC: usize = blake3::OUT_LEN;

pub(super) struct Cache {
    folder: PathBuf,
    key: [u8; 32],
    engine: u64,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// An artefact that verified. Made by [`Cache`] alone.
pub(super) struct Artefact(Vec<u8>);

impl Cache {
    pub(super) fn open(folder: &Path, engine: &wasmtime::Engine) -> Result<Self, PluginError> {
        let io = |what, source| PluginError::Io {
            what,
            path: folder.to_owned(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|e| io("create", e))?;
        let key = read_or_make_key(folder).map_err(|e| io("read or make the key in", e))?;
        let mut hasher = std::hash::DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            folder: folder.to_owned(),
            key,
            engine: hasher.finish(),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join(format!("{digest}-{:016x}.cwasm", self.engine))
    }

    /// The artefact of a plugin, where there is one that this host made.
    pub(super) fn get(&self, digest: &Digest) -> Option<Artefact> {
        let bytes = std::fs::read(self.path(digest)).ok()?;
        let (mac, artefact) = bytes.split_at_checked(MAC)?;
        let mac = blake3::Hash::from_bytes(mac.try_into().ok()?);
        if self.mac(digest, artefact) != mac && guard::stands(Guard::ArtefactMac) {
            tracing::warn!(plugin = %digest, "a compiled artefact did not verify; compiling again");
            return None;
        }
        Some(Artefact(artefact.to_owned()))
    }

    /// Stores what the compile child made.
    pub(super) fn put(&self, digest: &Digest, bytes: &[u8]) -> Result<Artefact, PluginError> {
        let path = self.path(digest);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(self.mac(digest, bytes).as_bytes())?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| PluginError::Io {
            what: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Artefact(bytes.to_owned()))
    }

    /// The component in an artefact; nothing when it is of another engine's settings or version.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where artefacts are loaded"
    )]
    pub(super) fn component(
        &self,
        engine: &wasmtime::Engine,
        artefact: &Artefact,
    ) -> Option<Component> {
        // SAFETY: the bytes come from the compile child of this host, held in memory since its MAC
        // was verified (or since the child returned them); nobody else can make an `Artefact`.
        #[expect(unsafe_code, reason = "authenticated artefact")]
        let loaded = unsafe { Component::deserialize(engine, &artefact.0) };
        loaded
            .inspect_err(|error| tracing::warn!("an artefact does not load: {error:#}"))
            .ok()
    }

    /// Over the engine, the plugin and the machine code, so that none can stand for another.
    fn mac(&self, digest: &Digest, artefact: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.engine.to_le_bytes());
        hasher.update(&digest.0);
        hasher.update(artefact);
        hasher.finalize()
    }
}

/// Files that a process left which was killed are older than any compilation takes.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

/// Removes the artefacts in `folder` whose plugins are not `needed`, which is asked by their digests. What
/// cannot be removed is left for the next time.
pub fn sweep(folder: &Path, needed: &dyn Fn(&str) -> bool) {
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let artefact = name.strip_suffix(".cwasm");
        let gone = match artefact.and_then(|name| name.split_once('-')) {
            Some((digest, _)) => !needed(digest),
            None => name.starts_with(".tmp") && is_left_behind(&file),
        };
        if gone {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

fn is_left_behind(file: &std::fs::DirEntry) -> bool {
    let changed = file.metadata().and_then(|metadata| metadata.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.is_some_and(|age| age > LEFT_BEHIND)
}

fn read_or_make_key(folder: &Path) -> std::io::Result<[u8; 32]> {
    let path = folder.join("key");
    let mut key = [0; 32];
    match std::fs::File::open(&path) {
        Ok(mut file) => {
            file.read_exact(&mut key)?;
            Ok(key)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(&key)?;
            file.sync_all()?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}
