//! What can be typed after `bench ingest`.

use super::scenario::Scenario;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct BenchIngestArguments {
    /// Generated documents; of several numbers the first is run in every round, the others once
    #[arg(long, default_value = "300", value_delimiter = ',', value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) documents: Vec<u32>,
    /// JSON lines to ingest instead of generated documents
    #[arg(long, value_name = "FILE.jsonl", conflicts_with_all = ["documents", "seed"])]
    pub(super) corpus: Option<PathBuf>,
    /// Rounds; medians and their spread are reported [default: 3, with --study 5]
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) rounds: Option<u32>,
    /// Workers that embed; of several numbers each is run [default: as configured, which is one a core]
    #[arg(long, value_delimiter = ',', value_name = "W", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) workers: Vec<u32>,
    /// What of ours runs besides `sandboxed` [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SCENARIOS")]
    pub(super) scenarios: Option<Vec<Own>>,
    /// What else runs, in turn with ours; needs `cargo xtask peers`
    #[arg(long, value_delimiter = ',', value_name = "PEERS")]
    pub(super) peers: Vec<Peer>,
    /// The published study's measurement: 1,000 documents in every round beside what else is asked for, 5,000 and
    /// 10,000 once; peers in the first three rounds, Python processes in the first two; one worker once
    #[arg(long, conflicts_with_all = ["documents", "workers", "scenarios", "corpus"])]
    pub(super) study: bool,
    /// Seed of the generated documents
    #[arg(long, default_value_t = 42, value_name = "S")]
    pub(super) seed: u64,
    /// Write every run as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    pub(super) csv: Option<PathBuf>,
    /// Draw throughput, CPU, memory, efficiency and scaling into this folder, as SVG and PNG
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
    /// Write what was measured as Markdown
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

/// What of ours can be left out, in the order in which it runs: what a target compares is neighbours, since a shared
/// machine changes within minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Own {
    /// Chunkers linked natively, one shared model
    Threads,
    /// The embedder alone, without documents and index
    Loop,
    /// ONNX Runtime's own matrix product, which says what the hardware can
    Matmul,
    /// Worker processes, a model in each
    Processes,
    /// `sandboxed` as it is used: equal chunks of a tenant are embedded once
    SandboxedReuse,
}

/// What ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// All of them
    All,
    /// Python threads with sentence-transformers, one shared model
    Threads,
    /// The same, with PyTorch's threads divided among them
    ThreadsPinned,
    /// Python processes with sentence-transformers, a model in each
    Processes,
    /// The same, with PyTorch's threads divided among the processes
    ProcessesPinned,
    /// Python threads over one session of the onnxruntime package, on our graph
    Onnxruntime,
    /// Python threads over one fastembed model, on our graph
    Fastembed,
}

impl Own {
    pub(super) fn scenario(self) -> Scenario {
        match self {
            Self::Threads => Scenario::Threads,
            Self::Loop => Scenario::Loop,
            Self::Matmul => Scenario::Matmul,
            Self::Processes => Scenario::Processes,
            Self::SandboxedReuse => Scenario::SandboxedReuse,
        }
    }
}

impl Peer {
    const EACH: [Self; 6] = [
        Self::Threads,
        Self::ThreadsPinned,
        Self::Processes,
        Self::ProcessesPinned,
        Self::Onnxruntime,
        Self::Fastembed,
    ];

    /// The scenarios that are meant.
    pub(super) fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::All => Self::EACH
                .iter()
                .flat_map(|peer| peer.scenarios())
                .collect(),
            Self::Threads => vec![Scenario::PythonThreads],
            Self::ThreadsPinned => vec![Scenario::PythonThreadsPinned],
            Self::Processes => vec![Scenario::PythonProcesses],
            Self::ProcessesPinned => vec![Scenario::PythonProcessesPinned],
            Self::Onnxruntime => vec![Scenario::PythonOnnxruntime],
            Self::Fastembed => vec![Scenario::Fastembed],
        }
    }
}
