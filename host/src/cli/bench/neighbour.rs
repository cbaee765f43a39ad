//! `stockade bench neighbour`: what a tenant notices of its neighbours.
//!
//! For each class of attack the victim asks the same questions at the same rate alone (A), beside a neighbour
//! that does honest work with its whole quota (B), and beside an attacker with the same quota (C), in turn,
//! block by block. C by B is how well tenants are isolated; B by A is only that they share a machine.

mod ground;
pub(super) mod judge;
mod load;
mod picture;
mod report;
pub(super) mod victim;

use super::error::BenchError;
use super::stage::{check_folder, check_writable, write_if_asked};
use crate::api::{BenchNeighbourJson, NeighbourWorkloadJson};
use crate::attack::Class;
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::Output;
use crate::error::{Exit, Failure};
use crate::plot::Format;
use clap::{Args, ValueEnum};
use ground::{Ground, Neighbours};
use indicatif::{ProgressBar, ProgressStyle};
use load::Load;
use report::{Arm, Measurement};
use rustix::time::{ClockId, clock_gettime};
use std::io::IsTerminal;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// From the neighbour's first task, or from its end, to the victim's first question.
const SETTLE: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchNeighbourArguments {
    /// Classes of attack; default: all
    #[arg(
        long = "class",
        value_delimiter = ',',
        value_name = "CLASSES",
        value_enum
    )]
    classes: Vec<ClassName>,
    /// Questions of the victim, in each of a class's three arms
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Questions a second
    #[arg(long, default_value_t = 40.0, value_name = "R", value_parser = super::rate)]
    rate: f64,
    /// Blocks in which the arms take turns
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    blocks: u32,
    /// Seed of documents and questions
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Write every question as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw the latencies into this folder: neighbour.svg and neighbour.png
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

/// [`Class`] as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassName {
    /// A loop that never ends
    Cpu,
    /// All memory that is allowed, filled again and again
    Memory,
    /// Every call that is allowed, and thousands that are not
    HostCalls,
    /// Documents cut so that each is embedded several times over
    Embedder,
    /// Plugins that are hard to compile, one after the other
    Compile,
}

impl From<ClassName> for Class {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Cpu => Self::Cpu,
            ClassName::Memory => Self::Memory,
            ClassName::HostCalls => Self::HostCalls,
            ClassName::Embedder => Self::Embedder,
            ClassName::Compile => Self::Compile,
        }
    }
}

pub(super) async fn run(
    session: &Session,
    arguments: BenchNeighbourArguments,
) -> Result<Exit, Failure> {
    check(&arguments)?;
    let classes = classes(&arguments.classes);
    let interrupt = interrupted_by_user();
    let bar = bar(session.out, classes.len() * 3 * arguments.blocks as usize);
    bar.set_message("making tenants");
    let mut bench = Bench {
        ground: Ground::set(&session.data, arguments.seed).await?,
        arguments,
        interrupt,
        bar,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        results: vec![],
    };
    let ended = bench.classes(&classes).await;
    bench.bar.finish_and_clear();
    match ended {
        Err(BenchStop::Failed(failure)) => return Err(failure),
        Err(BenchStop::Interrupted) if bench.results.is_empty() => {
            return Err(BenchError::Interrupted.into());
        }
        Err(BenchStop::Interrupted) | Ok(()) => {}
    }
    let said = bench.json(ended.is_err());
    session.out.answer(&said, |out| report::show(out, &said));
    bench.save()?;
    let harmed = |class: &crate::api::NeighbourClassJson| !class.unharmed || !class.same_answers;
    Ok(match () {
        () if said.interrupted => Exit::Interrupted,
        () if said.classes.iter().any(harmed) => Exit::HostFault,
        () => Exit::Done,
    })
}

/// What would only fail after minutes is tried before.
fn check(arguments: &BenchNeighbourArguments) -> Result<(), BenchError> {
    if let Some(csv) = &arguments.csv {
        check_writable(csv)?;
    }
    if let Some(folder) = &arguments.plot {
        check_folder(folder)?;
    }
    Ok(())
}

/// Each once, in the order given; all where none is.
fn classes(named: &[ClassName]) -> Vec<Class> {
    if named.is_empty() {
        return Class::ALL.to_vec();
    }
    let mut classes: Vec<Class> = vec![];
    for class in named.iter().map(|name| Class::from(*name)) {
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    classes
}

fn bar(out: Output, blocks: usize) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(blocks as u64);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} blocks  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Why the blocks ended early.
enum BenchStop {
    /// By the user; classes that were measured until then are whole.
    Interrupted,
    Failed(Failure),
}

impl From<Failure> for BenchStop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// One measurement on its way.
struct Bench {
    ground: Ground,
    arguments: BenchNeighbourArguments,
    interrupt: CancellationToken,
    bar: ProgressBar,
    cores: usize,
    results: Vec<Measurement>,
}

impl Bench {
    async fn classes(&mut self, classes: &[Class]) -> Result<(), BenchStop> {
        self.warm_up().await?;
        for class in classes {
            let neighbours = self.ground.neighbours(*class).await?;
            let result = self.class(*class, &neighbours).await?;
            self.results.push(result);
        }
        Ok(())
    }

    /// Every question once: plugins are compiled and vectors in memory afterwards.
    async fn warm_up(&self) -> Result<(), BenchStop> {
        self.bar.set_message("warming up");
        self.ask(0..ground::QUESTIONS).await?;
        Ok(())
    }

    async fn ask(&self, numbers: Range<usize>) -> Result<judge::Block, BenchStop> {
        let (ground, rate) = (&self.ground, self.arguments.rate);
        let asked = ground
            .victim
            .ask(&ground.runtime, numbers, rate, &self.interrupt);
        let asked = asked.await;
        match self.interrupt.is_cancelled() {
            true => Err(BenchStop::Interrupted),
            false => Ok(asked),
        }
    }

    /// All arms in turn, so that what disturbs the machine disturbs all of them alike.
    async fn class(&self, class: Class, neighbours: &Neighbours) -> Result<Measurement, BenchStop> {
        let mut result = Measurement::new(class);
        for numbers in blocks(
            self.arguments.requests as usize,
            self.arguments.blocks as usize,
        ) {
            for arm in Arm::ALL {
                self.bar
                    .set_message(format!("{}: {}", class.as_str(), arm.words()));
                let block = self.block(arm, neighbours, numbers.clone(), result.arm_mut(arm));
                block.await?;
                self.bar.inc(1);
            }
        }
        Ok(result)
    }

    async fn block(
        &self,
        arm: Arm,
        neighbours: &Neighbours,
        numbers: Range<usize>,
        measured: &mut report::Measured,
    ) -> Result<(), BenchStop> {
        let work = match arm {
            Arm::Alone => None,
            Arm::Honest => Some(&neighbours.honest),
            Arm::Hostile => Some(&neighbours.hostile),
        };
        let places = self.ground.policy.tenant.tasks_running_max;
        let load = work.map(|work| Load::begin(&self.ground.runtime, work, places));
        tokio::time::sleep(SETTLE).await;
        let (cpu, wall) = (process_cpu(), Instant::now());
        let asked = self.ask(numbers).await;
        measured.cpu += process_cpu().saturating_sub(cpu);
        measured.wall += wall.elapsed();
        if let Some(load) = load {
            measured.neighbour.add(load.end().await?);
        }
        measured.blocks.push(asked?);
        Ok(())
    }

    fn json(&self, interrupted: bool) -> BenchNeighbourJson {
        let json = |result: &Measurement| result.json(self.cores);
        let classes: Vec<_> = self.results.iter().map(json).collect();
        BenchNeighbourJson {
            workload: NeighbourWorkloadJson {
                documents: ground::DOCUMENTS,
                questions: ground::QUESTIONS,
                requests: self.arguments.requests as usize,
                rate_per_s: self.arguments.rate,
                blocks: self.arguments.blocks as usize,
                seed: self.arguments.seed,
                cores: self.cores,
                tasks_running: self.ground.policy.tenant.tasks_running_max,
                policy: self.ground.policy.digest_hex(),
            },
            target: report::TARGET,
            interrupted,
            ok: !interrupted && classes.iter().all(|class| class.ok),
            classes,
        }
    }

    fn save(&self) -> Result<(), Failure> {
        write_if_asked(self.arguments.csv.as_deref(), || report::csv(&self.results))?;
        match &self.arguments.plot {
            Some(folder) => self.draw(folder),
            None => Ok(()),
        }
    }

    fn draw(&self, folder: &Path) -> Result<(), Failure> {
        let (rate, requests) = (self.arguments.rate, self.arguments.requests as usize);
        let figure = picture::figure(&self.results, rate, requests, self.cores);
        figure.save(&folder.join("neighbour.svg"), Format::Svg)?;
        figure.save(&folder.join("neighbour.png"), Format::Png)?;
        Ok(())
    }
}

/// `requests` numbers in `blocks` pieces of nearly the same size; none is empty.
fn blocks(requests: usize, blocks: usize) -> impl Iterator<Item = Range<usize>> {
    let ends = (0..=blocks).map(move |block| requests * block / blocks);
    let ends: Vec<usize> = ends.collect();
    let ranges: Vec<Range<usize>> = ends.windows(2).map(|ends| ends[0]..ends[1]).collect();
    ranges.into_iter().filter(|range| !range.is_empty())
}

/// CPU of this process so far.
fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_every_question_once() {
        let all = |requests, number| blocks(requests, number).flatten().collect::<Vec<_>>();
        assert_eq!(all(10, 3), (0..10).collect::<Vec<_>>());
        assert_eq!(all(2, 5), vec![0, 1]);
        let sizes: Vec<usize> = blocks(10, 3).map(|block| block.len()).collect();
        assert_eq!(sizes, [3, 3, 4]);
    }
}
