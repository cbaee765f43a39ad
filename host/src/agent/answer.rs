//! From what an agent said to an answer: every citation checked, every passage read by the host.
//!
//! Nothing that an agent says is shown before it passed here.

use super::ledger::{Account, Hop, Ledger};
use super::{AgentError, guest};
use crate::corpus::{ChunkId, Filter, Passage, shorten};
use crate::db::Interrupt;
use crate::guard::{self, Guard};
use crate::index::{Index, IndexError};
use crate::task::{Meter, Phase, Reason, Stop, Task, count};
use std::collections::HashSet;

/// Sentences of degradation that an agent may add, and the length of one.
const SENTENCES_MAX: usize = 100;
const SENTENCE_BYTES: usize = 500;

/// One passage of an answer.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The passage, read by the host.
    pub passage: Passage,
    /// The agent's score.
    pub score: f32,
    /// The agent's reason.
    pub reason: String,
}

/// An answer with what explains it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Best first.
    pub passages: Vec<Answered>,
    /// The agent's retrieval calls.
    pub hops: Vec<Hop>,
    /// What was denied, clamped, dropped or answered by a fallback.
    pub degraded: Vec<String>,
    /// Retrieval calls that were not carried out.
    pub denied: u64,
    /// The state of the index that was asked.
    pub index_generation: u64,
}

/// A citation that passed every check.
pub(super) struct Cited {
    chunk: ChunkId,
    score: f32,
    reason: String,
}

/// Checks what the agent said against what it was shown and what it may say.
pub(super) fn check(
    task: &Task,
    said: Result<guest::Answer, String>,
    ledger: &mut Ledger,
) -> Result<Vec<Cited>, Stop> {
    task.enter(Phase::Check);
    let answer =
        said.map_err(|message| invalid(&format!("the agent gave up: {}", shorten(&message, 300))))?;
    let bytes = answer_bytes(&answer);
    task.charge_or_end(Meter::Boundary, bytes)?;
    task.charge_or_end(Meter::Output, bytes)?;
    let (limit, found) = (task.limits.results, answer.passages.len() as u64);
    if found > limit && guard::stands(Guard::Passages) {
        let detail = "the answer has too many passages";
        return Err(Stop::new(
            Reason::Passages,
            Phase::Check,
            count(limit),
            count(found),
            detail,
        ));
    }
    for sentence in answer.degraded.iter().take(SENTENCES_MAX) {
        ledger.degrade(shorten(sentence, SENTENCE_BYTES));
    }
    if let Some(more @ 1..) = answer.degraded.len().checked_sub(SENTENCES_MAX) {
        ledger.degrade(format!(
            "{more} further sentences of the agent are not listed"
        ));
    }
    let mut seen = HashSet::new();
    let check_one = |citation: guest::Citation| {
        let chunk = ChunkId(citation.chunk);
        if !citation.score.is_finite() && guard::stands(Guard::FiniteScore) {
            return Err(invalid(&format!(
                "the score of chunk {} is not finite",
                chunk.0
            )));
        }
        if !ledger.was_shown(chunk) && guard::stands(Guard::Citation) {
            let what = format!(
                "chunk {} is cited, but this task was never shown it",
                chunk.0
            );
            return Err(invalid(&what));
        }
        if !seen.insert(chunk) && guard::stands(Guard::CitedOnce) {
            return Err(invalid(&format!("chunk {} is cited twice", chunk.0)));
        }
        let reason = shorten(&citation.reason, SENTENCE_BYTES);
        Ok(Cited {
            chunk,
            score: citation.score,
            reason,
        })
    };
    answer.passages.into_iter().map(check_one).collect()
}

fn answer_bytes(answer: &guest::Answer) -> u64 {
    let citations: usize = answer.passages.iter().map(|c| c.reason.len() + 24).sum();
    let sentences: usize = answer.degraded.iter().map(|s| s.len() + 8).sum();
    (citations + sentences) as u64
}

/// Reads the passages of the `k` best citations that there still are. What was deleted or left the caller's
/// filter meanwhile is left out and named.
pub(super) fn read(
    index: &Index,
    filter: Option<&Filter>,
    mut cited: Vec<Cited>,
    mut ledger: Ledger,
    k: usize,
) -> Result<Answer, AgentError> {
    cited.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| a.chunk.cmp(&b.chunk))
    });
    let index_generation = index.counts()?.generation;
    let mut passages = Vec::with_capacity(cited.len().min(k));
    for Cited {
        chunk,
        score,
        reason,
    } in cited
    {
        if passages.len() == k {
            break;
        }
        match index
            .read(&[chunk], &Interrupt::never())
            .map(|mut read| read.pop())
        {
            Ok(Some(passage))
                if matches(filter, &passage) || !guard::stands(Guard::AnswerFilter) =>
            {
                passages.push(Answered {
                    passage,
                    score,
                    reason,
                });
            }
            Ok(_) | Err(IndexError::UnknownChunk(_)) => {
                ledger.degrade(format!("chunk {} is gone or does not match", chunk.0));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let Account {
        hops,
        degraded,
        denied,
    } = ledger.account();
    Ok(Answer {
        passages,
        hops,
        degraded,
        denied,
        index_generation,
    })
}

/// Whether a passage is within the caller's filter.
pub(super) fn matches(filter: Option<&Filter>, passage: &Passage) -> bool {
    let Some(filter) = filter else { return true };
    let metadata = serde_json::from_str(&passage.metadata).unwrap_or_default();
    filter.matches(&passage.document, &passage.title, &metadata)
}

fn invalid(detail: &str) -> Stop {
    Stop::new(Reason::InvalidOutput, Phase::Check, 0.0, 0.0, detail)
}
