//! The course of an ingest: documents read ahead, tasks under way, and where it ended if it ended early.
//!
//! It does not know what is done with a document.

use crate::index::{Index, IndexError, StoredVersion};
use crate::ingest::{Commits, UnderWay};
use crate::loader::{Loaded, Plan};
use crate::task::{Stop, Task, TaskId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// How long an ingest that ended early waits to learn which document would have been next: standard input
/// may never say.
const NEXT_WAIT: Duration = Duration::from_secs(1);

/// Documents between reading and commit, at most: enough to keep the embedder's batches full.
pub(crate) const PIPELINE: usize = 64;

/// Documents that begin together, where so many wait.
const BURST: u32 = 8;

/// Documents that are read ahead at most.
const AHEAD: usize = 8;

/// Of these, how many must be wanted before the reader goes on: it is not woken for each.
const AT_ONCE: usize = 4;

/// The version of a document that an index had when it was asked.
pub(crate) type Stored = Result<Option<StoredVersion>, IndexError>;

/// What was read, with what is stored of it.
#[derive(Debug)]
pub(crate) struct Found {
    /// A document, or why there is none.
    pub(crate) loaded: Loaded,
    /// When it was read, a few documents before its turn: what another command stores or deletes meanwhile came later.
    pub(crate) stored: Stored,
}

impl Found {
    fn look(loaded: Loaded, index: &Index) -> Self {
        let stored = match &loaded {
            Loaded::Document(document) => index.stored(&document.id),
            Loaded::Failed { .. } | Loaded::Skipped { .. } => Ok(None),
        };
        Self { loaded, stored }
    }
}

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
        documents: &mut mpsc::Receiver<Found>,
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

async fn next_name(documents: &mut mpsc::Receiver<Found>) -> Option<String> {
    loop {
        match documents.recv().await?.loaded {
            Loaded::Document(document) => return Some(document.id),
            Loaded::Failed { document, .. } => return Some(document),
            Loaded::Skipped { .. } => {}
        }
    }
}

/// Reads documents on a thread of its own, a few ahead, for as long as somebody takes them, and looks what `index` has
/// of each.
pub(crate) fn read_ahead(plan: Plan, index: Arc<Index>) -> mpsc::Receiver<Found> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let waiting = Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut documents = plan.documents();
        while let Ok(places) = waiting.block_on(sender.reserve_many(AT_ONCE)) {
            for place in places {
                match documents.next() {
                    Some(loaded) if !sender.is_closed() => place.send(Found::look(loaded, &index)),
                    _ => return,
                }
            }
        }
    });
    receiver
}

/// Places in the pipeline: documents between reading and commit.
#[derive(Debug)]
pub(crate) struct Window {
    all: Arc<Semaphore>,
    /// Taken, and not yet given to a document.
    taken: Option<OwnedSemaphorePermit>,
    commits: Arc<Commits>,
}

/// A document's place, and that it is under way.
#[derive(Debug)]
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _under_way: UnderWay,
}

impl Window {
    /// For an ingest that commits through `commits`.
    pub(crate) fn new(commits: Arc<Commits>) -> Self {
        Self {
            all: Arc::new(Semaphore::new(PIPELINE)),
            taken: None,
            commits,
        }
    }

    /// The next document with its place. Places are taken [`BURST`] at a time: documents that begin together wake each
    /// thread on their way once, and find caches warm. Nothing is lost when the future is dropped.
    pub(crate) async fn next(
        &mut self,
        documents: &mut mpsc::Receiver<Found>,
    ) -> Option<(Found, Place)> {
        let taken = match &mut self.taken {
            Some(taken) => taken,
            none => none.insert(self.all.clone().acquire_many_owned(BURST).await.ok()?),
        };
        let found = documents.recv().await?;
        let place = Place {
            _place: taken.split(1)?,
            _under_way: self.commits.begin(),
        };
        if taken.num_permits() == 0 {
            self.taken = None;
        }
        Some((found, place))
    }
}
