//! `stockade bench ingest`: the same documents through ours and its peers, in turn, round by round.

use super::error::BenchError;
use super::report::Report;
use super::scenario::{self, Measure, Scenario};
use super::stage::{self, Chunks, Stage, write_error};
use crate::cli::Session;
use crate::cli::args::{BenchIngestArguments, Peer};
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::Output;
use crate::error::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::OpenOptions;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(
    session: &Session,
    arguments: BenchIngestArguments,
) -> Result<Exit, Failure> {
    check(&arguments)?;
    let interrupt = interrupted_by_user();
    let stage = Stage::set(&session.data, &arguments)?;
    let mut bench = Bench {
        stage,
        peers: distinct(&arguments.peers),
        interrupt,
        spinner: spinner(session.out),
        report: Report::default(),
    };
    let ended = bench.rounds(arguments.rounds).await;
    bench.spinner.finish_and_clear();
    let interrupted = match ended {
        Err(Stopped::Interrupted) if !bench.report.is_empty() => true,
        Err(Stopped::Interrupted) => return Err(BenchError::Interrupted.into()),
        Err(Stopped::Failed(failure)) => return Err(failure),
        Ok(()) => false,
    };
    let said = bench
        .report
        .json(&arguments, bench.stage.config.embed_workers, interrupted);
    session
        .out
        .answer(&said, |out| super::report::show(out, &said));
    if let Some(path) = &arguments.csv {
        let csv = super::report::csv(&said.rows);
        std::fs::write(path, csv).map_err(|source| write_error(path, source))?;
    }
    Ok(match &said.vectors {
        _ if interrupted => Exit::Interrupted,
        Some(vectors) if !vectors.ok => Exit::HostFault,
        _ => Exit::Done,
    })
}

/// What would only fail after minutes is tried before.
fn check(arguments: &BenchIngestArguments) -> Result<(), Failure> {
    if let Some(corpus) = &arguments.corpus {
        stage::check_readable(corpus)?;
    }
    if !arguments.peers.is_empty() {
        scenario::python()?;
    }
    if let Some(csv) = &arguments.csv {
        check_writable(csv)?;
    }
    Ok(())
}

fn check_writable(path: &Path) -> Result<(), BenchError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| write_error(path, source))
}

/// Each once, in the order given.
fn distinct(peers: &[Peer]) -> Vec<Peer> {
    let mut distinct: Vec<Peer> = vec![];
    for peer in peers {
        if !distinct.contains(peer) {
            distinct.push(*peer);
        }
    }
    distinct
}

fn spinner(out: Output) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

/// Why the rounds ended early.
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
    peers: Vec<Peer>,
    interrupt: CancellationToken,
    spinner: ProgressBar,
    report: Report,
}

impl Bench {
    /// Ours and every peer in turn, so that what disturbs the machine disturbs all of them alike.
    async fn rounds(&mut self, rounds: u32) -> Result<(), Stopped> {
        self.warm_up().await?;
        let mut chunks = None;
        for round in 1..=rounds {
            let of = format!("round {round} of {rounds}");
            self.spinner
                .set_message(format!("{of}: {}", Scenario::Sandboxed.name()));
            let tenant = self.stage.add_tenant(&format!("round-{round}"))?;
            let corpus = &self.stage.corpus;
            let ours = scenario::sandboxed(&self.stage, &tenant, corpus, &self.interrupt).await?;
            if chunks.is_none() && !self.peers.is_empty() {
                let written = || self.stage.chunks(&tenant, ours.tokens);
                let written = tokio::task::block_in_place(written)?;
                self.report.compared = written.sample.len();
                chunks = Some(written);
            }
            self.report.add(round, ours);
            for peer in self.peers.clone() {
                let Some(chunks) = &chunks else { break };
                self.spinner
                    .set_message(format!("{of}: {}", Scenario::from(peer).name()));
                let theirs = self.peer(peer, chunks).await?;
                self.report.add(round, theirs);
            }
        }
        Ok(())
    }

    /// One document through everything: the chunker is compiled and the model's file in memory
    /// afterwards, and a set-up that does not work is seen at once.
    async fn warm_up(&self) -> Result<(), Stopped> {
        self.spinner.set_message("warming up");
        let corpus = self.stage.warm_up()?;
        let tenant = self.stage.add_tenant("warm-up")?;
        scenario::sandboxed(&self.stage, &tenant, &corpus, &self.interrupt).await?;
        Ok(())
    }

    async fn peer(&self, peer: Peer, chunks: &Chunks) -> Result<Measure, BenchError> {
        match peer {
            Peer::Threads => scenario::python_threads(&self.stage, chunks, &self.interrupt).await,
        }
    }
}
