//! How each scenario is run: a program of its own that answers with one line of JSON and is measured from
//! outside, all in the same way. Ours is this program again; a peer is Python.

use super::plan::Run;
use super::scenario::{Measure, Scenario, seconds};
use super::stage::{Chunks, Stage};
use crate::cli::bench::child::{self, Ended};
use crate::cli::bench::error::BenchError;
use crate::cli::bench::stage::write_error;
use crate::config::cache_dir;
use crate::corpus::TenantId;
use crate::embedder::onnx;
use crate::error::chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_util::sync::CancellationToken;

/// This program. Not by its path, where a build may have put another meanwhile.
pub(super) const OURSELVES: &str = "/proc/self/exe";

const PEER: &str = include_str!("peer.py");

/// What `stockade ingest` says, as far as it is needed here.
#[derive(Deserialize)]
struct IngestSaid {
    documents: IngestDocuments,
    chunks: u64,
    tokens: u64,
    guest_cpu_ms: f64,
    seconds: f64,
    failures: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct IngestDocuments {
    added: u64,
    failed: u64,
}

/// What a hidden part says: see `part`.
#[derive(Deserialize)]
struct PartSaid {
    seconds: f64,
    documents: u64,
    failed: u64,
    chunks: u64,
    tokens: u64,
    gflops: Option<f64>,
    first_failure: Option<String>,
}

fn ourselves(stage: &Stage) -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg("--data").arg(stage.data()).arg("--json");
    command
}

/// Ingests `corpus` for a tenant without documents, through Wasm chunkers.
pub(super) async fn sandboxed(
    stage: &Stage,
    scenario: Scenario,
    tenant: &TenantId,
    corpus: &Path,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let mut command = ourselves(stage);
    command.arg("ingest");
    if scenario == Scenario::Sandboxed {
        command.arg("--no-reuse");
    }
    command.args([tenant.as_str(), "--"]).arg(corpus);
    let ended = child::run(command, interrupt).await?;
    let said: IngestSaid = answer(scenario, &ended)?;
    let first = said.failures.first();
    let first = first.and_then(|failure| failure["error"]["message"].as_str());
    some_got_in(scenario, said.documents.added, first)?;
    Ok(Measure {
        documents: said.documents.added,
        failed: said.documents.failed,
        chunks: said.chunks,
        tokens: said.tokens,
        guest_cpu: Some(seconds(said.guest_cpu_ms / 1e3)),
        ..Measure::new(scenario, &ended, seconds(said.seconds))
    })
}

/// Ingests `corpus` for a tenant without documents, with a native chunker: `threads` and `processes`.
pub(super) async fn native(
    stage: &Stage,
    run: Run,
    tenant: &TenantId,
    corpus: &Path,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let mut command = ourselves(stage);
    command.args(["bench", "part", run.scenario.name()]);
    command.arg(tenant.as_str()).arg(corpus);
    if run.scenario == Scenario::Processes {
        command.args(["--workers", &run.workers.to_string()]);
    }
    part(run.scenario, command, interrupt).await
}

/// Embeds `chunks` and does nothing else.
pub(super) async fn bare_loop(
    stage: &Stage,
    chunks: &Chunks,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let mut command = ourselves(stage);
    command.args(["bench", "part", "loop"]).arg(&chunks.file);
    part(Scenario::Loop, command, interrupt).await
}

/// Multiplies matrices.
pub(super) async fn matmul(
    stage: &Stage,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let mut command = ourselves(stage);
    command.args(["bench", "part", "matmul"]);
    part(Scenario::Matmul, command, interrupt).await
}

async fn part(
    scenario: Scenario,
    command: Command,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let ended = child::run(command, interrupt).await?;
    let said: PartSaid = answer(scenario, &ended)?;
    if scenario != Scenario::Matmul {
        some_got_in(scenario, said.documents, said.first_failure.as_deref())?;
    }
    Ok(Measure {
        documents: said.documents,
        failed: said.failed,
        chunks: said.chunks,
        tokens: said.tokens,
        gflops: said.gflops,
        ..Measure::new(scenario, &ended, seconds(said.seconds))
    })
}

fn some_got_in(scenario: Scenario, documents: u64, first: Option<&str>) -> Result<(), BenchError> {
    if documents > 0 {
        return Ok(());
    }
    let message = format!("no document got in: {}", first.unwrap_or("there is none"));
    Err(failed(scenario, message, None))
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

/// A folder with the model as a graph that other programs can run, made when it is first wanted.
fn graph_for_others(scenario: Scenario, stage: &Stage) -> Result<PathBuf, BenchError> {
    let (from, folder) = (&stage.config.model_dir, stage.path("model-for-others"));
    if folder.exists() {
        return Ok(folder);
    }
    let link_all = || -> std::io::Result<()> {
        std::fs::create_dir(&folder)?;
        for entry in std::fs::read_dir(from)? {
            let name = entry?.file_name();
            std::os::unix::fs::symlink(from.join(&name), folder.join(&name))?;
        }
        Ok(())
    };
    link_all().map_err(|source| write_error(&folder, source))?;
    onnx::write_for_others(from, &folder).map_err(|error| failed(scenario, chain(&error), None))?;
    Ok(folder)
}

/// Embeds `chunks` in Python, in the way that `kind` names.
pub(super) async fn peer(
    stage: &Stage,
    run: Run,
    kind: &str,
    chunks: &Chunks,
    interrupt: &CancellationToken,
) -> Result<Measure, BenchError> {
    let scenario = run.scenario;
    let script = stage.path("peer.py");
    std::fs::write(&script, PEER).map_err(|source| write_error(&script, source))?;
    let documents = run.documents.unwrap_or(0);
    let scratch = stage.scratch(&format!(
        "{}-{documents}-{}-{}",
        scenario.name(),
        run.workers,
        run.round
    ))?;
    let sample = chunks.sample.iter().map(|(number, _)| number.to_string());
    let sample: Vec<String> = sample.collect();
    let mut command = Command::new(python()?);
    command.arg(&script).args(["--kind", kind]);
    let model = match scenario {
        Scenario::PythonOnnxruntime | Scenario::Fastembed => graph_for_others(scenario, stage)?,
        _ => stage.config.model_dir.clone(),
    };
    command.arg("--model").arg(&model);
    command.arg("--chunks").arg(&chunks.file);
    command.arg("--scratch").arg(&scratch);
    command.args(["--sample", &sample.join(",")]);
    command.args(["--workers", &run.workers.to_string()]);
    // Nothing is looked for in the network.
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("TRANSFORMERS_OFFLINE", "1")
        .env("HF_HOME", &scratch);
    as_without_us(&mut command);
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

/// What this program sets for its own allocator is not for others.
fn as_without_us(command: &mut Command) {
    for (name, value) in crate::cli::ALLOCATOR {
        if std::env::var_os(name).is_some_and(|set| set == value) {
            command.env_remove(name);
        }
    }
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
    let wrong = |error| format!("its answer makes no sense: {error}");
    let said = serde_json::from_str(&ended.answer);
    said.map_err(|error| failed(scenario, wrong(error), None))
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
    let hint = match scenario.peer() {
        None => field("hint"),
        Some(_) => Some(peer.to_owned()),
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
