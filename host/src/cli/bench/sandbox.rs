//! `stockade bench sandbox`: how soon a killed task's place is free, what it costs to begin, whether the same
//! call is the same, and what many hostile tasks leave behind.
//!
//! Everything runs in this process, on a stage of its own that is gone at the end.

mod kills;
mod process;
mod report;
mod same;
mod soak;
mod starts;

use super::stage::write_error;
use crate::api::BenchSandboxJson;
use crate::attack::Stage;
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::Output;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SandboxArguments {
    /// Kills of each kind under each load
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kills: u32,
    /// Hostile tasks in a row
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    soak: u32,
    /// Only some of the parts
    #[arg(long, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Write every kill, call and sample as comma-separated values
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
}

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// From a kill, or a limit, to a free place.
    Kills,
    /// Calls in fresh stores; plugins from the cache.
    Starts,
    /// The same call again and again.
    Same,
    /// Many hostile tasks in a row.
    Soak,
}

impl SandboxArguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Steps of the progress bar.
    fn steps(&self) -> u64 {
        let steps = [
            (Part::Kills, 24 * u64::from(self.kills)),
            (Part::Starts, 4),
            (Part::Same, 3),
            (Part::Soak, u64::from(self.soak)),
        ];
        let wanted = steps.iter().filter(|(part, _)| self.wants(*part));
        wanted.map(|(_, steps)| steps).sum()
    }
}

/// One measurement on its way.
struct Bench {
    stage: Arc<Stage>,
    interrupt: CancellationToken,
    progress: ProgressBar,
    said: BenchSandboxJson,
    rows: Vec<kills::Row>,
    start_rows: Vec<(String, Duration)>,
    samples: Vec<process::Sample>,
}

impl Bench {
    fn say(&self, what: String) {
        self.progress.set_message(what);
    }

    fn interrupted(&self) -> bool {
        self.interrupt.is_cancelled()
    }

    async fn measure(&mut self, arguments: &SandboxArguments) -> Result<(), Failure> {
        // What is slightest comes first: the process is as small as it ever is.
        if arguments.wants(Part::Starts) {
            starts::measure(self).await?;
        }
        if arguments.wants(Part::Same) && !self.interrupted() {
            same::measure(self).await?;
        }
        if arguments.wants(Part::Kills) && !self.interrupted() {
            kills::measure(self, arguments.kills as usize).await?;
        }
        if arguments.wants(Part::Soak) && !self.interrupted() {
            soak::measure(self, u64::from(arguments.soak)).await?;
        }
        Ok(())
    }

    /// Whether all kills, runs and hostile tasks ended as they should have.
    fn nothing_failed(&self) -> bool {
        let said = &self.said;
        let kills = said.kills.iter().chain(&said.limits);
        let soak = said.soak.as_ref();
        kills.map(|one| one.failed).sum::<usize>() == 0
            && said.determinism.iter().all(|one| one.differences == 0)
            && soak.is_none_or(|one| {
                one.not_stopped == 0 && one.meters.iter().all(|meter| meter.flat != Some(false))
            })
    }
}

pub(super) async fn run(session: &Session, arguments: SandboxArguments) -> Result<Exit, Failure> {
    if let Some(folder) = &arguments.csv {
        std::fs::create_dir_all(folder).map_err(|source| write_error(folder, source))?;
    }
    let interrupt = interrupted_by_user();
    let config = Config::load(&session.data)?;
    let stage = Stage::start(&config, &TenantId::new("victim")?, None)?;
    let mut bench = Bench {
        stage: Arc::new(stage),
        interrupt,
        progress: progress(session.out, arguments.steps()),
        said: BenchSandboxJson::default(),
        rows: vec![],
        start_rows: vec![],
        samples: vec![],
    };
    let ended = bench.measure(&arguments).await;
    bench.progress.finish_and_clear();
    ended?;
    bench.said.interrupted = bench.interrupted();
    bench.said.cores = std::thread::available_parallelism().map_or(1, usize::from);
    bench.said.ok = bench.nothing_failed();
    let said = &bench.said;
    session.out.answer(said, |out| report::show(out, said));
    if let Some(folder) = &arguments.csv {
        write(folder, &bench)?;
    }
    Ok(match said {
        said if said.interrupted => Exit::Interrupted,
        said if !said.ok => Exit::HostFault,
        _ => Exit::Done,
    })
}

fn write(folder: &Path, bench: &Bench) -> Result<(), Failure> {
    let files = [
        ("kills.csv", report::kills_csv(&bench.rows)),
        ("starts.csv", report::starts_csv(&bench.start_rows)),
        ("soak.csv", report::soak_csv(&bench.samples)),
    ];
    for (name, text) in files {
        // A part that was not asked for has its header alone.
        if text.lines().count() > 1 {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|source| write_error(&path, source))?;
        }
    }
    Ok(())
}

fn progress(out: Output, steps: u64) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
