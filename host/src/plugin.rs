//! A plugin: bytes from a stranger -> checked, compiled out of process, cached, loaded component.
//!
//! It knows what a component looks like and what it may ask for, but neither documents nor what the
//! host functions do.

mod cache;
mod compile;
mod componentize;
mod options;
mod structure;

pub use cache::sweep as sweep_artefacts;
#[cfg(test)]
pub(crate) use compile::compile_child;
pub use compile::{CompileProfile, compile_if_asked};
pub use componentize::{componentize, componentize_with, kind_of_module};
pub use options::{OptionError, OptionSpec, OptionType, Options, check_specs, resolve};
pub use structure::{Structure, inspect};

use crate::engine::Engine;
use crate::error::{Blame, Exit, Explain, FREE_SPACE, STORAGE_FULL, is_full};
use crate::policy::Wasi;
use cache::Cache;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use wasmtime::component::Component;

/// The BLAKE3 digest of a plugin's bytes: its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The first 12 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = String;
    fn try_from(hex: String) -> Result<Self, String> {
        let hash = blake3::Hash::from_hex(&hex).map_err(|error| error.to_string())?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// Cuts documents into chunks.
    Chunker,
    /// Answers questions.
    Agent,
}

impl PluginKind {
    /// The world's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chunker => "chunker",
            Self::Agent => "agent",
        }
    }
}

impl std::fmt::Display for PluginKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A compiled plugin, ready to be linked.
#[derive(Clone)]
pub struct Loaded {
    /// Its name.
    pub digest: Digest,
    /// What its bytes showed.
    pub structure: Arc<Structure>,
    /// The compiled component.
    pub component: Component,
    /// How long compiling took; zero when it came from the cache.
    pub compile_time: Duration,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Loads plugins: from memory, else from the authenticated cache, else by compiling in a child.
#[derive(Debug)]
pub struct Loader {
    engine: Engine,
    cache: Cache,
    compiler: PathBuf,
    loaded: Mutex<HashMap<(Digest, Wasi), Loaded>>,
    compiling: Mutex<()>,
}

/// Components kept in memory. Each is mapped code, so the bound is generous.
const LOADED_MAX: usize = 512;

impl Loader {
    /// A loader whose artefacts live in `folder`. `compiler` is the program that compiles: this one.
    pub fn new(engine: Engine, folder: &Path, compiler: PathBuf) -> Result<Self, PluginError> {
        let cache = Cache::open(folder, engine.wasmtime())?;
        let (loaded, compiling) = (Mutex::default(), Mutex::default());
        Ok(Self {
            engine,
            cache,
            compiler,
            loaded,
            compiling,
        })
    }

    /// Compiled plugins in the cache that verify, and those that do not and would be compiled again; the latter are
    /// removed if `remove` says so.
    pub fn check_cache(&self, remove: bool) -> (usize, usize) {
        self.cache.check(remove)
    }

    /// The component of `bytes` under the checks of a policy's `wasi`. Blocks while it compiles: at
    /// most one compilation runs at a time.
    pub fn load(&self, bytes: &[u8], wasi: Wasi) -> Result<Loaded, PluginError> {
        self.load_unless(bytes, wasi, &|| false)
    }

    /// As [`Loader::load`]; gives up, and ends the compiler, as soon as `given_up` says so.
    pub fn load_unless(
        &self,
        bytes: &[u8],
        wasi: Wasi,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Loaded, PluginError> {
        let digest = Digest::of(bytes);
        if let Some(loaded) = self.in_memory(&digest, wasi) {
            return Ok(loaded);
        }
        // What was compiled before does not wait for what others compile now.
        let loaded = match self.cached(&digest, bytes, wasi)? {
            Some(loaded) => loaded,
            None => self.compiled(&digest, bytes, wasi, given_up)?,
        };
        self.remember(wasi, &loaded);
        Ok(loaded)
    }

    /// A component that is in memory already.
    pub fn in_memory(&self, digest: &Digest, wasi: Wasi) -> Option<Loaded> {
        lock(&self.loaded).get(&(*digest, wasi)).cloned()
    }

    /// What was compiled before. The bytes are looked through only where the artefact does not say what they
    /// showed then: that takes longer than all the rest.
    fn cached(
        &self,
        digest: &Digest,
        bytes: &[u8],
        wasi: Wasi,
    ) -> Result<Option<Loaded>, PluginError> {
        let Some(mut artefact) = self.cache.get(digest, wasi) else {
            return Ok(None);
        };
        let structure = match artefact.structure.take() {
            Some(structure) => structure,
            None => inspect(bytes, wasi)?,
        };
        let component = self.cache.component(self.engine.wasmtime(), &artefact);
        Ok(component.map(|component| Loaded {
            digest: *digest,
            structure: Arc::new(structure),
            component,
            compile_time: Duration::ZERO,
        }))
    }

    fn compiled(
        &self,
        digest: &Digest,
        bytes: &[u8],
        wasi: Wasi,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Loaded, PluginError> {
        let structure = inspect(bytes, wasi)?;
        let _one_at_a_time = lock(&self.compiling);
        // Somebody else may have done it meanwhile.
        if let Some(loaded) = self.cached(digest, bytes, wasi)? {
            return Ok(loaded);
        }
        let began = Instant::now();
        let folder = self.cache.folder();
        let output = compile::compile(&self.compiler, bytes, wasi, folder, given_up)?;
        let artefact = self.cache.put(digest, wasi, &structure, &output)?;
        let component = self.cache.component(self.engine.wasmtime(), &artefact);
        Ok(Loaded {
            digest: *digest,
            structure: Arc::new(structure),
            component: component.ok_or(PluginError::Artefact)?,
            compile_time: began.elapsed(),
        })
    }

    fn remember(&self, wasi: Wasi, loaded: &Loaded) {
        let mut all = lock(&self.loaded);
        if all.len() >= LOADED_MAX
            && let Some(&key) = all.keys().next()
        {
            all.remove(&key);
        }
        all.insert((loaded.digest, wasi), loaded.clone());
    }
}

/// A panic elsewhere must not take the cache with it: what it guards is valid at every step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A plugin is refused.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Larger than the profile allows.
    #[error("the plugin has {size} bytes; the limit is {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The largest allowed.
        limit: u64,
    },
    /// Not a binary component at all.
    #[error("not a WebAssembly component: {0}")]
    NotComponent(&'static str),
    /// The bytes break off or make no sense.
    #[error("malformed WebAssembly at byte {offset}: {message}")]
    Malformed {
        /// Where.
        offset: u64,
        /// What the parser said.
        message: String,
    },
    /// A shape that only an attack on the compiler has.
    #[error("the plugin has {what} {found}; the limit is {limit}")]
    StructureLimit {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// At most.
        limit: u64,
    },
    /// A nested component with code of its own.
    #[error("a nested component at byte {offset} has code of its own, which is not supported")]
    NestedCode {
        /// Where.
        offset: u64,
    },
    /// It exports neither or both of the worlds' interfaces.
    #[error("the component is of neither world: it exports {exports}")]
    WrongWorld {
        /// The names that it exports.
        exports: String,
    },
    /// It asks for something that it may not have.
    #[error("the component imports '{import}', which {why}")]
    ForbiddenImport {
        /// The import's name.
        import: String,
        /// Why it may not have it.
        why: &'static str,
    },
    /// Its imports or exports have the world's names but not its types.
    #[error("the component does not fit the world `{world}`: {message}")]
    WrongTypes {
        /// Which world.
        world: &'static str,
        /// What differs.
        message: String,
    },
    /// The compiler refused it.
    #[error("the component is not valid: {0}")]
    Invalid(String),
    /// The compiler used up what it may.
    #[error("compiling the plugin was stopped: {what} (limit {limit})")]
    CompileLimit {
        /// Which limit.
        what: &'static str,
        /// How much is allowed.
        limit: String,
    },
    /// The compiler died.
    #[error("compiling the plugin failed: {0}")]
    CompilerCrash(String),
    /// Whoever wanted it waits no longer.
    #[error("compiling the plugin was given up")]
    GivenUp,
    /// A core module does not make a component of the world.
    #[error("no component can be made of the module: {0}")]
    Componentize(String),
    /// Our own artefact does not load.
    #[error("the compiled artefact cannot be loaded")]
    Artefact,
    /// What the plugin says of its options makes no sense.
    #[error("the plugin describes its option '{name}' wrongly: {message}")]
    Describe {
        /// Which option.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// An installed plugin's file is not what was installed.
    #[error("the file of plugin {} is damaged", digest.short())]
    Damaged {
        /// Which plugin.
        digest: Digest,
    },
    /// A file of the cache.
    #[error("cannot {what} {path}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl Explain for PluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "plugin-too-large",
            Self::NotComponent(_) => "plugin-not-component",
            Self::Malformed { .. } => "plugin-malformed",
            Self::StructureLimit { .. } | Self::NestedCode { .. } => "plugin-structure",
            Self::WrongWorld { .. } | Self::WrongTypes { .. } => "plugin-wrong-world",
            Self::ForbiddenImport { .. } => "plugin-forbidden-import",
            Self::Invalid(_) => "plugin-invalid",
            Self::CompileLimit { .. } => "plugin-compile-limit",
            Self::CompilerCrash(_) => "plugin-compiler-crash",
            Self::GivenUp => "plugin-given-up",
            Self::Componentize(_) => "plugin-componentize",
            Self::Describe { .. } => "plugin-describe",
            Self::Damaged { .. } => "plugin-damaged",
            Self::Io { source, .. } if is_full(source) => STORAGE_FULL,
            Self::Artefact | Self::Io { .. } => "plugin-cache",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Artefact | Self::Damaged { .. } | Self::Io { .. } => Blame::Host,
            Self::GivenUp => Blame::Caller,
            // CPU is the plugin's own; how long it took is also a matter of what else the machine had to do.
            Self::CompileLimit { what, .. } if *what == compile::WALL_TIME => Blame::Limit,
            _ => Blame::Guest,
        }
    }

    fn exit(&self) -> Exit {
        match self.blame() {
            Blame::Host => Exit::HostFault,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotComponent(_) => {
                "Build a component of stockade:plugin (see docs/plugin-authors.md); `wasm-tools component new` makes one of a core module."
            }
            Self::WrongWorld { .. } | Self::WrongTypes { .. } => {
                "Export the interfaces of world `chunker` or `agent` in wit/, with their types."
            }
            Self::ForbiddenImport { .. } => {
                "Build for wasm32-unknown-unknown, or let the tenant's policy say wasi = \"sandboxed\"."
            }
            Self::Io { source, .. } if is_full(source) => FREE_SPACE,
            Self::Artefact | Self::Io { .. } => {
                "Run `stockade doctor`; the cache folder may be removed."
            }
            Self::Damaged { .. } => "Install it again with `stockade plugin install`.",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
