//! Compiled artefacts on disk, each with a keyed MAC: loading forged machine code would be running it.
//!
//! The key lives beside the artefacts, readable by the owner alone, and is made once per data folder.
//! An artefact that does not verify, or is of another engine, is as good as absent.

use super::{Digest, PluginError, Structure};
use crate::cut::{self, Point};
use crate::guard::{self, Guard};
use crate::policy::Wasi;
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
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
pub(super) struct Artefact {
    /// What the plugin's bytes showed when it was compiled; they are not looked through again.
    pub(super) structure: Option<Structure>,
    bytes: Vec<u8>,
    code_at: usize,
}

/// What a change of makes older artefacts foreign: the rules of `inspect` are this program's.
const VERSION: &str = env!("CARGO_PKG_VERSION");

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

    fn path(&self, digest: &Digest, wasi: Wasi) -> PathBuf {
        let (engine, wasi) = (self.engine, wasi.as_str());
        self.folder
            .join(format!("{digest}-{wasi}-{engine:016x}.cwasm"))
    }

    /// The artefact of a plugin under the checks of `wasi`, where there is one that this host made. The file:
    /// MAC, length of the structure, structure as JSON, machine code.
    pub(super) fn get(&self, digest: &Digest, wasi: Wasi) -> Option<Artefact> {
        let bytes = std::fs::read(self.path(digest, wasi)).ok()?;
        let (mac, signed) = bytes.split_at_checked(MAC)?;
        let mac = blake3::Hash::from_bytes(mac.try_into().ok()?);
        if self.mac(digest, wasi, signed) != mac && guard::stands(Guard::ArtefactMac) {
            tracing::warn!(plugin = %digest, "a compiled artefact did not verify; compiling again");
            return None;
        }
        let (length, rest) = signed.split_at_checked(size_of::<u32>())?;
        let length = usize::try_from(u32::from_le_bytes(length.try_into().ok()?)).ok()?;
        let structure = serde_json::from_slice(rest.get(..length)?).ok()?;
        Some(Artefact {
            structure,
            code_at: MAC + size_of::<u32>() + length,
            bytes,
        })
    }

    /// Stores what the compile child made of a plugin of this structure. The structure is left out where it was
    /// not checked as it ought to be, which only a test build can do.
    pub(super) fn put(
        &self,
        digest: &Digest,
        wasi: Wasi,
        structure: &Structure,
        code: &[u8],
    ) -> Result<Artefact, PluginError> {
        let path = self.path(digest, wasi);
        let structure = guard::all_stand().then_some(structure);
        let said = serde_json::to_vec(&structure).unwrap_or_default();
        let length = u32::try_from(said.len()).unwrap_or(0).to_le_bytes();
        let signed = [&length, said.as_slice(), code].concat();
        let mac = self.mac(digest, wasi, &signed);
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(mac.as_bytes())?;
            file.write_all(&signed)?;
            file.as_file().sync_all()?;
            cut::here(Point::ArtefactWritten);
            file.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|source| PluginError::Io {
            what: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Artefact {
            structure: structure.cloned(),
            code_at: size_of::<u32>() + said.len(),
            bytes: signed,
        })
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
        let loaded = unsafe { Component::deserialize(engine, &artefact.bytes[artefact.code_at..]) };
        loaded
            .inspect_err(|error| tracing::warn!("an artefact does not load: {error:#}"))
            .ok()
    }

    /// Over program, engine, plugin, checks and contents, so that none can stand for another.
    fn mac(&self, digest: &Digest, wasi: Wasi, signed: &[u8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in [VERSION, wasi.as_str()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&self.engine.to_le_bytes());
        hasher.update(&digest.0);
        hasher.update(signed);
        hasher.finalize()
    }
}

impl Cache {
    /// Artefacts of this engine that verify, and those that do not; the latter are removed if `remove` says so.
    pub(super) fn check(&self, remove: bool) -> (usize, usize) {
        let (mut whole, mut broken) = (0, 0);
        let engine = format!("{:016x}", self.engine);
        for file in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = file.file_name().to_string_lossy().into_owned();
            let parts: Vec<&str> = name.trim_end_matches(".cwasm").splitn(3, '-').collect();
            let &[digest, wasi, made_for] = parts.as_slice() else {
                continue;
            };
            let Ok(digest) = Digest::try_from(digest.to_owned()) else {
                continue;
            };
            let wasi = [Wasi::None, Wasi::Sandboxed]
                .into_iter()
                .find(|w| w.as_str() == wasi);
            let Some(wasi) = wasi.filter(|_| made_for == engine) else {
                continue;
            };
            if self.get(&digest, wasi).is_some() {
                whole += 1;
                continue;
            }
            broken += 1;
            if remove {
                let _ = std::fs::remove_file(file.path());
            }
        }
        (whole, broken)
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

/// The key is there whole or not at all. One that is too short is of no use to anybody, and replaced: what was
/// signed with another is compiled again.
fn read_or_make_key(folder: &Path) -> std::io::Result<[u8; 32]> {
    let path = folder.join("key");
    let mut key = [0; 32];
    let read = std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut key));
    match read {
        Ok(()) => return Ok(key),
        Err(error) if is_no_key(&error) => {}
        Err(error) => return Err(error),
    }
    std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
    // For its owner alone, as temporary files are.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    cut::here(Point::KeyWritten);
    file.persist(&path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()?;
    Ok(key)
}

fn is_no_key(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotFound, UnexpectedEof};
    matches!(error.kind(), NotFound | UnexpectedEof)
}
