//! JSON of `replay`.

use super::{HopJson, QueryJson, ReceiptJson};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::Digest;
use crate::runtime as rt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `replay` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplayJson {
    /// Answer and fuel are the same.
    pub same: bool,
    /// The same chunks in the same order, scores within 1e-6.
    pub same_answer: bool,
    /// The same fuel.
    pub same_fuel: bool,
    /// The tenant.
    pub tenant: String,
    /// The agent's label.
    pub agent: String,
    /// The question.
    pub question: String,
    /// Which version was asked.
    pub version: ReplayedVersionJson,
    /// What is not as the receipt says; empty when nothing differs.
    pub changes: Vec<ChangeJson>,
    /// The answer of now, with its own receipt.
    pub now: QueryJson,
}

/// Which version of the agent was asked again.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReplayedVersionJson {
    /// `in-use`: the receipt's version is the one in use; `kept`: the tenant's history has it; `gone`: it has not, and
    /// the one in use was asked.
    pub state: String,
    /// The receipt's version.
    pub recorded: String,
    /// The version that was asked now.
    pub replayed: String,
    /// The version that the label stands for now; null where there is none.
    pub in_use: Option<String>,
}

/// Something that is not as the receipt says.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeJson {
    /// `plugin`, `policy`, `model`, `index`, `options`, `passages`, `order`, `scores`, `degraded`, `hops` or `fuel`.
    pub what: String,
    /// What the receipt says: a digest, a number, or a list or object of what differs.
    pub was: Value,
    /// What is now.
    pub now: Value,
    /// A sentence for people.
    pub detail: String,
}

impl TryFrom<ReceiptJson> for rt::Recorded {
    type Error = Failure;

    /// A receipt from outside: names and digests are checked, the rest is compared as it is.
    fn try_from(receipt: ReceiptJson) -> Result<Self, Failure> {
        let tenant = TenantId::new(&receipt.tenant)?;
        let refused = |message: String| rt::RuntimeError::Receipt {
            from: "what was given".to_owned(),
            message,
        };
        let wrong = |message: String| refused(format!("`plugin` is no digest: {message}"));
        if !receipt.has_finite_scores() {
            return Err(refused("a score is not finite".to_owned()).into());
        }
        let hop = |hop: HopJson| rt::RecordedHop {
            call: hop.call.into_owned(),
            results: hop.results,
            denied: hop.denied,
        };
        let passages = receipt.answer.passages.into_iter();
        let passage = |passage: super::CitedPassageJson| rt::CitedPassage {
            chunk: passage.chunk,
            document: passage.document,
            score: passage.score,
        };
        let inquiry = rt::Inquiry {
            tenant,
            agent: receipt.agent,
            plugin: Digest::try_from(receipt.plugin).map_err(wrong)?,
            policy: receipt.policy,
            model: receipt.model,
            index_generation: receipt.index_generation,
            question: receipt.question,
            k: receipt.k,
            filter: receipt.filter,
            options: receipt.options.into_iter().collect(),
            options_given: receipt.options_given.into_iter().collect(),
        };
        Ok(Self {
            inquiry,
            hops: receipt.hops.into_iter().map(hop).collect(),
            degraded: receipt.degraded,
            fuel: receipt.usage.fuel,
            passages: passages.map(passage).collect(),
        })
    }
}

impl ReceiptJson {
    /// A number beyond all scores is read as infinity, which JSON cannot say again.
    pub fn has_finite_scores(&self) -> bool {
        let mut scores = self.answer.passages.iter().map(|passage| passage.score);
        scores.all(f32::is_finite)
    }
}

impl ReplayJson {
    /// What came of asking `recorded` again.
    pub fn new(recorded: &rt::Recorded, replayed: rt::Replayed) -> Self {
        let change = |change: rt::Change| ChangeJson {
            what: change.what.to_owned(),
            was: change.was,
            now: change.now,
            detail: change.detail,
        };
        Self {
            same: replayed.same_answer && replayed.same_fuel,
            same_answer: replayed.same_answer,
            same_fuel: replayed.same_fuel,
            tenant: recorded.inquiry.tenant.to_string(),
            agent: recorded.inquiry.agent.clone(),
            question: recorded.inquiry.question.clone(),
            version: ReplayedVersionJson {
                state: replayed.version.as_str().to_owned(),
                recorded: recorded.inquiry.plugin.to_string(),
                replayed: replayed.replayed.to_string(),
                in_use: replayed.in_use.map(String::from),
            },
            changes: replayed.changes.into_iter().map(change).collect(),
            now: replayed.now.into(),
        }
    }
}
