//! Many documents into one tenant: read one by one, chunked under the policy's places, embedded and
//! committed in a bounded pipeline, every one accounted for.
//!
//! Memory does not grow with their number. What one document goes through is `ingest`'s business.

use super::{Runtime, RuntimeError};
use crate::corpus::{Document, TenantId};
use crate::embedder::{Lane, Priority};
use crate::error::Failure;
use crate::ingest::{Fate, IngestError, Ingested, Line, Method, Room};
use crate::loader::{LoadOptions, Loaded, Plan, plan};
use crate::policy::Policy;
use crate::task::{Kind, Limits, Reason, Stop, Task};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Documents between reading and commit, at most: enough to keep the embedder's batches full.
const PIPELINE: usize = 64;

/// Failures that are listed one by one; the rest is counted.
const FAILURES_LISTED: usize = 10_000;

/// What to bring in.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// Files, folders, or `-`.
    pub paths: Vec<PathBuf>,
    /// Put before every id.
    pub source: Option<String>,
    /// Delete what has gone from the source.
    pub sync: bool,
    /// Embed a text again although the tenant has its vector.
    pub no_reuse: bool,
}

/// How far an ingest is; read by whoever draws it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Documents that there will be; 0 while unknown.
    pub total: AtomicU64,
    /// Documents that are done, whatever became of them.
    pub documents: AtomicU64,
    /// Chunks committed.
    pub chunks: AtomicU64,
    /// Tokens embedded.
    pub tokens: AtomicU64,
    /// Documents that failed.
    pub failed: AtomicU64,
}

/// A document that did not get in.
#[derive(Debug, Clone)]
pub struct DocumentFailure {
    /// Its id, or `file:line`.
    pub document: String,
    /// Why.
    pub failure: Failure,
}

/// What an ingest did.
#[derive(Debug, Clone, Default)]
pub struct IngestReport {
    /// Documents and things that might have been documents.
    pub seen: u64,
    /// New documents.
    pub added: u64,
    /// Documents that took an older version's place.
    pub replaced: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Documents that did not get in.
    pub failed: u64,
    /// Things that are not documents.
    pub skipped: u64,
    /// Documents that had gone from the source.
    pub deleted: u64,
    /// Chunks committed.
    pub chunks: u64,
    /// Tokens embedded.
    pub tokens: u64,
    /// Chunks whose vectors were known.
    pub reused_chunks: u64,
    /// CPU time of the chunkers' own code, over all documents.
    pub guest_cpu: Duration,
    /// From the first document read to the last one committed.
    pub elapsed: Duration,
    /// The failures, the first ten thousand.
    pub failures: Vec<DocumentFailure>,
    /// What was skipped and why, the first ten thousand.
    pub skips: Vec<(String, String)>,
    /// Why `--sync` deleted nothing, where it did not.
    pub sync_withheld: Option<String>,
    /// Documents that were under way when it was interrupted: they are as they were before.
    pub unfinished: u64,
    /// It was interrupted: what is counted is whole, the rest was not begun.
    pub interrupted: bool,
}

impl Runtime {
    /// Brings documents in. `interrupt` ends it early: what runs is stopped, what is committed stays.
    pub async fn ingest(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &IngestRequest,
        progress: &Arc<Progress>,
        interrupt: &CancellationToken,
    ) -> Result<IngestReport, Failure> {
        if request.sync && request.source.is_none() {
            let message = "--sync needs --source: it deletes what has gone from that source alone";
            return Err(RuntimeError::Argument(message.to_owned()).into());
        }
        let policy = self.policy(tenant)?;
        self.refuse_suspended(tenant)?;
        let options = LoadOptions {
            source: request.source.clone(),
            document_bytes_max: policy.ingest.document_kib_max << 10,
        };
        let paths = request.paths.clone();
        let planned = tokio::task::spawn_blocking(move || plan(&paths, &options));
        let plan = planned
            .await
            .map_err(|error| Stop::host(crate::task::Phase::Queued, &error.to_string()))??;
        progress
            .total
            .store(plan.total().unwrap_or(0) as u64, Relaxed);
        let line = self.line(tenant, &policy, !request.no_reuse)?;
        let began = Instant::now();
        let mut driver = Driver {
            runtime: self.clone(),
            tenant: tenant.clone(),
            policy,
            line,
            progress: progress.clone(),
            interrupt: interrupt.clone(),
            window: Arc::new(Semaphore::new(PIPELINE)),
            methods: HashMap::new(),
            running: JoinSet::new(),
            report: IngestReport::default(),
            seen_ids: request.sync.then(HashSet::new),
            unidentified: 0,
        };
        driver.drive(plan).await?;
        driver.sync(request).await?;
        driver.report.elapsed = began.elapsed();
        Ok(driver.report)
    }

    fn line(&self, tenant: &TenantId, policy: &Policy, reuse: bool) -> Result<Line, Failure> {
        Ok(Line {
            sandbox: self.guests()?.sandbox.clone(),
            embedder: self.embedder()?,
            lane: lane(tenant, policy, Priority::Bulk),
            index: self.index(tenant)?,
            room: Room {
                documents_max: policy.tenant.documents_max,
                storage_bytes_max: policy.tenant.storage_mib_max << 20,
                document_bytes_max: policy.ingest.document_kib_max << 10,
            },
            reuse,
            tokenizing: Arc::new(Semaphore::new(1)),
        })
    }

    /// Deletes documents by id; which of them were there.
    pub async fn delete(
        &self,
        tenant: &TenantId,
        documents: Vec<String>,
    ) -> Result<Vec<bool>, Failure> {
        let index = self.index(tenant)?;
        let deleted = tokio::task::spawn_blocking(move || index.delete(&documents)).await;
        Ok(deleted.map_err(|e| Stop::host(crate::task::Phase::Commit, &e.to_string()))??)
    }

    /// Refuses work for a suspended tenant.
    pub(super) fn refuse_suspended(&self, tenant: &TenantId) -> Result<(), Failure> {
        if self.catalog.tenant(tenant)?.suspended {
            let detail = "the tenant is suspended";
            let phase = crate::task::Phase::Queued;
            return Err(Stop::new(Reason::Suspended, phase, 0.0, 0.0, detail).into());
        }
        Ok(())
    }
}

/// A tenant's place in the embedder's queue.
pub(super) fn lane(tenant: &TenantId, policy: &Policy, priority: Priority) -> Lane {
    Lane {
        tenant: tenant.clone(),
        share: u32::try_from(policy.tenant.share).unwrap_or(u32::MAX),
        priority,
        cancel: CancellationToken::new(),
    }
}

struct Driver {
    runtime: Arc<Runtime>,
    tenant: TenantId,
    policy: Arc<Policy>,
    line: Line,
    progress: Arc<Progress>,
    interrupt: CancellationToken,
    window: Arc<Semaphore>,
    methods: HashMap<String, Arc<Method>>,
    running: JoinSet<Done>,
    report: IngestReport,
    seen_ids: Option<HashSet<String>>,
    /// Failures whose ids are not known: `--sync` cannot tell what they were.
    unidentified: u64,
}

struct Done {
    document: String,
    outcome: Result<Ingested, IngestError>,
    guest_cpu: Duration,
}

impl Driver {
    async fn drive(&mut self, plan: Plan) -> Result<(), Failure> {
        let mut documents = read_ahead(plan, self.interrupt.clone());
        let mut reading = true;
        while reading || !self.running.is_empty() {
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !self.report.interrupted => {
                    reading = false;
                    self.stop_running();
                }
                Some(done) = self.running.join_next() => self.settle(done),
                next = next_when_room(&self.window, &mut documents), if reading => match next {
                    Some((loaded, place)) => self.begin(loaded, place).await?,
                    None => reading = false,
                },
            }
        }
        Ok(())
    }

    /// Ends what runs; what is being committed is committed.
    fn stop_running(&mut self) {
        self.report.interrupted = true;
        let ours = |task: &Task| task.tenant == self.tenant && task.kind == Kind::Ingest;
        self.runtime
            .registry
            .end(Reason::Shutdown, "the ingest was interrupted", ours);
    }

    async fn begin(
        &mut self,
        loaded: Loaded,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<(), Failure> {
        self.report.seen += 1;
        match loaded {
            Loaded::Document(document) => {
                self.remember(&document.id);
                let method = self.method(&document.media_type).await?;
                let task = Task::new(
                    self.tenant.clone(),
                    Kind::Ingest,
                    &document.id,
                    Limits::ingest(&self.policy),
                );
                let step = Step {
                    runtime: self.runtime.clone(),
                    policy: self.policy.clone(),
                    line: self.line.clone(),
                    method,
                    task,
                };
                self.running.spawn(async move {
                    let _place = place;
                    let (id, task) = (document.id.clone(), step.task.clone());
                    let outcome = step.run(document).await;
                    Done {
                        document: id,
                        outcome,
                        guest_cpu: task.meters.guest_cpu(),
                    }
                });
            }
            Loaded::Failed {
                document,
                identified,
                error,
            } => {
                match identified {
                    true => self.remember(&document),
                    false => self.unidentified += 1,
                }
                self.fail(document, error.into());
            }
            Loaded::Skipped { path, reason, .. } => {
                self.report.skipped += 1;
                self.progress.documents.fetch_add(1, Relaxed);
                if self.report.skips.len() < FAILURES_LISTED {
                    self.report.skips.push((path, reason.to_string()));
                }
            }
        }
        Ok(())
    }

    fn remember(&mut self, id: &str) {
        if let Some(seen) = &mut self.seen_ids {
            seen.insert(id.to_owned());
        }
    }

    /// One lookup a media type: a change of plugin acts on the next ingest, not in the middle of one.
    async fn method(&mut self, media_type: &str) -> Result<Arc<Method>, Failure> {
        if let Some(method) = self.methods.get(media_type) {
            return Ok(method.clone());
        }
        let wasi = self.policy.wasi;
        let method = self
            .runtime
            .method_for(&self.tenant, media_type, wasi)
            .await?;
        let method = Arc::new(method);
        self.methods.insert(media_type.to_owned(), method.clone());
        Ok(method)
    }

    fn settle(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let Done {
            document,
            outcome,
            guest_cpu,
        } = match done {
            Ok(done) => done,
            Err(error) => {
                let stop = Stop::host(crate::task::Phase::Commit, &error.to_string());
                return self.fail("(unknown)".to_owned(), stop.into());
            }
        };
        let report = &mut self.report;
        report.guest_cpu += guest_cpu;
        match outcome {
            Ok(ingested) => {
                match ingested.fate {
                    Fate::Added => report.added += 1,
                    Fate::Replaced => report.replaced += 1,
                    Fate::Unchanged => report.unchanged += 1,
                }
                if ingested.fate != Fate::Unchanged {
                    report.chunks += ingested.chunks;
                    report.tokens += ingested.tokens;
                    report.reused_chunks += ingested.reused;
                    self.progress.chunks.fetch_add(ingested.chunks, Relaxed);
                    self.progress.tokens.fetch_add(ingested.tokens, Relaxed);
                }
                self.progress.documents.fetch_add(1, Relaxed);
            }
            Err(IngestError::Stop(stop)) if stop.reason == Reason::Shutdown => {
                report.unfinished += 1;
            }
            Err(error) => self.fail(document, error.into()),
        }
    }

    fn fail(&mut self, document: String, failure: Failure) {
        self.report.failed += 1;
        self.progress.documents.fetch_add(1, Relaxed);
        self.progress.failed.fetch_add(1, Relaxed);
        if self.report.failures.len() < FAILURES_LISTED {
            self.report
                .failures
                .push(DocumentFailure { document, failure });
        }
    }

    /// Deletes the source's documents that this run did not see.
    async fn sync(&mut self, request: &IngestRequest) -> Result<(), Failure> {
        let (Some(seen), Some(source)) = (self.seen_ids.take(), &request.source) else {
            return Ok(());
        };
        if self.report.interrupted {
            self.report.sync_withheld = Some("the run was interrupted".to_owned());
            return Ok(());
        }
        if self.unidentified > 0 {
            let why = format!("{} entries could not be identified", self.unidentified);
            self.report.sync_withheld = Some(why);
            return Ok(());
        }
        let prefix = format!("{source}/");
        let mut after: Option<String> = None;
        loop {
            let (index, from) = (self.line.index.clone(), after.take());
            let listed = prefix.clone();
            let page = move || index.document_ids(&listed, from.as_deref(), 1_000);
            let ids = tokio::task::spawn_blocking(page).await;
            let ids = ids.map_err(|e| Stop::host(crate::task::Phase::Commit, &e.to_string()))??;
            let Some(last) = ids.last().cloned() else {
                return Ok(());
            };
            let gone: Vec<String> = ids.into_iter().filter(|id| !seen.contains(id)).collect();
            if !gone.is_empty() {
                let deleted = self.runtime.delete(&self.tenant, gone).await?;
                self.report.deleted += deleted.into_iter().filter(|&was| was).count() as u64;
            }
            after = Some(last);
        }
    }
}

/// One document's way through the pipeline.
struct Step {
    runtime: Arc<Runtime>,
    policy: Arc<Policy>,
    line: Line,
    method: Arc<Method>,
    task: Arc<Task>,
}

impl Step {
    async fn run(self, document: Document) -> Result<Ingested, IngestError> {
        if let Some(unchanged) = self.line.unchanged(&document, &self.method).await? {
            return Ok(unchanged);
        }
        let listed = self.runtime.registry.list(self.task.clone());
        // The place is for the guest alone: while texts wait for the model the next guest may run.
        let place = self.runtime.gates.next(&listed, &self.policy).await?;
        let chunks = self.line.chunk(&listed, &document, &self.method).await?;
        drop(place);
        self.line
            .store(&listed, document, &self.method, chunks)
            .await
    }
}

/// Reads documents on a thread of its own, a few ahead.
fn read_ahead(plan: Plan, interrupt: CancellationToken) -> mpsc::Receiver<Loaded> {
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        for loaded in plan.documents() {
            if interrupt.is_cancelled() || sender.blocking_send(loaded).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next document with its place in the pipeline. Nothing is lost when the future is dropped.
async fn next_when_room(
    window: &Arc<Semaphore>,
    documents: &mut mpsc::Receiver<Loaded>,
) -> Option<(Loaded, tokio::sync::OwnedSemaphorePermit)> {
    let place = window.clone().acquire_owned().await.ok()?;
    let loaded = documents.recv().await?;
    Some((loaded, place))
}
