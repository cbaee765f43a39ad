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
    /// Workers that read every text.
    workers: usize,
    /// Those of them that have prepared, and that are about to.
    prepared: usize,
    preparing: usize,
    /// How often somebody has asked all of them to prepare, and how many have neither done so since nor failed.
    asked: u64,
    unsettled: usize,
    /// Why the last one that failed did.
    refused: Option<String>,
}

impl State {
    /// Whether there is more work than the workers that have prepared begin at once.
    fn has_backlog(&self) -> bool {
        self.express_idle == 0 && !self.queue.is_empty()
    }

    /// Whether a worker that stands so is to prepare now.
    fn wants(&self, standing: Standing) -> bool {
        match standing {
            Standing::Prepared => false,
            Standing::Failed(asked) => asked < self.asked,
            Standing::Cold => self.asked > 0 || (self.has_backlog() && self.preparing == 0),
        }
    }

    /// The next batch for a worker that has prepared.
    fn take(&mut self, worker: Worker) -> Option<Vec<Item>> {
        match worker {
            Worker::Any(_) => self.queue.take(Draw::Any),
            Worker::Express => {
                let others = self.prepared > 0;
                let draw = if others { Draw::Express } else { Draw::Any };
                let batch = self.queue.take(draw)?;
                self.express_idle -= 1;
                Some(batch)
            }
        }
    }
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy)]
enum Standing {
    Prepared,
    /// It has not tried to prepare.
    Cold,
    /// It could not, when so many had asked; it tries again when the next does.
    Failed(u64),
}

/// What a worker does next.
enum Next {
    /// So many have asked.
    Prepare(u64),
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
            workers,
            prepared: 0,
            preparing: 0,
            asked: 0,
            unsettled: 0,
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
        let express = state.queue.has_express() || state.prepared == 0;
        drop(state);
        self.work.notify_all();
        if express {
            self.express_work.notify_all();
        }
        Ok(result)
    }

    /// What a worker does next, as soon as there is something.
    fn next(&self, worker: Worker, standing: Standing) -> Next {
        let mut state = self.lock();
        while state.open {
            if state.wants(standing) {
                state.preparing += 1;
                return Next::Prepare(state.asked);
            }
            let prepared = matches!(standing, Standing::Prepared);
            if let Some(batch) = prepared.then(|| state.take(worker)).flatten() {
                // Those that have not prepared looked before this one was busy.
                let more = state.prepared < state.workers && state.has_backlog();
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

    /// A worker of short interactive texts has done its batch.
    fn rest(&self) {
        self.lock().express_idle += 1;
    }

    /// Notes how a worker's preparation ended that began when so many had asked: where it stands now.
    fn settle(&self, outcome: Result<(), String>, asked: u64) -> Standing {
        let mut state = self.lock();
        state.preparing -= 1;
        let failed = outcome.is_err();
        state.prepared += usize::from(!failed);
        if !failed || asked == state.asked {
            state.unsettled = state.unsettled.saturating_sub(1);
        }
        state.refused = outcome.err().or(state.refused.take());
        drop(state);
        self.prepared.notify_all();
        // Another one may be needed, or able.
        self.work.notify_all();
        if failed {
            Standing::Failed(asked)
        } else {
            Standing::Prepared
        }
    }

    /// Has every worker prepare, and waits until each has, or has failed; why one failed.
    pub(super) fn prepare(&self) -> Result<(), EmbedError> {
        let mut state = self.lock();
        if state.prepared < state.workers {
            state.asked += 1;
            state.unsettled = state.workers - state.prepared;
            state.refused = None;
            self.work.notify_all();
        }
        while state.open && state.unsettled > 0 {
            let waited = self.prepared.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        match &state.refused {
            _ if !state.open => Err(EmbedError::Ended),
            Some(reason) if state.prepared < state.workers => {
                Err(EmbedError::Model(reason.clone()))
            }
            _ => Ok(()),
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

/// Runs batches until the end. One that reads every text prepares when there is more work than others begin, and not
/// before: a question alone needs no other worker than the one that has prepared.
pub(super) fn work(shared: &Shared, model: &mut dyn Model, worker: Worker) {
    let mut standing = match worker {
        Worker::Any(_) => Standing::Cold,
        Worker::Express => Standing::Prepared,
    };
    loop {
        match shared.next(worker, standing) {
            Next::Prepare(asked) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| model.prepare()));
                let outcome = outcome.unwrap_or_else(|_| Err("it panicked".to_owned()));
                if let Err(reason) = &outcome {
                    tracing::warn!(%reason, "a worker has no session of the model; others do its work");
                }
                standing = shared.settle(outcome, asked);
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
