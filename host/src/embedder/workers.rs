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
    /// Makes what the first text needs, if that takes long; or why it cannot be made, which each text is told then.
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

/// The queue, whether it still takes and gives, and which workers there are for it.
struct State {
    queue: Queue,
    open: bool,
    /// Workers of short interactive texts that have nothing to do.
    express_idle: usize,
    /// Somebody has asked for all workers.
    all_wanted: bool,
    /// Workers that read every text and have not prepared.
    unprepared: usize,
    /// Why one could not.
    refused: Option<String>,
}

impl State {
    /// Whether there is work for more than the workers of short interactive texts.
    fn wants_all(&self) -> bool {
        let more = self.queue.has_express() && self.express_idle == 0;
        self.all_wanted || more || self.queue.has_more_than_express()
    }
}

/// What a worker does next.
enum Next {
    Prepare,
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
            all_wanted: false,
            unprepared: workers,
            refused: None,
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
        let express = state.queue.has_express();
        drop(state);
        self.work.notify_all();
        if express {
            self.express_work.notify_all();
        }
        Ok(result)
    }

    /// What such a worker does next, as soon as there is something.
    fn next(&self, draw: Draw, prepared: bool) -> Next {
        let mut state = self.lock();
        while state.open {
            if !prepared && state.wants_all() {
                return Next::Prepare;
            }
            if let Some(batch) = prepared.then(|| state.queue.take(draw)).flatten() {
                state.express_idle -= usize::from(draw == Draw::Express);
                drop(state);
                self.room.notify_waiters();
                return Next::Embed(batch);
            }
            let work = match draw {
                Draw::Any => &self.work,
                Draw::Express => &self.express_work,
            };
            state = work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Next::End
    }

    /// A worker of short interactive texts has done its batch.
    fn rest(&self) {
        self.lock().express_idle += 1;
    }

    fn note_prepared(&self, outcome: Result<(), String>) {
        let mut state = self.lock();
        state.unprepared -= 1;
        state.refused = state.refused.take().or(outcome.err());
        drop(state);
        self.prepared.notify_all();
    }

    /// Has every worker prepare, and waits until all have; or why one could not.
    pub(super) fn prepare(&self) -> Result<(), EmbedError> {
        let mut state = self.lock();
        state.all_wanted = true;
        self.work.notify_all();
        while state.open && state.unprepared > 0 {
            let waited = self.prepared.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        match &state.refused {
            _ if !state.open => Err(EmbedError::Ended),
            Some(reason) => Err(EmbedError::Model(reason.clone())),
            None => Ok(()),
        }
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

impl Worker {
    fn draw(self) -> Draw {
        match self {
            Self::Any(_) => Draw::Any,
            Self::Express => Draw::Express,
        }
    }
}

/// Runs batches until the end. One that reads every text prepares when there is work for more than the others, and not
/// before: a question alone needs no other worker than the one that has prepared.
pub(super) fn work(shared: &Shared, model: &mut dyn Model, worker: Worker) {
    let mut prepared = matches!(worker, Worker::Express);
    loop {
        match shared.next(worker.draw(), prepared) {
            Next::Prepare => {
                let outcome = catch_unwind(AssertUnwindSafe(|| model.prepare()));
                shared.note_prepared(outcome.unwrap_or_else(|_| Err("it panicked".to_owned())));
                prepared = true;
            }
            Next::Embed(batch) => {
                embed(shared, model, worker, batch);
                if matches!(worker, Worker::Express) {
                    shared.rest();
                }
            }
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
