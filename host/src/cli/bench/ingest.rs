//! `stockade bench ingest`: the same documents through ours and whatever could be used instead, in turn, round by
//! round.

mod arguments;
mod markdown;
mod part;
mod pictures;
mod plan;
mod programs;
mod published;
mod report;
mod scenario;
mod show;
mod stage;
mod verdict;

pub(in crate::cli) use arguments::BenchIngestArguments;
pub(in crate::cli) use part::PartCommand;
pub(super) use part::run as part;

use super::error::BenchError;
use super::stage::{check_folder, check_readable, check_writable, write_if_asked};
use crate::api::BenchIngestJson;
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::Output;
use crate::error::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use plan::{Plan, Run};
use report::Report;
use scenario::{Measure, Scenario};
use stage::{Chunks, Stage};
use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(
    session: &Session,
    arguments: BenchIngestArguments,
) -> Result<Exit, Failure> {
    check(&arguments)?;
    let interrupt = interrupted_by_user();
    let stage = Stage::set(&session.data, arguments.corpus.clone(), arguments.seed)?;
    let plan = Plan::of(&arguments, stage.config.embed_workers);
    let mut bench = Bench {
        stage,
        interrupt,
        bar: bar(session.out, plan.runs.len()),
        report: Report::new(plan.rounds),
        chunks: HashMap::new(),
    };
    let ended = bench.runs(&plan.runs).await;
    bench.bar.finish_and_clear();
    let interrupted = match ended {
        Err(Stopped::Interrupted) if !bench.report.is_empty() => true,
        Err(Stopped::Interrupted) => return Err(BenchError::Interrupted.into()),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Ok(()) => false,
    };
    let said = bench.report.json(&arguments, interrupted);
    session.out.answer(&said, |out| show::show(out, &said));
    save(&arguments, &said)?;
    Ok(match &said.vectors {
        _ if interrupted => Exit::Interrupted,
        Some(vectors) if !vectors.ok => Exit::HostFault,
        _ => Exit::Done,
    })
}

/// What would only fail after minutes is tried before.
fn check(arguments: &BenchIngestArguments) -> Result<(), Failure> {
    if let Some(corpus) = &arguments.corpus {
        check_readable(corpus)?;
    }
    if !arguments.peers.is_empty() {
        programs::python()?;
    }
    for file in [&arguments.csv, &arguments.report].into_iter().flatten() {
        check_writable(file)?;
    }
    if let Some(folder) = &arguments.plot {
        check_folder(folder)?;
    }
    Ok(())
}

fn save(arguments: &BenchIngestArguments, said: &BenchIngestJson) -> Result<(), Failure> {
    write_if_asked(arguments.csv.as_deref(), || show::csv(&said.rows))?;
    write_if_asked(arguments.report.as_deref(), || markdown::report(said))?;
    if let Some(folder) = &arguments.plot {
        pictures::save(said, folder)?;
    }
    Ok(())
}

fn bar(out: Output, runs: usize) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(runs as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs  {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Why the runs ended early.
enum Stopped {
    /// By the user; what was measured until then is whole.
    Interrupted,
    Failed(Failure),
}

impl From<BenchError> for Stopped {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Interrupted => Self::Interrupted,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One measurement on its way.
struct Bench {
    stage: Stage,
    interrupt: CancellationToken,
    bar: ProgressBar,
    report: Report,
    /// Of each number of documents, as ours made them.
    chunks: HashMap<Option<u32>, Chunks>,
}

impl Bench {
    async fn runs(&mut self, runs: &[Run]) -> Result<(), Stopped> {
        self.warm_up().await?;
        for run in runs {
            let documents = match run.documents {
                Some(count) => format!("{count} documents"),
                None => "the corpus".to_owned(),
            };
            let (name, round) = (run.scenario.name(), run.round);
            self.bar
                .set_message(format!("{name}, {documents}, round {round}"));
            let measure = self.one(*run).await?;
            self.report.add(*run, measure);
            self.bar.inc(1);
        }
        Ok(())
    }

    /// One document through everything: the chunker is compiled and the model's file in memory
    /// afterwards, and a set-up that does not work is seen at once.
    async fn warm_up(&self) -> Result<(), Stopped> {
        self.bar.set_message("warming up");
        let corpus = self.stage.warm_up()?;
        let workers = self.stage.config.embed_workers;
        let tenant = self.stage.add_tenant("warm-up", workers)?;
        let (scenario, interrupt) = (Scenario::Sandboxed, &self.interrupt);
        programs::sandboxed(&self.stage, scenario, &tenant, &corpus, interrupt).await?;
        Ok(())
    }

    async fn one(&mut self, run: Run) -> Result<Measure, Stopped> {
        if let Some(kind) = run.scenario.peer() {
            let chunks = self.chunks_of(run)?;
            return Ok(programs::peer(&self.stage, run, kind, chunks, &self.interrupt).await?);
        }
        let name = format!(
            "{}-{}-{}-{}",
            run.scenario.name(),
            run.documents.unwrap_or(0),
            run.workers,
            run.round
        );
        let tenant = self.stage.add_tenant(&name, run.workers)?;
        let (stage, interrupt) = (&self.stage, &self.interrupt);
        let measure = match run.scenario {
            Scenario::Matmul => programs::matmul(stage, interrupt).await?,
            Scenario::Loop => programs::bare_loop(stage, self.chunks_of(run)?, interrupt).await?,
            Scenario::Threads | Scenario::Processes => {
                let corpus = stage.documents(run.documents)?;
                programs::native(stage, run, &tenant, &corpus, interrupt).await?
            }
            scenario => {
                let corpus = stage.documents(run.documents)?;
                programs::sandboxed(stage, scenario, &tenant, &corpus, interrupt).await?
            }
        };
        if run.scenario == Scenario::Sandboxed && !self.chunks.contains_key(&run.documents) {
            let written = || self.stage.chunks(&tenant, measure.tokens);
            let written = tokio::task::block_in_place(written)?;
            self.report.compared = written.sample.len();
            self.chunks.insert(run.documents, written);
        }
        tokio::task::block_in_place(|| self.stage.remove_tenant(&tenant))?;
        Ok(measure)
    }

    /// The plan runs ours before anybody who needs its chunks.
    fn chunks_of(&self, run: Run) -> Result<&Chunks, BenchError> {
        let missing = || BenchError::Scenario {
            scenario: run.scenario.name(),
            message: "nobody has made its chunks".to_owned(),
            hint: None,
        };
        self.chunks.get(&run.documents).ok_or_else(missing)
    }
}
