//! `stockade bench query`: what agents take on a generated index of any size, on one core.
//!
//! Documents come by [`Generated`] and are written as any others; questions go the whole way of `query`, and of
//! each answer's time that of embedding its question alone, measured right before, is taken off.

use super::generated::Generated;
use super::stage::{write_error, write_if_asked};
use super::statistics::Times;
use crate::api::{BenchQueryAgentJson, BenchQueryJson, round};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, table, thousands};
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::{Lane, Priority};
use crate::error::{Exit, Failure};
use crate::runtime::{QueryRequest, Runtime, RuntimeError};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Agents in the order of asking, with what is aimed at: p50 and p90 in milliseconds.
const AGENTS: [(&str, Option<f64>, Option<f64>); 4] = [
    ("vector", None, None),
    ("text", None, None),
    ("hybrid", Some(60.0), Some(120.0)),
    ("multihop", Some(250.0), None),
];

/// Questions that load and warm what later ones find warm.
const WARM_UP: u64 = 3;

/// Passages of an answer.
const K: usize = 10;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct BenchQueryArguments {
    /// Chunks of the generated index
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    chunks: u64,
    /// Questions to each agent
    #[arg(long, default_value_t = 100, value_name = "Q", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    questions: u32,
    /// Seed of documents and questions
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Write every answer as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

/// One answer.
#[derive(Debug, Clone, Copy)]
struct Answered {
    question: u64,
    agent: usize,
    whole: Duration,
    embedding: Duration,
    searches: u64,
    vectors: u64,
}

impl Answered {
    /// What it took beyond embedding its question; searching by words alone embeds nothing.
    fn beyond(&self) -> Duration {
        match AGENTS[self.agent].0 {
            "text" => self.whole,
            _ => self.whole.saturating_sub(self.embedding),
        }
    }
}

/// One measurement on its way.
struct Bench {
    runtime: Runtime,
    tenant: TenantId,
    generated: Generated,
    interrupt: CancellationToken,
    progress: ProgressBar,
    said: BenchQueryJson,
    answers: Vec<Answered>,
}

pub(super) async fn run(
    session: &Session,
    arguments: BenchQueryArguments,
) -> Result<Exit, Failure> {
    let config = Config::load(&session.data)?;
    let (interrupt, out, csv) = (interrupted_by_user(), session.out, arguments.csv.clone());
    let measured = std::thread::spawn(move || on_one_core(&config, &arguments, interrupt, out));
    let joined = tokio::task::spawn_blocking(move || measured.join()).await;
    let gone = || RuntimeError::Argument("the measurement broke off".to_owned());
    let (said, answers) = joined.ok().and_then(Result::ok).ok_or_else(gone)??;
    out.answer(&said, |out| show(out, &said));
    write_if_asked(csv.as_deref(), || lines(&answers))?;
    Ok(match said {
        said if said.interrupted => Exit::Interrupted,
        said if said.failed > 0 => Exit::Partial,
        _ => Exit::Done,
    })
}

/// The whole host on the core that this thread is on: all threads that it starts stay there too.
fn on_one_core(
    config: &Config,
    arguments: &BenchQueryArguments,
    interrupt: CancellationToken,
    out: Output,
) -> Result<(BenchQueryJson, Vec<Answered>), Failure> {
    let mut core = CpuSet::new();
    core.set(sched_getcpu());
    let wrong = |what: std::io::Error| RuntimeError::Argument(what.to_string());
    sched_setaffinity(None, &core).map_err(|error| wrong(error.into()))?;
    let executor = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(wrong)?;
    let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
    let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
    configure(folder.path(), config, arguments.chunks)?;
    let tenant = TenantId::new("generated")?;
    let runtime = Runtime::open(folder.path())?;
    runtime.add_tenant(&tenant, &Runtime::find_policy(None)?)?;
    let mut bench = Bench {
        runtime,
        tenant,
        generated: Generated::new(arguments.seed),
        interrupt,
        progress: progress(out, arguments),
        said: BenchQueryJson {
            seed: arguments.seed,
            ..BenchQueryJson::default()
        },
        answers: vec![],
    };
    let ended = bench.measure(&executor, arguments);
    bench.progress.finish_and_clear();
    ended?;
    bench.said.interrupted = bench.interrupt.is_cancelled();
    bench.said.agents = (0..AGENTS.len()).map(|agent| bench.agent(agent)).collect();
    Ok((bench.said, bench.answers))
}

/// A data folder with one worker and one thread, and room for all vectors.
fn configure(data: &Path, config: &Config, chunks: u64) -> Result<(), Failure> {
    // A row with its vector takes 1,556 bytes.
    let cache_mib = 64 + chunks * 1_556 / (1 << 20);
    let (model, library) = (&config.model_dir, &config.onnxruntime);
    let text = format!(
        "model_dir = {model:?}\nonnxruntime = {library:?}\nembed_workers = 1\n\
         guest_threads = 1\nvector_cache_mib = {cache_mib}\n"
    );
    let path = data.join("stockade.toml");
    Ok(std::fs::write(&path, text).map_err(|source| write_error(&path, source))?)
}

impl Bench {
    fn measure(
        &mut self,
        executor: &tokio::runtime::Runtime,
        arguments: &BenchQueryArguments,
    ) -> Result<(), Failure> {
        self.fill(arguments.chunks)?;
        for number in 0..WARM_UP {
            for agent in 0..AGENTS.len() {
                executor.block_on(self.ask(u64::MAX - number, agent))?;
            }
        }
        for number in 0..u64::from(arguments.questions) {
            for agent in 0..AGENTS.len() {
                if self.interrupt.is_cancelled() {
                    return Ok(());
                }
                match executor.block_on(self.ask(number, agent)) {
                    Ok(answer) => self.answers.push(answer),
                    Err(failure) => {
                        self.said.failed += 1;
                        self.progress.set_message(failure.message);
                    }
                }
            }
            self.said.questions += 1;
            self.progress.inc(1);
        }
        Ok(())
    }

    fn fill(&mut self, chunks: u64) -> Result<(), Failure> {
        self.progress.set_message("writing the index");
        let (index, began) = (self.runtime.index(&self.tenant)?, Instant::now());
        let (progress, interrupt) = (self.progress.clone(), self.interrupt.clone());
        self.generated.fill(&index, chunks, |there| {
            progress.set_position(there / PER_STEP);
            !interrupt.is_cancelled()
        })?;
        let counts = index.counts()?;
        self.said.fill_seconds = round(began.elapsed().as_secs_f64(), 1);
        (self.said.chunks, self.said.documents) = (counts.chunks, counts.documents);
        self.progress.set_message("asking");
        Ok(())
    }

    async fn ask(&self, number: u64, agent: usize) -> Result<Answered, Failure> {
        let question = self.generated.question(number, self.said.documents);
        let embedding = self.embed(&question).await?;
        let request = QueryRequest {
            question,
            agent: Some(AGENTS[agent].0.to_owned()),
            k: K,
            filter: None,
            options: vec![],
        };
        let began = Instant::now();
        let outcome = self.runtime.query(&self.tenant, &request).await?;
        Ok(Answered {
            question: number,
            agent,
            whole: began.elapsed(),
            embedding,
            searches: outcome.usage.searches,
            vectors: outcome.usage.vectors_scanned,
        })
    }

    async fn embed(&self, question: &str) -> Result<Duration, Failure> {
        let embedder = self.runtime.embedder()?;
        let lane = Lane {
            tenant: self.tenant.clone(),
            share: 1,
            priority: Priority::Interactive,
            cancel: CancellationToken::new(),
        };
        let began = Instant::now();
        embedder
            .embed(&lane, vec![embedder.tokenize(question)])
            .await?;
        Ok(began.elapsed())
    }

    fn agent(&self, agent: usize) -> BenchQueryAgentJson {
        let (label, target_p50_ms, target_p90_ms) = AGENTS[agent];
        let own = self.answers.iter().filter(|answer| answer.agent == agent);
        let own: Vec<Answered> = own.copied().collect();
        let mean = |of: fn(&Answered) -> u64| {
            round(
                own.iter().map(of).sum::<u64>() as f64 / own.len().max(1) as f64,
                1,
            )
        };
        let beyond = Times::of(own.iter().map(Answered::beyond));
        let whole = Times::of(own.iter().map(|answer| answer.whole));
        let ms = |times: &Times, percent| round(times.percentile(percent).as_secs_f64() * 1e3, 2);
        BenchQueryAgentJson {
            agent: label.to_owned(),
            count: own.len(),
            p50_ms: ms(&beyond, 50),
            p90_ms: ms(&beyond, 90),
            p99_ms: ms(&beyond, 99),
            whole_p50_ms: ms(&whole, 50),
            whole_p90_ms: ms(&whole, 90),
            searches: mean(|answer| answer.searches),
            vectors_scanned: mean(|answer| answer.vectors),
            target_p50_ms,
            target_p90_ms,
        }
    }
}

/// Chunks written between two steps of the progress bar.
const PER_STEP: u64 = 1_000;

fn progress(out: Output, arguments: &BenchQueryArguments) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let steps = arguments.chunks / PER_STEP + u64::from(arguments.questions);
    let bar = ProgressBar::new(steps);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(out: &Output, said: &BenchQueryJson) {
    let target = |target: Option<f64>| target.map_or(String::new(), |ms| format!("{ms:.0}"));
    let row = |one: &BenchQueryAgentJson| {
        vec![
            one.agent.clone(),
            one.count.to_string(),
            format!("{:.1}", one.p50_ms),
            target(one.target_p50_ms),
            format!("{:.1}", one.p90_ms),
            target(one.target_p90_ms),
            format!("{:.1}", one.p99_ms),
            format!("{:.1}", one.whole_p50_ms),
            format!("{:.1}", one.searches),
            thousands(one.vectors_scanned as u64),
        ]
    };
    let header = [
        "AGENT",
        "ANSWERS",
        "P50 MS",
        "AIM",
        "P90 MS",
        "AIM",
        "P99 MS",
        "WHOLE P50",
        "SEARCHES",
        "VECTORS",
    ];
    let rows = said.agents.iter().map(row).collect();
    out.line(table(&header, &[1, 2, 3, 4, 5, 6, 7, 8, 9], rows));
    let (chunks, documents) = (thousands(said.chunks), thousands(said.documents));
    let seconds = said.fill_seconds;
    out.line(out.dim(&format!(
        "{chunks} chunks of {documents} documents, written in {seconds:.1} s; one core; without embedding the question"
    )));
    if said.failed > 0 {
        out.line(format!("{} questions were not answered", said.failed));
    }
}

fn lines(answers: &[Answered]) -> String {
    let mut text =
        "question,agent,whole_ms,embedding_ms,beyond_ms,searches,vectors_scanned\n".to_owned();
    for answer in answers {
        let ms = |time: Duration| round(time.as_secs_f64() * 1e3, 3);
        let (number, agent) = (answer.question, AGENTS[answer.agent].0);
        let (whole, embedding) = (ms(answer.whole), ms(answer.embedding));
        let (beyond, searches, vectors) = (ms(answer.beyond()), answer.searches, answer.vectors);
        text += &format!("{number},{agent},{whole},{embedding},{beyond},{searches},{vectors}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedding_is_taken_off_but_where_nothing_is_embedded() {
        let answered = |agent| Answered {
            question: 0,
            agent,
            whole: Duration::from_millis(9),
            embedding: Duration::from_millis(4),
            searches: 1,
            vectors: 10,
        };
        assert_eq!(answered(0).beyond(), Duration::from_millis(5));
        assert_eq!(AGENTS[1].0, "text");
        assert_eq!(answered(1).beyond(), Duration::from_millis(9));
        let text = lines(&[answered(2)]);
        assert!(text.ends_with("\n0,hybrid,9,4,5,1,10\n"), "{text}");
    }
}
