//! A task: one document's ingest or one query, with its meters, its budgets and its end.
//!
//! Everything below charges the task before it works and asks it whether to go on; the first stop
//! wins and reaches whoever waits. A task does not know who runs it, nor what the work is.

mod limits;
mod meters;
mod stop;

pub use limits::Limits;
pub use meters::{Meter, Meters, Spent, Usage};
pub use stop::{Phase, Reason, Stop, count};

use crate::corpus::TenantId;
use crate::guard;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;

/// A task's number within this process; printed and typed as `t7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u64);

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl std::str::FromStr for TaskId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('t').unwrap_or(text).parse();
        number
            .map(Self)
            .map_err(|_| format!("'{text}' is not a task id, such as t7"))
    }
}

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// One document on its way into the index.
    Ingest,
    /// One question.
    Query,
    /// A plugin's trial run at install.
    Trial,
}

impl Kind {
    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Trial => "trial",
        }
    }
}

/// One task. Shared by whoever works for it.
#[derive(Debug)]
pub struct Task {
    /// Its number.
    pub id: TaskId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: Kind,
    /// The document's id, or the question.
    pub subject: String,
    /// The limits it began with; a policy change does not touch it.
    pub limits: Limits,
    /// What it has used so far.
    pub meters: Meters,
    started: Instant,
    wall_deadline_ns: AtomicU64,
    phase: AtomicU8,
    cancel: CancellationToken,
    verdict: OnceLock<Stop>,
    ended_at: OnceLock<Instant>,
}

impl Task {
    /// A task that has not begun.
    pub fn new(tenant: TenantId, kind: Kind, subject: &str, limits: Limits) -> Arc<Self> {
        // Another process counts from elsewhere: a number that somebody read off an old list is no task's now.
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(first_number()));
        Arc::new(Self {
            id: TaskId(NEXT.fetch_add(1, Ordering::Relaxed)),
            tenant,
            kind,
            subject: crate::corpus::shorten(subject, 200),
            limits,
            meters: Meters::default(),
            started: Instant::now(),
            wall_deadline_ns: AtomicU64::new(u64::MAX),
            phase: AtomicU8::new(Phase::Queued as u8),
            cancel: CancellationToken::new(),
            verdict: OnceLock::new(),
            ended_at: OnceLock::new(),
        })
    }

    /// Since it was made.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Ends the task: the first stop is the one that counts. Whoever waits for it is woken.
    pub fn end(&self, stop: Stop) {
        if self.verdict.set(stop).is_ok() {
            let _ = self.ended_at.set(Instant::now());
        }
        self.cancel.cancel();
    }

    /// When it was ended, where it was: what comes after is the host's clearing up.
    pub fn ended_at(&self) -> Option<Instant> {
        self.ended_at.get().copied()
    }

    /// Ends the task for a reason that needs no numbers.
    pub fn end_with(&self, reason: Reason, detail: &str) {
        self.end(Stop::new(reason, self.phase(), 0.0, 0.0, detail));
    }

    /// The stop that ended it, once there is one.
    pub fn stop(&self) -> Option<&Stop> {
        self.verdict.get()
    }

    /// An error once the task was ended; cheap enough for inner loops.
    pub fn check(&self) -> Result<(), Stop> {
        match self.verdict.get() {
            None => Ok(()),
            Some(stop) => Err(stop.clone()),
        }
    }

    /// Completes when the task is ended, with the stop.
    pub async fn ended(&self) -> Stop {
        self.cancel.cancelled().await;
        match self.verdict.get() {
            Some(stop) => stop.clone(),
            None => Stop::new(Reason::Killed, self.phase(), 0.0, 0.0, "cancelled"),
        }
    }

    /// The token that native work checks.
    pub fn token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Where the task is.
    pub fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Ordering::Relaxed))
    }

    /// Moves on; returns where it was, for going back.
    pub fn enter(&self, phase: Phase) -> Phase {
        Phase::from_u8(self.phase.swap(phase as u8, Ordering::Relaxed))
    }

    /// Starts the guest's wall clock: the wall limit counts from here.
    pub fn begin_guest(&self) {
        let deadline = self.started.elapsed() + self.limits.wall;
        self.wall_deadline_ns
            .store(nanos(deadline), Ordering::Relaxed);
    }

    /// Stops the wall clock for this long afterwards: the guest could run, and others had the core.
    pub fn excuse(&self, waited: Duration) {
        let more = |deadline: u64| match deadline {
            u64::MAX => None,
            deadline => Some(deadline.saturating_add(nanos(waited))),
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.wall_deadline_ns.fetch_update(set, fetch, more);
    }

    /// What is left of the wall limit; all of it before the guest began.
    pub fn wall_left(&self) -> Duration {
        match self.wall_deadline_ns.load(Ordering::Relaxed) {
            u64::MAX => self.limits.wall,
            deadline => Duration::from_nanos(deadline).saturating_sub(self.started.elapsed()),
        }
    }

    /// Charges `amount` to a meter before the work is done. Where the limit does not cover it nothing
    /// is charged, and the caller decides whether that ends the task.
    pub fn charge(&self, meter: Meter, amount: u64) -> Result<(), Spent> {
        let limit = guard::limit(meter.guard(), self.limits.of(meter));
        self.meters.charge(meter, amount, limit)
    }

    /// As [`Task::charge`], but running out ends the task with the meter's reason.
    pub fn charge_or_end(&self, meter: Meter, amount: u64) -> Result<(), Stop> {
        self.charge(meter, amount).map_err(|spent| {
            let stop = Stop::spent(meter.reason(), self.phase(), spent);
            self.end(stop.clone());
            self.stop().cloned().unwrap_or(stop)
        })
    }

    /// What it used so far.
    pub fn usage(&self) -> Usage {
        self.meters.usage(self.age())
    }
}

/// Where this process begins to count its tasks: by the second in which it does, for a day.
fn first_number() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |since| since.as_secs() % 86_400);
    seconds * 1_000 + 1
}

/// Whole nanoseconds, saturating.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
