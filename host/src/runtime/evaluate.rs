//! Retrieval quality: questions with known answers, each asked of every agent in turn, with how sure the numbers are.
//!
//! A document is scored by its best chunk; enough chunks are asked for to fill ten documents. It changes nothing of
//! the tenant's, and its questions are not counted among the tenant's own.

mod bootstrap;
mod measures;

pub use bootstrap::{CONFIDENCE, Interval, Intervals};
pub use measures::{MEASURES, Measures};

use super::query::QUESTION_BYTES_MAX;
use super::resolve::{Manner, Version};
use super::shadow::Shadow;
use super::{QueryOutcome, QueryRequest, Runtime, RuntimeError, builtin};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::plugin::{Digest, OptionSpec, Options};
use crate::statistics::percentile;
use crate::task::Usage;
use bootstrap::{bootstrap, mean};
use measures::{add_usage, mean_usage, measures};
use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Documents that every measure looks at, at most.
const DEPTH: usize = 10;

/// Chunks asked for at first; twice as many when they are of fewer than ten documents.
const CHUNKS: usize = 50;

/// One question with the documents that answer it.
#[derive(Debug, Clone, Deserialize)]
pub struct EvalQuery {
    /// Names it in messages.
    #[serde(default)]
    pub id: String,
    /// The question.
    pub query: String,
    /// Ids of the documents that answer it; not empty.
    pub relevant: Vec<String>,
}

/// What is to be found out.
#[derive(Debug, Clone)]
pub struct EvalRequest {
    /// Labels, the one first that others are compared with; the tenant's default agent when empty.
    pub agents: Vec<String>,
    /// A label, or a component's file, that is compared with the first agent before it is used.
    pub shadow: Option<String>,
    /// Draws of the bootstrap.
    pub draws: usize,
    /// Its seed.
    pub seed: u64,
}

/// What one agent reached. All shares are of the questions asked.
#[derive(Debug, Clone)]
pub struct EvalAgent {
    /// Its label; of a shadow that is a file, its path.
    pub label: String,
    /// Its version.
    pub digest: Digest,
    /// Questions asked.
    pub queries: usize,
    /// Means over the questions.
    pub means: Measures,
    /// How sure they are.
    pub intervals: Intervals,
    /// Of the means, less those of the first agent.
    pub differences: Intervals,
    /// Share of answers without a passage.
    pub empty: f64,
    /// Share of answers that their receipts call degraded.
    pub degraded: f64,
    /// Share of answers with a retrieval call that was denied.
    pub denied: f64,
    /// Median time of a question.
    pub latency_p50: Duration,
    /// 99th percentile of the time of a question.
    pub latency_p99: Duration,
    /// Mean usage of a question that was answered.
    pub usage: Usage,
    /// Questions that were not answered, with the first reason; they count as zero.
    pub failures: Vec<(String, Failure)>,
}

/// All agents side by side.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// In the order asked for; the shadow last.
    pub agents: Vec<EvalAgent>,
    /// Questions that every agent was asked.
    pub asked: usize,
    /// Questions that there are.
    pub questions: usize,
    /// It ended before the last question.
    pub interrupted: bool,
    /// The shadow beside the first agent, where one was asked for.
    pub shadow: Option<Shadow>,
}

/// Reads a query file: JSON lines `{id, query, relevant}`.
pub fn read_queries(path: &Path) -> Result<Vec<EvalQuery>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|source| RuntimeError::Read {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |line: usize, message: String| RuntimeError::Queries {
        path: path.to_owned(),
        line: line + 1,
        message,
    };
    let mut queries = vec![];
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let query: EvalQuery =
            serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))?;
        let what = match &query {
            query if query.query.trim().is_empty() => "`query` is empty",
            query if query.query.len() > QUESTION_BYTES_MAX => "`query` is longer than 64 KiB",
            query if query.relevant.is_empty() => "`relevant` is empty",
            _ => "",
        };
        if !what.is_empty() {
            return Err(wrong(number, what.to_owned()).into());
        }
        queries.push(query);
    }
    match queries.is_empty() {
        true => Err(wrong(0, "there are no questions".to_owned()).into()),
        false => Ok(queries),
    }
}

/// An agent that takes part.
pub(super) struct Contestant {
    pub(super) label: String,
    pub(super) digest: Digest,
    pub(super) version: Version,
    /// Options that it is asked with, besides `k`.
    pub(super) options: Options,
    /// The most passages that it declares to give.
    pub(super) k_max: usize,
}

/// One question to one agent.
pub(super) struct Try {
    pub(super) measures: Measures,
    /// What was answered; the question and why not otherwise.
    pub(super) outcome: Result<Tried, (String, Failure)>,
}

/// What is kept of an answer.
pub(super) struct Tried {
    /// The first ten chunks.
    pub(super) chunks: Vec<u64>,
    pub(super) took: Duration,
    pub(super) usage: Usage,
    pub(super) empty: bool,
    pub(super) degraded: bool,
    pub(super) denied: bool,
}

impl Runtime {
    /// Asks every question of every agent, until `over`. `asked` is called after each question.
    pub async fn evaluate(
        &self,
        tenant: &TenantId,
        queries: &[EvalQuery],
        request: &EvalRequest,
        asked: &(dyn Fn() + Sync),
        over: &CancellationToken,
    ) -> Result<Evaluation, Failure> {
        let contestants = tokio::select! {
            biased;
            () = over.cancelled() => vec![],
            contestants = self.contestants(tenant, queries, request) => contestants?,
        };
        let mut tries: Vec<Vec<Try>> = contestants.iter().map(|_| vec![]).collect();
        for query in queries.iter().take_while(|_| !contestants.is_empty()) {
            let round = tokio::select! {
                biased;
                () = over.cancelled() => break,
                round = self.round(tenant, &contestants, query) => round?,
            };
            for (tries, one) in tries.iter_mut().zip(round) {
                tries.push(one);
            }
            asked();
        }
        let counted = tries.first().map_or(0, Vec::len);
        let drawn = drawn(&tries, request).await;
        let with = contestants.iter().zip(&tries).enumerate();
        let agents = with.map(|(at, (contestant, tries))| {
            let (means, differences) = (drawn.means[at], drawn.differences[at]);
            agent(contestant, tries, means, differences)
        });
        let agents: Vec<EvalAgent> = agents.collect();
        let shadow = match (&request.shadow, &agents[..], &tries[..]) {
            (Some(_), [first, .., last], [firsts, .., lasts]) => {
                Some(Shadow::of(first, last, firsts, lasts))
            }
            _ => None,
        };
        Ok(Evaluation {
            agents,
            asked: counted,
            questions: queries.len(),
            interrupted: counted < queries.len(),
            shadow,
        })
    }

    /// Everybody who takes part, with what the first question would load, so that no latency has compiling in it.
    async fn contestants(
        &self,
        tenant: &TenantId,
        queries: &[EvalQuery],
        request: &EvalRequest,
    ) -> Result<Vec<Contestant>, Failure> {
        let mut labels = request.agents.clone();
        if labels.is_empty() {
            labels.push(self.default_agent(tenant)?);
        }
        let first = labels[0].clone();
        let is_shadow = |label: &String| request.shadow.as_ref() == Some(label);
        if is_shadow(&first) {
            let message = format!("'{first}' is the agent that the shadow is compared with");
            return Err(RuntimeError::Argument(message).into());
        }
        labels.retain(|label| !is_shadow(label));
        let mut contestants: Vec<Contestant> = vec![];
        for label in labels {
            if contestants.iter().all(|known| known.label != label) {
                contestants.push(self.contestant(tenant, &label).await?);
            }
        }
        if let Some(shadow) = &request.shadow {
            contestants.push(self.shadow(tenant, shadow, &first).await?);
        }
        for contestant in &contestants {
            let Some(query) = queries.first() else { break };
            match self.ranking(tenant, contestant, &query.query).await {
                Err(failure) if failure.exit == Exit::Usage => return Err(failure),
                _ => {}
            }
        }
        Ok(contestants)
    }

    async fn contestant(&self, tenant: &TenantId, label: &str) -> Result<Contestant, Failure> {
        let (_, specs) = self.kind_and_options(tenant, label).await?;
        let digest = match builtin::find(label) {
            Some(builtin) => Digest::of(builtin.bytes),
            None => self.catalog.plugin(tenant, label)?.digest,
        };
        Ok(Contestant {
            label: label.to_owned(),
            digest,
            version: Version::InUse,
            options: vec![],
            k_max: k_max(&specs),
        })
    }

    /// One question to everybody.
    async fn round(
        &self,
        tenant: &TenantId,
        contestants: &[Contestant],
        query: &EvalQuery,
    ) -> Result<Vec<Try>, Failure> {
        let mut tries = vec![];
        for contestant in contestants {
            let tried = match self.ranking(tenant, contestant, &query.query).await {
                Ok((documents, tried)) => Try {
                    measures: measures(&documents, &query.relevant),
                    outcome: Ok(tried),
                },
                // An agent that is not there at all is no agent that answers badly.
                Err(failure) if failure.exit == Exit::Usage => return Err(failure),
                Err(failure) => Try {
                    measures: Measures::default(),
                    outcome: Err((query.query.clone(), failure)),
                },
            };
            tries.push(tried);
        }
        Ok(tries)
    }

    /// The first ten documents for a question, by their best chunks.
    async fn ranking(
        &self,
        tenant: &TenantId,
        contestant: &Contestant,
        question: &str,
    ) -> Result<(Vec<String>, Tried), Failure> {
        let most = self.policy(tenant)?.agent.passages_max;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let most = most.min(CHUNKS * 2).min(contestant.k_max);
        let manner = Manner::trying(contestant.version.clone());
        let mut k = CHUNKS.min(most);
        let began = Instant::now();
        loop {
            let request = QueryRequest {
                question: question.to_owned(),
                agent: Some(contestant.label.clone()),
                k,
                filter: None,
                options: contestant.options.clone(),
            };
            let outcome = self.ask(tenant, &request, &manner).await?;
            let mut documents: Vec<String> = vec![];
            for answered in &outcome.passages {
                let document = &answered.passage.document;
                if !documents.contains(document) {
                    documents.push(document.clone());
                }
            }
            let full = documents.len() >= DEPTH || outcome.passages.len() < k || k >= most;
            if full {
                documents.truncate(DEPTH);
                return Ok((documents, tried(outcome, began.elapsed())));
            }
            k = (k * 2).min(most);
        }
    }
}

fn tried(outcome: QueryOutcome, took: Duration) -> Tried {
    let first = outcome.passages.iter().take(DEPTH);
    Tried {
        chunks: first.map(|answered| answered.passage.chunk.0).collect(),
        took,
        empty: outcome.passages.is_empty(),
        degraded: !outcome.receipt.degraded.is_empty(),
        denied: outcome.denied > 0,
        usage: outcome.usage,
    }
}

/// The upper end of the range of option `k`; without one there is no bound.
pub(super) fn k_max(specs: &[OptionSpec]) -> usize {
    let range = specs.iter().find(|spec| spec.name == "k");
    let high = range.and_then(|spec| spec.range.split_once("..")?.1.parse().ok());
    high.unwrap_or(usize::MAX).max(1)
}

/// Off the threads that answer: many questions times many draws take a moment.
async fn drawn(tries: &[Vec<Try>], request: &EvalRequest) -> bootstrap::Drawn {
    let measures = |tries: &Vec<Try>| tries.iter().map(|one| one.measures).collect();
    let agents: Vec<Vec<Measures>> = tries.iter().map(measures).collect();
    let (draws, seed, number) = (request.draws, request.seed, agents.len());
    let drawing = tokio::task::spawn_blocking(move || bootstrap(&agents, draws, seed));
    drawing
        .await
        .unwrap_or_else(|_| bootstrap(&vec![vec![]; number], 0, 0))
}

fn agent(
    contestant: &Contestant,
    tries: &[Try],
    means: Intervals,
    differences: Intervals,
) -> EvalAgent {
    let answered: Vec<&Tried> = tries
        .iter()
        .filter_map(|one| one.outcome.as_ref().ok())
        .collect();
    let mut latencies: Vec<Duration> = answered.iter().map(|tried| tried.took).collect();
    latencies.sort_unstable();
    let mut usage = Usage::default();
    for tried in &answered {
        add_usage(&mut usage, &tried.usage);
    }
    let share = |which: fn(&Tried) -> bool| {
        let number = answered.iter().filter(|tried| which(tried)).count();
        number as f64 / answered.len().max(1) as f64
    };
    let failures = tries.iter().filter_map(|one| one.outcome.as_ref().err());
    EvalAgent {
        label: contestant.label.clone(),
        digest: contestant.digest,
        queries: tries.len(),
        means: mean(tries.iter().map(|one| &one.measures), tries.len()),
        intervals: means,
        differences,
        empty: share(|tried| tried.empty),
        degraded: share(|tried| tried.degraded),
        denied: share(|tried| tried.denied),
        latency_p50: percentile(&latencies, 50),
        latency_p99: percentile(&latencies, 99),
        usage: mean_usage(&usage, answered.len()),
        failures: failures.cloned().collect(),
    }
}
