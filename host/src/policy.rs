//! A tenant's policy: limits and capabilities, from TOML files, checked once and then trusted.
//!
//! A file may extend a shipped policy or a file beside it; what it leaves out is inherited, and a file
//! that extends nothing extends `default`. So every limit always has a value: nothing is unlimited.
//! Nothing here knows how a limit is enforced, nor wasmtime.

mod error;
mod keys;

pub use error::{PolicyError, Problem};
pub use keys::{
    Agent, Breaker, CallLimits, Chunker, Ingest, Key, Kind, RELATIONS, Relation, SECTIONS, Tenant,
    Value, Wasi, keys,
};

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
}
