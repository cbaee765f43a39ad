//! Retrieval quality: questions with known answers, asked of one agent after the other.
//!
//! A document is scored by its best chunk; enough chunks are asked for to fill ten documents.

use super::{QueryRequest, Runtime, RuntimeError};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::task::Usage;
use serde::Deserialize;
use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

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

/// What one agent reached. All measures are means over the questions, 0 to 1.
#[derive(Debug, Clone)]
pub struct EvalAgent {
    /// Its label.
    pub label: String,
    /// Questions asked.
    pub queries: usize,
    /// Normalised discounted cumulative gain over the first ten documents, binary relevance (Järvelin
    /// and Kekäläinen 2002).
    pub ndcg_10: f64,
    /// Reciprocal rank of the first relevant of ten documents.
    pub mrr_10: f64,
    /// Share of the relevant documents among the first five.
    pub recall_5: f64,
    /// Share of the relevant documents among the first ten.
    pub recall_10: f64,
    /// Share of questions with all their relevant documents among the first five.
    pub all_gold_5: f64,
    /// Share of questions with all their relevant documents among the first ten.
    pub all_gold_10: f64,
    /// Median time of a question.
    pub latency_p50: Duration,
    /// 99th percentile of the time of a question.
    pub latency_p99: Duration,
    /// Mean usage of a question.
    pub usage: Usage,
    /// Questions that were not answered, with the first reason.
    pub failures: Vec<(String, Failure)>,
}

/// All agents side by side.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// In the order asked for.
    pub agents: Vec<EvalAgent>,
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
    for (number, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let query: EvalQuery =
            serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))?;
        if query.relevant.is_empty() {
            return Err(wrong(number, "`relevant` is empty".to_owned()).into());
        }
        queries.push(query);
    }
    match queries.is_empty() {
        true => Err(wrong(0, "there are no questions".to_owned()).into()),
        false => Ok(queries),
    }
}

impl Runtime {
    /// Asks every question of every agent. `asked` is called after each question.
    pub async fn evaluate(
        &self,
        tenant: &TenantId,
        queries: &[EvalQuery],
        labels: &[String],
        asked: &(dyn Fn() + Sync),
    ) -> Result<Evaluation, Failure> {
        let labels = match labels {
            [] => vec![self.default_agent(tenant)?],
            some => some.to_vec(),
        };
        let mut agents = vec![];
        for label in labels {
            let mut scores = Scores::default();
            self.warm(tenant, &label, queries).await?;
            for query in queries {
                let began = Instant::now();
                match self.ranking(tenant, &label, &query.query).await {
                    Ok((documents, usage)) => {
                        scores.add(&documents, &query.relevant, began.elapsed(), &usage);
                    }
                    // An agent that is not there at all is no agent that answers badly.
                    Err(failure) if failure.exit == crate::error::Exit::Usage => {
                        return Err(failure);
                    }
                    Err(failure) => scores.fail(&query.query, failure),
                }
                asked();
            }
            agents.push(scores.agent(label));
        }
        Ok(Evaluation { agents })
    }

    /// Loads what the first question would load, so that no latency has compiling in it.
    async fn warm(
        &self,
        tenant: &TenantId,
        label: &str,
        queries: &[EvalQuery],
    ) -> Result<(), Failure> {
        let Some(first) = queries.first() else {
            return Ok(());
        };
        match self.ranking(tenant, label, &first.query).await {
            Err(failure) if failure.exit == crate::error::Exit::Usage => Err(failure),
            _ => Ok(()),
        }
    }

    /// The first ten documents for a question, by their best chunks.
    async fn ranking(
        &self,
        tenant: &TenantId,
        label: &str,
        question: &str,
    ) -> Result<(Vec<String>, Usage), Failure> {
        let most = self.policy(tenant)?.agent.passages_max;
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(CHUNKS * 2);
        let mut k = CHUNKS.min(most);
        loop {
            let request = QueryRequest {
                question: question.to_owned(),
                agent: Some(label.to_owned()),
                k,
                filter: None,
                options: vec![],
            };
            let outcome = self.query(tenant, &request).await?;
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
                return Ok((documents, outcome.usage));
            }
            k = (k * 2).min(most);
        }
    }
}

#[derive(Debug, Default)]
struct Scores {
    sums: [f64; 6],
    latencies: Vec<Duration>,
    usage: Usage,
    failures: Vec<(String, Failure)>,
}

impl Scores {
    fn add(&mut self, found: &[String], relevant: &[String], took: Duration, usage: &Usage) {
        for (sum, value) in self.sums.iter_mut().zip(measures(found, relevant)) {
            *sum += value;
        }
        self.latencies.push(took);
        add_usage(&mut self.usage, usage);
    }

    fn fail(&mut self, question: &str, failure: Failure) {
        self.failures.push((question.to_owned(), failure));
    }

    fn agent(mut self, label: String) -> EvalAgent {
        let queries = self.latencies.len() + self.failures.len();
        self.latencies.sort_unstable();
        let mean = |at: usize| self.sums[at] / queries.max(1) as f64;
        EvalAgent {
            label,
            queries,
            ndcg_10: mean(0),
            mrr_10: mean(1),
            recall_5: mean(2),
            recall_10: mean(3),
            all_gold_5: mean(4),
            all_gold_10: mean(5),
            latency_p50: percentile(&self.latencies, 50),
            latency_p99: percentile(&self.latencies, 99),
            usage: mean_usage(&self.usage, self.latencies.len()),
            failures: self.failures,
        }
    }
}

/// nDCG@10, MRR@10, recall@5, recall@10, all gold@5, all gold@10 of one ranking.
fn measures(found: &[String], relevant: &[String]) -> [f64; 6] {
    let relevant: HashSet<&str> = relevant.iter().map(String::as_str).collect();
    let hits: Vec<bool> = found
        .iter()
        .take(DEPTH)
        .map(|document| relevant.contains(document.as_str()))
        .collect();
    let discount = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
    let gain: f64 = hits
        .iter()
        .enumerate()
        .filter(|(_, hit)| **hit)
        .map(|(r, _)| discount(r))
        .sum();
    let ideal: f64 = (0..relevant.len().min(DEPTH)).map(discount).sum();
    let first = hits.iter().position(|&hit| hit);
    let within = |depth: usize| hits.iter().take(depth).filter(|&&hit| hit).count();
    let recall = |depth: usize| within(depth) as f64 / relevant.len() as f64;
    let all = |depth: usize| f64::from(u8::from(within(depth) == relevant.len()));
    [
        gain / ideal,
        first.map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        recall(5),
        recall(10),
        all(5),
        all(10),
    ]
}

/// The nearest-rank percentile of sorted times; zero of none.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn add_usage(sum: &mut Usage, one: &Usage) {
    sum.fuel += one.fuel;
    sum.guest_cpu_ms += one.guest_cpu_ms;
    sum.host_wait_ms += one.host_wait_ms;
    sum.wall_ms += one.wall_ms;
    sum.memory_peak_bytes += one.memory_peak_bytes;
    sum.host_calls += one.host_calls;
    sum.embed_tokens += one.embed_tokens;
    sum.searches += one.searches;
    sum.vectors_scanned += one.vectors_scanned;
    sum.read_bytes += one.read_bytes;
    sum.boundary_bytes += one.boundary_bytes;
    sum.output_bytes += one.output_bytes;
    sum.log_bytes += one.log_bytes;
}

fn mean_usage(sum: &Usage, queries: usize) -> Usage {
    let n = queries.max(1) as u64;
    let mean = |value: f64| (value / n as f64 * 1e3).round() / 1e3;
    Usage {
        fuel: sum.fuel / n,
        guest_cpu_ms: mean(sum.guest_cpu_ms),
        host_wait_ms: mean(sum.host_wait_ms),
        wall_ms: mean(sum.wall_ms),
        memory_peak_bytes: sum.memory_peak_bytes / n,
        host_calls: sum.host_calls / n,
        embed_tokens: sum.embed_tokens / n,
        searches: sum.searches / n,
        vectors_scanned: sum.vectors_scanned / n,
        read_bytes: sum.read_bytes / n,
        boundary_bytes: sum.boundary_bytes / n,
        output_bytes: sum.output_bytes / n,
        log_bytes: sum.log_bytes / n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_perfect_ranking_scores_one_everywhere() {
        assert_eq!(
            measures(&ids(&["a", "b", "c"]), &ids(&["b", "a"])),
            [1.0; 6]
        );
    }

    #[test]
    fn measures_agree_with_numbers_worked_out_by_hand() {
        let [ndcg, mrr, r5, r10, g5, g10] = measures(
            &ids(&["x", "a", "y", "z", "u", "v", "b"]),
            &ids(&["a", "b"]),
        );
        let expected = (1.0 / 3f64.log2() + 1.0 / 8f64.log2()) / (1.0 + 1.0 / 3f64.log2());
        assert!((ndcg - expected).abs() < 1e-12);
        assert_eq!([mrr, r5, r10, g5, g10], [0.5, 0.5, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn nothing_found_scores_zero() {
        assert_eq!(measures(&[], &ids(&["a"])), [0.0; 6]);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
