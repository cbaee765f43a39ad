//! What `bench durability` and `bench reingest` say.

use super::SpreadJson;
use serde::Serialize;

/// What `bench durability` says: ingest with every commit on disk, and the same ingest without waiting for it.
#[derive(Debug, Serialize)]
pub struct BenchDurabilityJson {
    /// Documents of each run, generated from this seed.
    pub documents: u32,
    /// Seed of the documents.
    pub seed: u64,
    /// Rounds; each runs both, in turn.
    pub rounds: u32,
    /// The folder whose disk was measured.
    pub disk: String,
    /// How long one `fsync` of 4 KiB takes there, in microseconds.
    pub fsync_us: SpreadJson,
    /// Documents a second with `synchronous=FULL`, as always.
    pub full_docs_per_s: SpreadJson,
    /// Documents a second with `synchronous=OFF`.
    pub off_docs_per_s: SpreadJson,
    /// Full by off, round by round.
    pub ratio: SpreadJson,
    /// What the median ratio should be at least.
    pub target: f64,
    /// It is.
    pub ok: bool,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
    /// Every run, in the order in which they ran: what `--csv` writes.
    pub rows: Vec<BenchDurabilityRowJson>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct BenchDurabilityRowJson {
    /// From 1.
    pub round: u32,
    /// `full` or `off`.
    pub synchronous: &'static str,
    /// Documents that got in.
    pub documents: u64,
    /// From the first document read to the last one committed.
    pub seconds: f64,
    /// Documents a second.
    pub docs_per_s: f64,
}

/// What `bench reingest` says: a large ingest, and all of it again, unchanged.
#[derive(Debug, Serialize)]
pub struct BenchReingestJson {
    /// Documents, generated from this seed; equal chunks are embedded once.
    pub documents: u32,
    /// Seed of the documents.
    pub seed: u64,
    /// Peak memory of the ingest of all by that of the ingest of a tenth.
    pub memory_growth: f64,
    /// Unchanged documents a second over the rounds.
    pub unchanged_docs_per_s: SpreadJson,
    /// What the median should be at least.
    pub target: f64,
    /// It is.
    pub ok: bool,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
    /// Every run, in the order in which they ran: what `--csv` writes.
    pub rows: Vec<BenchReingestRowJson>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct BenchReingestRowJson {
    /// `tenth`, `whole` or `again`.
    pub phase: &'static str,
    /// Documents.
    pub documents: u64,
    /// Those of them that were there already.
    pub unchanged: u64,
    /// From the first document read to the last one done.
    pub seconds: f64,
    /// Documents a second.
    pub docs_per_s: f64,
    /// The largest resident memory, in megabytes of 10^6 bytes.
    pub mem_peak_mb: f64,
    /// Resident memory at every tenth of the run.
    pub mem_mb: Vec<f64>,
}
