//! What `bench sandbox` says.

use serde::Serialize;
use std::collections::BTreeMap;

/// What `bench sandbox` says. Parts that were not asked for are empty or null.
#[derive(Debug, Default, Serialize)]
pub struct BenchSandboxJson {
    /// Cores of the machine.
    pub cores: usize,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
    /// From a kill to the place being free, by where the task was and what else kept the cores busy.
    pub kills: Vec<BenchKillsJson>,
    /// From a limit being passed to the place being free.
    pub limits: Vec<BenchKillsJson>,
    /// What it costs to begin.
    pub starts: Vec<BenchStartJson>,
    /// The same plugin, input and policy, again and again.
    pub determinism: Vec<BenchDeterminismJson>,
    /// Many hostile tasks in a row.
    pub soak: Option<BenchSoakJson>,
    /// Nothing failed. Says nothing about times.
    pub ok: bool,
}

/// Many kills of one kind. Milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct BenchKillsJson {
    /// Where the task was, or which limit it passed.
    pub kind: &'static str,
    /// `idle`, `guests` (a spinning guest a core) or `threads` (a spinning thread a core).
    pub load: &'static str,
    /// Tasks that were killed.
    pub count: usize,
    /// Tasks that ended otherwise, or elsewhere than they should have.
    pub failed: usize,
    /// Tasks that were gone before the kill came; tried again.
    pub missed: usize,
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// Nine in ten.
    pub p90_ms: f64,
    /// 99 in a hundred.
    pub p99_ms: f64,
    /// All of them.
    pub max_ms: f64,
    /// The maximum by MiB of the guest's memory; null where memory does not matter.
    pub max_ms_per_mib: Option<f64>,
    /// Whether the target is met; null where there is none.
    pub within: Option<bool>,
}

/// One cost of beginning. Microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct BenchStartJson {
    /// What was done.
    pub what: String,
    /// How often.
    pub count: usize,
    /// The middle.
    pub p50_us: f64,
    /// 99 in a hundred took at most this.
    pub p99_us: f64,
    /// What the middle should be at most; null where there is no target.
    pub target_us: Option<f64>,
}

/// The same call many times.
#[derive(Debug, Clone, Serialize)]
pub struct BenchDeterminismJson {
    /// What else kept the cores busy.
    pub load: &'static str,
    /// How often.
    pub runs: usize,
    /// Runs with other chunks or another amount of fuel than the first.
    pub differences: usize,
    /// Of the first.
    pub fuel: u64,
    /// Of the first.
    pub chunks: usize,
}

/// Many hostile tasks in a row.
#[derive(Debug, Clone, Serialize)]
pub struct BenchSoakJson {
    /// How many.
    pub tasks: u64,
    /// How many ended without a stop: none should.
    pub not_stopped: u64,
    /// How many were stopped for which reason.
    pub stops: BTreeMap<String, u64>,
    /// How long all of it took.
    pub seconds: f64,
    /// Tasks between two samples.
    pub sampled_every: u64,
    /// What the process had.
    pub meters: Vec<BenchSoakMeterJson>,
}

/// One thing that the process had, over the samples.
#[derive(Debug, Clone, Serialize)]
pub struct BenchSoakMeterJson {
    /// Which: `rss_kib`, `anonymous_kib`, `files`, `threads` or `mappings`.
    pub meter: &'static str,
    /// Before the first task.
    pub first: u64,
    /// After the last.
    pub last: u64,
    /// The most at any sample.
    pub max: u64,
    /// Growth in a thousand tasks, by linear regression over the last four fifths of the samples; null
    /// for fewer than 50,000 tasks.
    pub per_1000_tasks: Option<f64>,
    /// Whether that is flat; null where growth is.
    pub flat: Option<bool>,
}
