//! What is run: ours and its peers, each a program of its own that answers with JSON and is measured from
//! outside in the same way.

use super::child::{self, Ended};
use super::error::BenchError;
use super::stage::{Chunks, Stage, write_error};
use super::tree::rate;
use crate::cli::args::Peer;
use crate::config::cache_dir;
use crate::corpus::TenantId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// This program. Not by its path, where a build may have put another meanwhile.
const OURSELVES: &str = "/proc/self/exe";

const PEER_THREADS: &str = include_str!("peer_threads.py");

/// What can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// `stockade ingest`: Wasm chunkers in a fresh store a document, one shared model.
    Sandboxed,
    /// Python threads, one shared model.
    PythonThreads,
}

impl Scenario {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sandboxed => "sandboxed",
            Self::PythonThreads => "python-threads",
        }
    }
}

impl From<Peer> for Scenario {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Threads => Self::PythonThreads,
        }
    }
}

/// One run of one scenario. Rates and shares leave the start-up out; `memory_peak` does not.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measure {
    pub(super) scenario: Scenario,
    /// Documents that got in.
    pub(super) documents: u64,
    pub(super) failed: u64,
    pub(super) chunks: u64,
    /// Tokens embedded; 0 where the program does not count them.
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
}

impl Measure {
    fn new(scenario: Scenario, ended: &Ended, took: Duration) -> Self {
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

#[expect(clippy::cast_precision_loss, reason = "for people; 2^53 is enough")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}

/// What `stockade ingest` says, as far as it is needed here.
#[derive(Deserialize)]
struct OursSaid {
    documents: OursDocuments,
    chunks: u64,
    tokens: u64,
    guest_cpu_ms: f64,
    seconds: f64,
    failures: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct OursDocuments {
    added: u64,
    failed: u64,
}

/// Ingests `corpus` for a tenant without documents; every text is embedded although it may be known.
pub(super) async fn sandboxed(
    stage: &Stage,
    tenant: &TenantId,
    corpus: &Path,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let scenario = Scenario::Sandboxed;
    let mut command = Command::new(OURSELVES);
    command.arg("--data").arg(stage.data());
    command
        .args(["--json", "ingest", "--no-reuse", tenant.as_str(), "--"])
        .arg(corpus);
    let ended = child::run(command, interrupt).await?;
    let said: OursSaid = answer(scenario, &ended)?;
    if said.documents.added == 0 {
        let first = said
            .failures
            .first()
            .and_then(|failure| failure["error"]["message"].as_str());
        let message = format!("no document got in: {}", first.unwrap_or("there is none"));
        return Err(failed(scenario, message, None));
    }
    Ok(Measure {
        documents: said.documents.added,
        failed: said.documents.failed,
        chunks: said.chunks,
        tokens: said.tokens,
        guest_cpu: Some(seconds(said.guest_cpu_ms / 1e3)),
        ..Measure::new(scenario, &ended, seconds(said.seconds))
    })
}

/// What a peer says.
#[derive(Deserialize)]
struct PeerSaid {
    seconds: f64,
    documents: u64,
    chunks: u64,
    /// The vectors that were asked for.
    sample: Vec<Vec<f32>>,
}

/// Embeds `chunks` with Python threads.
pub(super) async fn python_threads(
    stage: &Stage,
    chunks: &Chunks,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let scenario = Scenario::PythonThreads;
    let script = stage.path("peer_threads.py");
    std::fs::write(&script, PEER_THREADS).map_err(|source| write_error(&script, source))?;
    let sample: Vec<String> = chunks
        .sample
        .iter()
        .map(|(number, _)| number.to_string())
        .collect();
    let mut command = Command::new(python()?);
    command
        .arg(&script)
        .arg("--model")
        .arg(&stage.config.model_dir);
    command
        .arg("--chunks")
        .arg(&chunks.file)
        .args(["--sample", &sample.join(",")]);
    command.args(["--workers", &stage.config.embed_workers.to_string()]);
    // Nothing is looked for in the network.
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("TRANSFORMERS_OFFLINE", "1");
    let ended = child::run(command, interrupt).await?;
    let said: PeerSaid = answer(scenario, &ended)?;
    if said.chunks != chunks.count as u64 || said.sample.len() != chunks.sample.len() {
        let message = format!("it embedded {} of {} chunks", said.chunks, chunks.count);
        return Err(failed(scenario, message, None));
    }
    Ok(Measure {
        documents: said.documents,
        chunks: said.chunks,
        tokens: chunks.tokens,
        vectors_differ: Some(largest_difference(chunks, &said.sample)),
        ..Measure::new(scenario, &ended, seconds(said.seconds))
    })
}

/// The Python of the peers' environment.
pub(super) fn python() -> Result<PathBuf, BenchError> {
    let folder = cache_dir().join("peers");
    match folder.join("complete.txt").exists() {
        true => Ok(folder.join("bin/python")),
        false => Err(BenchError::NoPeers(folder)),
    }
}

/// Without bound for a vector of another length, or with what is not a number.
fn largest_difference(chunks: &Chunks, theirs: &[Vec<f32>]) -> f64 {
    let mut largest = 0.0_f64;
    for ((_, ours), theirs) in chunks.sample.iter().zip(theirs) {
        let ours = ours.values();
        if ours.len() != theirs.len() || theirs.iter().any(|number| number.is_nan()) {
            return f64::INFINITY;
        }
        let differences = ours
            .iter()
            .zip(theirs)
            .map(|(a, b)| f64::from((a - b).abs()));
        largest = differences.fold(largest, f64::max);
    }
    largest
}

/// What the program said, if it did its work. Exit status 3: some documents failed, which it counts.
fn answer<T: DeserializeOwned>(scenario: Scenario, ended: &Ended) -> Result<T, BenchError> {
    if !matches!(ended.status.code(), Some(0 | 3)) {
        return Err(complaint(scenario, ended));
    }
    serde_json::from_str(&ended.answer).map_err(|error| {
        failed(
            scenario,
            format!("its answer makes no sense: {error}"),
            None,
        )
    })
}

/// Our own errors are JSON; another program's last line says most.
fn complaint(scenario: Scenario, ended: &Ended) -> BenchError {
    let last = ended.complaint.lines().last().unwrap_or_default();
    let ours: Option<serde_json::Value> = serde_json::from_str(last).ok();
    let field = |name| Some(ours.as_ref()?["error"][name].as_str()?.to_owned());
    let message = match (field("message"), last) {
        (Some(message), _) => message,
        (None, "") => ended.status.to_string(),
        (None, last) => format!("{} ({})", last, ended.status),
    };
    let peer = "If its environment is damaged, remove it and run `cargo xtask peers`.";
    let hint = match scenario {
        Scenario::Sandboxed => field("hint"),
        Scenario::PythonThreads => Some(peer.to_owned()),
    };
    failed(scenario, message, hint)
}

fn failed(scenario: Scenario, message: String, hint: Option<String>) -> BenchError {
    BenchError::Scenario {
        scenario: scenario.name(),
        message,
        hint,
    }
}

/// A program may say anything; what is no duration is none.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Embedding;

    #[test]
    fn vectors_that_cannot_be_compared_differ() {
        let mut unit = vec![0.0; crate::corpus::DIMENSIONS];
        unit[0] = 1.0;
        let sample = vec![(0, Embedding::new(unit.clone()).unwrap())];
        let chunks = Chunks {
            file: PathBuf::new(),
            count: 1,
            tokens: 1,
            sample,
        };
        assert_eq!(largest_difference(&chunks, &[unit.clone()]), 0.0);
        let mut other = unit.clone();
        other[5] = 0.25;
        assert_eq!(largest_difference(&chunks, &[other]), 0.25);
        let mut broken = unit;
        broken[5] = f32::NAN;
        assert!(largest_difference(&chunks, &[broken]).is_infinite());
        assert!(largest_difference(&chunks, &[vec![1.0]]).is_infinite());
    }
}
