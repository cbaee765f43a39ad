//! Plugins that keep being stopped, and documents that stop them: who is let through, what every task's
//! end changes, and what of it is written down.
//!
//! When a breaker opens is decided in `state`. What a refused task does then is its flow's business.

pub(super) mod state;

#[cfg(test)]
mod tests;

use super::lock;
use crate::catalog::{BreakerRecord, Catalog, CatalogError, PutBack};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::Digest;
use crate::policy::Breaker as Limits;
use crate::task::{Stop, Task};
use state::{Breaker, Change, Input, Open, Phase};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedMutexGuard;

/// Stops by its chunker's fault from which on a document's version is quarantined.
pub(super) const QUARANTINE_STOPS: u32 = 2;

/// The breakers of all tenants' plugins.
#[derive(Debug)]
pub(super) struct Breakers {
    catalog: Arc<Catalog>,
    entries: Mutex<HashMap<(TenantId, Digest), Arc<Entry>>>,
    changes: Arc<AtomicU64>,
}

/// One plugin's breaker, with what keeps the file in step.
#[derive(Debug)]
struct Entry {
    tenant: TenantId,
    digest: Digest,
    breaker: Mutex<Breaker>,
    /// Held while the catalog is written, so that what is written last is what is true.
    writing: Mutex<()>,
    /// Held by the one task that a half-open breaker lets through.
    trial: Arc<tokio::sync::Mutex<()>>,
    /// This version is known to have completed a task.
    worked: AtomicBool,
    /// Something changed since it was written.
    unwritten: AtomicBool,
    /// What is written remembers stops: completed tasks that outdate them are worth writing, too.
    stops_written: AtomicBool,
}

/// What a task is about.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) tenant: TenantId,
    pub(super) digest: Digest,
    /// The hash of the document's version, or of the question.
    pub(super) input: [u8; 32],
    /// The document's id, where it is one.
    pub(super) document: Option<String>,
    /// The document was stopped before.
    pub(super) stopped_before: bool,
    /// The document is in quarantine: it is tried again, and does not count.
    pub(super) quarantined: bool,
    /// Tasks that are known to come besides: what is left of an ingest.
    pub(super) to_come: ToCome,
}

/// How many documents of an ingest are not done; shared by all of its tasks.
#[derive(Debug, Clone, Default)]
pub(super) struct ToCome(Arc<AtomicU64>);

impl ToCome {
    /// So many; where nobody knows, more than any ratio asks for.
    pub(super) fn new(documents: Option<usize>) -> Self {
        let documents = documents.map_or(u64::MAX, |known| known as u64);
        Self(Arc::new(AtomicU64::new(documents)))
    }

    /// One is done.
    pub(super) fn one_less(&self) {
        let less = |left: u64| left.checked_sub(1);
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Those besides the one that asks.
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).saturating_sub(1)
    }
}

/// Whether a task may run its plugin.
#[derive(Debug)]
pub(super) enum Admission {
    Run(Ticket),
    Refused(Refusal),
}

/// The breaker is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) stops: u64,
    pub(super) since: Duration,
    pub(super) retry: Duration,
}

/// A task that was let through. Dropped without an end, it decides nothing.
#[derive(Debug)]
pub(super) struct Ticket {
    entry: Arc<Entry>,
    catalog: Arc<Catalog>,
    changes: Arc<AtomicU64>,
    case: Case,
    limits: Limits,
    trial: Option<OwnedMutexGuard<()>>,
}

/// How a task ended, as far as its plugin's health goes.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    Done,
    Stopped(Stop),
    /// A person, a limit or the host ended it.
    Undecided,
}

impl Ended {
    /// Of a task that ended with this stop, or with another error.
    pub(super) fn by(stop: Option<&Stop>) -> Self {
        match stop {
            Some(stop) if stop.counts_for_breaker() => Self::Stopped(stop.clone()),
            _ => Self::Undecided,
        }
    }
}

impl Breakers {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self {
            catalog,
            entries: Mutex::default(),
            changes: Arc::default(),
        }
    }

    /// Grows whenever another version may have come into use.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn entry(&self, tenant: &TenantId, digest: &Digest) -> Result<Arc<Entry>, CatalogError> {
        let key = (tenant.clone(), *digest);
        if let Some(entry) = lock(&self.entries).get(&key) {
            return Ok(entry.clone());
        }
        let stored = self.catalog.breaker(tenant, digest)?;
        let breaker = match stored {
            Some(record) => read(&record)?,
            None => Breaker::default(),
        };
        let entry = Arc::new(Entry {
            tenant: tenant.clone(),
            digest: *digest,
            stops_written: AtomicBool::new(breaker.remembers_stops()),
            breaker: Mutex::new(breaker),
            writing: Mutex::default(),
            trial: Arc::default(),
            worked: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
        });
        Ok(lock(&self.entries).entry(key).or_insert(entry).clone())
    }

    /// What a plugin's breaker lets through now.
    pub(super) fn phase(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        limits: &Limits,
    ) -> Result<Phase, CatalogError> {
        let entry = self.entry(tenant, digest)?;
        Ok(lock(&entry.breaker).phase(now_ms(), limits))
    }

    /// Lets a task through, or says why not. While another task is the trial, it waits for the outcome.
    pub(super) async fn admit(
        &self,
        case: Case,
        task: &Task,
        limits: &Limits,
    ) -> Result<Admission, AdmitError> {
        let entry = self.entry(&case.tenant, &case.digest)?;
        loop {
            let now = now_ms();
            let phase = lock(&entry.breaker).phase(now, limits);
            let trial = match phase {
                Phase::Closed => None,
                Phase::Open(open, retry) => {
                    return Ok(Admission::Refused(refusal(open, now, retry)));
                }
                Phase::HalfOpen(_) => {
                    let trial = tokio::select! {
                        biased;
                        stop = task.ended() => return Err(stop.into()),
                        trial = entry.trial.clone().lock_owned() => trial,
                    };
                    // The one before may have decided. Where it did not, this one is the trial now: who gave the
                    // lock up to queue again would hand it from one that waits to the next for ever.
                    match lock(&entry.breaker).phase(now_ms(), limits) {
                        Phase::HalfOpen(_) => Some(trial),
                        Phase::Closed | Phase::Open(..) => continue,
                    }
                }
            };
            return Ok(Admission::Run(Ticket {
                entry,
                catalog: self.catalog.clone(),
                changes: self.changes.clone(),
                case,
                limits: *limits,
                trial,
            }));
        }
    }

    /// Waits until what opened a breaker is written, so that the version in use is the one put back.
    pub(super) async fn written(&self, tenant: &TenantId, digest: &Digest) {
        let Ok(entry) = self.entry(tenant, digest) else {
            return;
        };
        let wait = move || drop(lock(&entry.writing));
        let _ = tokio::task::spawn_blocking(wait).await;
    }

    /// Closes breakers: has `tell` tell the catalog of which plugins, and forgets them in memory. No stop is
    /// written between the two.
    pub(super) fn forget(
        &self,
        tenant: &TenantId,
        tell: impl FnOnce() -> Result<Vec<Digest>, CatalogError>,
    ) -> Result<(), CatalogError> {
        let own = |((owner, _), entry): (&(TenantId, Digest), &Arc<Entry>)| {
            (owner == tenant).then(|| entry.clone())
        };
        let entries: Vec<_> = lock(&self.entries).iter().filter_map(own).collect();
        let _writing: Vec<_> = entries.iter().map(|entry| lock(&entry.writing)).collect();
        let digests = tell()?;
        for entry in entries
            .iter()
            .filter(|entry| digests.contains(&entry.digest))
        {
            *lock(&entry.breaker) = Breaker::default();
            entry.unwritten.store(false, Ordering::Relaxed);
            entry.stops_written.store(false, Ordering::Relaxed);
            entry.worked.store(false, Ordering::Relaxed);
        }
        self.note_change();
        Ok(())
    }

    /// Another version may have come into use.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Forgets a tenant.
    pub(super) fn forget_tenant(&self, tenant: &TenantId) {
        lock(&self.entries).retain(|(owner, _), _| owner != tenant);
        self.note_change();
    }

    /// Writes what completed tasks changed. A plugin that was not stopped lately costs nothing.
    pub(super) fn flush(&self) {
        let entries: Vec<_> = lock(&self.entries).values().cloned().collect();
        for entry in entries {
            let stops = lock(&entry.breaker).remembers_stops();
            let worth = stops || entry.stops_written.load(Ordering::Relaxed);
            if worth && entry.unwritten.swap(false, Ordering::Relaxed) {
                logged(&entry, entry.keep(&self.catalog));
            }
        }
    }
}

/// A task was not let through for another reason than its breaker.
#[derive(Debug)]
pub(super) enum AdmitError {
    Stop(Stop),
    Catalog(CatalogError),
}

impl From<Stop> for AdmitError {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<CatalogError> for AdmitError {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

impl From<AdmitError> for Failure {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Stop(stop) => stop.into(),
            AdmitError::Catalog(error) => error.into(),
        }
    }
}

impl Entry {
    fn record(&self) -> Result<BreakerRecord, CatalogError> {
        let breaker = lock(&self.breaker).clone();
        self.stops_written
            .store(breaker.remembers_stops(), Ordering::Relaxed);
        let damaged = |error: serde_json::Error| CatalogError::Damaged {
            what: error.to_string(),
        };
        Ok(BreakerRecord {
            open: breaker.is_open(),
            state: serde_json::to_string(&breaker).map_err(damaged)?,
        })
    }

    fn keep(&self, catalog: &Catalog) -> Result<(), CatalogError> {
        let _writing = lock(&self.writing);
        catalog.keep_breaker(&self.tenant, &self.digest, &self.record()?)
    }
}

impl Ticket {
    /// What the end of the task changes, in memory at once and on disk before this returns. A catalog that
    /// cannot be written is logged: it must not cost a document.
    pub(super) async fn settle(self, ended: Ended) {
        match ended {
            Ended::Undecided => {}
            Ended::Done if self.is_nothing_new() => {
                let change = self.note_done();
                debug_assert_eq!(change, Change::None);
            }
            ended => {
                let _ = tokio::task::spawn_blocking(move || self.settle_now(&ended)).await;
            }
        }
    }

    /// Whether others wait for how this one ends.
    pub(super) fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// A completed task of which the catalog need not know.
    fn is_nothing_new(&self) -> bool {
        let worked = self.entry.worked.load(Ordering::Relaxed);
        worked && self.trial.is_none() && !self.case.stopped_before
    }

    fn input(&self) -> Input {
        let [a, b, c, d, e, f, g, h, ..] = self.case.input;
        Input::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn note_done(&self) -> Change {
        self.entry.unwritten.store(true, Ordering::Relaxed);
        lock(&self.entry.breaker).done(self.input(), self.trial.is_some())
    }

    fn settle_now(self, ended: &Ended) {
        let outcome = match ended {
            Ended::Done => self.settle_done(),
            Ended::Stopped(stop) => self.settle_stopped(stop),
            Ended::Undecided => Ok(()),
        };
        logged(&self.entry, outcome);
    }

    fn settle_done(&self) -> Result<(), CatalogError> {
        let Case { tenant, digest, .. } = &self.case;
        if self.note_done() == Change::Closed {
            self.entry.keep(&self.catalog)?;
            self.changes.fetch_add(1, Ordering::AcqRel);
            tracing::warn!(%tenant, plugin = %digest.short(), "the breaker closed: a trial was done");
        }
        if self.case.stopped_before {
            self.catalog.forget_stops(tenant, &self.case.input)?;
        }
        if !self.entry.worked.swap(true, Ordering::Relaxed) {
            self.catalog.mark_worked(tenant, digest)?;
        }
        Ok(())
    }

    fn settle_stopped(&self, stop: &Stop) -> Result<(), CatalogError> {
        let Case {
            tenant,
            input,
            document,
            ..
        } = &self.case;
        if let Some(document) = document {
            self.catalog.count_stop(tenant, input, document, stop)?;
        }
        if self.case.quarantined {
            return Ok(());
        }
        let writing = lock(&self.entry.writing);
        let trial = self.trial.is_some();
        let (input, to_come) = (self.input(), self.case.to_come.get());
        let change =
            lock(&self.entry.breaker).stopped(now_ms(), input, trial, to_come, &self.limits);
        let record = self.entry.record()?;
        self.entry.unwritten.store(false, Ordering::Relaxed);
        let Change::Opened(open) = change else {
            return self
                .catalog
                .keep_breaker(tenant, &self.case.digest, &record);
        };
        let put_back =
            self.catalog
                .open_breaker(tenant, &self.case.digest, &record, open.since_ms)?;
        drop(writing);
        self.changes.fetch_add(1, Ordering::AcqRel);
        self.warn(open, &put_back);
        Ok(())
    }

    fn warn(&self, open: Open, put_back: &[PutBack]) {
        let (tenant, plugin) = (&self.case.tenant, self.case.digest.short());
        let stops = open.stops;
        tracing::warn!(%tenant, %plugin, stops, "the breaker opened: the plugin keeps being stopped");
        for PutBack { label, from, to } in put_back {
            let (from, to) = (from.short(), to.short());
            tracing::warn!(%tenant, label, from, to, "the last good version is put back");
        }
    }
}

fn refusal(open: Open, now_ms: u64, retry_ms: u64) -> Refusal {
    Refusal {
        stops: open.stops,
        since: Duration::from_millis(now_ms.saturating_sub(open.since_ms)),
        retry: Duration::from_millis(retry_ms),
    }
}

fn read(record: &BreakerRecord) -> Result<Breaker, CatalogError> {
    serde_json::from_str(&record.state).map_err(|error| CatalogError::Damaged {
        what: error.to_string(),
    })
}

fn logged(entry: &Entry, outcome: Result<(), CatalogError>) {
    if let Err(error) = outcome {
        let (tenant, plugin) = (&entry.tenant, entry.digest.short());
        tracing::error!(%tenant, %plugin, %error, "the breaker's state was not written");
    }
}

/// Milliseconds since 1970, by the wall clock: the state outlives the process.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
