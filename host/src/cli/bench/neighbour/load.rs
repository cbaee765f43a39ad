//! What the victim's neighbours do meanwhile: as many tasks at once as their policy lets run, each begun again
//! as soon as it ends. It does not know whether they are honest.

use crate::attack::distinct;
use crate::cli::bench::error::BenchError;
use crate::cli::bench::stage::write_error;
use crate::cli::bench::workload::Words;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::runtime::{IngestRequest, Progress, QueryRequest, Runtime};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Documents that one ingest brings in.
const BATCH: u32 = 100;

/// What a tenant does again and again.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) tenant: TenantId,
    pub(super) task: Kind,
    /// Where files of the work go.
    pub(super) folder: PathBuf,
    /// How many were begun: nothing is done twice.
    pub(super) begun: AtomicU64,
}

/// One of these, over and over.
#[derive(Debug)]
pub(super) enum Kind {
    /// A question.
    Question(String),
    /// Documents of this many words, each one new.
    Documents(usize),
    /// Installing a plugin, each time another one of these bytes.
    Plugin(Vec<u8>),
}

/// How tasks ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// Tasks that were begun and ended: questions, documents or installations.
    pub(super) ended: u64,
    /// Why some did not succeed: the reason of a stop, or an error's code.
    pub(super) failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.ended += other.ended;
        for (reason, count) in other.failures {
            *self.failures.entry(reason).or_default() += count;
        }
    }

    fn failed(&mut self, failure: &Failure) {
        let stop = failure.stop.as_ref();
        let reason = stop.and_then(|stop| stop["reason"].as_str().map(str::to_owned));
        let reason = reason.unwrap_or_else(|| failure.code.to_string());
        *self.failures.entry(reason).or_default() += 1;
    }
}

/// Work that is being done.
#[derive(Debug)]
pub(super) struct Load {
    stop: CancellationToken,
    workers: JoinSet<Result<Tally, Failure>>,
}

impl Load {
    /// Does `work` in `places` places at once.
    pub(super) fn begin(runtime: &Arc<Runtime>, work: &Arc<Work>, places: u64) -> Self {
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        // One ingest fills all places: its documents run side by side.
        let workers_wanted = match work.task {
            Kind::Documents(_) => 1,
            Kind::Question(_) | Kind::Plugin(_) => places,
        };
        for _ in 0..workers_wanted {
            let (runtime, work, stop) = (runtime.clone(), work.clone(), stop.clone());
            workers.spawn(async move { work.repeat(&runtime, &stop).await });
        }
        Self { stop, workers }
    }

    /// Ends it; everything has stopped when this returns.
    pub(super) async fn end(mut self) -> Result<Tally, Failure> {
        self.stop.cancel();
        let mut all = Tally::default();
        while let Some(worker) = self.workers.join_next().await {
            match worker {
                Ok(tally) => all.add(tally?),
                Err(error) => return Err(broken(&error.to_string()).into()),
            }
        }
        Ok(all)
    }
}

fn broken(message: &str) -> BenchError {
    BenchError::Scenario {
        scenario: "the neighbour",
        message: message.to_owned(),
        hint: None,
    }
}

impl Work {
    async fn repeat(
        &self,
        runtime: &Arc<Runtime>,
        stop: &CancellationToken,
    ) -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        while !stop.is_cancelled() {
            let number = self.begun.fetch_add(1, Ordering::Relaxed);
            match &self.task {
                Kind::Documents(words) => {
                    self.documents(runtime, number, *words, stop, &mut tally)
                        .await?;
                }
                Kind::Question(question) => {
                    let task = self.question(runtime, question);
                    once(task, stop, &mut tally).await;
                }
                Kind::Plugin(bytes) => {
                    let task = self.plugin(runtime, bytes, number);
                    once(task, stop, &mut tally).await;
                }
            }
        }
        Ok(tally)
    }

    async fn question(&self, runtime: &Runtime, question: &str) -> Result<(), Failure> {
        let request = QueryRequest {
            question: question.to_owned(),
            agent: None,
            k: 5,
            filter: None,
            options: vec![],
        };
        runtime.query(&self.tenant, &request).await.map(drop)
    }

    async fn plugin(&self, runtime: &Runtime, bytes: &[u8], number: u64) -> Result<(), Failure> {
        let file = self.folder.join(format!("{}-{number}.wasm", self.tenant));
        let written = std::fs::write(&file, distinct(bytes, number));
        written.map_err(|source| write_error(&file, source))?;
        let installed = runtime.install_plugin(&self.tenant, &file, Some("again"));
        let installed = installed.await.map(drop);
        // What is left is gone with the folder.
        let _ = std::fs::remove_file(&file);
        installed
    }

    /// Brings new documents in. An interrupted ingest is no failure of any document.
    async fn documents(
        &self,
        runtime: &Arc<Runtime>,
        number: u64,
        words: usize,
        stop: &CancellationToken,
        tally: &mut Tally,
    ) -> Result<(), Failure> {
        let file = self.folder.join(format!("{}.jsonl", self.tenant));
        let path = file.clone();
        let write = move || Words::new(number).write(&path, &format!("{number}-"), BATCH, words);
        let written = tokio::task::spawn_blocking(write).await;
        written
            .map_err(|error| broken(&error.to_string()))?
            .map_err(|source| write_error(&file, source))?;
        let request = IngestRequest::of(file);
        let progress = Arc::new(Progress::default());
        let done = runtime
            .ingest(&self.tenant, &request, &progress, stop)
            .await?;
        tally.ended += done.added + done.failed;
        for failure in &done.failures {
            tally.failed(&failure.failure);
        }
        Ok(())
    }
}

/// One task, dropped in the middle when the load ends.
async fn once(
    task: impl Future<Output = Result<(), Failure>>,
    stop: &CancellationToken,
    tally: &mut Tally,
) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        outcome = task => {
            tally.ended += 1;
            if let Err(failure) = outcome {
                tally.failed(&failure);
                // A refusal takes no time: without this, its repetition would be a loop of ours.
                tokio::task::yield_now().await;
            }
        }
    }
}
