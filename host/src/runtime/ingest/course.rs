//! The course of an ingest: documents read ahead, tasks under way, and where it ended if it ended early.
//!
//! It does not know what is done with a document.

use crate::loader::{Loaded, Plan};
use crate::task::{Stop, Task, TaskId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How long an ingest that ended early waits to learn which document would have been next: standard input
/// may never say.
const NEXT_WAIT: Duration = Duration::from_secs(1);

/// An ingest that ended before its last document. What was under way is as it was before.
#[derive(Debug, Clone)]
pub struct EndedEarly {
    /// Why.
    pub stop: Stop,
    /// The document that was committed last; `None` where none was.
    pub last_committed: Option<String>,
    /// The first document, in the order of reading, that was not begun; `None` where there is none, or
    /// where it is not known yet.
    pub first_not_begun: Option<String>,
}

/// Tasks under way, and how far the ingest is.
#[derive(Debug, Default)]
pub(super) struct Course {
    under_way: HashMap<TaskId, Arc<Task>>,
    last_committed: Option<String>,
    first_not_begun: Option<String>,
    ended: Option<Stop>,
}

impl Course {
    pub(super) fn begin(&mut self, task: Arc<Task>) {
        self.under_way.insert(task.id, task);
    }

    pub(super) fn done(&mut self, task: TaskId) {
        self.under_way.remove(&task);
    }

    pub(super) fn committed(&mut self, document: String) {
        self.last_committed = Some(document);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Ends what is under way for this reason; what is being committed is committed. The first reason
    /// counts.
    pub(super) fn end(&mut self, stop: &Stop) {
        if self.has_ended() {
            return;
        }
        for task in self.under_way.values() {
            task.end_with(stop.reason, &stop.detail);
        }
        self.ended = Some(stop.clone());
    }

    /// As [`Course::end`], before this document was begun.
    pub(super) fn end_before(&mut self, document: String, stop: &Stop) {
        self.end(stop);
        self.first_not_begun.get_or_insert(document);
    }

    /// Where it ended, if it ended early.
    pub(super) async fn ended_early(
        &mut self,
        documents: &mut mpsc::Receiver<Loaded>,
    ) -> Option<EndedEarly> {
        let stop = self.ended.clone()?;
        if self.first_not_begun.is_none() {
            let next = tokio::time::timeout(NEXT_WAIT, next_name(documents)).await;
            self.first_not_begun = next.ok().flatten();
        }
        Some(EndedEarly {
            stop,
            last_committed: self.last_committed.take(),
            first_not_begun: self.first_not_begun.take(),
        })
    }
}

async fn next_name(documents: &mut mpsc::Receiver<Loaded>) -> Option<String> {
    loop {
        match documents.recv().await? {
            Loaded::Document(document) => return Some(document.id),
            Loaded::Failed { document, .. } => return Some(document),
            Loaded::Skipped { .. } => {}
        }
    }
}

/// Reads documents on a thread of its own, a few ahead, for as long as somebody takes them.
pub(super) fn read_ahead(plan: Plan) -> mpsc::Receiver<Loaded> {
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        for loaded in plan.documents() {
            if sender.blocking_send(loaded).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next document with its place in the pipeline. Nothing is lost when the future is dropped.
pub(super) async fn next_when_room(
    window: &Arc<Semaphore>,
    documents: &mut mpsc::Receiver<Loaded>,
) -> Option<(Loaded, OwnedSemaphorePermit)> {
    let place = window.clone().acquire_owned().await.ok()?;
    let loaded = documents.recv().await?;
    Some((loaded, place))
}
