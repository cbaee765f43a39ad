//! The receipt: what explains an answer, and all that is needed to ask the same again.
//!
//! It does not know how an answer is made, nor how two are compared.

use crate::agent::{Answered, Hop};
use crate::corpus::TenantId;
use crate::plugin::{Digest, Options};
use crate::task::Usage;

/// What was asked of whom, and what the answer depended on besides.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The tenant that was asked.
    pub tenant: TenantId,
    /// The agent's label.
    pub agent: String,
    /// The agent's version.
    pub plugin: Digest,
    /// Digest of the policy's effective values.
    pub policy: String,
    /// Digest of the model.
    pub model: String,
    /// The state of the index that was asked.
    pub index_generation: u64,
    /// The question.
    pub question: String,
    /// Passages wanted.
    pub k: usize,
    /// The caller's filter.
    pub filter: Option<String>,
    /// Every option with its value.
    pub options: Options,
    /// Those that the caller gave; the others are the tenant's, or the agent's defaults.
    pub options_given: Options,
}

/// What explains an answer.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The task that answered.
    pub task: String,
    /// What was asked.
    pub inquiry: Inquiry,
    /// The agent's retrieval calls.
    pub hops: Vec<Hop>,
    /// What was denied, clamped, dropped or answered by a fallback.
    pub degraded: Vec<String>,
    /// What the task used.
    pub usage: Usage,
    /// Which answer it was.
    pub answer: AnswerIdentity,
}

/// Which passages an answer has, by which another answer is the same or not.
#[derive(Debug, Clone, PartialEq)]
pub struct AnswerIdentity {
    /// BLAKE3 of the chunks' ids and scores, in their order.
    pub digest: String,
    /// Best first.
    pub passages: Vec<CitedPassage>,
}

/// One passage of an answer, without its text.
#[derive(Debug, Clone, PartialEq)]
pub struct CitedPassage {
    /// The chunk's id.
    pub chunk: u64,
    /// Its document's id.
    pub document: String,
    /// The agent's score.
    pub score: f32,
}

impl AnswerIdentity {
    pub(super) fn of(answered: &[Answered]) -> Self {
        let cited = |answered: &Answered| CitedPassage {
            chunk: answered.passage.chunk.0,
            document: answered.passage.document.clone(),
            score: answered.score,
        };
        let passages: Vec<_> = answered.iter().map(cited).collect();
        let mut hasher = blake3::Hasher::new();
        for passage in &passages {
            hasher.update(&passage.chunk.to_le_bytes());
            hasher.update(&passage.score.to_le_bytes());
        }
        Self {
            digest: hasher.finalize().to_hex().to_string(),
            passages,
        }
    }
}
