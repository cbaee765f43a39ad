//! The types of every JSON that leaves the process. Every field is always present, unless its doc says
//! otherwise; sizes are in the unit of the name.
//!
//! Types and conversions; no behaviour.

mod acks;
mod bench;
mod bench_durability;
mod bench_fairness;
mod bench_index;
mod bench_query;
mod bench_sandbox;
mod bench_start;
mod evaluate;
mod neighbour;
mod project;
mod prove;
mod query;
mod replay;
mod tasks;
mod tenants;
mod transfer;

pub use acks::AckJson;
pub use bench::{
    BenchCostJson, BenchIngestJson, BenchMachineJson, BenchPartJson, BenchProductJson,
    BenchPublishedJson, BenchRatioJson, BenchRowJson, BenchScenarioJson, BenchTargetJson,
    BenchVectorsJson, BenchWorkloadJson, SpreadJson,
};
pub use bench_durability::{
    BenchDurabilityJson, BenchDurabilityRowJson, BenchReingestJson, BenchReingestRowJson,
};
pub use bench_fairness::{BenchFairnessJson, FairnessQueriesJson, FairnessShareJson};
pub use bench_index::{BenchIndexJson, BenchSearchJson, BenchTenantsJson};
pub use bench_query::{BenchQueryAgentJson, BenchQueryJson};
pub use bench_sandbox::{
    BenchDeterminismJson, BenchKillsJson, BenchSandboxJson, BenchSoakJson, BenchSoakMeterJson,
    BenchStartJson,
};
pub use bench_start::{BenchProgramStartJson, BenchStartsJson};
pub use evaluate::{
    BootstrapJson, EvalAgentJson, EvalFailureJson, EvalJson, EvalMeasuresJson, LatencyJson,
    RatiosJson, ShadowAnswersJson, ShadowJson,
};
pub use neighbour::{
    BenchNeighbourJson, NeighbourArmJson, NeighbourClassJson, NeighbourLatencyJson,
    NeighbourRatioJson, NeighbourRatiosJson, NeighbourTargetJson, NeighbourWorkloadJson,
};

pub use project::{BuiltProjectJson, NewProjectJson};
pub use prove::{ProveJson, ProveRowJson, VictimJson};
pub use query::{
    AnswerIdentityJson, AskedJson, CitedPassageJson, HopJson, PassageJson, QueryJson, ReceiptJson,
};
pub use replay::{ChangeJson, ReplayJson, ReplayedVersionJson};
pub use tasks::{KilledJson, SuspendedJson, TaskJson, TasksJson};
pub use tenants::{
    AgentAnswersJson, AilingJson, CheckJson, HealthJson, PluginJson, TenantJson, TenantPolicyJson,
    TenantsJson, TrialJson,
};
pub use transfer::{BackupJson, BackupToJson, RefusedPluginJson, RestoreFromJson, RestoreJson};

use crate::error::{Blame, Failure};
use crate::policy::Entry;
use crate::runtime as rt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// `{"error": …}`
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorJson,
}

/// An error.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorJson {
    /// A stable word.
    pub code: Cow<'static, str>,
    /// `caller`, `guest`, `limit` or `host`.
    pub blame: Blame,
    /// What happened.
    pub message: String,
    /// What to do next; null where there is nothing.
    pub hint: Option<String>,
    /// The stop; absent where no task was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Value>,
}

impl From<&Failure> for ErrorJson {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.clone(),
            blame: failure.blame,
            message: failure.message.clone(),
            hint: failure.hint.clone(),
            stop: failure.stop.as_deref().cloned(),
        }
    }
}

/// What `ingest` says.
#[derive(Debug, Serialize)]
pub struct IngestJson {
    /// What became of every document.
    pub documents: IngestCounts,
    /// Chunks committed.
    pub chunks: u64,
    /// Tokens embedded.
    pub tokens: u64,
    /// Chunks whose vectors the tenant had already.
    pub reused_chunks: u64,
    /// CPU time of the chunkers' own code, stopped ones included.
    pub guest_cpu_ms: f64,
    /// Wall time.
    pub seconds: f64,
    /// Documents done, whatever became of them, a second.
    pub docs_per_s: f64,
    /// Peak resident memory of the process.
    pub peak_rss_mb: f64,
    /// What failed, the first ten thousand.
    pub failures: Vec<FailureJson>,
    /// What was skipped, the first ten thousand.
    pub skipped: Vec<SkipJson>,
    /// Documents among the failed that were in quarantine, and not tried.
    pub quarantined: u64,
    /// Chunkers of the tenant that were switched off, or replaced by an earlier version, at the end.
    pub breaker: Vec<AilingJson>,
    /// Why `--sync` deleted nothing; null where it did, or was not asked to.
    pub sync_withheld: Option<String>,
    /// Documents that were under way when it ended early: they are as they were before.
    pub unfinished: u64,
    /// The user ended it early.
    pub interrupted: bool,
    /// Where it ended; null where it did not end early.
    pub ended_early: Option<EndedEarlyJson>,
}

/// Where an ingest ended before its last document.
#[derive(Debug, Serialize)]
pub struct EndedEarlyJson {
    /// Why: `shutdown` when the user interrupted, `suspended` when the tenant was.
    pub reason: &'static str,
    /// The document that was committed last; null where none was.
    pub last_committed: Option<String>,
    /// The first document that was not begun; null where all were, or where it is not known.
    pub first_not_begun: Option<String>,
}

impl From<&rt::EndedEarly> for EndedEarlyJson {
    fn from(ended: &rt::EndedEarly) -> Self {
        Self {
            reason: ended.stop.reason.as_str(),
            last_committed: ended.last_committed.clone(),
            first_not_begun: ended.first_not_begun.clone(),
        }
    }
}

/// Counts of documents. `seen` is the sum of the others but `deleted`, and of `unfinished` when it ended early.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IngestCounts {
    pub seen: u64,
    pub added: u64,
    pub replaced: u64,
    pub unchanged: u64,
    pub failed: u64,
    pub skipped: u64,
    pub deleted: u64,
}

/// A document that did not get in.
#[derive(Debug, Serialize)]
pub struct FailureJson {
    /// Its id, or `file:line`.
    pub document: String,
    /// Why.
    pub error: ErrorJson,
}

/// Something that is not a document.
#[derive(Debug, Serialize)]
pub struct SkipJson {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl IngestJson {
    /// `peak_rss_mb` is measured by whoever reports.
    pub fn new(report: &rt::IngestReport, peak_rss_mb: f64) -> Self {
        let seconds = report.elapsed.as_secs_f64();
        let done = report.added + report.replaced + report.unchanged + report.failed;
        Self {
            documents: IngestCounts {
                seen: report.seen,
                added: report.added,
                replaced: report.replaced,
                unchanged: report.unchanged,
                failed: report.failed,
                skipped: report.skipped,
                deleted: report.deleted,
            },
            chunks: report.chunks,
            tokens: report.tokens,
            reused_chunks: report.reused_chunks,
            guest_cpu_ms: round(report.guest_cpu.as_secs_f64() * 1e3, 3),
            seconds: round(seconds, 3),
            docs_per_s: round(done as f64 / seconds.max(1e-9), 2),
            peak_rss_mb: round(peak_rss_mb, 1),
            failures: report
                .failures
                .iter()
                .map(|failed| FailureJson {
                    document: failed.document.clone(),
                    error: (&failed.failure).into(),
                })
                .collect(),
            skipped: report
                .skips
                .iter()
                .map(|(path, reason)| SkipJson {
                    path: path.clone(),
                    reason: reason.clone(),
                })
                .collect(),
            quarantined: report.quarantined,
            breaker: report
                .ailing
                .iter()
                .map(|(label, digest, health)| AilingJson {
                    label: label.clone(),
                    digest: digest.to_string(),
                    health: health.into(),
                })
                .collect(),
            sync_withheld: report.sync_withheld.clone(),
            unfinished: report.unfinished,
            interrupted: report.interrupted(),
            ended_early: report.ended_early.as_ref().map(Into::into),
        }
    }
}

/// One line that `embed` says.
#[derive(Debug, Serialize)]
pub struct EmbedJson {
    /// Tokens of the whole text, special ones included.
    pub tokens: u32,
    /// Whether the model read only the first 256 of them.
    pub truncated: bool,
    /// 384 numbers of unit length.
    pub vector: Vec<f32>,
}

/// What `policy show` says.
#[derive(Debug, Serialize)]
pub struct PolicyJson {
    /// The policy's name.
    pub name: String,
    /// BLAKE3 of the effective values.
    pub digest: String,
    /// Every key with its value and where that came from.
    pub entries: Vec<Entry>,
}

/// What `doctor` says.
#[derive(Debug, Serialize)]
pub struct DoctorJson {
    /// Everything is as it should be.
    pub ok: bool,
    /// Each thing that was looked at.
    pub findings: Vec<FindingJson>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub struct FindingJson {
    /// What.
    pub subject: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// What to do; null where nothing is to be done.
    pub fix: Option<String>,
    /// What `--repair` did about it; null where it did nothing.
    pub repaired: Option<String>,
}

impl From<rt::Finding> for FindingJson {
    fn from(finding: rt::Finding) -> Self {
        let rt::Finding {
            subject,
            ok,
            message,
            fix,
            repaired,
        } = finding;
        Self {
            subject,
            ok,
            message,
            fix,
            repaired,
        }
    }
}

/// `value` with so many decimals.
pub fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
