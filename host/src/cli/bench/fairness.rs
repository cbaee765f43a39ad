//! `stockade bench fairness`: what a small tenant's questions wait while a large one ingests, and what tenants of
//! different shares get of the embedder.

mod shares;

use super::error::BenchError;
use super::machine;
use super::neighbour::judge::percentile;
use super::neighbour::victim::{Asked, Victim};
use super::stage::{check_writable, copy_configuration, write_error, write_if_asked};
use super::workload::Words;
use crate::api::{BenchFairnessJson, FairnessQueriesJson, FairnessShareJson, round};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, table, thousands};
use crate::corpus::TenantId;
use crate::embedder::EmbedderStats;
use crate::error::{Exit, Failure};
use crate::runtime::{IngestRequest, Progress, Runtime};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Documents of the small tenant, words of any document (about a chunk), and different questions.
const DOCUMENTS: u32 = 200;
const WORDS: usize = 120;
const QUESTIONS: usize = 100;

/// Documents of one file of the large tenant's.
const BULK: u32 = 20_000;

/// How far a tenant's part may be from its share's.
const DEVIATION_MAX: f64 = 0.05;

/// How long the large tenant may take until its texts wait for the model.
const UNDER_WAY: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchFairnessArguments {
    /// Questions of the small tenant, idle and again beside the ingest
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Questions a second
    #[arg(long, default_value_t = 20.0, value_name = "R", value_parser = super::rate)]
    rate: f64,
    /// Blocks in which idle and ingest take turns
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    blocks: u32,
    /// Seconds for which tenants of shares 1, 2 and 4 are served
    #[arg(long, default_value_t = 20, value_name = "S", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    seconds: u32,
    /// Seed of documents and questions
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Write every question as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write what was measured as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(
    session: &Session,
    arguments: BenchFairnessArguments,
) -> Result<Exit, Failure> {
    for file in [&arguments.csv, &arguments.report].into_iter().flatten() {
        check_writable(file)?;
    }
    let interrupt = interrupted_by_user();
    let bar = bar(session.out, 2 * arguments.blocks + 1);
    bar.set_message("making tenants");
    let bench = Bench::set(&session.data, arguments.seed).await?;
    let mut measured = Measured {
        batch_tokens: bench.runtime.config().embed_batch_tokens,
        ..Measured::default()
    };
    let per_block = arguments.requests.div_ceil(arguments.blocks) as usize;
    for block in 0..arguments.blocks as usize {
        let numbers = block * per_block..(block + 1) * per_block;
        bar.set_message("questions on the idle machine");
        let idle = bench.ask(numbers.clone(), arguments.rate, &interrupt).await;
        measured.idle.extend(idle);
        bar.inc(1);
        if interrupt.is_cancelled() {
            break;
        }
        bar.set_message("questions beside an ingest");
        let bulk = bench.begin_bulk(block, arguments.seed).await?;
        let before = bench.runtime.embedder()?.stats();
        let asked = bench.ask(numbers, arguments.rate, &interrupt).await;
        measured.ingest.extend(asked);
        measured.batches(&before, &bench.runtime.embedder()?.stats());
        measured.bulk(bulk.end().await?);
        bar.inc(1);
    }
    if !interrupt.is_cancelled() {
        bar.set_message("three tenants that all wait for the model");
        let embedder = bench.runtime.embedder()?;
        let wanted = Duration::from_secs(u64::from(arguments.seconds));
        measured.shares = shares::measure(&embedder, wanted, &interrupt).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    write_if_asked(arguments.csv.as_deref(), || measured.csv())?;
    let said = measured.json(interrupt.is_cancelled());
    session.out.answer(&said, |out| show(out, &said));
    write_if_asked(arguments.report.as_deref(), || markdown(&said))?;
    Ok(match () {
        () if said.interrupted => Exit::Interrupted,
        () if said.idle.failed + said.ingest.failed > 0 => Exit::HostFault,
        () => Exit::Done,
    })
}

fn bar(out: Output, steps: u32) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::from(steps));
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A host with a small tenant and a large one.
struct Bench {
    runtime: Arc<Runtime>,
    small: Arc<Victim>,
    large: TenantId,
    folder: TempDir,
}

/// The large tenant's ingest on its way.
struct Bulk {
    ingest: JoinHandle<Result<(), Failure>>,
    interrupt: CancellationToken,
    progress: Arc<Progress>,
    began: Instant,
    /// Documents that were in when the questions began.
    before: u64,
}

impl Bench {
    async fn set(data: &Path, seed: u64) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
        let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
        let own = folder.path().join("data");
        copy_configuration(data, &own)?;
        let runtime = Arc::new(Runtime::open(&own)?);
        let (small, large) = (TenantId::new("small")?, TenantId::new("large")?);
        for tenant in [&small, &large] {
            runtime.add_tenant(tenant, &Runtime::find_policy(None)?)?;
        }
        let small = Arc::new(Victim {
            tenant: small,
            questions: Words::new(!seed).texts(QUESTIONS, 10),
        });
        let bench = Self {
            runtime,
            small,
            large,
            folder,
        };
        let file = bench.write("small", seed, DOCUMENTS)?;
        let (progress, never) = (Arc::new(Progress::default()), CancellationToken::new());
        let request = IngestRequest::of(file);
        let tenant = &bench.small.tenant;
        let report = bench
            .runtime
            .ingest(tenant, &request, &progress, &never)
            .await?;
        match report.failures.into_iter().next() {
            Some(failure) => Err(failure.failure),
            None => Ok(bench),
        }
    }

    fn write(&self, name: &str, seed: u64, documents: u32) -> Result<PathBuf, BenchError> {
        let file = self.folder.path().join(format!("{name}.jsonl"));
        let written = Words::new(seed).write(&file, name, documents, WORDS);
        written.map_err(|source| write_error(&file, source))?;
        Ok(file)
    }

    /// Asks the questions of these numbers; how long each took, or nothing where it had no answer.
    async fn ask(
        &self,
        numbers: std::ops::Range<usize>,
        rate: f64,
        interrupt: &CancellationToken,
    ) -> Vec<Option<Duration>> {
        let asked = self
            .small
            .ask(&self.runtime, numbers, rate, interrupt)
            .await;
        let latency = |asked: Asked<Result<_, _>>| asked.outcome.ok().map(|_| asked.latency);
        asked.into_iter().map(latency).collect()
    }

    /// Begins an ingest that outlasts any block, and comes back when its texts wait for the model.
    async fn begin_bulk(&self, block: usize, seed: u64) -> Result<Bulk, Failure> {
        let name = format!("bulk-{block}-");
        let file = self.write(&name, seed.wrapping_add(1 + block as u64), BULK)?;
        let (progress, interrupt) = (Arc::new(Progress::default()), CancellationToken::new());
        let (runtime, tenant) = (self.runtime.clone(), self.large.clone());
        let (heard, done) = (interrupt.clone(), progress.clone());
        let ingest = tokio::spawn(async move {
            let request = IngestRequest::of(file);
            runtime.ingest(&tenant, &request, &done, &heard).await?;
            Ok(())
        });
        let embedder = self.runtime.embedder()?;
        let began = Instant::now();
        while embedder.stats().bulk_tokens_waiting == 0 && began.elapsed() < UNDER_WAY {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Bulk {
            ingest,
            interrupt,
            began: Instant::now(),
            before: progress.documents.load(Relaxed),
            progress,
        })
    }
}

impl Bulk {
    /// Ends the ingest: how many documents got in meanwhile, and how long that took.
    async fn end(self) -> Result<(u64, Duration), Failure> {
        let documents = self.progress.documents.load(Relaxed) - self.before;
        let took = self.began.elapsed();
        self.interrupt.cancel();
        match self.ingest.await {
            Ok(ended) => ended?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
        Ok((documents, took))
    }
}

/// What was measured so far.
#[derive(Debug, Default)]
struct Measured {
    idle: Vec<Option<Duration>>,
    ingest: Vec<Option<Duration>>,
    documents: u64,
    took: Duration,
    /// Tokens that the model read meanwhile, padding included.
    tokens: u64,
    busy: Duration,
    /// Tokens of a full batch.
    batch_tokens: usize,
    shares: Vec<FairnessShareJson>,
}

impl Measured {
    fn batches(&mut self, before: &EmbedderStats, after: &EmbedderStats) {
        let busy = |stats: &EmbedderStats| stats.busy.iter().sum::<Duration>();
        let tokens = |stats: &EmbedderStats| stats.tokens + stats.padding;
        self.tokens += tokens(after).saturating_sub(tokens(before));
        self.busy += busy(after).saturating_sub(busy(before));
    }

    fn bulk(&mut self, (documents, took): (u64, Duration)) {
        self.documents += documents;
        self.took += took;
    }

    /// Every question in order; no latency where it had no answer.
    fn csv(&self) -> String {
        let mut text = "load,latency_ms\n".to_owned();
        for (load, asked) in [("idle", &self.idle), ("ingest", &self.ingest)] {
            for took in asked {
                let latency = took.map_or_else(String::new, |took| format!("{:.3}", ms(took)));
                text.push_str(&format!("{load},{latency}\n"));
            }
        }
        text
    }

    fn json(self, interrupted: bool) -> BenchFairnessJson {
        let (idle, ingest) = (queries(&self.idle), queries(&self.ingest));
        let batch_ms = ms(self.busy) / (self.tokens.max(1) as f64) * self.batch_tokens as f64;
        let p99_ms_max = 2.0 * idle.p99_ms + batch_ms;
        let answered = |queries: &FairnessQueriesJson| queries.requests > queries.failed;
        let both = answered(&idle) && answered(&ingest);
        let within = |one: &FairnessShareJson| one.deviation.abs() <= DEVIATION_MAX;
        let seconds = self.took.as_secs_f64().max(1e-9);
        BenchFairnessJson {
            machine: machine::this(),
            met: both.then_some(ingest.p99_ms <= p99_ms_max),
            idle,
            ingest,
            docs_per_s: round(self.documents as f64 / seconds, 1),
            batch_ms: round(batch_ms, 2),
            p99_ms_max: round(p99_ms_max, 2),
            shares_met: (!self.shares.is_empty()).then(|| self.shares.iter().all(within)),
            shares: self.shares,
            deviation_max: DEVIATION_MAX,
            interrupted,
        }
    }
}

fn queries(asked: &[Option<Duration>]) -> FairnessQueriesJson {
    let mut latencies: Vec<f64> = asked.iter().flatten().map(|took| ms(*took)).collect();
    let mut at = |share| round(percentile(&mut latencies, share).unwrap_or(0.0), 2);
    FairnessQueriesJson {
        requests: asked.len(),
        failed: asked.iter().filter(|took| took.is_none()).count(),
        p50_ms: at(0.5),
        p99_ms: at(0.99),
        max_ms: at(1.0),
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn word(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "not measured",
    }
}

fn query_rows(said: &BenchFairnessJson) -> Vec<Vec<String>> {
    let row = |name: &str, queries: &FairnessQueriesJson| {
        let mut cells = vec![name.to_owned(), queries.requests.to_string()];
        let latencies = [queries.p50_ms, queries.p99_ms, queries.max_ms];
        cells.extend(latencies.map(|ms| format!("{ms:.1}")));
        cells.push(queries.failed.to_string());
        cells
    };
    vec![
        row("on the idle machine", &said.idle),
        row("while another tenant ingests", &said.ingest),
    ]
}

fn share_rows(said: &BenchFairnessJson) -> Vec<Vec<String>> {
    let row = |one: &FairnessShareJson| {
        vec![
            one.share.to_string(),
            thousands(one.tokens),
            format!("{:.1} %", 100.0 * one.part),
            format!("{:.1} %", 100.0 * one.promised),
            format!("{:+.1} %", 100.0 * one.deviation),
        ]
    };
    said.shares.iter().map(row).collect()
}

const QUERY_HEADER: [&str; 6] = ["questions", "asked", "p50 ms", "p99 ms", "max ms", "failed"];
const SHARE_HEADER: [&str; 5] = ["share", "tokens", "part", "promised", "off by"];

fn sentence(said: &BenchFairnessJson) -> String {
    format!(
        "p99 while another ingests {} documents a second: {:.1} ms, at most {:.1} ms (twice idle, and a batch of \
         {:.1} ms): {}. Shares within {:.0} %: {}.",
        said.docs_per_s,
        said.ingest.p99_ms,
        said.p99_ms_max,
        said.batch_ms,
        word(said.met),
        100.0 * said.deviation_max,
        word(said.shares_met)
    )
}

fn show(out: &Output, said: &BenchFairnessJson) {
    out.line(table(&QUERY_HEADER, &[1, 2, 3, 4, 5], query_rows(said)));
    if !said.shares.is_empty() {
        out.line(table(&SHARE_HEADER, &[1, 2, 3, 4], share_rows(said)));
    }
    out.line(sentence(said));
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

fn markdown(said: &BenchFairnessJson) -> String {
    let rows = |header: &[&str], rows: Vec<Vec<String>>| {
        let mut text = format!("| {} |\n", header.join(" | "));
        text.push_str(&format!("|---{}|\n", "|---:".repeat(header.len() - 1)));
        for row in rows {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
        }
        text
    };
    format!(
        "# Fairness\n\n<!-- table:fairness -->\n{}\n{}\n{}\n\nMeasured on {}.\n<!-- /table -->\n",
        rows(&QUERY_HEADER, query_rows(said)),
        rows(&SHARE_HEADER, share_rows(said)),
        sentence(said),
        machine::words(&said.machine)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_twice_idle_and_a_batch() {
        let some = |ms: u64| Some(Duration::from_millis(ms));
        let mut measured = Measured {
            idle: vec![some(10); 100],
            ingest: vec![some(24); 100],
            tokens: 2_560,
            batch_tokens: 256,
            busy: Duration::from_millis(300),
            ..Measured::default()
        };
        measured.bulk((80, Duration::from_secs(4)));
        measured.idle.push(None);
        let csv = measured.csv();
        assert!(csv.starts_with("load,latency_ms\nidle,10.000\n"), "{csv}");
        assert!(csv.contains("idle,\ningest,24.000\n"), "{csv}");
        let said = measured.json(false);
        assert_eq!((said.batch_ms, said.p99_ms_max), (30.0, 50.0));
        assert_eq!((said.met, said.shares_met), (Some(true), None));
        assert_eq!(said.docs_per_s, 20.0);
    }

    #[test]
    fn a_question_without_an_answer_is_counted_and_not_timed() {
        let said = queries(&[Some(Duration::from_millis(8)), None]);
        assert_eq!((said.requests, said.failed, said.p99_ms), (2, 1, 8.0));
    }
}
