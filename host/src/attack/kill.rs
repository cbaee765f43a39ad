//! Kills: a task is brought to where it shall be killed, killed, and timed until its place is free again.
//!
//! The way is that of every task: a place by the gates, a fresh store, the host's own calls. What times are
//! good is not known here.

use super::imports::EMBED;
use super::{Guest, SmallIndex, Stage, sleeper};
use crate::agent::{Agent, AgentError};
use crate::corpus::{Embedding, TenantId};
use crate::embedder::{EmbedError, Lane, Priority};
use crate::error::{Blame, Explain, Failure};
use crate::ingest::Chunker;
use crate::policy::{Policy, Wasi};
use crate::runtime::{Gates, Place};
use crate::task::{Kind, Phase, Reason, Stop, Task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Where a task is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillKind {
    /// Its guest runs a loop for ever.
    Spinning,
    /// Its guest waits for a timer in the system interface.
    Sleeping,
    /// Its guest's text waits in the embedder's queue, behind another tenant's.
    Embedder,
    /// It waits for a place.
    Queued,
    /// Its guest's text is in the batch that the model reads, beside another tenant's.
    InBatch,
    /// Its guest fills all its memory, again and again: the engine cannot interrupt one fill.
    BulkMemory,
}

impl KillKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Spinning,
        Self::Sleeping,
        Self::Embedder,
        Self::Queued,
        Self::InBatch,
        Self::BulkMemory,
    ];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spinning => "spinning",
            Self::Sleeping => "sleeping",
            Self::Embedder => "embedder",
            Self::Queued => "queued",
            Self::InBatch => "in-batch",
            Self::BulkMemory => "bulk-memory",
        }
    }

    /// Where the stop says that the task was.
    pub fn phase(self) -> Phase {
        match self {
            Self::Spinning | Self::BulkMemory => Phase::Call,
            Self::Sleeping => Phase::HostWasi,
            Self::Embedder | Self::InBatch => Phase::HostEmbed,
            Self::Queued => Phase::Queued,
        }
    }

    /// The longest pause between reaching the place and the kill, so that kills do not keep step with
    /// ticks and batches.
    fn pause_max(self) -> Duration {
        match self {
            Self::BulkMemory => Duration::from_millis(40),
            _ => Duration::from_millis(3),
        }
    }
}

/// A limit that a guest runs into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overrun {
    /// Its instructions.
    Fuel,
    /// Its CPU time.
    Cpu,
}

impl Overrun {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fuel, Self::Cpu];

    /// Its name in reports: the stop's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Cpu => "cpu",
        }
    }

    fn policy(self) -> &'static str {
        match self {
            Self::Fuel => "[chunker]\nfuel_max = 5_000_000",
            Self::Cpu => "[chunker]\nfuel_max = 1_000_000_000_000\ncpu_ms_max = 5",
        }
    }
}

/// A task that was stopped.
#[derive(Debug, Clone)]
pub struct Freed {
    /// What it was.
    pub task: Arc<Task>,
    /// Why it was stopped.
    pub stop: Stop,
    /// From the kill, or from the limit being passed, to its place being free.
    pub took: Duration,
}

/// What came of one try.
#[derive(Debug, Clone)]
pub enum Try {
    /// It was stopped.
    Freed(Freed),
    /// It had left the place before the kill came; try again.
    Missed,
}

/// Guests to kill, and where.
#[derive(Debug)]
pub struct Kills<'a> {
    stage: &'a Stage,
    gates: Gates,
    policy: Policy,
    spinner: Chunker,
    sleeper: Chunker,
    filler: Chunker,
    asker: Agent,
    index: SmallIndex,
    neighbour: TenantId,
    flooder: TenantId,
    /// The neighbour's text in the batch, as the model reads it alone.
    expected: Embedding,
}

/// One place, so that a place that is not given back is noticed by the next task.
const POLICY: &str = r#"
    wasi = "sandboxed"
    [chunker]
    fuel_max = 1_000_000_000_000
    cpu_ms_max = 600_000
    wall_ms_max = 600_000
    memory_mib_max = 64
    [agent]
    wall_ms_max = 600_000
    [tenant]
    tasks_running_max = 1"#;

/// MiB of memory that a bulk-memory guest has: its policy's `memory_mib_max`.
pub const FILLED_MIB: u32 = 64;

/// Words in the victim's and the neighbour's texts: two of them are a batch.
const WORDS: usize = 100;

/// How far the neighbour's vector may lie from the one of its text alone: batches round otherwise.
const DIFFERENCE_MAX: f32 = 1e-5;

/// What never happened within this time will not.
const PATIENCE: Duration = Duration::from_secs(120);

impl<'a> Kills<'a> {
    /// Compiles the guests.
    pub async fn prepare(stage: &'a Stage) -> Result<Self, Failure> {
        let fill = "(loop
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x4000000))
            (br 0))
            (i32.const 32)";
        let mut filler = Guest::chunker(fill);
        filler.pages = FILLED_MIB * 16;
        let ask = format!(
            "(call $embed (i32.const 2048) (i32.const {}) (i32.const 256)) (i32.const 32)",
            WORDS * 5
        );
        let text = format!("(data (i32.const 2048) \"{}\")", "word ".repeat(WORDS));
        let asker = Guest::agent(&ask).importing(EMBED).with(&text);
        let spinner = Guest::chunker("(loop (br 0)) (i32.const 32)");
        let policy = Policy::from_toml("kills", POLICY)?;
        let preparing = stage.task(Kind::Query, &policy);
        Ok(Self {
            stage,
            gates: Gates::new(256),
            spinner: stage.chunker(&spinner.build()?, Wasi::None)?,
            sleeper: stage.chunker(&sleeper().build()?, Wasi::Sandboxed)?,
            filler: stage.chunker(&filler.build()?, Wasi::None)?,
            asker: stage.agent(&asker.build()?, Wasi::None)?,
            index: stage.index(&preparing, &[]).await?,
            neighbour: TenantId::new("neighbour")?,
            flooder: TenantId::new("flooder")?,
            expected: stage.embed(&preparing, &neighbours_text()).await?,
            policy,
        })
    }

    /// One kill. `number` varies the pause before it.
    pub async fn kill(&self, kind: KillKind, number: u32) -> Result<Try, Failure> {
        let pause = scattered(number, kind.pause_max());
        tokio::time::timeout(PATIENCE, self.kill_after(kind, pause))
            .await
            .map_err(|_| KillError::Stuck(kind.as_str()))?
    }

    async fn kill_after(&self, kind: KillKind, pause: Duration) -> Result<Try, Failure> {
        let scene = self.set(kind).await?;
        let task = match kind {
            KillKind::Embedder | KillKind::InBatch => self.stage.task(Kind::Query, &self.policy),
            _ => self.stage.task(Kind::Ingest, &self.policy),
        };
        let gone = AtomicBool::new(false);
        let running = async {
            let outcome = self.run(kind, &task).await;
            let freed = Instant::now();
            gone.store(true, Relaxed);
            (outcome, freed)
        };
        let killing = async {
            let neighbour = self.reach(kind, &task, &gone).await;
            tokio::time::sleep(pause).await;
            let there = neighbour.is_some() && self.is_there(kind, &gone);
            let killed = Instant::now();
            match there {
                true => task.end_with(Reason::Killed, "killed to be timed"),
                false => task.end_with(Reason::Shutdown, "it had left the place"),
            }
            (there.then_some(killed), neighbour.flatten())
        };
        let ((outcome, freed), (killed, neighbour)) = tokio::join!(running, killing);
        drop(scene);
        if let Some(neighbour) = neighbour {
            self.check(neighbour).await?;
        }
        let (Some(killed), Err(stop)) = (killed, outcome) else {
            return Ok(Try::Missed);
        };
        if kind == KillKind::InBatch && stop.phase != Phase::HostEmbed.as_str() {
            // The batch was read before the kill came.
            return Ok(Try::Missed);
        }
        let took = freed.saturating_duration_since(killed);
        Ok(Try::Freed(Freed { task, stop, took }))
    }

    /// What must be so before the task begins.
    async fn set(&self, kind: KillKind) -> Result<Scene, Failure> {
        let mut scene = Scene::default();
        match kind {
            KillKind::Queued => {
                let holder = self.stage.task(Kind::Ingest, &self.policy);
                scene.held = Some(self.gates.admit(&holder, &self.policy).await?);
            }
            KillKind::Embedder | KillKind::InBatch => scene.flood = Some(self.flood().await),
            _ => {}
        }
        Ok(scene)
    }

    /// A task from its wait for a place to the place's return.
    async fn run(&self, kind: KillKind, task: &Arc<Task>) -> Result<(), Stop> {
        let _place = self.gates.admit(task, &self.policy).await?;
        let chunker = match kind {
            KillKind::Spinning | KillKind::Queued => &self.spinner,
            KillKind::Sleeping => &self.sleeper,
            KillKind::BulkMemory => &self.filler,
            KillKind::Embedder | KillKind::InBatch => return self.ask(task).await,
        };
        let chunked = self.stage.chunk(chunker, task, "x", &vec![]).await;
        chunked.map(drop)
    }

    async fn ask(&self, task: &Arc<Task>) -> Result<(), Stop> {
        let (index, options) = (&self.index.index, vec![]);
        let asked = self.stage.ask(&self.asker, task, index, "?", &options);
        match asked.await {
            Ok(_) => Ok(()),
            Err(AgentError::Stop(stop)) => Err(stop),
            Err(error) => Err(Stop::host(task.phase(), &error.to_string())),
        }
    }

    /// Waits until the task is where it shall be killed; nothing where it never came there. The neighbour's
    /// text is the one beside it in its batch.
    async fn reach(&self, kind: KillKind, task: &Task, gone: &AtomicBool) -> Option<Option<Mate>> {
        let gone = || gone.load(Relaxed);
        match kind {
            KillKind::Spinning => until(|| gone() || !task.meters.guest_cpu().is_zero()).await,
            KillKind::Sleeping => until(|| gone() || task.phase() == Phase::HostWasi).await,
            KillKind::Queued => until(|| true).await,
            KillKind::BulkMemory => until(|| gone() || task.phase() == Phase::Call).await,
            KillKind::Embedder => until(|| gone() || self.waiting() > 0).await,
            KillKind::InBatch => {
                until(|| gone() || self.waiting() > 0).await;
                let alone = self.waiting();
                let mate = self.mate();
                until(|| gone() || self.waiting() != alone).await;
                let together = self.waiting() > alone;
                until(|| gone() || self.waiting() == 0).await;
                return (alone > 0 && together).then_some(Some(mate));
            }
        }
        Some(None)
    }

    fn is_there(&self, kind: KillKind, gone: &AtomicBool) -> bool {
        let waits = kind != KillKind::Embedder || self.waiting() > 0;
        waits && !gone.load(Relaxed)
    }

    /// Tokens of victims that wait: all other texts are less urgent.
    fn waiting(&self) -> usize {
        self.stage.embedder.stats().interactive_tokens_waiting
    }

    /// Texts of another tenant for every worker, and some that wait.
    async fn flood(&self) -> AbortOnDropHandle<()> {
        let embedder = self.stage.embedder.clone();
        let text = embedder.tokenize(&"much ".repeat(2 * WORDS));
        let left = 2 * text.len();
        let texts = vec![text; embedder.stats().busy.len() + 2];
        let lane = self.lane(&self.flooder, Priority::Bulk);
        let flood = tokio::spawn(async move { drop(embedder.embed(&lane, texts).await) });
        // A worker takes one such text at a time: when no more than two are left, all workers are busy.
        let embedder = &self.stage.embedder;
        until(|| (1..=left).contains(&embedder.stats().bulk_tokens_waiting)).await;
        AbortOnDropHandle::new(flood)
    }

    /// Another tenant's text of the same length as the victim's.
    fn mate(&self) -> Mate {
        let embedder = self.stage.embedder.clone();
        let tokens = vec![embedder.tokenize(&neighbours_text())];
        let lane = self.lane(&self.neighbour, Priority::Interactive);
        AbortOnDropHandle::new(tokio::spawn(async move {
            embedder.embed(&lane, tokens).await?.remove(0)
        }))
    }

    fn lane(&self, tenant: &TenantId, priority: Priority) -> Lane {
        Lane {
            tenant: tenant.clone(),
            share: 1,
            priority,
            cancel: CancellationToken::new(),
        }
    }

    /// The batch went on: the neighbour's vector is what it is without a victim.
    async fn check(&self, neighbour: Mate) -> Result<(), Failure> {
        let Ok(vector) = neighbour.await else {
            return Err(KillError::Neighbour("it was never answered").into());
        };
        let (vector, expected) = (vector?, self.expected.values());
        let alike = |(a, b): (&f32, &f32)| (a - b).abs() <= DIFFERENCE_MAX;
        match vector.values().iter().zip(expected).all(alike) {
            true => Ok(()),
            false => Err(KillError::Neighbour("its vector is another").into()),
        }
    }

    /// One guest that runs into a limit. `took` counts from the limit being passed: CPU beyond the limit
    /// included.
    pub async fn overrun(&self, limit: Overrun) -> Result<Freed, Failure> {
        let policy = Policy::from_toml("overrun", limit.policy())?;
        let task = self.stage.task(Kind::Ingest, &policy);
        let place = self.gates.admit(&task, &self.policy).await?;
        let options = vec![];
        let chunked = self.stage.chunk(&self.spinner, &task, "x", &options);
        let outcome = tokio::time::timeout(PATIENCE, chunked).await;
        drop(place);
        let freed = Instant::now();
        let Ok(Err(stop)) = outcome else {
            return Err(KillError::Stuck(limit.as_str()).into());
        };
        let beyond_ms = match limit {
            Overrun::Cpu => (stop.used.0 - stop.limit.0).max(0.0),
            Overrun::Fuel => 0.0,
        };
        let beyond = Duration::from_secs_f64(beyond_ms / 1e3);
        let since = task.ended_at().unwrap_or(freed);
        let took = beyond + freed.saturating_duration_since(since);
        Ok(Freed { task, stop, took })
    }
}

/// Another tenant's text on its way through the model.
type Mate = AbortOnDropHandle<Result<Embedding, EmbedError>>;

/// What holds a victim where it shall be.
#[derive(Debug, Default)]
struct Scene {
    held: Option<Place>,
    flood: Option<AbortOnDropHandle<()>>,
}

fn neighbours_text() -> String {
    "term ".repeat(WORDS)
}

/// Looks every millisecond or so.
pub(super) async fn until(happened: impl Fn() -> bool) {
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if happened() {
            return;
        }
    }
}

/// A part of `max`: the same for the same number, and spread evenly over many.
fn scattered(number: u32, max: Duration) -> Duration {
    let golden = f64::from(number.wrapping_mul(2_654_435_769));
    max.mul_f64(golden / f64::from(u32::MAX))
}

/// A victim could not be killed as it should have been.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// It never got where it was expected, or was never free.
    #[error("a task for '{0}' was not over in 30 s")]
    Stuck(&'static str),
    /// A neighbour of the victim lost something.
    #[error("the neighbour in the victim's batch was harmed: {0}")]
    Neighbour(&'static str),
}

impl Explain for KillError {
    fn code(&self) -> &'static str {
        "kill"
    }
    fn blame(&self) -> Blame {
        Blame::Host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_over_their_range() {
        let max = Duration::from_millis(100);
        let pauses: Vec<Duration> = (0..100).map(|number| scattered(number, max)).collect();
        assert!(pauses.iter().all(|pause| *pause <= max));
        for tenth in 0..10 {
            let (from, to) = (max / 10 * tenth, max / 10 * (tenth + 1));
            let inside = pauses.iter().filter(|pause| (from..to).contains(pause));
            assert!((8..=12).contains(&inside.count()), "{tenth}");
        }
    }
}
