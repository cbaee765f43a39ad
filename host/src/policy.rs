//! A tenant's policy: limits and capabilities, from TOML files, checked once and then trusted.
//!
//! A file may extend a shipped policy or a file beside it; what it leaves out is inherited, and a file
//! that extends nothing extends `default`. So every limit always has a value: nothing is unlimited.
//! Nothing here knows how a limit is enforced, nor wasmtime.

mod chain;
mod error;
mod file;
mod keys;
mod merge;
mod spelling;
#[cfg(test)]
mod tests;

pub use chain::{CHAIN_MAX, FILE_BYTES_MAX, PolicySource, SourceFile, shipped_names};
pub use error::{PolicyError, Problem};
pub use keys::{
    Agent, Breaker, CallLimits, Chunker, Ingest, Key, Kind, RELATIONS, Relation, SECTIONS, Tenant,
    Value, Wasi, keys,
};
pub use merge::Entry;

use std::path::Path;

/// Limits and capabilities of a tenant. Every number is within its key's range.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The shipped name, or the file's name without `.toml`.
    pub name: String,
    /// BLAKE3 of the effective values: equal for two policies that allow the same.
    pub digest: [u8; 32],
    /// What a plugin may import besides Stockade's own interfaces.
    pub wasi: Wasi,
    /// What cutting one document may use.
    pub chunker: Chunker,
    /// What answering one question may use.
    pub agent: Agent,
    /// What one document may be.
    pub ingest: Ingest,
    /// What a tenant may use over all its tasks.
    pub tenant: Tenant,
    /// When a plugin that keeps being stopped is switched off.
    pub breaker: Breaker,
    entries: Vec<Entry>,
    source: PolicySource,
}

impl Policy {
    /// The shipped policy `name`: one of [`shipped_names`].
    pub fn shipped(name: &str) -> Result<Self, PolicyError> {
        Self::from_bundle(&PolicySource::shipped(name)?)
    }

    /// The policy in the file `path`, with what it extends. Fails with every problem of all its files.
    pub fn load(path: &Path) -> Result<Self, PolicyError> {
        let (source, broken) = chain::gather(path)?;
        Self::check(&source, broken.as_ref())
    }

    /// The shipped policy of that name, or else the file at that path: what a user may type.
    pub fn find(name_or_path: &str) -> Result<Self, PolicyError> {
        let path = Path::new(name_or_path);
        let is_name = !name_or_path.ends_with(".toml") && !name_or_path.contains('/');
        if is_name && (shipped_names().any(|name| name == name_or_path) || !path.exists()) {
            return Self::shipped(name_or_path);
        }
        Self::load(path)
    }

    /// A policy from text that is in no file; `file` is its name in messages. It may extend shipped
    /// policies only.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, PolicyError> {
        Self::from_bundle(&PolicySource::inline(file, text))
    }

    /// The policy of a stored copy, checked as strictly as the files were.
    pub fn from_bundle(source: &PolicySource) -> Result<Self, PolicyError> {
        if source.files.is_empty() {
            PolicySource::shipped(&source.name)?;
        }
        Self::check(source, None)
    }

    /// This policy with some values replaced by those of a TOML text without `extends`; `file` is the
    /// text's name in messages. The result stands alone: its bundle is one flat file.
    pub fn with(&self, file: &str, text: &str) -> Result<Self, PolicyError> {
        let (layer, mut problems) = file::read(file, text);
        if let Some(extends) = &layer.extends {
            problems.push(extends.problem("extends has no place here".to_owned()));
        }
        let below = merge::layer(&self.entries);
        let entries = merge::entries(&[layer, below], problems)?;
        let flat = merge::to_toml(&entries);
        Self::assemble(PolicySource::inline(file, &flat), entries)
    }

    /// What the catalog stores: the operator's files, from which [`Self::from_bundle`] makes this policy
    /// again.
    pub fn bundle(&self) -> &PolicySource {
        &self.source
    }

    /// Every key with its effective value and where that was written, in the order of [`keys`].
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The effective value of a key such as `chunker.fuel_max`; `None` when there is no such key.
    pub fn value(&self, path: &str) -> Option<Value> {
        let entry = self.entries.iter().find(|entry| entry.key == path)?;
        Some(entry.value)
    }

    /// All effective values as one policy file that depends on no other.
    pub fn to_toml_flat(&self) -> String {
        merge::to_toml(&self.entries)
    }

    /// The digest in hexadecimal, as receipts show it.
    pub fn digest_hex(&self) -> String {
        blake3::Hash::from_bytes(self.digest).to_hex().to_string()
    }

    fn check(source: &PolicySource, broken: Option<&Problem>) -> Result<Self, PolicyError> {
        let (layers, problems) = chain::layers(source, broken);
        let entries = merge::entries(&layers, problems)?;
        Self::assemble(source.clone(), entries)
    }

    fn assemble(source: PolicySource, entries: Vec<Entry>) -> Result<Self, PolicyError> {
        let typed = merge::typed(&entries)?;
        Ok(Self {
            name: source.name.clone(),
            digest: merge::digest(&entries),
            wasi: typed.wasi,
            chunker: typed.chunker,
            agent: typed.agent,
            ingest: typed.ingest,
            tenant: typed.tenant,
            breaker: typed.breaker,
            entries,
            source,
        })
    }
}
