//! Whether a document's chunker is run at all: quarantine first, then the breaker.
//!
//! What opens a breaker is not known here.

use super::super::breaker::{Admission, AdmitError, Case, Ended, QUARANTINE_STOPS, Ticket};
use super::super::{Runtime, RuntimeError};
use super::Step;
use crate::corpus::Document;
use crate::error::Failure;
use crate::ingest::{IngestError, Ingested};
use crate::task::Stop;
use std::sync::Arc;

/// What a document may do next.
pub(super) enum Admitted {
    /// Go through its chunker.
    Run(Ticket),
    /// Nothing: under the version that was put back it is stored already.
    Unchanged(Ingested),
}

/// A document did not get in.
pub(super) enum StepError {
    /// On its way.
    Ingest(IngestError),
    /// It was not let in.
    Refused(RuntimeError),
    /// Nobody could say.
    Other(Failure),
}

impl StepError {
    pub(super) fn is_quarantine(&self) -> bool {
        matches!(self, Self::Refused(RuntimeError::Quarantined { .. }))
    }
}

impl From<StepError> for Failure {
    fn from(error: StepError) -> Self {
        match error {
            StepError::Ingest(error) => error.into(),
            StepError::Refused(error) => error.into(),
            StepError::Other(failure) => failure,
        }
    }
}

impl From<IngestError> for StepError {
    fn from(error: IngestError) -> Self {
        Self::Ingest(error)
    }
}

impl From<Stop> for StepError {
    fn from(stop: Stop) -> Self {
        Self::Ingest(stop.into())
    }
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<AdmitError> for StepError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::Stop(stop) => stop.into(),
            AdmitError::Catalog(error) => Self::Other(error.into()),
        }
    }
}

/// How a document's task ended.
pub(super) fn ended(outcome: &Result<Ingested, IngestError>) -> Ended {
    match outcome {
        Ok(_) => Ended::Done,
        Err(IngestError::Stop(stop)) => Ended::by(Some(stop)),
        Err(_) => Ended::by(None),
    }
}

impl Step {
    /// Lets the document through. Where a breaker put an earlier version of its chunker back, that one is
    /// its method from here.
    pub(super) async fn admit(&mut self, document: &Document) -> Result<Admitted, StepError> {
        loop {
            let case = self.case(document)?;
            let (runtime, limits) = (self.runtime.clone(), self.policy.breaker);
            let (tenant, digest) = (case.tenant.clone(), case.digest);
            let refusal = match runtime.breakers.admit(case, &self.task, &limits).await? {
                Admission::Run(ticket) => return Ok(Admitted::Run(ticket)),
                Admission::Refused(refusal) => refusal,
            };
            runtime.breakers.written(&tenant, &digest).await;
            let media_type = &document.media_type;
            let wasi = self.policy.wasi;
            let method = runtime.method_for(&tenant, media_type, wasi).await?;
            if method.chunker.digest == digest {
                let (label, _) = runtime.chunker_of(&tenant, media_type)?;
                let open = Runtime::breaker_open(&tenant, label, &digest, refusal);
                return Err(StepError::Refused(open));
            }
            self.method = Arc::new(method);
            let stored = self.line.stored(&document.id).await?;
            if let Some(unchanged) = self.line.unchanged(document, &self.method, stored) {
                return Ok(Admitted::Unchanged(unchanged));
            }
        }
    }

    /// The document as the breaker sees it; refused when it is in quarantine.
    fn case(&self, document: &Document) -> Result<Case, StepError> {
        let version = self.line.version(document, &self.method);
        let tenant = self.task.tenant.clone();
        let stopped = self.runtime.catalog.stopped(&tenant, &version);
        let stopped = stopped.map_err(Failure::from)?;
        let quarantined = stopped
            .as_ref()
            .is_some_and(|known| known.stops >= QUARANTINE_STOPS);
        let stopped_before = stopped.is_some();
        if let Some(known) = stopped.filter(|_| quarantined && !self.retry_quarantined) {
            return Err(StepError::Refused(RuntimeError::Quarantined {
                stops: known.stops,
                stop: Box::new(known.stop),
            }));
        }
        Ok(Case {
            tenant,
            digest: self.method.chunker.digest,
            input: version,
            document: Some(document.id.clone()),
            stopped_before,
            quarantined,
            to_come: self.to_come.clone(),
        })
    }
}
