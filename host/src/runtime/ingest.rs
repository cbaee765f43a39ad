//! Many documents into one tenant: read one by one, chunked under the policy's places, embedded and
//! committed in a bounded pipeline, every one accounted for.
//!
//! Memory does not grow with their number. What one document goes through is `ingest`'s business.

mod course;
mod guard;
mod report;
mod sync;

#[cfg(test)]
mod tests;

pub use self::course::EndedEarly;
pub(crate) use self::course::{Found, PIPELINE, Stored, Window, read_ahead};
pub use self::report::{Ack, IngestReport, IngestRequest, Outcome, Progress};

use self::course::{Course, Place};
use self::guard::{Admitted, StepError};
use self::report::DocumentFailure;
use super::Runtime;
use super::breaker::ToCome;
use super::registry::Listed;
use crate::corpus::{Document, TenantId};
use crate::embedder::{Lane, Priority};
use crate::error::Failure;
use crate::ingest::{Commits, Fate, IngestError, Ingested, Line, Method, Room};
use crate::law::{self, Law};
use crate::loader::{LoadOptions, Loaded, Plan, plan};
use crate::policy::{Policy, Wasi};
use crate::task::{Kind, Limits, Phase, Reason, Stop, Task, TaskId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Failures that are listed one by one; the rest is counted.
const FAILURES_LISTED: usize = 10_000;

impl Runtime {
    /// Brings documents in. `interrupt` ends it early: what runs is stopped, what is committed stays.
    pub async fn ingest(
        self: &Arc<Self>,
        tenant: &TenantId,
        request: &IngestRequest,
        progress: &Arc<Progress>,
        interrupt: &CancellationToken,
    ) -> Result<IngestReport, Failure> {
        sync::check(request)?;
        let policy = self.policy(tenant)?;
        self.registry.check(tenant)?;
        let options = LoadOptions {
            source: request.source.clone(),
            document_bytes_max: policy.ingest.document_kib_max << 10,
            encoding: request.encoding,
        };
        let paths = request.paths.clone();
        let planned = tokio::task::spawn_blocking(move || plan(&paths, &options));
        let plan = planned
            .await
            .map_err(|error| Stop::host(Phase::Queued, &error.to_string()))??;
        progress
            .total
            .store(plan.total().unwrap_or(0) as u64, Relaxed);
        let line = self.line(tenant, &policy, !request.no_reuse).await?;
        let began = Instant::now();
        let mut driver = Driver {
            runtime: self.clone(),
            tenant: tenant.clone(),
            policy,
            window: Window::new(line.commits.clone()),
            line,
            progress: progress.clone(),
            interrupt: interrupt.clone(),
            methods: HashMap::new(),
            changes: self.breakers.changes(),
            retry_quarantined: request.retry_quarantined,
            to_come: ToCome::new(plan.total()),
            running: JoinSet::new(),
            course: Course::default(),
            report: IngestReport::default(),
            seen_ids: request.sync.then(HashSet::new),
            unidentified: 0,
        };
        driver.drive(plan).await?;
        driver.sync(request).await?;
        driver.report.ailing = self.ailing_chunkers(tenant)?;
        driver.report.elapsed = began.elapsed();
        Ok(driver.report)
    }

    /// What every document of a tenant goes through under `policy`, with all of the model's workers.
    pub(crate) async fn line(
        &self,
        tenant: &TenantId,
        policy: &Policy,
        reuse: bool,
    ) -> Result<Line, Failure> {
        let (sandbox, embedder) = (self.guests()?.sandbox.clone(), self.embedder()?);
        let preparing = embedder.clone();
        // Without one of them the others do its work, and the log says why.
        drop(tokio::task::spawn_blocking(move || preparing.prepare()).await);
        let index = self.index(tenant)?;
        Ok(Line {
            sandbox,
            embedder,
            lane: lane(tenant, policy, Priority::Bulk),
            commits: Arc::new(Commits::new(index.clone())),
            index,
            room: room(policy),
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
        let delete = move || {
            // Taking words out of the full-text index writes first: a full index must not forbid it.
            let _alone = index.adding();
            index.database().limit_bytes(None)?;
            index.delete(&documents)
        };
        let deleted = tokio::task::spawn_blocking(delete).await;
        let deleted = deleted.map_err(|e| Stop::host(Phase::Commit, &e.to_string()))?;
        deleted.map_err(|error| self.noted(tenant, error.into()))
    }
}

fn interrupted() -> Stop {
    let detail = "the ingest was interrupted";
    Stop::new(Reason::Shutdown, Phase::Queued, 0.0, 0.0, detail)
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
    window: Window,
    methods: HashMap<(String, Wasi), Arc<Method>>,
    /// Of the breakers, when the methods were looked up.
    changes: u64,
    retry_quarantined: bool,
    to_come: ToCome,
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
    outcome: Result<Ingested, StepError>,
    guest_cpu: Duration,
}

impl Driver {
    async fn drive(&mut self, plan: Plan) -> Result<(), Failure> {
        let mut documents = read_ahead(plan, self.line.index.clone());
        let mut reading = true;
        loop {
            reading &= !self.course.has_ended();
            if !reading && self.running.is_empty() {
                break;
            }
            tokio::select! {
                biased;
                () = self.interrupt.cancelled(), if !self.course.has_ended() => {
                    self.course.end(&interrupted());
                }
                Some(done) = self.running.join_next() => self.settle(done),
                next = self.window.next(&mut documents), if reading => match next {
                    Some((found, place)) => self.begin(found, place).await?,
                    None => reading = false,
                },
            }
        }
        self.report.ended_early = self.course.ended_early(&mut documents).await;
        Ok(())
    }

    async fn begin(&mut self, found: Found, place: Place) -> Result<(), Failure> {
        match found.loaded {
            Loaded::Document(document) => {
                return self.begin_document(document, found.stored, place).await;
            }
            Loaded::Failed {
                document,
                identified,
                error,
            } => {
                match identified {
                    true if law::holds(Law::SyncSparesFailed) => self.remember(&document),
                    true => {}
                    false => self.unidentified += 1,
                }
                self.fail(document, error.into());
            }
            Loaded::Skipped { path, reason, .. } => {
                self.report.skipped += 1;
                self.one_done();
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
        stored: Stored,
        place: Place,
    ) -> Result<(), Failure> {
        self.follow_policy()?;
        let limits = Limits::ingest(&self.policy);
        let task = Task::new(self.tenant.clone(), Kind::Ingest, &document.id, limits);
        // A suspension has ended the tasks before this one, or refuses it: there is nothing between.
        let listed = match self.runtime.registry.list(task.clone()) {
            Ok(listed) => listed,
            Err(stop) => {
                self.not_begun(document.id, stop);
                return Ok(());
            }
        };
        let method = match self.method_unless(&task, &document.media_type).await? {
            Ok(method) => method,
            Err(stop) => {
                self.not_begun(document.id, stop);
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
            retry_quarantined: self.retry_quarantined,
            to_come: self.to_come.clone(),
        };
        self.running.spawn(async move {
            let _place = place;
            let id = document.id.clone();
            let outcome = step.run(document, stored).await;
            Done {
                task: task.id,
                document: id,
                outcome,
                guest_cpu: task.meters.guest_cpu(),
            }
        });
        Ok(())
    }

    /// A document whose task was stopped before it was under way.
    fn not_begun(&mut self, document: String, stop: Stop) {
        if matches!(stop.reason, Reason::Shutdown | Reason::Suspended) {
            return self.course.end_before(document, &stop);
        }
        self.report.seen += 1;
        self.remember(&document);
        self.fail(document, stop.into());
    }

    /// As [`Driver::method`], which may have to compile: whoever ends the task or the ingest does not wait.
    async fn method_unless(
        &mut self,
        task: &Task,
        media_type: &str,
    ) -> Result<Result<Arc<Method>, Stop>, Failure> {
        let interrupt = self.interrupt.clone();
        tokio::select! {
            biased;
            stop = task.ended() => Ok(Err(stop)),
            () = interrupt.cancelled() => Ok(Err(interrupted())),
            method = self.method(media_type) => method.map(Ok),
        }
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

    /// One lookup a media type, and again when a breaker has changed what is in use.
    async fn method(&mut self, media_type: &str) -> Result<Arc<Method>, Failure> {
        let changes = self.runtime.breakers.changes();
        if std::mem::replace(&mut self.changes, changes) != changes {
            self.methods.clear();
        }
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
                    self.course.committed(document.clone());
                }
                self.progress.acknowledge(&Ack {
                    document: &document,
                    outcome: ingested.fate.into(),
                    chunks: ingested.chunks,
                    failure: None,
                });
                self.one_done();
            }
            Err(StepError::Ingest(IngestError::Stop(stop)))
                if matches!(stop.reason, Reason::Shutdown | Reason::Suspended) =>
            {
                report.unfinished += 1;
                self.course.end(&stop);
            }
            Err(error) => {
                report.quarantined += u64::from(error.is_quarantine());
                let failure = self.runtime.noted(&self.tenant, error.into());
                self.fail(document, failure);
            }
        }
    }

    fn one_done(&self) {
        self.progress.documents.fetch_add(1, Relaxed);
        self.to_come.one_less();
    }

    fn fail(&mut self, document: String, failure: Failure) {
        self.report.failed += 1;
        self.progress.acknowledge(&Ack {
            document: &document,
            outcome: Outcome::Failed,
            chunks: 0,
            failure: Some(&failure),
        });
        self.one_done();
        self.progress.failed.fetch_add(1, Relaxed);
        if self.report.failures.len() < FAILURES_LISTED {
            self.report
                .failures
                .push(DocumentFailure { document, failure });
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
    retry_quarantined: bool,
    to_come: ToCome,
}

impl Step {
    async fn run(mut self, document: Document, stored: Stored) -> Result<Ingested, StepError> {
        let stored = stored.map_err(IngestError::from)?;
        if let Some(unchanged) = self.line.unchanged(&document, &self.method, stored) {
            return Ok(unchanged);
        }
        // The place is for the guest alone: while texts wait for the model the next guest may run.
        let place = self.runtime.gates.next(&self.task, &self.policy).await?;
        let holding = self.line.sandbox.holding(place);
        let without = std::mem::replace(&mut self.line.sandbox, holding);
        let task = self.task.clone();
        let admitted = tokio::select! {
            biased;
            stop = task.ended() => return Err(stop.into()),
            admitted = self.admit(&document) => admitted?,
        };
        let ticket = match admitted {
            Admitted::Run(ticket) => ticket,
            Admitted::Unchanged(unchanged) => return Ok(unchanged),
        };
        let outcome = match self.line.chunk(&task, &document, &self.method).await {
            Ok(chunks) => {
                self.line.sandbox = without;
                let line = match ticket.is_trial() {
                    true => self.line.alone(),
                    false => self.line,
                };
                line.store(&task, document, &self.method, chunks).await
            }
            Err(error) => Err(error),
        };
        ticket.settle(guard::ended(&outcome)).await;
        Ok(outcome?)
    }
}
