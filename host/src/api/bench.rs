//! What `bench ingest` says.

use serde::{Deserialize, Serialize};

/// What `bench ingest` says.
#[derive(Debug, Serialize)]
pub struct BenchIngestJson {
    /// What it was measured on.
    pub machine: BenchMachineJson,
    /// What was ingested in the rounds.
    pub workload: BenchWorkloadJson,
    /// Rounds that were asked for; each runs every scenario once, in turn.
    pub rounds: u32,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
    /// Each scenario over its rounds, for each number of documents and workers.
    pub scenarios: Vec<BenchScenarioJson>,
    /// ONNX Runtime's own matrix product, for each number of workers; empty where it was not run.
    pub products: Vec<BenchProductJson>,
    /// Ours by each peer, and ours by each other.
    pub ratios: Vec<BenchRatioJson>,
    /// What the project wants to reach.
    pub targets: Vec<BenchTargetJson>,
    /// What 100 documents a second take.
    pub costs: Vec<BenchCostJson>,
    /// What others measured on another machine.
    pub published: Vec<BenchPublishedJson>,
    /// How the peers' vectors compare with ours; null where there was no peer.
    pub vectors: Option<BenchVectorsJson>,
    /// Every run, in the order in which they ran: what `--csv` writes.
    pub rows: Vec<BenchRowJson>,
}

/// What something was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct BenchMachineJson {
    /// The processor, as it calls itself; empty where it does not say.
    pub processor: String,
    /// Its widest instructions for floating-point numbers: `AVX-512`, `AVX2`, or empty.
    pub vectors: &'static str,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory, in MiB.
    pub memory_mib: u64,
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
    pub num_docs: u64,
    pub num_workers: usize,
    /// Rounds that it ran.
    pub rounds: usize,
    pub duration_s: SpreadJson,
    pub docs_per_s: SpreadJson,
    pub tokens_per_s: SpreadJson,
    pub cpu_mean: SpreadJson,
    pub cpu_max: SpreadJson,
    pub mem_peak_mb: SpreadJson,
    pub startup_s: SpreadJson,
    /// Null where there are no guests.
    pub guest_share: Option<SpreadJson>,
    /// Null where no product was measured with as many workers.
    pub hardware_share: Option<SpreadJson>,
    /// The largest difference of a vector from ours in any number; null where none were compared.
    pub vectors_max_abs_diff: Option<f64>,
}

/// ONNX Runtime's own product of 256 x 384 by 384 x 1,536 numbers, by all workers at once.
#[derive(Debug, Serialize)]
pub struct BenchProductJson {
    /// Threads, with a session each.
    pub num_workers: usize,
    /// How often it was measured.
    pub rounds: usize,
    /// 10^9 floating-point operations a second.
    pub gflops: SpreadJson,
}

/// Documents a second of one scenario by those of another, round by round.
#[derive(Debug, Serialize)]
pub struct BenchRatioJson {
    /// The one.
    pub scenario: &'static str,
    /// The other.
    pub over: &'static str,
    /// Documents of both.
    pub num_docs: u64,
    /// Workers of both.
    pub num_workers: usize,
    /// Rounds in which both ran.
    pub rounds: usize,
    /// Of the rounds' ratios.
    pub docs_per_s: SpreadJson,
}

/// Something that the project wants to reach.
#[derive(Debug, Serialize)]
pub struct BenchTargetJson {
    /// What it is.
    pub target: &'static str,
    /// `at-least` or `at-most`.
    pub bound: &'static str,
    /// The bound.
    pub limit: f64,
    /// What was measured: a median; null where what it takes was not run.
    pub measured: Option<f64>,
    /// What it is the median of; null where it is made of several medians.
    pub spread: Option<SpreadJson>,
    /// How many those are.
    pub rounds: Option<usize>,
    /// Whether the median reaches it; null where nothing was measured.
    pub met: Option<bool>,
}

/// What 100 documents a second take, if machines like this one are added until they do it.
#[derive(Debug, Serialize)]
pub struct BenchCostJson {
    /// What runs.
    pub scenario: String,
    /// True where others measured it, on another machine.
    pub published: bool,
    /// Documents a second of one machine.
    pub docs_per_s: f64,
    /// Machines: a whole number.
    pub instances: u64,
    /// Peak memory of each, in megabytes of 10^6 bytes.
    pub mem_each_mb: f64,
    /// Machines a document by those of the first row measured here, not rounded; null for a published row.
    pub relative_cost: Option<f64>,
}

/// A row of the study, as it was published: 4 virtual CPUs and 16 GB.
#[derive(Debug, Serialize)]
pub struct BenchPublishedJson {
    /// Which Python.
    pub build: &'static str,
    /// How it ran.
    pub scenario: &'static str,
    /// Null where it does not run.
    pub docs_per_s: Option<f64>,
    /// Null where it does not run.
    pub mem_peak_mb: Option<f64>,
    /// Why it does not run; empty where it does.
    pub reason: &'static str,
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
    /// The rate of ONNX Runtime's own product beside it, in 10^9 operations a second; null where none was
    /// measured with as many workers.
    pub product_gflops: Option<f64>,
    /// Tokens a second times 23 million operations, by that rate; null where there is none.
    pub hardware_share: Option<f64>,
}

/// What a hidden part of `bench ingest` says to it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct BenchPartJson {
    /// From the first document to the last one done.
    pub seconds: f64,
    /// Documents that got in.
    pub documents: u64,
    /// Documents that did not.
    pub failed: u64,
    /// Chunks embedded.
    pub chunks: u64,
    /// Tokens embedded.
    pub tokens: u64,
    /// 10^9 floating-point operations a second; null where no matrices were multiplied.
    pub gflops: Option<f64>,
    /// Why the first document that failed did; null where none failed.
    pub first_failure: Option<String>,
}
