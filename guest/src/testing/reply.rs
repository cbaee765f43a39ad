//! A question answered as the host would: options checked, the agent run, every citation held against what it
//! was shown. It knows no agent.

use std::collections::HashSet;

use super::memory::Memory;
use crate::{Agent, Answer, ChunkId, Options, Passage};

/// Passages that an answer may have, as the shipped policy `default` says.
const PASSAGES_MAX: usize = 100;
/// What a caller asks for who says nothing.
const K: usize = 5;

/// An answer as its reader gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// Best first, at most as many as the option `k` says.
    pub passages: Vec<Found>,
    /// What was denied, and what the agent said was left out.
    pub degraded: Vec<String>,
}

/// One passage of a reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The passage, read by the host.
    pub passage: Passage,
    /// The agent's score.
    pub score: f32,
    /// The agent's reason.
    pub reason: String,
}

impl Reply {
    /// The documents of the passages, best first; one with several passages as often.
    pub fn documents(&self) -> Vec<&str> {
        self.passages
            .iter()
            .map(|found| found.passage.document.as_str())
            .collect()
    }

    /// The chunks of the passages, best first.
    pub fn chunks(&self) -> Vec<ChunkId> {
        self.passages
            .iter()
            .map(|found| found.passage.chunk)
            .collect()
    }
}

impl Memory {
    /// Asks agent `A`, as a new task, with the options that are given and the defaults of the others. The error is
    /// what the host would refuse or stop it with.
    pub fn ask<A: Agent>(&self, question: &str, given: &[(&str, &str)]) -> Result<Reply, String> {
        let options = Options::resolve(&A::options(), given)?;
        self.meters.begin();
        let answer = A::retrieve(question, &options, self)
            .map_err(|said| format!("the agent gave up: {said}"))?;
        let k = options.count("k").unwrap_or(K);
        self.reply(answer, k)
    }

    fn reply(&self, answer: Answer, k: usize) -> Result<Reply, String> {
        let (most, found) = (
            self.passages_max.unwrap_or(PASSAGES_MAX),
            answer.passages.len(),
        );
        if found > most {
            return Err(format!(
                "the answer has {found} passages (passages_max {most})"
            ));
        }
        let mut seen = HashSet::new();
        let mut passages = Vec::new();
        for citation in answer.passages {
            let chunk = citation.chunk;
            if !citation.score.is_finite() {
                return Err(format!("the score of chunk {chunk} is not finite"));
            }
            let row = self.corpus.row(chunk);
            let Some(row) = row.filter(|_| self.meters.was_shown(chunk)) else {
                return Err(format!(
                    "chunk {chunk} is cited, but this task was never shown it"
                ));
            };
            if !seen.insert(chunk) {
                return Err(format!("chunk {chunk} is cited twice"));
            }
            passages.push(Found {
                passage: self.corpus.passage(row),
                score: citation.score,
                reason: citation.reason,
            });
        }
        passages.sort_by(|a, b| {
            let by_score = b.score.total_cmp(&a.score);
            by_score.then_with(|| a.passage.chunk.cmp(&b.passage.chunk))
        });
        passages.truncate(k);
        let mut degraded = self.meters.degraded();
        degraded.extend(answer.degraded);
        Ok(Reply { passages, degraded })
    }
}
