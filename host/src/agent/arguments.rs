//! What the arguments of `retrieval` must be, what its refusals are, and its types in WIT's words.
//!
//! It reads and converts; it charges nothing and asks no index.

use crate::bindings::agent::stockade::plugin::retrieval as wit;
use crate::corpus::{ChunkId, Passage, shorten};
use crate::index::{MAX_CHUNKS_PER_CALL, MAX_HITS};
use crate::sandbox::Halted;
use serde_json::{Value, json};

/// A query's text, in bytes. The model reads 256 tokens and text search 64 terms.
pub(super) const QUERY_BYTES_MAX: usize = 64 << 10;

/// How a retrieval call ends when it does not succeed.
pub(super) enum Refusal {
    /// The guest hears of it and goes on.
    Denied(wit::Denied),
    /// The task is over.
    Halt(wasmtime::Error),
}

impl From<wasmtime::Error> for Refusal {
    fn from(error: wasmtime::Error) -> Self {
        Self::Halt(error)
    }
}

impl From<Halted> for Refusal {
    fn from(halted: Halted) -> Self {
        Self::Halt(halted.into())
    }
}

impl From<wasmtime::component::ResourceTableError> for Refusal {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Halt(error.into())
    }
}

pub(super) fn invalid(what: impl Into<String>) -> Refusal {
    Refusal::Denied(wit::Denied::InvalidArgument(what.into()))
}

pub(super) fn checked_k(k: u32) -> Result<usize, Refusal> {
    let k = k as usize;
    match (1..=MAX_HITS).contains(&k) {
        true => Ok(k),
        false => Err(invalid(format!("k must be from 1 to {MAX_HITS}"))),
    }
}

pub(super) fn checked_query(query: &str) -> Result<(), Refusal> {
    match query.len() > QUERY_BYTES_MAX {
        true => Err(invalid(format!(
            "the query has more than {QUERY_BYTES_MAX} bytes"
        ))),
        false => Ok(()),
    }
}

pub(super) fn checked_count(chunks: usize) -> Result<(), Refusal> {
    match chunks > MAX_CHUNKS_PER_CALL {
        true => Err(invalid(format!(
            "more than {MAX_CHUNKS_PER_CALL} chunks in one call"
        ))),
        false => Ok(()),
    }
}

/// Why a call was denied, in a few words.
pub(super) fn why(denied: &wit::Denied) -> String {
    match denied {
        wit::Denied::BudgetSpent(meter) => format!("{} is spent", meter_name(*meter)),
        wit::Denied::NotFound => "no such chunk".to_owned(),
        wit::Denied::InvalidArgument(what) => shorten(what, 200),
    }
}

fn meter_name(meter: wit::Meter) -> &'static str {
    match meter {
        wit::Meter::EmbedTokens => "embed_tokens_max",
        wit::Meter::Searches => "searches_max",
        wit::Meter::VectorsScanned => "vectors_scanned_max",
        wit::Meter::Read => "read_kib_max",
    }
}

pub(super) fn ids(chunks: &[u64]) -> Vec<ChunkId> {
    chunks.iter().copied().map(ChunkId).collect()
}

/// Ids for the ledger: the first few.
pub(super) fn some_ids(chunks: &[u64]) -> Value {
    json!({ "chunks": &chunks[..chunks.len().min(10)], "count": chunks.len() })
}

pub(super) fn filter_bytes(filter: Option<&String>) -> usize {
    filter.map_or(0, String::len)
}

pub(super) fn passage_bytes(passage: &Passage) -> usize {
    let labels: usize = passage
        .labels
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    let texts = passage.document.len() + passage.title.len() + passage.text.len();
    texts + passage.metadata.len() + labels + 24
}

pub(super) fn to_wit(passage: Passage) -> wit::Passage {
    wit::Passage {
        chunk: passage.chunk.0,
        document: passage.document,
        title: passage.title,
        text: passage.text,
        start: passage.start,
        end: passage.end,
        ordinal: passage.ordinal,
        labels: passage.labels,
        metadata: passage.metadata,
    }
}
