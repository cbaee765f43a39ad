//! The model workers: threads that take batches from the queue, run the model, and answer each text.
//!
//! A worker outlives a model that fails or panics, and nobody who waits is ever left without an answer.
//! Knows the queue and "a model"; not ONNX Runtime.

use super::Priority;
use super::batch::{Answer, Item};
use super::error::EmbedError;
use super::queue::{Draw, Queue};
use crate::corpus::Embedding;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Something that turns token ids into vectors.
pub(super) trait Model: Send {
    /// Makes what the first text needs, if that takes long; or why it cannot be made.
    fn prepare(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// One vector a text, in the same order; or why there are none.
    fn embed(&mut self, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String>;
}

/// What the embedder has done since it started, and what waits now.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EmbedderStats {
    /// Interactive tokens that wait.
    pub interactive_tokens_waiting: usize,
    /// Bulk tokens that wait.
    pub bulk_tokens_waiting: usize,
    /// Batches that were run.
    pub batches: u64,
    /// Texts that were answered, with a vector or an error.
    pub texts: u64,
    /// Texts that were answered with an error.
    pub errors: u64,
    /// Tokens that the model read.
    pub tokens: u64,
    /// Padding that the model read beside them.
    pub padding: u64,
    /// How long each worker that reads every text has been running the model.
    pub busy: Vec<Duration>,
    /// How long the one has that reads short interactive texts alone.
    pub express_busy: Duration,
}

/// What the handles and the workers share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is work for one that reads every text, or the end.
    work: Condvar,
    /// There is work for one that reads short interactive texts alone, or the end.
    express_work: Condvar,
    /// One more worker has prepared, or the end.
    prepared: Condvar,
    /// There is room in the queue, or the end.
    pub(super) room: Notify,
    counters: Counters,
}

/// The queue, whether it still takes and gives, and which workers there are for it. The one of short interactive texts
/// reads every text while no other has prepared.
struct State {
    queue: Queue,
    open: bool,
    /// Workers of short interactive texts that have nothing to do.
    express_idle: usize,
    /// Where each worker that reads every text stands.
    standings: Vec<Standing>,
    /// How often somebody has asked all of them to prepare.
    asked: u64,
}

/// Where a worker stands that reads every text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// It has not tried to prepare.
    Cold,
    Preparing,
    Prepared,
    /// It could not, when so many had asked, and why; it tries again when the next does.
    Failed(u64, String),
}

impl State {
    fn is_any_prepared(&self) -> bool {
        self.standings.contains(&Standing::Prepared)
    }

    fn are_all_prepared(&self) -> bool {
        let mut standings = self.standings.iter();
        standings.all(|standing| *standing == Standing::Prepared)
    }

    /// Whether each has prepared, or has failed since so many had asked.
    fn is_settled(&self, asked: u64) -> bool {
        self.standings.iter().all(|standing| match standing {
            Standing::Cold | Standing::Preparing => false,
            Standing::Prepared => true,
            Standing::Failed(at, _) => *at >= asked,
        })
    }

    /// Whether there is more work than the workers that have prepared begin at once.
    fn has_backlog(&self) -> bool {
        self.express_idle == 0 && !self.queue.is_empty()
    }

    /// Whether this worker is to prepare now.
    fn wants(&self, worker: usize) -> bool {
        match &self.standings[worker] {
            Standing::Preparing | Standing::Prepared => false,
            Standing::Failed(at, _) => *at < self.asked,
            Standing::Cold => {
                let alone = !self.standings.contains(&Standing::Preparing);
                self.asked > 0 || (self.has_backlog() && alone)
            }
        }
    }

    /// The next batch for a worker, if it has prepared.
    fn take(&mut self, worker: Worker) -> Option<Vec<Item>> {
        match worker {
            Worker::Any(number) => match self.standings[number] {
                Standing::Prepared => self.queue.take(Draw::Any),
                _ => None,
            },
            Worker::Express => {
                let draw = match self.is_any_prepared() {
                    true => Draw::Express,
                    false => Draw::Any,
                };
                let batch = self.queue.take(draw)?;
                self.express_idle -= 1;
                Some(batch)
            }
        }
    }
}

/// What a worker does next.
enum Next {
    /// The worker of this number prepares; so many have asked.
    Prepare(usize, u64),
    Embed(Vec<Item>),
    End,
}

#[derive(Default)]
struct Counters {
    batches: AtomicU64,
    texts: AtomicU64,
    errors: AtomicU64,
    tokens: AtomicU64,
    padding: AtomicU64,
    busy_ns: Vec<AtomicU64>,
    express_busy_ns: AtomicU64,
}

impl Shared {
    /// An open queue for so many workers that read every text, and so many that read short interactive ones alone.
    pub(super) fn new(queue: Queue, workers: usize, express: usize) -> Self {
        let busy_ns = (0..workers).map(|_| AtomicU64::new(0)).collect();
        let state = State {
            queue,
            open: true,
            express_idle: express,
            standings: vec![Standing::Cold; workers],
            asked: 0,
        };
        Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            express_work: Condvar::new(),
            prepared: Condvar::new(),
            room: Notify::new(),
            counters: Counters {
                busy_ns,
                ..Counters::default()
            },
        }
    }

    /// Works on the queue under its lock, and wakes the workers; refused after the end.
    pub(super) fn with_queue<T>(&self, act: impl FnOnce(&mut Queue) -> T) -> Result<T, EmbedError> {
        let mut state = self.lock();
        if !state.open {
            return Err(EmbedError::Ended);
        }
        let result = act(&mut state.queue);
        let express = state.queue.has_express() || !state.is_any_prepared();
        drop(state);
        self.work.notify_all();
        if express {
            self.express_work.notify_all();
        }
        Ok(result)
    }

    /// What a worker does next, as soon as there is something.
    fn next(&self, worker: Worker) -> Next {
        let mut state = self.lock();
        while state.open {
            if let Worker::Any(number) = worker
                && state.wants(number)
            {
                state.standings[number] = Standing::Preparing;
                return Next::Prepare(number, state.asked);
            }
            if let Some(batch) = state.take(worker) {
                // Those that have not prepared looked before this one was busy.
                let more = state.has_backlog() && !state.are_all_prepared();
                drop(state);
                if more {
                    self.work.notify_all();
                }
                self.room.notify_waiters();
                return Next::Embed(batch);
            }
            let work = match worker {
                Worker::Any(_) => &self.work,
                Worker::Express => &self.express_work,
            };
            state = work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Next::End
    }

    /// A worker has read its batch. It rests before it answers: whoever asks again at once finds it idle, and not a
    /// backlog for another worker.
    fn rest(&self, worker: Worker) {
        if matches!(worker, Worker::Express) {
            self.lock().express_idle += 1;
        }
    }

    /// Notes how a worker's preparation ended that began when so many had asked.
    fn settle(&self, worker: usize, outcome: Result<(), String>, asked: u64) {
        let standing = match outcome {
            Ok(()) => Standing::Prepared,
            Err(reason) => Standing::Failed(asked, reason),
        };
        self.lock().standings[worker] = standing;
        self.prepared.notify_all();
        // Another one may be needed, or able.
        self.work.notify_all();
    }

    /// Has every worker prepare, and waits until each has, or has failed; why one failed.
    pub(super) fn prepare(&self) -> Result<(), EmbedError> {
        let mut state = self.lock();
        if !state.are_all_prepared() {
            state.asked += 1;
            self.work.notify_all();
        }
        let asked = state.asked;
        while state.open && !state.is_settled(asked) {
            let waited = self.prepared.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        if !state.open {
            return Err(EmbedError::Ended);
        }
        let refused = state.standings.iter().find_map(|standing| match standing {
            Standing::Failed(_, reason) => Some(reason.clone()),
            _ => None,
        });
        refused.map_or(Ok(()), |reason| Err(EmbedError::Model(reason)))
    }

    /// Ends: workers stop after their batch, and whatever waits is answered with [`EmbedError::Ended`].
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.open = false;
        state.queue.clear();
        drop(state);
        self.work.notify_all();
        self.express_work.notify_all();
        self.prepared.notify_all();
        self.room.notify_waiters();
    }

    /// What was done and what waits.
    pub(super) fn stats(&self) -> EmbedderStats {
        let state = self.lock();
        let waiting = |priority| state.queue.tokens(priority);
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        EmbedderStats {
            interactive_tokens_waiting: waiting(Priority::Interactive),
            bulk_tokens_waiting: waiting(Priority::Bulk),
            batches: read(&counters.batches),
            texts: read(&counters.texts),
            errors: read(&counters.errors),
            tokens: read(&counters.tokens),
            padding: read(&counters.padding),
            busy: counters
                .busy_ns
                .iter()
                .map(|ns| Duration::from_nanos(read(ns)))
                .collect(),
            express_busy: Duration::from_nanos(read(&counters.express_busy_ns)),
        }
    }

    /// A panic under the lock leaves the queue usable: it is only ever moved through whole items.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which worker it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Worker {
    /// Reads every text; numbered from 0.
    Any(usize),
    /// Reads short interactive texts alone.
    Express,
}

/// Runs batches until the end. One that reads every text prepares when there is more work than others begin, and not
/// before: a question alone needs no other worker than the one that has prepared.
pub(super) fn work(shared: &Shared, model: &mut dyn Model, worker: Worker) {
    loop {
        match shared.next(worker) {
            Next::Prepare(number, asked) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| model.prepare()));
                let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
                if let Err(reason) = &outcome {
                    tracing::warn!(%reason, "a worker has no session of the model; others do its work");
                }
                shared.settle(number, outcome, asked);
            }
            Next::Embed(batch) => embed(shared, model, worker, batch),
            Next::End => return,
        }
    }
}

fn embed(shared: &Shared, model: &mut dyn Model, worker: Worker, batch: Vec<Item>) {
    let began = Instant::now();
    shared.counters.count(&batch);
    let answers = run(model, &batch);
    let failed = answers.iter().filter(|a| a.is_err()).count();
    let busy = began.elapsed().as_nanos() as u64;
    add(&shared.counters.errors, failed);
    shared.counters.busy(worker, busy);
    shared.rest(worker);
    for (item, answer) in batch.into_iter().zip(answers) {
        item.answer(answer);
    }
}

impl Counters {
    fn busy(&self, worker: Worker, ns: u64) {
        let meter = match worker {
            Worker::Any(number) => self.busy_ns.get(number),
            Worker::Express => Some(&self.express_busy_ns),
        };
        if let Some(meter) = meter {
            meter.fetch_add(ns, Ordering::Relaxed);
        }
    }

    fn count(&self, batch: &[Item]) {
        let tokens: usize = batch.iter().map(Item::cost).sum();
        let longest = batch.iter().map(Item::cost).max().unwrap_or(0);
        add(&self.batches, 1);
        add(&self.texts, batch.len());
        add(&self.tokens, tokens);
        add(&self.padding, batch.len() * longest - tokens);
    }
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

/// One answer an item, in order. If the model fails on the batch, each text is tried alone, so that only
/// the texts at fault fail.
fn run(model: &mut dyn Model, batch: &[Item]) -> Vec<Answer> {
    let texts: Vec<&[u32]> = batch.iter().map(Item::ids).collect();
    match attempt(model, &texts) {
        Ok(vectors) => vectors.into_iter().map(check).collect(),
        Err(reason) if texts.len() == 1 => vec![Err(EmbedError::Model(reason))],
        Err(_) => texts.iter().map(|&text| alone(model, text)).collect(),
    }
}

fn alone(model: &mut dyn Model, text: &[u32]) -> Answer {
    match attempt(model, &[text]).map_err(EmbedError::Model)?.pop() {
        Some(vector) => check(vector),
        None => Err(EmbedError::Model("no vector".to_owned())),
    }
}

fn check(vector: Vec<f32>) -> Answer {
    Ok(Embedding::new(vector)?)
}

/// Runs the model once; a panic or a wrong number of vectors is a failure like any other.
fn attempt(model: &mut dyn Model, texts: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| model.embed(texts)));
    let vectors = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()))?;
    if vectors.len() != texts.len() {
        return Err(format!(
            "{} vectors for {} texts",
            vectors.len(),
            texts.len()
        ));
    }
    Ok(vectors)
}
