//! `stockade bench reingest`: many documents, and all of them again, unchanged, as a user would do it: each run is
//! `stockade ingest` in a process of its own. Memory is read from outside.

use super::child;
use super::error::BenchError;
use super::stage::{copy_configuration, write_error, write_if_asked};
use super::statistics::Spread;
use super::workload::Workload;
use crate::api::{BenchReingestJson, BenchReingestRowJson, SpreadJson, round};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, plural, table, thousands};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::runtime::Runtime;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Unchanged documents a second, at least.
const TARGET: f64 = 3_000.0;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ReingestArguments {
    /// Generated documents
    #[arg(long, default_value_t = 50_000, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    documents: u32,
    /// How often all of them are ingested again
    #[arg(long, default_value_t = 3, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seed of the generated documents
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Write every run as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

pub(super) async fn run(session: &Session, arguments: ReingestArguments) -> Result<Exit, Failure> {
    let interrupt = interrupted_by_user();
    let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
    let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
    let mut bench = Bench {
        out: session.out,
        folder,
        interrupt,
        rows: vec![],
    };
    copy_configuration(&session.data, &bench.path("data"))?;
    let interrupted = match bench.phases(&arguments).await {
        Ok(()) => false,
        Err(BenchError::Interrupted) if !bench.rows.is_empty() => true,
        Err(error) => return Err(error.into()),
    };
    let said = report(&arguments, bench.rows, interrupted);
    write_if_asked(arguments.csv.as_deref(), || csv(&said.rows))?;
    session.out.answer(&said, |out| show(out, &said));
    Ok(match interrupted {
        true => Exit::Interrupted,
        false => Exit::Done,
    })
}

struct Bench {
    out: Output,
    folder: TempDir,
    interrupt: CancellationToken,
    rows: Vec<BenchReingestRowJson>,
}

/// What `stockade ingest` says, as far as it is needed here.
#[derive(Deserialize)]
struct Said {
    documents: Counts,
    seconds: f64,
}

#[derive(Deserialize)]
struct Counts {
    added: u64,
    unchanged: u64,
    failed: u64,
}

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn phases(&mut self, arguments: &ReingestArguments) -> Result<(), BenchError> {
        let all = arguments.documents;
        let mut runs = vec![("tenth", all / 10), ("whole", all)];
        runs.extend((0..arguments.rounds).map(|_| ("again", all)));
        for (phase, documents) in runs {
            let corpus = self.path(&format!("{documents}.jsonl"));
            if !corpus.exists() {
                let written = Workload::new(arguments.seed).write(&corpus, documents);
                written.map_err(|source| write_error(&corpus, source))?;
            }
            let documents = u64::from(documents);
            self.out
                .remark(format!("{phase}: {}", plural(documents, "document")));
            let tenant = if phase == "tenth" { "tenth" } else { "whole" };
            let row = self.ingest(phase, tenant, &corpus).await?;
            if row.documents != documents || phase == "again" && row.unchanged != documents {
                let message = format!("{} of {documents} documents in {phase}", row.documents);
                return Err(failed(message));
            }
            self.rows.push(row);
        }
        Ok(())
    }

    async fn ingest(
        &self,
        phase: &'static str,
        tenant: &str,
        corpus: &Path,
    ) -> Result<BenchReingestRowJson, BenchError> {
        self.add(tenant)
            .map_err(|failure| failed(failure.message))?;
        let mut command = Command::new("/proc/self/exe");
        command.arg("--data").arg(self.path("data"));
        command.args(["--json", "ingest", tenant]).arg(corpus);
        let ended = child::run(command, &self.interrupt).await?;
        let said: Said = serde_json::from_str(&ended.answer)
            .map_err(|_| failed(format!("{}: {}", ended.status, ended.complaint)))?;
        let Counts {
            added,
            unchanged,
            failed: not_in,
        } = said.documents;
        if not_in > 0 {
            return Err(failed(format!("{not_in} documents failed")));
        }
        let done = added + unchanged;
        Ok(BenchReingestRowJson {
            phase,
            documents: done,
            unchanged,
            seconds: said.seconds,
            docs_per_s: round(done as f64 / said.seconds.max(1e-9), 1),
            mem_peak_mb: round(ended.samples.memory_peak() as f64 / 1e6, 1),
            mem_mb: tenths(&ended.samples.memory()),
        })
    }

    /// The tenant, where it is not there yet.
    fn add(&self, tenant: &str) -> Result<(), Failure> {
        let runtime = Runtime::open(&self.path("data"))?;
        let tenant = TenantId::new(tenant)?;
        match runtime.add_tenant(&tenant, &Runtime::find_policy(None)?) {
            Err(failure) if failure.code == "tenant-exists" => Ok(()),
            added => added,
        }
    }
}

fn failed(message: String) -> BenchError {
    BenchError::Scenario {
        scenario: "reingest",
        message,
        hint: None,
    }
}

/// Every tenth of the samples, in megabytes.
fn tenths(samples: &[u64]) -> Vec<f64> {
    let at = |tenth: usize| samples.get((samples.len() * tenth / 10).saturating_sub(1));
    let megabytes = |bytes: &u64| round(*bytes as f64 / 1e6, 1);
    (1..=10).filter_map(at).map(megabytes).collect()
}

fn report(
    arguments: &ReingestArguments,
    rows: Vec<BenchReingestRowJson>,
    interrupted: bool,
) -> BenchReingestJson {
    let of = |phase: &'static str| rows.iter().filter(move |row| row.phase == phase);
    let peak = |phase| of(phase).map(|row| row.mem_peak_mb).fold(0.0, f64::max);
    let growth = match peak("tenth") {
        tenth if tenth > 0.0 => peak("whole") / tenth,
        _ => 0.0,
    };
    let rates = Spread::of(of("again").map(|row| row.docs_per_s));
    let rates = rates.unwrap_or(Spread {
        median: 0.0,
        min: 0.0,
        max: 0.0,
    });
    BenchReingestJson {
        documents: arguments.documents,
        seed: arguments.seed,
        memory_growth: round(growth, 3),
        unchanged_docs_per_s: SpreadJson {
            median: round(rates.median, 1),
            min: round(rates.min, 1),
            max: round(rates.max, 1),
        },
        target: TARGET,
        ok: rates.median >= TARGET,
        interrupted,
        rows,
    }
}

fn csv(rows: &[BenchReingestRowJson]) -> String {
    let mut text = "phase,documents,unchanged,seconds,docs_per_s,mem_peak_mb,mem_mb\n".to_owned();
    for row in rows {
        let BenchReingestRowJson {
            phase,
            documents,
            unchanged,
            seconds,
            docs_per_s,
            mem_peak_mb,
            mem_mb,
        } = row;
        let samples: Vec<String> = mem_mb.iter().map(f64::to_string).collect();
        let samples = samples.join(" ");
        text.push_str(&format!(
            "{phase},{documents},{unchanged},{seconds},{docs_per_s},{mem_peak_mb},{samples}\n"
        ));
    }
    text
}

fn show(out: &Output, said: &BenchReingestJson) {
    let row = |row: &BenchReingestRowJson| {
        let samples: Vec<String> = row.mem_mb.iter().map(|mb| format!("{mb:.0}")).collect();
        vec![
            row.phase.to_owned(),
            thousands(row.documents),
            format!("{:.1}", row.seconds),
            format!("{:.0}", row.docs_per_s),
            format!("{:.0}", row.mem_peak_mb),
            samples.join(" "),
        ]
    };
    let header = [
        "phase",
        "documents",
        "s",
        "documents/s",
        "peak MB",
        "MB at every tenth",
    ];
    out.line(table(
        &header,
        &[1, 2, 3, 4],
        said.rows.iter().map(row).collect(),
    ));
    out.line(format!(
        "\nMemory of all by that of a tenth: {:.2}. Unchanged: {:.0} documents/s; the target is {:.0}: {}.",
        said.memory_growth,
        said.unchanged_docs_per_s.median,
        said.target,
        if said.ok { "reached" } else { "missed" }
    ));
}
