//! What `bench fairness` says.

use serde::Serialize;

/// What `bench fairness` says.
#[derive(Debug, Serialize)]
pub struct BenchFairnessJson {
    /// What it was measured on.
    pub machine: super::BenchMachineJson,
    /// A small tenant's questions while nobody else works.
    pub idle: FairnessQueriesJson,
    /// The same while a large tenant ingests.
    pub ingest: FairnessQueriesJson,
    /// Documents a second of the large tenant meanwhile.
    pub docs_per_s: f64,
    /// How long a worker is at a full batch, at the pace that it had meanwhile, in milliseconds.
    pub batch_ms: f64,
    /// The 99th percentile that is wanted meanwhile: twice the idle one, and one batch.
    pub p99_ms_max: f64,
    /// Whether it was reached; null where there were no questions.
    pub met: Option<bool>,
    /// What each of several tenants got of the embedder while all of them waited for it.
    pub shares: Vec<FairnessShareJson>,
    /// How far a tenant's part may be from its share's, as a part of that.
    pub deviation_max: f64,
    /// Whether every part is within that; null where nothing was measured.
    pub shares_met: Option<bool>,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
}

/// Questions and how long they took.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FairnessQueriesJson {
    /// Questions asked.
    pub requests: usize,
    /// Questions without an answer.
    pub failed: usize,
    /// Milliseconds from when a question was due to its answer; 0 without questions.
    pub p50_ms: f64,
    /// The same.
    pub p99_ms: f64,
    /// The same.
    pub max_ms: f64,
}

/// One tenant's part of the embedder.
#[derive(Debug, Clone, Serialize)]
pub struct FairnessShareJson {
    /// Its policy's `share`.
    pub share: u32,
    /// Tokens that were embedded for it.
    pub tokens: u64,
    /// Its part of all tokens, from 0 to 1.
    pub part: f64,
    /// The part that its share promises.
    pub promised: f64,
    /// How far it is from that, as a part of what was promised; negative for less.
    pub deviation: f64,
}
