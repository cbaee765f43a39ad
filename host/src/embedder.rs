//! The embedder turns texts into embeddings, for all tenants with one model.
//!
//! A handle outside, workers inside, a fair queue between. It counts tokens and batches; it knows nothing
//! of documents, plugins or databases. Only user of `ort` and `tokenizers`.

mod attention;
mod batch;
mod characters;
mod error;
mod kernels;
mod manifest;
mod measure;
pub mod onnx;
mod operators;
mod product;
mod queue;
mod runtime;
mod tokens;
mod vocabulary;
mod workers;

pub use error::{EmbedError, EmbedderError, ModelError};
pub use manifest::ModelInfo;
pub use measure::{MFLOP_PER_TOKEN, PRODUCT, form_batches, product_rate};
pub use tokens::{MAX_TOKENS, Tokens};
pub use workers::EmbedderStats;

use crate::config::Config;
use crate::corpus::{Embedding, TenantId};
use batch::Item;
use manifest::Manifest;
use queue::Queue;
use runtime::{OnnxModel, Weights};
use std::collections::VecDeque;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{JoinHandle, ScopedJoinHandle};
use tokens::Tokenizer;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use workers::{Model, Shared, Worker};

/// Workers besides those that are configured, which read short interactive texts alone: a question does not
/// wait for the batch of long texts that every other worker has begun, and the operating system divides the
/// cores meanwhile.
const EXPRESS_WORKERS: usize = 1;

/// What is urgent and what is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the answer: goes first, and is refused rather than kept waiting for room. A text of at
    /// most 64 tokens, such as a question, has a worker that reads nothing else.
    Interactive,
    /// Goes when nothing interactive waits, and at least for a quarter of the tokens; waits for room.
    Bulk,
}

/// Who asks, and how it counts.
#[derive(Debug, Clone)]
pub struct Lane {
    /// Whose texts they are.
    pub tenant: TenantId,
    /// The tenant's weight against the others'; 0 counts as 1.
    pub share: u32,
    /// Whether somebody waits.
    pub priority: Priority,
    /// Ends the wait at once; what is still queued leaves the queue.
    pub cancel: CancellationToken,
}

/// A handle on the model. Clones share it. When the last is dropped the workers end, which takes as long as
/// a batch, at most about 0.1 s.
#[derive(Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    tokenizer: Tokenizer,
    model: ModelInfo,
    workers: Vec<JoinHandle<()>>,
    calls: AtomicU64,
}

impl Embedder {
    /// Checks the model's files, loads ONNX Runtime and starts the workers. The one of short interactive texts has its
    /// session when this returns, and reads every text until the first of the others has its own: they make theirs when
    /// there is more work, or for [`Self::prepare`].
    /// Takes about 0.2 s. Fails when a file is missing, is not the one that was imported, or cannot be loaded.
    pub fn start(config: &Config) -> Result<Self, EmbedderError> {
        let dir = &config.model_dir;
        let manifest = Manifest::open(dir)?;
        let environment = runtime::load(&config.onnxruntime)?;
        // The tokenizer is read while the session is made.
        let (weights, tokenizer) = std::thread::scope(|scope| {
            let tokenizer = scope.spawn(|| Tokenizer::load(&dir.join(manifest::TOKENIZER)));
            let weights = Weights::load(environment, dir, &manifest).map(Arc::new);
            let express = weights.and_then(|weights| Ok((express(&weights, dir)?, weights)));
            (express, joined(tokenizer))
        });
        let (express, weights) = weights?;
        let queue = Queue::new(config.embed_batch_tokens, config.embed_queue_tokens_max);
        let model = |_| Box::new(OnnxModel::new(weights.clone())) as Box<dyn Model>;
        let models = (0..config.embed_workers).map(model).collect();
        Self::with_models(models, express, tokenizer?, manifest.info(dir), queue)
    }

    /// Starts a worker for each of `models`, and one for each of `express` that reads short interactive texts
    /// alone and has prepared.
    fn with_models(
        models: Vec<Box<dyn Model>>,
        express: Vec<Box<dyn Model>>,
        tokenizer: Tokenizer,
        model: ModelInfo,
        queue: Queue,
    ) -> Result<Self, EmbedderError> {
        let shared = Arc::new(Shared::new(queue, models.len(), express.len()));
        let workers = Vec::with_capacity(models.len());
        let mut inner = Inner {
            shared,
            tokenizer,
            model,
            workers,
            calls: AtomicU64::new(0),
        };
        let any = (0..).map(Worker::Any).zip(models);
        let express = std::iter::repeat(Worker::Express).zip(express);
        for (worker, mut model) in any.chain(express) {
            let shared = Arc::clone(&inner.shared);
            let thread = std::thread::Builder::new()
                .name(match worker {
                    Worker::Any(number) => format!("embed-{number}"),
                    Worker::Express => "embed-express".to_owned(),
                })
                .spawn(move || workers::work(&shared, &mut *model, worker))
                .map_err(EmbedderError::Thread)?;
            inner.workers.push(thread);
        }
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Has every worker make its session, and waits until all have tried, about 0.2 s, so that much work begins at full
    /// speed. Fails after the end, and where one could not: others do its work, and it tries again when this is called
    /// again.
    pub fn prepare(&self) -> Result<(), EmbedError> {
        self.inner.shared.prepare()
    }

    /// Which model it is.
    pub fn model(&self) -> &ModelInfo {
        &self.inner.model
    }

    /// The text as the model reads it: at most 256 tokens, and how many it has. Never fails. Time grows
    /// with the text's length alone, about 0.1 s a megabyte; memory does not grow.
    pub fn tokenize(&self, text: &str) -> Tokens {
        self.inner.tokenizer.tokenize(text)
    }

    /// Where each token of the whole text ends, in bytes of `text`; never descending, and on character
    /// boundaries. No special tokens, no truncation: empty for a text without visible characters.
    /// Invisible characters (accents, joiners, controls) belong to the token before them.
    pub fn token_ends(&self, text: &str) -> Vec<u32> {
        self.token_ends_while(text, || true).unwrap_or_default()
    }

    /// Like [`Self::token_ends`], but asks `go_on` every 16 KiB of text (about 1 ms); nothing once it says
    /// no.
    pub fn token_ends_while(&self, text: &str, go_on: impl FnMut() -> bool) -> Option<Vec<u32>> {
        self.inner.tokenizer.ends(text, go_on)
    }

    /// Embeds `texts`, in order; each has its own result. A text's vector does not depend on what else is
    /// in the call or in the queue.
    ///
    /// Fails as a whole when the lane is cancelled, when an interactive call finds no room, or when the
    /// embedder ends. A bulk call of any size waits for room. Dropping the future withdraws what is queued.
    pub async fn embed(
        &self,
        lane: &Lane,
        texts: Vec<Tokens>,
    ) -> Result<Vec<Result<Embedding, EmbedError>>, EmbedError> {
        let shared = &*self.inner.shared;
        let id = self.inner.calls.fetch_add(1, Ordering::Relaxed);
        let mut call = Call {
            shared,
            lane,
            id,
            entered: false,
        };
        tokio::select! {
            biased;
            () = lane.cancel.cancelled() => Err(EmbedError::Cancelled),
            answers = call.run(texts) => answers,
        }
    }

    /// What was done and what waits.
    pub fn stats(&self) -> EmbedderStats {
        self.inner.shared.stats()
    }

    /// Ends: whatever waits fails with [`EmbedError::Ended`], and so does every later call. A batch that
    /// is running is still answered.
    pub fn close(&self) {
        self.inner.shared.close();
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder")
            .field("model", &self.inner.model.name)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    /// Waits for the workers: a process must not exit while ONNX Runtime computes.
    fn drop(&mut self) {
        self.shared.close();
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so.
            drop(worker.join());
        }
    }
}

/// What reads short interactive texts, with its sessions.
fn express(weights: &Arc<Weights>, dir: &Path) -> Result<Vec<Box<dyn Model>>, EmbedderError> {
    let model = |_| {
        let mut model = OnnxModel::new(Arc::clone(weights));
        let refuse = |reason| EmbedderError::Session {
            path: dir.join(manifest::GRAPH),
            reason,
        };
        model.prepare().map_err(refuse)?;
        Ok(Box::new(model) as Box<dyn Model>)
    };
    (0..EXPRESS_WORKERS).map(model).collect()
}

/// What a thread returned; its panic goes on here.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// One call of [`Embedder::embed`]; whatever of it is queued when it is dropped is withdrawn.
struct Call<'a> {
    shared: &'a Shared,
    lane: &'a Lane,
    id: u64,
    /// Something of it may be queued.
    entered: bool,
}

impl Call<'_> {
    async fn run(
        &mut self,
        texts: Vec<Tokens>,
    ) -> Result<Vec<Result<Embedding, EmbedError>>, EmbedError> {
        let (items, answers): (VecDeque<_>, Vec<_>) = texts
            .into_iter()
            .map(|tokens| Item::new(self.id, tokens, self.lane.cancel.clone()))
            .unzip();
        match self.lane.priority {
            Priority::Interactive => self.enter_or_refuse(items)?,
            Priority::Bulk => self.enter(items).await?,
        }
        let results = collect(answers).await?;
        self.entered = false;
        Ok(results)
    }

    fn enter_or_refuse(&mut self, mut items: VecDeque<Item>) -> Result<(), EmbedError> {
        self.entered = true;
        self.shared.with_queue(|queue| {
            if !queue.has_room(self.lane, &items) {
                return Err(EmbedError::Overloaded {
                    waiting: queue.tokens(self.lane.priority),
                });
            }
            queue.offer(self.lane, self.id, &mut items);
            Ok(())
        })?
    }

    async fn enter(&mut self, mut items: VecDeque<Item>) -> Result<(), EmbedError> {
        self.entered = true;
        loop {
            // Listening begins before looking, so that room made in between is not missed.
            let mut room = pin!(self.shared.room.notified());
            room.as_mut().enable();
            self.shared
                .with_queue(|queue| queue.offer(self.lane, self.id, &mut items))?;
            if items.is_empty() {
                return Ok(());
            }
            room.await;
        }
    }
}

async fn collect(
    answers: Vec<oneshot::Receiver<batch::Answer>>,
) -> Result<Vec<Result<Embedding, EmbedError>>, EmbedError> {
    let mut results = Vec::with_capacity(answers.len());
    for answer in answers {
        results.push(answer.await.map_err(|_| EmbedError::Ended)?);
    }
    Ok(results)
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if self.entered {
            // After the end there is nothing left to withdraw.
            drop(
                self.shared
                    .with_queue(|queue| queue.withdraw(self.lane, self.id)),
            );
            self.shared.room.notify_waiters();
        }
    }
}

#[cfg(test)]
pub(crate) use queue::flood;
#[cfg(test)]
mod tests;
