//! What can be run, and what one run is: the same numbers for every scenario, however it works.

use crate::cli::bench::child::Ended;
use crate::cli::bench::tree::rate;
use std::time::Duration;

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// `stockade ingest`: Wasm chunkers in a fresh store a document, one shared model.
    Sandboxed,
    /// The same, which embeds equal chunks of a tenant once.
    SandboxedReuse,
    /// The same pipeline with the chunker linked natively.
    Threads,
    /// Worker processes, a model in each, and one index.
    Processes,
    /// The embedder alone.
    Loop,
    /// ONNX Runtime's own matrix product.
    Matmul,
    /// Python threads with sentence-transformers, one shared model.
    PythonThreads,
    /// The same, with PyTorch's threads divided among them.
    PythonThreadsPinned,
    /// Python processes with sentence-transformers, a model in each.
    PythonProcesses,
    /// The same, with PyTorch's threads divided among the processes.
    PythonProcessesPinned,
    /// Python threads over one ONNX Runtime session.
    PythonOnnxruntime,
    /// Python threads over one fastembed model.
    Fastembed,
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sandboxed => "sandboxed",
            Self::SandboxedReuse => "sandboxed-reuse",
            Self::Threads => "threads",
            Self::Processes => "processes",
            Self::Loop => "loop",
            Self::Matmul => "matmul",
            Self::PythonThreads => "python-threads",
            Self::PythonThreadsPinned => "python-threads-pinned",
            Self::PythonProcesses => "python-processes",
            Self::PythonProcessesPinned => "python-processes-pinned",
            Self::PythonOnnxruntime => "python-onnxruntime",
            Self::Fastembed => "fastembed",
        }
    }

    /// What the peers' script calls it; nothing for ours.
    pub(super) fn peer(self) -> Option<&'static str> {
        match self {
            Self::PythonThreads => Some("threads"),
            Self::PythonThreadsPinned => Some("threads-pinned"),
            Self::PythonProcesses => Some("processes"),
            Self::PythonProcessesPinned => Some("processes-pinned"),
            Self::PythonOnnxruntime => Some("onnxruntime"),
            Self::Fastembed => Some("fastembed"),
            _ => None,
        }
    }
}

/// One run of one scenario. Rates and shares leave the start-up out; `memory_peak` does not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) scenario: Scenario,
    /// Documents that got in; those whose chunks were embedded, where there is no index.
    pub(super) documents: u64,
    pub(super) failed: u64,
    pub(super) chunks: u64,
    /// Tokens embedded.
    pub(super) tokens: u64,
    /// From the first document read to the last one done, as the program says.
    pub(super) took: Duration,
    /// From the program's start to its first document.
    pub(super) startup: Duration,
    /// CPU of the process tree meanwhile.
    pub(super) cpu: Duration,
    /// CPU of the process tree per wall time in the busiest half second: 2 is two cores.
    pub(super) cores_max: f64,
    /// Bytes.
    pub(super) memory_peak: u64,
    /// CPU of guests' own code; nothing where there are no guests.
    pub(super) guest_cpu: Option<Duration>,
    /// The largest difference from our vectors in any number; nothing where none were compared.
    pub(super) vectors_differ: Option<f64>,
    /// Floating-point operations a second, in 10^9, of a matrix product; nothing where something else was run.
    pub(super) gflops: Option<f64>,
}

impl Measure {
    pub(super) fn new(scenario: Scenario, ended: &Ended, took: Duration) -> Self {
        // The answer comes as soon as the work is done, so the work began `took` before it.
        let first = ended.answered.checked_sub(took).unwrap_or(ended.began);
        let from = first.max(ended.began);
        let samples = &ended.samples;
        Self {
            scenario,
            documents: 0,
            failed: 0,
            chunks: 0,
            tokens: 0,
            took,
            startup: from - ended.began,
            cpu: samples.cpu_between(from, ended.answered),
            cores_max: samples.cpu_rate_max(from, ended.answered),
            memory_peak: samples.memory_peak(),
            guest_cpu: None,
            vectors_differ: None,
            gflops: None,
        }
    }

    pub(super) fn documents_per_s(&self) -> f64 {
        per_second(self.documents, self.took)
    }

    pub(super) fn tokens_per_s(&self) -> f64 {
        per_second(self.tokens, self.took)
    }

    /// 2 is two cores.
    pub(super) fn cores_mean(&self) -> f64 {
        rate(self.cpu, self.took)
    }

    /// From 0 to 1; nothing where there are no guests.
    pub(super) fn guest_share(&self) -> Option<f64> {
        self.guest_cpu.map(|guest| rate(guest, self.cpu))
    }
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// A program may say anything; what is no duration is none.
pub(super) fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
