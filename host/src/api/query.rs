//! JSON of `query`.

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
    /// Those of them that the caller gave; the others are the tenant's, or the agent's defaults.
    pub options_given: BTreeMap<String, String>,
    /// The agent's retrieval calls.
    pub hops: Vec<HopJson>,
    /// What was denied, clamped, dropped or answered by a fallback; empty when nothing was.
    pub degraded: Vec<String>,
    /// What the task used.
    pub usage: Usage,
    /// Which answer it was.
    pub answer: AnswerIdentityJson,
}

/// Which passages an answer has: by this another answer is the same or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerIdentityJson {
    /// BLAKE3 of the chunks' ids (64 bits) and scores (32 bits), little-endian, in their order.
    pub digest: String,
    /// Best first.
    pub passages: Vec<CitedPassageJson>,
}

/// One passage of an answer, without its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CitedPassageJson {
    /// The chunk's id.
    pub chunk: u64,
    /// Its document's id.
    pub document: String,
    /// The agent's score.
    pub score: f32,
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
    /// Why it was not carried out; null where it was.
    pub denied: Option<String>,
}

impl From<rt::QueryOutcome> for QueryJson {
    fn from(outcome: rt::QueryOutcome) -> Self {
        let rt::QueryOutcome {
            passages,
            receipt,
            usage,
            denied: _,
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
                denied,
            } = hop;
            HopJson {
                call: Cow::Borrowed(call),
                args,
                results,
                cost: cost
                    .into_iter()
                    .map(|(meter, amount)| (Cow::Borrowed(meter), amount))
                    .collect(),
                denied,
            }
        };
        let asked = receipt.inquiry;
        Self {
            task: receipt.task,
            tenant: asked.tenant.to_string(),
            agent: asked.agent,
            plugin: asked.plugin.to_string(),
            policy: asked.policy,
            model: asked.model,
            index_generation: asked.index_generation,
            question: asked.question,
            k: asked.k,
            filter: asked.filter,
            options: asked.options.into_iter().collect(),
            options_given: asked.options_given.into_iter().collect(),
            hops: receipt.hops.into_iter().map(hop).collect(),
            degraded: receipt.degraded,
            usage: receipt.usage,
            answer: receipt.answer.into(),
        }
    }
}

impl From<rt::AnswerIdentity> for AnswerIdentityJson {
    fn from(answer: rt::AnswerIdentity) -> Self {
        let passage = |passage: rt::CitedPassage| {
            let rt::CitedPassage {
                chunk,
                document,
                score,
            } = passage;
            CitedPassageJson {
                chunk,
                document,
                score,
            }
        };
        Self {
            digest: answer.digest,
            passages: answer.passages.into_iter().map(passage).collect(),
        }
    }
}
