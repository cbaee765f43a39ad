//! The victim's questions: sent at a fixed rate whatever becomes of them, each timed from the moment at which
//! it was due. A host that falls behind makes every question late that was due meanwhile, and none is left
//! out. It does not know what else the host does.

use crate::corpus::TenantId;
use crate::error::Failure;
use crate::runtime::{QueryRequest, Runtime};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Passages that are asked for.
const PASSAGES: usize = 5;

/// What came back: chunks with their scores, best first.
pub(in crate::cli::bench) type Answer = Vec<(u64, f32)>;

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli::bench) struct Failed {
    /// The task was stopped for something that it used or waited for.
    pub(in crate::cli::bench) stopped: bool,
    pub(in crate::cli::bench) message: String,
}

/// One question and what became of it.
#[derive(Debug, Clone)]
pub(in crate::cli::bench) struct Asked<T> {
    pub(in crate::cli::bench) number: usize,
    /// When it was due, since the block began.
    pub(in crate::cli::bench) due: Duration,
    /// From then until the answer.
    pub(in crate::cli::bench) latency: Duration,
    pub(in crate::cli::bench) outcome: T,
}

/// The tenant that must not notice anything.
#[derive(Debug)]
pub(in crate::cli::bench) struct Victim {
    pub(in crate::cli::bench) tenant: TenantId,
    pub(in crate::cli::bench) questions: Vec<String>,
}

impl Victim {
    /// Asks the questions of these numbers, `rate` a second; fewer where it is interrupted.
    pub(in crate::cli::bench) async fn ask(
        self: &Arc<Self>,
        runtime: &Arc<Runtime>,
        numbers: std::ops::Range<usize>,
        rate: f64,
        interrupt: &CancellationToken,
    ) -> Vec<Asked<Result<Answer, Failed>>> {
        let ask = |number| {
            let (victim, runtime) = (self.clone(), runtime.clone());
            async move { victim.one(&runtime, number).await }
        };
        open_loop(numbers, Duration::from_secs_f64(1.0 / rate), interrupt, ask).await
    }

    async fn one(&self, runtime: &Runtime, number: usize) -> Result<Answer, Failed> {
        let request = QueryRequest {
            question: self.questions[number % self.questions.len()].clone(),
            agent: None,
            k: PASSAGES,
            filter: None,
            options: vec![],
        };
        let answered = runtime.query(&self.tenant, &request).await;
        let answered = answered.map_err(|failure: Failure| Failed {
            stopped: failure.stop.is_some(),
            message: failure.message,
        })?;
        let passages = answered.passages.iter();
        Ok(passages
            .map(|passage| (passage.passage.chunk.0, passage.score))
            .collect())
    }
}

/// Begins one piece of work each `interval`, whether those before it have ended or not.
async fn open_loop<T, F>(
    numbers: std::ops::Range<usize>,
    interval: Duration,
    interrupt: &CancellationToken,
    work: impl Fn(usize) -> F,
) -> Vec<Asked<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let began = Instant::now();
    let mut running = JoinSet::new();
    for (place, number) in numbers.enumerate() {
        let due = interval.mul_f64(place as f64);
        tokio::select! {
            biased;
            () = interrupt.cancelled() => break,
            () = sleep_until(began + due) => {}
        }
        let work = work(number);
        running.spawn(async move {
            let outcome = work.await;
            let latency = (began + due).elapsed();
            Asked {
                number,
                due,
                latency,
                outcome,
            }
        });
    }
    let mut asked: Vec<Asked<T>> = running.join_all().await;
    asked.sort_by_key(|asked| asked.number);
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_counts_from_when_a_question_was_due() {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Whoever works holds the only thread for 40 ms, and something is due every 10.
        let work = |_| async { std::thread::park_timeout(Duration::from_millis(40)) };
        let interval = Duration::from_millis(10);
        let never = CancellationToken::new();
        let asked = executor.block_on(open_loop(0..5, interval, &never, work));
        for (place, asked) in (0u32..).zip(&asked) {
            assert_eq!(asked.due, interval * place);
            let least = Duration::from_millis(38) * (place + 1) - interval * place;
            assert!(asked.latency >= least, "{place}: {:?}", asked.latency);
        }
    }

    #[test]
    fn an_interrupt_sends_no_more() {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let interrupt = CancellationToken::new();
        let ending = interrupt.clone();
        let work = move |number| {
            if number == 2 {
                ending.cancel();
            }
            async {}
        };
        let interval = Duration::from_millis(1);
        let asked = executor.block_on(open_loop(0..1_000_000, interval, &interrupt, work));
        assert_eq!(asked.len(), 3);
    }
}
