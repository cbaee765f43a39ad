//! What `bench neighbour` says.

use serde::Serialize;
use std::collections::BTreeMap;

/// What `bench neighbour` says.
#[derive(Debug, Serialize)]
pub struct BenchNeighbourJson {
    /// What the victim did.
    pub workload: NeighbourWorkloadJson,
    /// What is asked of every class.
    pub target: NeighbourTargetJson,
    /// The user ended it early: classes that were not finished are left out.
    pub interrupted: bool,
    /// Each class of attack.
    pub classes: Vec<NeighbourClassJson>,
    /// Every class reached the target.
    pub ok: bool,
}

/// What the victim did, in every arm of every class.
#[derive(Debug, Serialize)]
pub struct NeighbourWorkloadJson {
    /// Documents of the victim.
    pub documents: u32,
    /// Different questions; they repeat.
    pub questions: usize,
    /// Questions in an arm.
    pub requests: usize,
    /// Questions a second, whatever becomes of them.
    pub rate_per_s: f64,
    /// Blocks that the arms took turns in.
    pub blocks: usize,
    /// Seed of documents and questions.
    pub seed: u64,
    /// Cores of the machine.
    pub cores: usize,
    /// Tasks of a neighbour at once, honest or not.
    pub tasks_running: u64,
    /// Digest of the neighbours' policy: the default one with the breaker as patient as it can be.
    pub policy: String,
}

/// What is asked of every class.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct NeighbourTargetJson {
    /// The fewest questions that show anything.
    pub requests_min: usize,
    /// The 99th percentile beside an attack, by that beside honest work, at most.
    pub isolation_p99_max: f64,
}

/// One class of attack.
#[derive(Debug, Serialize)]
pub struct NeighbourClassJson {
    /// `cpu`, `memory`, `host-calls`, `embedder` or `compile`.
    pub class: &'static str,
    /// The victim alone.
    pub alone: NeighbourArmJson,
    /// Beside honest work that uses the whole quota.
    pub honest: NeighbourArmJson,
    /// Beside an attack with the same quota.
    pub hostile: NeighbourArmJson,
    /// Latency beside an attack, by latency beside honest work.
    pub isolation: NeighbourRatiosJson,
    /// Latency beside honest work, by latency alone.
    pub sharing: NeighbourRatiosJson,
    /// No question of the victim failed or was stopped, in any arm.
    pub unharmed: bool,
    /// Every question was answered as when the victim was alone.
    pub same_answers: bool,
    /// The target's ratio is kept.
    pub isolated: bool,
    /// There were enough questions, and all of the above.
    pub ok: bool,
}

/// What happened in one arm, over all its blocks.
#[derive(Debug, Serialize)]
pub struct NeighbourArmJson {
    /// Questions that were sent.
    pub requests: usize,
    /// Questions that were not answered, for whatever reason.
    pub failed: usize,
    /// Those of them whose task was stopped: nothing that the victim does is beyond a limit.
    pub stopped: usize,
    /// What the first of them was told; null where none failed.
    pub first_failure: Option<String>,
    /// Questions that were answered otherwise than alone.
    pub different: usize,
    /// From when a question was due until its answer.
    pub latency_ms: NeighbourLatencyJson,
    /// CPU of the process by that of all cores, from 0 to 1; compilers apart, which are other processes.
    pub busy: f64,
    /// Tasks that the neighbour ended meanwhile: questions, documents or installations.
    pub neighbour_tasks: u64,
    /// Those of them that did not succeed, by the reason of the stop or the error's code.
    pub neighbour_failures: BTreeMap<String, u64>,
}

/// Percentiles.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NeighbourLatencyJson {
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// Two percentiles of one arm by those of another; null where an arm answered nothing.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NeighbourRatiosJson {
    pub p50: Option<NeighbourRatioJson>,
    pub p99: Option<NeighbourRatioJson>,
}

/// A ratio, and the bounds between which it lies with a probability of 95 %.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NeighbourRatioJson {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}
