//! The well-behaved neighbour: a tenant that keeps bringing the same two versions of a document in and asking
//! the same questions, and looks whether it gets what it got when it was alone.
//!
//! It does not know what is done to it.

use super::ground::Ground;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::Policy;
use crate::runtime::{QueryOutcome, QueryRequest, Runtime, RuntimeError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const QUESTIONS: [&str; 4] = [
    "Which boat leaves the harbour first?",
    "What does the keeper of the lighthouse write down?",
    "When is the bridge raised?",
    "How are nets mended?",
];

const TEXTS: [&str; 6] = [
    "The first boat to leave the harbour is the Heron, at four in the morning, before the tide turns.",
    "The keeper of the lighthouse writes down every ship that passes, with its lamp and its course.",
    "The bridge is raised at noon and at six, and whenever a mast taller than ten metres asks for it.",
    "Nets are mended in winter. A torn mesh is cut out to whole knots and woven again by hand.",
    "The market opens when the second boat is in. Fish that is left at noon goes to the smokehouse.",
    "Fog is announced by two bells. No boat leaves then, and those outside answer with their horns.",
];

/// A pause between rounds: the victim uses the machine, it does not fill it.
const PAUSE: Duration = Duration::from_millis(10);

/// One document in and one question answered.
#[derive(Debug, Clone)]
struct Round {
    began: Instant,
    took: Duration,
    /// What was not as it should be.
    wrong: Option<String>,
}

/// The neighbour at work, until it is dropped.
pub(super) struct Victim {
    rounds: Arc<Mutex<Vec<Round>>>,
    work: JoinHandle<()>,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// What the victim saw in some time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Rounds: a document brought in, a question answered.
    pub rounds: usize,
    /// The 99th percentile of a round, in ms; of few rounds it is the longest.
    pub p99_ms: f64,
    /// Rounds that failed or gave something else than alone, the first of them in words.
    pub wrong: usize,
    /// What was wrong first.
    pub first_wrong: Option<String>,
}

impl Seen {
    /// A victim that no longer lives, or that ended no round for a long time, is the worst that can be seen.
    fn unless_hung(mut self, since: Instant, gone: bool) -> Self {
        if gone || (self.rounds == 0 && since.elapsed() > super::WATCHDOG) {
            self.wrong += 1;
            self.first_wrong = Some("it hung".to_owned());
        }
        self
    }
}

struct Neighbour {
    runtime: Arc<Runtime>,
    reader: TenantId,
    writer: TenantId,
    /// The file that it keeps bringing in, and what stands there in turn.
    news: PathBuf,
    versions: [String; 2],
    chunks: [u64; 2],
    answers: Vec<Vec<(String, u64, f32)>>,
}

impl Victim {
    /// A neighbour under the default policy, with what it gets when it is alone.
    pub(super) async fn settle(ground: &Ground) -> Result<Self, Failure> {
        let policy = Policy::shipped("default")?;
        let mut neighbour = Neighbour {
            runtime: ground.runtime.clone(),
            reader: ground.tenant("victim", &policy)?,
            writer: ground.tenant("victim-writer", &policy)?,
            news: ground.write("news.txt", b"")?,
            versions: [TEXTS[..3].join("\n\n"), TEXTS[2..].join("\n\n")],
            chunks: [0; 2],
            answers: vec![],
        };
        let texts = TEXTS.map(str::to_owned);
        ground.ingest(&neighbour.reader, "harbour", &texts).await?;
        for version in 0..2 {
            neighbour.chunks[version] = neighbour.bring(version).await?;
        }
        for question in QUESTIONS {
            let answer = neighbour.ask(question).await?;
            neighbour.answers.push(answer);
        }
        let rounds = Arc::new(Mutex::new(vec![]));
        let work = tokio::spawn(neighbour.live(rounds.clone()));
        Ok(Self { rounds, work })
    }

    /// Rounds that lie wholly after `since`.
    pub(super) fn seen(&self, since: Instant) -> Seen {
        let all = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let rounds: Vec<&Round> = all.iter().rev().take_while(|r| r.began >= since).collect();
        let mut times: Vec<f64> = rounds.iter().map(|r| r.took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let at = (times.len() * 99).div_ceil(100).saturating_sub(1);
        Seen {
            rounds: rounds.len(),
            p99_ms: times.get(at).copied().unwrap_or(0.0),
            wrong: rounds.iter().filter(|round| round.wrong.is_some()).count(),
            first_wrong: rounds.iter().rev().find_map(|round| round.wrong.clone()),
        }
        .unless_hung(since, self.work.is_finished())
    }
}

impl Neighbour {
    async fn live(self, rounds: Arc<Mutex<Vec<Round>>>) {
        for number in 0.. {
            let began = Instant::now();
            let outcome = self.round(number).await;
            let round = Round {
                began,
                took: began.elapsed(),
                wrong: outcome.unwrap_or_else(|failure| Some(failure.message)),
            };
            rounds
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(round);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What was different from when it was alone.
    async fn round(&self, number: usize) -> Result<Option<String>, Failure> {
        let chunks = self.bring(number % 2).await?;
        if chunks != self.chunks[number % 2] {
            return Ok(Some(format!("{chunks} chunks, and before it were others")));
        }
        let which = number % QUESTIONS.len();
        let answer = self.ask(QUESTIONS[which]).await?;
        let expected = &self.answers[which];
        let same = |(a, b): (&(String, u64, f32), &(String, u64, f32))| {
            a.0 == b.0 && a.1 == b.1 && (a.2 - b.2).abs() <= 1e-6
        };
        let equal = answer.len() == expected.len() && answer.iter().zip(expected).all(same);
        Ok((!equal).then(|| format!("another answer to '{}'", QUESTIONS[which])))
    }

    /// Brings one of the versions in, in the other's place; its chunks.
    async fn bring(&self, version: usize) -> Result<u64, Failure> {
        let path = self.news.clone();
        let written = std::fs::write(&path, &self.versions[version]);
        written.map_err(|source| RuntimeError::Read {
            path: path.clone(),
            source,
        })?;
        let report = super::ground::bring(&self.runtime, &self.writer, path).await?;
        match report.failures.into_iter().next() {
            Some(failed) => Err(failed.failure),
            None => Ok(report.chunks),
        }
    }

    async fn ask(&self, question: &str) -> Result<Vec<(String, u64, f32)>, Failure> {
        let request = QueryRequest {
            question: question.to_owned(),
            agent: None,
            k: 3,
            filter: None,
            options: vec![],
        };
        let QueryOutcome { passages, .. } = self.runtime.query(&self.reader, &request).await?;
        let plain = |found: crate::agent::Answered| {
            (found.passage.document, found.passage.chunk.0, found.score)
        };
        Ok(passages.into_iter().map(plain).collect())
    }
}
