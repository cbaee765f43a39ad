//! The types of every JSON that leaves the process. Every field is always present, unless its doc says
//! otherwise; sizes are in the unit of the name.
//!
//! Types and conversions; no behaviour.

mod bench;

pub use bench::{
    BenchIngestJson, BenchRatioJson, BenchRowJson, BenchScenarioJson, BenchVectorsJson,
    BenchWorkloadJson, SpreadJson,
};

use crate::error::Failure;
use crate::policy::Entry;
use crate::runtime as rt;
use crate::task::Usage;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `{"error": …}`
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorJson,
}

/// An error.
#[derive(Debug, Serialize)]
pub struct ErrorJson {
    /// A stable word.
    pub code: &'static str,
    /// `caller`, `guest`, `limit` or `host`.
    pub blame: &'static str,
    /// What happened.
    pub message: String,
    /// What to do next; null where there is nothing.
    pub hint: Option<String>,
    /// The stop; absent where no task was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Value>,
}

impl From<&Failure> for ErrorJson {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            blame: failure.blame.as_str(),
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
    /// Why `--sync` deleted nothing; null where it did, or was not asked to.
    pub sync_withheld: Option<String>,
    /// It was interrupted before the end.
    pub interrupted: bool,
}

/// Counts of documents. `seen` is the sum of the others but `deleted`, unless interrupted.
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
            sync_withheld: report.sync_withheld.clone(),
            interrupted: report.interrupted,
        }
    }
}

/// What `query` says.
#[derive(Debug, Serialize)]
pub struct QueryJson {
    /// Best first.
    pub passages: Vec<PassageJson>,
    /// What explains the answer.
    pub receipt: ReceiptJson,
    /// What the task used.
    pub usage: Usage,
}

/// One passage of an answer.
#[derive(Debug, Serialize)]
pub struct PassageJson {
    /// The document's id.
    pub document: String,
    /// Its title; empty when it has none.
    pub title: String,
    /// The chunk's id.
    pub chunk: u64,
    /// Higher is better.
    pub score: f32,
    /// `[start, end)` in bytes of the stored text.
    pub span: [u32; 2],
    /// The chunk's text.
    pub text: String,
    /// Why the agent chose it.
    pub reason: String,
    /// What its chunker labelled it with.
    pub labels: BTreeMap<String, String>,
}

/// What explains an answer.
#[derive(Debug, Serialize)]
pub struct ReceiptJson {
    /// The task.
    pub task: String,
    /// The tenant.
    pub tenant: String,
    /// The agent's label.
    pub agent: String,
    /// BLAKE3 of the agent's bytes.
    pub plugin: String,
    /// BLAKE3 of the policy's effective values.
    pub policy: String,
    /// Digest of the model.
    pub model: String,
    /// The index's state.
    pub index_generation: u64,
    /// The question.
    pub question: String,
    /// Passages wanted.
    pub k: usize,
    /// The caller's filter; null when there was none.
    pub filter: Option<String>,
    /// Every option of the agent with its value.
    pub options: BTreeMap<String, String>,
    /// The agent's retrieval calls.
    pub hops: Vec<HopJson>,
    /// What was denied, clamped, dropped or answered by a fallback; empty when nothing was.
    pub degraded: Vec<String>,
}

/// One retrieval call.
#[derive(Debug, Serialize)]
pub struct HopJson {
    /// The function.
    pub call: &'static str,
    /// Its arguments, shortened.
    pub args: Value,
    /// How many results it gave.
    pub results: usize,
    /// What it was charged, by meter.
    pub cost: BTreeMap<&'static str, u64>,
}

impl From<rt::QueryOutcome> for QueryJson {
    fn from(outcome: rt::QueryOutcome) -> Self {
        let rt::QueryOutcome {
            passages,
            receipt,
            usage,
        } = outcome;
        let passage = |answered: crate::agent::Answered| {
            let crate::agent::Answered {
                passage,
                score,
                reason,
            } = answered;
            PassageJson {
                document: passage.document,
                title: passage.title,
                chunk: passage.chunk.0,
                score,
                span: [passage.start, passage.end],
                text: passage.text,
                reason,
                labels: passage.labels.into_iter().collect(),
            }
        };
        Self {
            passages: passages.into_iter().map(passage).collect(),
            receipt: receipt.into(),
            usage,
        }
    }
}

impl From<rt::Receipt> for ReceiptJson {
    fn from(receipt: rt::Receipt) -> Self {
        let hop = |hop: crate::agent::Hop| {
            let crate::agent::Hop {
                call,
                args,
                results,
                cost,
            } = hop;
            HopJson {
                call,
                args,
                results,
                cost,
            }
        };
        Self {
            task: receipt.task,
            tenant: receipt.tenant.to_string(),
            agent: receipt.agent,
            plugin: receipt.plugin,
            policy: receipt.policy,
            model: receipt.model,
            index_generation: receipt.index_generation,
            question: receipt.question,
            k: receipt.k,
            filter: receipt.filter,
            options: receipt.options.into_iter().collect(),
            hops: receipt.hops.into_iter().map(hop).collect(),
            degraded: receipt.degraded,
        }
    }
}

/// What `eval` says.
#[derive(Debug, Serialize)]
pub struct EvalJson {
    /// By label.
    pub agents: BTreeMap<String, EvalAgentJson>,
}

/// What one agent reached: means over the questions.
#[derive(Debug, Serialize)]
#[expect(
    missing_docs,
    reason = "the names are the measures' own; see runtime::EvalAgent"
)]
pub struct EvalAgentJson {
    pub queries: usize,
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: f64,
    #[serde(rename = "mrr@10")]
    pub mrr_10: f64,
    #[serde(rename = "recall@5")]
    pub recall_5: f64,
    #[serde(rename = "recall@10")]
    pub recall_10: f64,
    #[serde(rename = "all_gold@5")]
    pub all_gold_5: f64,
    #[serde(rename = "all_gold@10")]
    pub all_gold_10: f64,
    pub latency_ms: LatencyJson,
    pub usage: Usage,
    /// Questions that were not answered; they count as zero.
    pub failures: Vec<EvalFailureJson>,
}

/// A question that was not answered.
#[derive(Debug, Serialize)]
pub struct EvalFailureJson {
    /// The question.
    pub query: String,
    /// Why.
    pub error: ErrorJson,
}

/// Milliseconds of a question.
#[derive(Debug, Serialize)]
pub struct LatencyJson {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
}

impl From<&rt::Evaluation> for EvalJson {
    fn from(evaluation: &rt::Evaluation) -> Self {
        let agents = evaluation.agents.iter();
        Self {
            agents: agents
                .map(|agent| (agent.label.clone(), agent.into()))
                .collect(),
        }
    }
}

impl From<&rt::EvalAgent> for EvalAgentJson {
    fn from(agent: &rt::EvalAgent) -> Self {
        let ms = |duration: std::time::Duration| round(duration.as_secs_f64() * 1e3, 3);
        let failure = |(query, failure): &(String, Failure)| EvalFailureJson {
            query: query.clone(),
            error: failure.into(),
        };
        Self {
            queries: agent.queries,
            ndcg_10: round(agent.ndcg_10, 6),
            mrr_10: round(agent.mrr_10, 6),
            recall_5: round(agent.recall_5, 6),
            recall_10: round(agent.recall_10, 6),
            all_gold_5: round(agent.all_gold_5, 6),
            all_gold_10: round(agent.all_gold_10, 6),
            latency_ms: LatencyJson {
                p50: ms(agent.latency_p50),
                p99: ms(agent.latency_p99),
            },
            usage: agent.usage.clone(),
            failures: agent.failures.iter().map(failure).collect(),
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

/// A tenant, for `tenant list` and `tenant show`.
#[derive(Debug, Serialize)]
pub struct TenantJson {
    /// Its name.
    pub name: String,
    /// Its policy's name.
    pub policy: String,
    /// BLAKE3 of its policy's effective values.
    pub policy_digest: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Size of its index on disk.
    pub storage_bytes: u64,
    /// Grows with every change of its documents.
    pub index_generation: u64,
    /// Its own plugins.
    pub plugins: Vec<PluginJson>,
    /// What it uses, by role; roles that are absent have the built-in default.
    pub uses: BTreeMap<String, String>,
}

impl From<rt::TenantInfo> for TenantJson {
    fn from(info: rt::TenantInfo) -> Self {
        Self {
            name: info.name.to_string(),
            policy: info.policy,
            policy_digest: info.policy_digest,
            suspended: info.suspended,
            documents: info.documents,
            chunks: info.chunks,
            storage_bytes: info.storage_bytes,
            index_generation: info.index_generation,
            plugins: info.plugins.into_iter().map(Into::into).collect(),
            uses: info.uses.into_iter().collect(),
        }
    }
}

/// A plugin, for `plugin list`.
#[derive(Debug, Serialize)]
pub struct PluginJson {
    /// Its label.
    pub label: String,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// `chunker` or `agent`.
    pub kind: &'static str,
    /// It comes with Stockade.
    pub builtin: bool,
    /// What the tenant uses it for.
    pub used_for: Vec<String>,
    /// How many versions the label has had.
    pub versions: u32,
    /// The options that it declares.
    pub options: Vec<crate::plugin::OptionSpec>,
}

impl From<rt::PluginInfo> for PluginJson {
    fn from(info: rt::PluginInfo) -> Self {
        Self {
            label: info.label,
            digest: info.digest.to_string(),
            kind: info.kind.as_str(),
            builtin: info.builtin,
            used_for: info.used_for,
            versions: info.versions,
            options: info.options,
        }
    }
}

/// What `plugin check` says.
#[derive(Debug, Serialize)]
pub struct CheckJson {
    /// BLAKE3 of the bytes.
    pub digest: String,
    /// `chunker` or `agent`.
    pub kind: &'static str,
    /// What it asks of the host.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
    /// The options that it declares.
    pub options: Vec<crate::plugin::OptionSpec>,
    /// Its size.
    pub size_bytes: u64,
    /// Functions with code.
    pub functions: u64,
    /// The largest of them.
    pub largest_function_bytes: u64,
    /// How long compiling took; 0 when it was compiled before.
    pub compile_ms: f64,
    /// What the trial run gave and used.
    pub trial: TrialJson,
}

/// A plugin's trial run.
#[derive(Debug, Serialize)]
pub struct TrialJson {
    /// Chunks or passages.
    pub results: usize,
    /// What it used.
    pub usage: Usage,
}

impl From<&rt::Checked> for CheckJson {
    fn from(checked: &rt::Checked) -> Self {
        let structure = &checked.structure;
        Self {
            digest: checked.digest.to_string(),
            kind: structure.kind.as_str(),
            imports: structure.imports.clone(),
            exports: structure.exports.clone(),
            options: checked.options.clone(),
            size_bytes: structure.size,
            functions: structure.functions,
            largest_function_bytes: structure.largest_function,
            compile_ms: round(checked.compile_time.as_secs_f64() * 1e3, 1),
            trial: TrialJson {
                results: checked.trial_results,
                usage: checked.trial.clone(),
            },
        }
    }
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
}

impl From<rt::Finding> for FindingJson {
    fn from(finding: rt::Finding) -> Self {
        let rt::Finding {
            subject,
            ok,
            message,
            fix,
        } = finding;
        Self {
            subject,
            ok,
            message,
            fix,
        }
    }
}

/// `value` with so many decimals.
pub fn round(value: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    (value * scale).round() / scale
}
