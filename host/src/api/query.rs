//! JSON of `query` and `eval`.

use super::{ErrorJson, round};
use crate::error::Failure;
use crate::runtime as rt;
use crate::task::Usage;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A question, as it is sent to a server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedJson {
    /// In the asker's words.
    pub question: String,
    /// The agent's label; the tenant's default when null or absent.
    #[serde(default)]
    pub agent: Option<String>,
    /// Passages wanted; 5 when absent.
    #[serde(default = "default_k")]
    pub k: usize,
    /// JSON that restricts what may be found; nothing does when null or absent.
    #[serde(default)]
    pub filter: Option<String>,
    /// Options of the agent: pairs of name and value.
    #[serde(default)]
    pub options: Vec<(String, String)>,
}

fn default_k() -> usize {
    5
}

impl From<AskedJson> for rt::QueryRequest {
    fn from(asked: AskedJson) -> Self {
        let AskedJson {
            question,
            agent,
            k,
            filter,
            options,
        } = asked;
        Self {
            question,
            agent,
            k,
            filter,
            options,
        }
    }
}

/// What `query` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueryJson {
    /// Best first.
    pub passages: Vec<PassageJson>,
    /// What explains the answer.
    pub receipt: ReceiptJson,
    /// What the task used.
    pub usage: Usage,
}

/// One passage of an answer.
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
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
#[derive(Debug, Serialize, Deserialize)]
pub struct HopJson {
    /// The function.
    pub call: Cow<'static, str>,
    /// Its arguments, shortened.
    pub args: Value,
    /// How many results it gave.
    pub results: usize,
    /// What it was charged, by meter.
    pub cost: BTreeMap<Cow<'static, str>, u64>,
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
                call: Cow::Borrowed(call),
                args,
                results,
                cost: cost
                    .into_iter()
                    .map(|(meter, amount)| (Cow::Borrowed(meter), amount))
                    .collect(),
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
