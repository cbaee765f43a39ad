//! JSON of `eval`.

use super::{ErrorJson, round};
use crate::error::Failure;
use crate::runtime as rt;
use crate::task::Usage;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// What `eval` says.
#[derive(Debug, Serialize)]
pub struct EvalJson {
    /// By label; a shadow that is a file by its path.
    pub agents: BTreeMap<String, EvalAgentJson>,
    /// The label that the others are compared with; empty when it ended before the first question.
    pub baseline: String,
    /// Of every other agent: its means less the baseline's, where they lie.
    pub differences: BTreeMap<String, EvalMeasuresJson<[f64; 2]>>,
    /// How the intervals were made.
    pub bootstrap: BootstrapJson,
    /// Questions that every agent was asked.
    pub asked: usize,
    /// Questions that there are.
    pub questions: usize,
    /// The user ended it early: all numbers are of the questions asked.
    pub interrupted: bool,
    /// The candidate beside the baseline; null where none was asked for, or where it ended before the first question.
    pub shadow: Option<ShadowJson>,
}

/// A value for each measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(
    missing_docs,
    reason = "the names are the measures' own; see runtime::Measures"
)]
pub struct EvalMeasuresJson<T> {
    #[serde(rename = "ndcg@10")]
    pub ndcg_10: T,
    #[serde(rename = "mrr@10")]
    pub mrr_10: T,
    #[serde(rename = "recall@5")]
    pub recall_5: T,
    #[serde(rename = "recall@10")]
    pub recall_10: T,
    #[serde(rename = "all_gold@5")]
    pub all_gold_5: T,
    #[serde(rename = "all_gold@10")]
    pub all_gold_10: T,
}

impl<T> EvalMeasuresJson<T> {
    /// In the order of [`rt::MEASURES`].
    pub fn of(values: [T; 6]) -> Self {
        let [
            ndcg_10,
            mrr_10,
            recall_5,
            recall_10,
            all_gold_5,
            all_gold_10,
        ] = values;
        Self {
            ndcg_10,
            mrr_10,
            recall_5,
            recall_10,
            all_gold_5,
            all_gold_10,
        }
    }
}

impl<T: Copy> EvalMeasuresJson<T> {
    /// In the order of [`rt::MEASURES`].
    pub fn values(&self) -> [T; 6] {
        [
            self.ndcg_10,
            self.mrr_10,
            self.recall_5,
            self.recall_10,
            self.all_gold_5,
            self.all_gold_10,
        ]
    }
}

/// How intervals were made.
#[derive(Debug, Serialize)]
pub struct BootstrapJson {
    /// Draws of as many questions as there are, with replacement, the same for every agent.
    pub draws: usize,
    /// The same seed gives the same intervals.
    pub seed: u64,
    /// Of how many of such intervals, 0 to 1, the true mean is within.
    pub confidence: f64,
}

/// What one agent reached.
#[derive(Debug, Serialize)]
pub struct EvalAgentJson {
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// Questions asked.
    pub queries: usize,
    /// Means over the questions.
    #[serde(flatten)]
    pub means: EvalMeasuresJson<f64>,
    /// Where the means lie: low, high.
    pub intervals: EvalMeasuresJson<[f64; 2]>,
    /// Time of a question.
    pub latency_ms: LatencyJson,
    /// Means over the questions that were answered.
    pub usage: Usage,
    /// Share of the answers without a passage.
    pub empty_share: f64,
    /// Share of the answers whose receipts say that they are degraded.
    pub degraded_share: f64,
    /// Share of the answers on the way to which a retrieval call was denied.
    pub denied_share: f64,
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

/// A candidate beside the agent in use.
#[derive(Debug, Serialize)]
pub struct ShadowJson {
    /// The agent in use: the baseline.
    pub active: String,
    /// The candidate: its key in `agents` and `differences`.
    pub candidate: String,
    /// `better`, `worse`, `mixed` or `no-difference`.
    pub verdict: &'static str,
    /// The same in a sentence.
    pub sentence: String,
    /// What became of the answers.
    pub answers: ShadowAnswersJson,
    /// The candidate's latency by the other's; null by zero.
    pub latency_ratio: RatiosJson,
    /// The candidate's mean usage by the other's, meter by meter; null by zero.
    pub usage_ratio: BTreeMap<&'static str, Option<f64>>,
}

/// Ratios of percentiles.
#[derive(Debug, Serialize)]
pub struct RatiosJson {
    /// Of the medians.
    pub p50: Option<f64>,
    /// Of the 99th percentiles.
    pub p99: Option<f64>,
}

/// Answers to the same questions, by their first ten chunks.
#[derive(Debug, Serialize)]
pub struct ShadowAnswersJson {
    /// Questions that both answered.
    pub compared: usize,
    /// The same chunks in the same order.
    pub same: usize,
    /// The same chunks in another order.
    pub reordered: usize,
    /// Other chunks.
    pub other: usize,
}

impl EvalJson {
    /// What was measured, and how it was asked for.
    pub fn new(evaluation: &rt::Evaluation, request: &rt::EvalRequest) -> Self {
        let agents = &evaluation.agents;
        let differences = agents.iter().skip(1).map(|agent| {
            let differences = EvalMeasuresJson::of(agent.differences.map(low_high));
            (agent.label.clone(), differences)
        });
        let by_label = agents
            .iter()
            .map(|agent| (agent.label.clone(), agent.into()));
        Self {
            agents: by_label.collect(),
            baseline: agents.first().map_or_else(String::new, |a| a.label.clone()),
            differences: differences.collect(),
            bootstrap: BootstrapJson {
                draws: request.draws,
                seed: request.seed,
                confidence: rt::CONFIDENCE,
            },
            asked: evaluation.asked,
            questions: evaluation.questions,
            interrupted: evaluation.interrupted,
            shadow: evaluation.shadow.as_ref().map(Into::into),
        }
    }
}

fn low_high(interval: rt::Interval) -> [f64; 2] {
    [round(interval.low, 6), round(interval.high, 6)]
}

impl From<&rt::EvalAgent> for EvalAgentJson {
    fn from(agent: &rt::EvalAgent) -> Self {
        let ms = |duration: Duration| round(duration.as_secs_f64() * 1e3, 3);
        let failure = |(query, failure): &(String, Failure)| EvalFailureJson {
            query: query.clone(),
            error: failure.into(),
        };
        Self {
            digest: agent.digest.to_string(),
            queries: agent.queries,
            means: EvalMeasuresJson::of(agent.means.map(|mean| round(mean, 6))),
            intervals: EvalMeasuresJson::of(agent.intervals.map(low_high)),
            latency_ms: LatencyJson {
                p50: ms(agent.latency_p50),
                p99: ms(agent.latency_p99),
            },
            usage: agent.usage.clone(),
            empty_share: round(agent.empty, 6),
            degraded_share: round(agent.degraded, 6),
            denied_share: round(agent.denied, 6),
            failures: agent.failures.iter().map(failure).collect(),
        }
    }
}

impl From<&rt::Shadow> for ShadowJson {
    fn from(shadow: &rt::Shadow) -> Self {
        let ratio = |ratio: Option<f64>| ratio.map(|ratio| round(ratio, 4));
        let usage = shadow.usage_ratios.iter();
        let rt::ShadowAnswers {
            compared,
            same,
            reordered,
            other,
        } = shadow.answers;
        Self {
            active: shadow.active.clone(),
            candidate: shadow.candidate.clone(),
            verdict: shadow.verdict.as_str(),
            sentence: shadow.sentence.clone(),
            answers: ShadowAnswersJson {
                compared,
                same,
                reordered,
                other,
            },
            latency_ratio: RatiosJson {
                p50: ratio(shadow.latency_p50_ratio),
                p99: ratio(shadow.latency_p99_ratio),
            },
            usage_ratio: usage
                .map(|(meter, value)| (*meter, ratio(*value)))
                .collect(),
        }
    }
}
