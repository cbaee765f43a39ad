//! `stockade bench durability`: what it costs that a document is on disk before it is acknowledged.
//!
//! The same documents are ingested in this process with `synchronous=FULL`, as always, and with `synchronous=OFF`,
//! which nothing but this measurement can ask for; in turn, round by round, on the disk of the data folder.

use super::error::BenchError;
use super::stage::{copy_configuration, write_error, write_if_asked};
use super::statistics::Spread;
use super::workload::Workload;
use crate::api::{BenchDurabilityJson, BenchDurabilityRowJson, SpreadJson, round};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, plural, table};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::runtime::{IngestRequest, Progress, Runtime};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What the median ratio should be at least.
const TARGET: f64 = 0.97;

/// How often `fsync` is timed.
const FSYNCS: usize = 64;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DurabilityArguments {
    /// Generated documents of each run
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    documents: u32,
    /// Rounds; each runs both, in turn
    #[arg(long, default_value_t = 5, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Seed of the generated documents
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// A folder on the disk to measure; default: where the data folder is
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Write every run as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    Full,
    Off,
}

impl Arm {
    fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Off => "off",
        }
    }

    fn open(self, data: &Path) -> Result<Arc<Runtime>, Failure> {
        Ok(Arc::new(match self {
            Self::Full => Runtime::open(data)?,
            Self::Off => Runtime::open_without_sync_for_bench(data)?,
        }))
    }
}

pub(super) async fn run(
    session: &Session,
    arguments: DurabilityArguments,
) -> Result<Exit, Failure> {
    let interrupt = interrupted_by_user();
    let disk = disk_of(session, arguments.disk.as_deref());
    let bench = Bench::prepare(session, &disk, &arguments)?;
    let fsync_us = fsyncs(bench.folder.path())?;
    let mut rows = vec![];
    for round in 1..=arguments.rounds {
        // Whoever is second finds the machine warmer: each is first as often as the other.
        let arms = match round % 2 {
            1 => [Arm::Full, Arm::Off],
            _ => [Arm::Off, Arm::Full],
        };
        for arm in arms {
            if interrupt.is_cancelled() {
                break;
            }
            session
                .out
                .remark(format!("round {round}: synchronous={}", arm.name()));
            let row = bench.ingest(round, arm, &interrupt).await?;
            rows.extend(row.filter(|_| !interrupt.is_cancelled()));
        }
    }
    let said = report(&arguments, &disk, fsync_us, rows, interrupt.is_cancelled())?;
    write_if_asked(arguments.csv.as_deref(), || csv(&said.rows))?;
    session.out.answer(&said, |out| show(out, &said));
    Ok(match said.interrupted {
        true => Exit::Interrupted,
        false => Exit::Done,
    })
}

/// Temporary folders are often in memory, where nothing is durable.
fn disk_of(session: &Session, wanted: Option<&Path>) -> PathBuf {
    let above = |path: &Path| {
        path.ancestors()
            .find(|path| path.is_dir())
            .map(Path::to_owned)
    };
    let here = || PathBuf::from(".");
    above(wanted.unwrap_or(&session.data)).unwrap_or_else(here)
}

/// A data folder of its own with the documents beside it, gone at the end.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn prepare(
        session: &Session,
        disk: &Path,
        arguments: &DurabilityArguments,
    ) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("stockade-bench-")
            .tempdir_in(disk);
        let folder = folder.map_err(|source| write_error(disk, source))?;
        let bench = Self { folder };
        copy_configuration(&session.data, &bench.data())?;
        for (name, documents, seed) in [
            ("warm-up.jsonl", 1, 0),
            ("corpus.jsonl", arguments.documents, arguments.seed),
        ] {
            let path = bench.path(name);
            let written = Workload::new(seed).write(&path, documents);
            written.map_err(|source| write_error(&path, source))?;
        }
        Ok(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// One run into a new tenant; nothing where it was interrupted.
    async fn ingest(
        &self,
        round: u32,
        arm: Arm,
        interrupt: &CancellationToken,
    ) -> Result<Option<BenchDurabilityRowJson>, Failure> {
        let runtime = arm.open(&self.data())?;
        let tenant = TenantId::new(&format!("round-{round}-{}", arm.name()))?;
        runtime.add_tenant(&tenant, &Runtime::find_policy(None)?)?;
        let mut report = None;
        // The first document compiles the chunker and wakes the model.
        for name in ["warm-up.jsonl", "corpus.jsonl"] {
            let request = IngestRequest {
                no_reuse: true,
                ..IngestRequest::of(self.path(name))
            };
            let progress = Arc::new(Progress::default());
            report = Some(
                runtime
                    .ingest(&tenant, &request, &progress, interrupt)
                    .await?,
            );
        }
        let Some(report) = report.filter(|report| report.ended_early.is_none()) else {
            return Ok(None);
        };
        let done = report.added + report.replaced;
        if let Some(first) = report.failures.first() {
            return Err(first.failure.clone());
        }
        let seconds = report.elapsed.as_secs_f64();
        Ok(Some(BenchDurabilityRowJson {
            round,
            synchronous: arm.name(),
            documents: done,
            seconds: crate::api::round(seconds, 3),
            docs_per_s: crate::api::round(done as f64 / seconds.max(1e-9), 3),
        }))
    }
}

/// How long writing 4 KiB to the end of a file and having it on disk takes, in microseconds.
fn fsyncs(folder: &Path) -> Result<Spread, BenchError> {
    let path = folder.join("fsync");
    let timed = || -> std::io::Result<Vec<f64>> {
        let mut file = File::create(&path)?;
        let mut took = vec![];
        for _ in 0..FSYNCS {
            let began = Instant::now();
            file.write_all(&[1; 4_096])?;
            file.sync_data()?;
            took.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(took)
    };
    let took = timed().map_err(|source| write_error(&path, source))?;
    Ok(spread_of(took))
}

fn spread_of(numbers: impl IntoIterator<Item = f64>) -> Spread {
    let none = Spread {
        median: 0.0,
        min: 0.0,
        max: 0.0,
    };
    Spread::of(numbers).unwrap_or(none)
}

fn json(spread: Spread, decimals: i32) -> SpreadJson {
    SpreadJson {
        median: round(spread.median, decimals),
        min: round(spread.min, decimals),
        max: round(spread.max, decimals),
    }
}

fn report(
    arguments: &DurabilityArguments,
    disk: &Path,
    fsync_us: Spread,
    rows: Vec<BenchDurabilityRowJson>,
    interrupted: bool,
) -> Result<BenchDurabilityJson, BenchError> {
    let rate = |arm: Arm, round: u32| {
        let this =
            |row: &&BenchDurabilityRowJson| row.synchronous == arm.name() && row.round == round;
        rows.iter().find(this).map(|row| row.docs_per_s)
    };
    let rounds = 1..=arguments.rounds;
    let of = |arm: Arm| spread_of(rounds.clone().filter_map(|round| rate(arm, round)));
    // Round by round, so that what slowed a whole round down counts in neither.
    let ratio = |round| Some(rate(Arm::Full, round)? / rate(Arm::Off, round)?);
    let ratio = Spread::of(rounds.clone().filter_map(ratio)).ok_or(BenchError::Interrupted)?;
    Ok(BenchDurabilityJson {
        documents: arguments.documents,
        seed: arguments.seed,
        rounds: arguments.rounds,
        disk: disk.display().to_string(),
        fsync_us: json(fsync_us, 1),
        full_docs_per_s: json(of(Arm::Full), 2),
        off_docs_per_s: json(of(Arm::Off), 2),
        ratio: json(ratio, 4),
        target: TARGET,
        ok: ratio.median >= TARGET,
        interrupted,
        rows,
    })
}

fn csv(rows: &[BenchDurabilityRowJson]) -> String {
    let mut text = "round,synchronous,documents,seconds,docs_per_s\n".to_owned();
    for row in rows {
        let BenchDurabilityRowJson {
            round,
            synchronous,
            documents,
            seconds,
            docs_per_s,
        } = row;
        text.push_str(&format!(
            "{round},{synchronous},{documents},{seconds},{docs_per_s}\n"
        ));
    }
    text
}

fn show(out: &Output, said: &BenchDurabilityJson) {
    let spread = |of: &SpreadJson, decimals: usize| {
        let SpreadJson { median, min, max } = of;
        format!("{median:.decimals$} ({min:.decimals$} to {max:.decimals$})")
    };
    out.line(format!(
        "{} a run, {} rounds, on the disk of {}; one fsync takes {} us.\n",
        plural(said.documents.into(), "document"),
        said.rounds,
        said.disk,
        spread(&said.fsync_us, 0)
    ));
    let rows = vec![
        vec!["full".to_owned(), spread(&said.full_docs_per_s, 2)],
        vec!["off".to_owned(), spread(&said.off_docs_per_s, 2)],
    ];
    out.line(table(&["synchronous", "documents/s"], &[1], rows));
    out.line(format!(
        "\nFull by off: {}; the target is {:.2}: {}.",
        spread(&said.ratio, 3),
        said.target,
        if said.ok { "reached" } else { "missed" }
    ));
}
