//! stockade.toml: paths, workers, caches and host-wide limits.
//!
//! Every value has a default, so the file may be absent. Nothing here knows tenants or policies.

use crate::error::{Blame, Exit, Explain};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// What the host was configured with. Sizes in the unit of the name.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder with the model's ONNX graph and tokenizer.
    pub model_dir: PathBuf,
    /// The ONNX Runtime library.
    pub onnxruntime: PathBuf,
    /// Model workers, one inference thread each. Default: one a core.
    pub embed_workers: usize,
    /// Tokens in one batch of the embedder: 256 measured best.
    pub embed_batch_tokens: usize,
    /// Tokens that may wait in the embedder's queue, over all tenants.
    pub embed_queue_tokens_max: usize,
    /// Threads that run guests. Default: four a core, so that the operating system can take a core from a guest
    /// that fills memory, which the engine cannot interrupt.
    pub guest_threads: usize,
    /// Tasks that may run at once, over all tenants.
    pub tasks_running_max: usize,
    /// Memory for the tenants' vector matrices, all together.
    pub vector_cache_mib: usize,
    /// Tenants whose index is kept open.
    pub open_indexes_max: usize,
    /// The largest plugin file accepted, whatever the policy says.
    pub plugin_mib_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let cache = cache_dir();
        Self {
            model_dir: cache.join("models/all-MiniLM-L6-v2"),
            onnxruntime: cache.join("onnxruntime-1.32.0/libonnxruntime.so.1.32.0"),
            embed_workers: cores,
            embed_batch_tokens: 256,
            embed_queue_tokens_max: 1_000_000,
            guest_threads: (4 * cores).min(256),
            tasks_running_max: 256,
            vector_cache_mib: 256,
            open_indexes_max: 64,
            plugin_mib_max: 32,
        }
    }
}

/// The per-user cache that the set-up fills: `$STOCKADE_CACHE`, else `$XDG_CACHE_HOME/stockade`, else
/// `~/.cache/stockade`.
pub fn cache_dir() -> PathBuf {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("STOCKADE_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("stockade")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/stockade")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/stockade"))
}

impl Config {
    /// Reads `<data>/stockade.toml` where there is one.
    pub fn load(data: &Path) -> Result<Self, ConfigError> {
        let path = data.join("stockade.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.clone(),
            source: Box::new(source),
        })?;
        config.check(&path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let ranges = [
            ("embed_workers", self.embed_workers, 1, 256),
            ("embed_batch_tokens", self.embed_batch_tokens, 256, 16_384),
            (
                "embed_queue_tokens_max",
                self.embed_queue_tokens_max,
                10_000,
                100_000_000,
            ),
            ("guest_threads", self.guest_threads, 1, 256),
            ("tasks_running_max", self.tasks_running_max, 1, 4_096),
            ("vector_cache_mib", self.vector_cache_mib, 8, 1 << 20),
            ("open_indexes_max", self.open_indexes_max, 2, 4_096),
            ("plugin_mib_max", self.plugin_mib_max, 1, 256),
        ];
        for (key, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                let path = path.to_owned();
                return Err(ConfigError::Range {
                    path,
                    key,
                    value,
                    low,
                    high,
                });
            }
        }
        Ok(())
    }
}

/// stockade.toml cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a wrong type.
    #[error("{path} is not a valid configuration: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value that the host cannot work with.
    #[error("{path}: {key} = {value} is out of range: {low} to {high}")]
    Range {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What it says.
        value: usize,
        /// Smallest legal value.
        low: usize,
        /// Largest legal value.
        high: usize,
    },
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        "config"
    }
    fn blame(&self) -> Blame {
        Blame::Caller
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        Some("Correct the file, or remove it to use the defaults.".to_owned())
    }
}
