//! What `bench` says.

use serde::Serialize;

/// What `bench ingest` says.
#[derive(Debug, Serialize)]
pub struct BenchIngestJson {
    /// What was ingested.
    pub workload: BenchWorkloadJson,
    /// Rounds that were asked for; each runs every scenario once, in turn.
    pub rounds: u32,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
    /// Each scenario over its rounds, ours first.
    pub scenarios: Vec<BenchScenarioJson>,
    /// Ours by each peer.
    pub ratios: Vec<BenchRatioJson>,
    /// How the peers' vectors compare with ours; null where there was no peer.
    pub vectors: Option<BenchVectorsJson>,
    /// Every run, in the order in which they ran: what `--csv` writes.
    pub rows: Vec<BenchRowJson>,
}

/// What was ingested.
#[derive(Debug, Serialize)]
pub struct BenchWorkloadJson {
    /// The corpus; null where the documents were generated.
    pub corpus: Option<String>,
    /// Seed of the generated documents; null where a corpus was given.
    pub seed: Option<u64>,
    /// Documents that got in.
    pub documents: u64,
    /// Documents that did not.
    pub failed: u64,
    /// Chunks that were embedded.
    pub chunks: u64,
    /// Tokens that were embedded.
    pub tokens: u64,
}

/// The middle of some runs and how far apart they lie.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SpreadJson {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

/// One scenario over its rounds. The columns are those of [`BenchRowJson`].
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names are the columns' own")]
pub struct BenchScenarioJson {
    pub scenario: &'static str,
    /// Rounds that it ran.
    pub rounds: usize,
    pub num_workers: usize,
    pub duration_s: SpreadJson,
    pub docs_per_s: SpreadJson,
    pub tokens_per_s: SpreadJson,
    pub cpu_mean: SpreadJson,
    pub cpu_max: SpreadJson,
    pub mem_peak_mb: SpreadJson,
    pub startup_s: SpreadJson,
    /// Null where there are no guests.
    pub guest_share: Option<SpreadJson>,
}

/// Documents a second of one scenario by those of another, round by round.
#[derive(Debug, Serialize)]
pub struct BenchRatioJson {
    /// The one.
    pub scenario: &'static str,
    /// The other.
    pub over: &'static str,
    /// Rounds in which both ran.
    pub rounds: usize,
    /// Of the rounds' ratios.
    pub docs_per_s: SpreadJson,
}

/// How the peers' vectors compare with ours.
#[derive(Debug, Serialize)]
pub struct BenchVectorsJson {
    /// Chunks that were compared, in every run of a peer.
    pub compared: usize,
    /// The largest difference in any number; null where a vector has another length or is none.
    pub max_abs_diff: f64,
    /// What is allowed.
    pub limit: f64,
    /// It is within the limit.
    pub ok: bool,
}

/// One run: a line of the comma-separated values. Start-up is left out of everything but `mem_peak_mb` and
/// `startup_s`.
#[derive(Debug, Serialize)]
pub struct BenchRowJson {
    /// What ran.
    pub scenario: &'static str,
    /// Documents that got in.
    pub num_docs: u64,
    /// Characters of a chunk, at most.
    pub chunk_size: u32,
    /// Workers that embed.
    pub num_workers: usize,
    /// From the first document read to the last one done.
    pub duration_s: f64,
    /// Documents a second.
    pub docs_per_s: f64,
    /// CPU of the process tree, in percent of all cores.
    pub cpu_mean: f64,
    /// The same in the busiest half second.
    pub cpu_max: f64,
    /// The largest sum of resident memory in the process tree, in megabytes of 10^6 bytes.
    pub mem_peak_mb: f64,
    /// From 1.
    pub round: u32,
    /// Chunks embedded.
    pub chunks: u64,
    /// Tokens embedded a second.
    pub tokens_per_s: f64,
    /// From the program's start to its first document.
    pub startup_s: f64,
    /// CPU of guests' own code by that of the process tree, from 0 to 1; null where there are no guests.
    pub guest_share: Option<f64>,
}
