//! Many documents into one tenant: read one by one, chunked under the policy's places, embedded and
//! committed in a bounded pipeline, every one accounted for.
//!
//! Memory does not grow with their number. What one document goes through is `ingest`'s business.

mod course;

pub use course::EndedEarly;

use super::registry::Listed;
use super::{Runtime, RuntimeError};
use crate::corpus::{Document, TenantId};
use crate::embedder::{Lane, Priority};
use crate::error::Failure;
use crate::ingest::{Fate, IngestError, Ingested, Line, Method, Room};
use crate::loader::{LoadOptions, Loaded, Plan, plan};
use crate::policy::{Policy, Wasi};
use crate::task::{Kind, Limits, Phase, Reason, Stop, Task, TaskId};
use course::{Course, next_when_room, read_ahead};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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
    /// Documents that were under way when it ended early: they are as they were before.
    pub unfinished: u64,
    /// Where it ended, if it ended early: what is counted is whole, the rest was not begun.
    pub ended_early: Option<EndedEarly>,
}

impl IngestReport {
    /// The user ended it early.
    pub fn interrupted(&self) -> bool {
        self.ended_by(Reason::Shutdown)
    }

    /// The tenant was suspended meanwhile.
    pub fn suspended(&self) -> bool {
        self.ended_by(Reason::Suspended)
    }

    fn ended_by(&self, reason: Reason) -> bool {
        let ended = self.ended_early.as_ref();
        ended.is_some_and(|ended| ended.stop.reason == reason)
    }
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
        self.registry.check(tenant)?;
        let options = LoadOptions {
            source: request.source.clone(),
            document_bytes_max: policy.ingest.document_kib_max << 10,
        };
        let paths = request.paths.clone();
        let planned = tokio::task::spawn_blocking(move || plan(&paths, &options));
        let plan = planned
            .await
            .map_err(|error| Stop::host(Phase::Queued, &error.to_string()))??;
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
            course: Course::default(),
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
            room: room(policy),
            reuse,
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
        Ok(deleted.map_err(|e| Stop::host(Phase::Commit, &e.to_string()))??)
    }
}

fn room(policy: &Policy) -> Room {
    Room {
        documents_max: policy.tenant.documents_max,
        storage_bytes_max: policy.tenant.storage_mib_max << 20,
        document_bytes_max: policy.ingest.document_kib_max << 10,
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
    methods: HashMap<(String, Wasi), Arc<Method>>,
    running: JoinSet<Done>,
    course: Course,
    report: IngestReport,
    seen_ids: Option<HashSet<String>>,
    /// Failures whose ids are not known: `--sync` cannot tell what they were.
    unidentified: u64,
}

struct Done {
    task: TaskId,
    document: String,
    outcome: Result<Ingested, IngestError>,
    guest_cpu: Duration,
}

impl Driver {
    async fn drive(&mut self, plan: Plan) -> Result<(), Failure> {
        let mut documents = read_ahead(plan);
        let mut reading = true;
        loop {
            reading &= !self.course.has_ended();
            if !reading && self.running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !self.course.has_ended() => {
                    let detail = "the ingest was interrupted";
                    self.course.end(&Stop::new(Reason::Shutdown, Phase::Queued, 0.0, 0.0, detail));
                }
                Some(done) = self.running.join_next() => self.settle(done),
                next = next_when_room(&self.window, &mut documents), if reading => match next {
                    Some((loaded, place)) => self.begin(loaded, place).await?,
                    None => reading = false,
                },
            }
        }
        self.report.ended_early = self.course.ended_early(&mut documents).await;
        Ok(())
    }

    async fn begin(&mut self, loaded: Loaded, place: OwnedSemaphorePermit) -> Result<(), Failure> {
        match loaded {
            Loaded::Document(document) => return self.begin_document(document, place).await,
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
        self.report.seen += 1;
        Ok(())
    }

    async fn begin_document(
        &mut self,
        document: Document,
        place: OwnedSemaphorePermit,
    ) -> Result<(), Failure> {
        self.follow_policy()?;
        let method = self.method(&document.media_type).await?;
        let limits = Limits::ingest(&self.policy);
        let task = Task::new(self.tenant.clone(), Kind::Ingest, &document.id, limits);
        // A suspension has ended the tasks before this one, or refuses it: there is nothing between.
        let listed = match self.runtime.registry.list(task.clone()) {
            Ok(listed) => listed,
            Err(stop) => {
                self.course.end_before(document.id, &stop);
                return Ok(());
            }
        };
        self.report.seen += 1;
        self.remember(&document.id);
        self.course.begin(task.clone());
        let step = Step {
            runtime: self.runtime.clone(),
            policy: self.policy.clone(),
            line: self.line.clone(),
            method,
            task: listed,
        };
        self.running.spawn(async move {
            let _place = place;
            let id = document.id.clone();
            let outcome = step.run(document).await;
            Done {
                task: task.id,
                document: id,
                outcome,
                guest_cpu: task.meters.guest_cpu(),
            }
        });
        Ok(())
    }

    /// Takes the tenant's policy as it is now: a change acts on the next document. What the loader refuses
    /// to read stays as it was at the start.
    fn follow_policy(&mut self) -> Result<(), Failure> {
        let now = self.runtime.policy(&self.tenant)?;
        if !Arc::ptr_eq(&now, &self.policy) {
            self.line.lane = lane(&self.tenant, &now, Priority::Bulk);
            self.line.room = room(&now);
            self.policy = now;
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
        let wasi = self.policy.wasi;
        let key = (media_type.to_owned(), wasi);
        if let Some(method) = self.methods.get(&key) {
            return Ok(method.clone());
        }
        let method = self
            .runtime
            .method_for(&self.tenant, media_type, wasi)
            .await?;
        let method = Arc::new(method);
        self.methods.insert(key, method.clone());
        Ok(method)
    }

    fn settle(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let Done {
            task,
            document,
            outcome,
            guest_cpu,
        } = match done {
            Ok(done) => done,
            Err(error) => {
                let stop = Stop::host(Phase::Commit, &error.to_string());
                return self.fail("(unknown)".to_owned(), stop.into());
            }
        };
        self.course.done(task);
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
                    self.course.committed(document);
                }
                self.progress.documents.fetch_add(1, Relaxed);
            }
            Err(IngestError::Stop(stop))
                if matches!(stop.reason, Reason::Shutdown | Reason::Suspended) =>
            {
                report.unfinished += 1;
                self.course.end(&stop);
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
        if self.report.ended_early.is_some() {
            let why = match self.report.suspended() {
                true => "the tenant was suspended",
                false => "the run was interrupted",
            };
            self.report.sync_withheld = Some(why.to_owned());
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
            let ids = ids.map_err(|e| Stop::host(Phase::Commit, &e.to_string()))??;
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
    task: Listed,
}

impl Step {
    async fn run(self, document: Document) -> Result<Ingested, IngestError> {
        let task = &self.task;
        if let Some(unchanged) = self.line.unchanged(&document, &self.method).await? {
            return Ok(unchanged);
        }
        // The place is for the guest alone: while texts wait for the model the next guest may run.
        let place = self.runtime.gates.next(task, &self.policy).await?;
        let chunks = self.line.chunk(task, &document, &self.method).await?;
        drop(place);
        self.line.store(task, document, &self.method, chunks).await
    }
}
