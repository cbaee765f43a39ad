//! Commits: versions that are ready at about the same time enter the index in one transaction.
//!
//! A transaction waits for the disk, and a few versions cost it little more than one. Each version is in one transaction
//! whole, is answered when that is on disk, and fails alone. Knows who is under way in one ingest; not what is done with
//! a document before.

use super::{IngestError, Room};
use crate::corpus::Document;
use crate::index::{Index, IndexError, NewChunk, NewVersion, Put};
use crate::task::{Phase, Stop, Task, TaskId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Versions in one transaction, at most.
const TOGETHER: usize = 8;

/// Bytes of versions from which none waits for more, so that the write-ahead log stays short.
const BYTES: u64 = 1 << 20;

/// How long a version waits for others, at most.
const WAIT: Duration = Duration::from_millis(250);

/// What a document has become, complete.
#[derive(Debug)]
pub(super) struct Version {
    pub(super) document: Document,
    pub(super) hash: [u8; 32],
    pub(super) chunker: String,
    pub(super) chunks: Vec<NewChunk>,
}

impl Version {
    /// What it adds to the file, as far as it is known: text twice, since it is searched, and vectors.
    pub(super) fn bytes(&self) -> u64 {
        let text = self.document.text.len() as u64;
        let chunk = |new: &NewChunk| {
            let numbers = new.embedding.values().len() as u64;
            2 * (new.chunk.end - new.chunk.start) as u64 + 4 * numbers
        };
        text + self.chunks.iter().map(chunk).sum::<u64>()
    }

    fn parts(&self) -> NewVersion<'_> {
        NewVersion {
            document: &self.document,
            hash: self.hash,
            chunker: &self.chunker,
            chunks: &self.chunks,
        }
    }
}

/// `None` where the tenant has as many documents as it may.
type Outcome = Result<Option<Put>, IngestError>;

/// A version that waits for its transaction.
#[derive(Debug)]
struct Ready {
    task: Arc<Task>,
    version: Version,
    room: Room,
    answer: oneshot::Sender<Outcome>,
}

impl Ready {
    /// Nobody listens where the ingest is gone.
    fn answer(self, outcome: Outcome) {
        drop(self.answer.send(outcome));
    }
}

/// The commits of one ingest.
#[derive(Debug)]
pub struct Commits {
    index: Arc<Index>,
    gathered: Mutex<Gathered>,
    /// [`WAIT`], but for tests.
    wait: Duration,
}

#[derive(Debug, Default)]
struct Gathered {
    ready: Vec<Ready>,
    /// Documents that have begun and not ended, those that are ready among them.
    under_way: usize,
}

impl Gathered {
    /// What is to be committed now: as much as one transaction takes, or all there can be.
    fn due(&mut self) -> Vec<Ready> {
        let most = self.under_way.min(TOGETHER);
        let bytes = |ready: &[Ready]| ready.iter().map(|r| r.version.bytes()).sum::<u64>();
        if self.ready.len() >= most || bytes(&self.ready) >= BYTES {
            std::mem::take(&mut self.ready)
        } else {
            vec![]
        }
    }
}

/// A document is under way, for as long as this lives: whoever is ready may wait for it.
#[derive(Debug)]
pub struct UnderWay(Arc<Commits>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut gathered = self.0.lock();
        gathered.under_way -= 1;
        let due = gathered.due();
        drop(gathered);
        self.0.begin_transaction(due);
    }
}

impl Commits {
    /// Of an ingest into `index`.
    pub fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            gathered: Mutex::default(),
            wait: WAIT,
        }
    }

    /// One more document is under way.
    pub fn begin(self: &Arc<Self>) -> UnderWay {
        self.lock().under_way += 1;
        UnderWay(self.clone())
    }

    /// Commits a version, with others that are ready until then. When this returns, it is on disk or not there at all;
    /// [`IndexError::Interrupted`] where its task ended first.
    pub(super) async fn commit(
        &self,
        task: &Arc<Task>,
        version: Version,
        room: Room,
    ) -> Result<Option<Put>, IngestError> {
        let (answer, mut answered) = oneshot::channel();
        self.add(Ready {
            task: task.clone(),
            version,
            room,
            answer,
        });
        tokio::select! {
            biased;
            outcome = &mut answered => return said(outcome),
            _ = task.ended() => if self.withdraw(task.id) {
                return Err(IndexError::Interrupted.into());
            },
            () = tokio::time::sleep(self.wait) => self.commit_with(task.id),
        }
        said(answered.await)
    }

    fn add(&self, ready: Ready) {
        let mut gathered = self.lock();
        gathered.ready.push(ready);
        let due = gathered.due();
        drop(gathered);
        self.begin_transaction(due);
    }

    /// Whether it was still waiting.
    fn withdraw(&self, task: TaskId) -> bool {
        let mut gathered = self.lock();
        let place = gathered.ready.iter().position(|r| r.task.id == task);
        place.map(|place| gathered.ready.remove(place)).is_some()
    }

    /// All that are ready, if this one is among them: it may be under way, and others gather for the next.
    fn commit_with(&self, task: TaskId) {
        let mut gathered = self.lock();
        let waits = gathered.ready.iter().any(|ready| ready.task.id == task);
        let ready = match waits {
            true => std::mem::take(&mut gathered.ready),
            false => vec![],
        };
        drop(gathered);
        self.begin_transaction(ready);
    }

    /// Nothing where the executor has ended: then nobody listens either.
    fn begin_transaction(&self, ready: Vec<Ready>) {
        if let (false, Ok(executor)) = (ready.is_empty(), Handle::try_current()) {
            let index = self.index.clone();
            executor.spawn_blocking(move || commit(&index, ready));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host that ends forgets what has not begun.
fn said(outcome: Result<Outcome, oneshot::error::RecvError>) -> Outcome {
    outcome.unwrap_or_else(|error| Err(Stop::host(Phase::Commit, &error.to_string()).into()))
}

/// All in one transaction; where that fails, each in its own, so that only those at fault fail.
fn commit(index: &Index, ready: Vec<Ready>) {
    let adding = index.adding();
    // The last moment at which a kill keeps the old version; from here the commit is whole.
    let (going, ended): (Vec<_>, Vec<_>) = ready
        .into_iter()
        .partition(|ready| ready.task.stop().is_none());
    let outcomes: Vec<Outcome> = match together(index, &going) {
        Some(puts) => puts.into_iter().map(Ok).collect(),
        None => going.iter().map(|ready| alone(index, ready)).collect(),
    };
    drop(adding);
    for (ready, outcome) in going.into_iter().zip(outcomes) {
        ready.answer(outcome);
    }
    for ready in ended {
        ready.answer(Err(IndexError::Interrupted.into()));
    }
}

/// `None` where each must be tried alone: one failed, or a new policy came in between.
fn together(index: &Index, going: &[Ready]) -> Option<Vec<Option<Put>>> {
    let (first, others) = going.split_first()?;
    if others.is_empty() || others.iter().any(|ready| ready.room != first.room) {
        return None;
    }
    put(index, going).ok()
}

fn alone(index: &Index, ready: &Ready) -> Outcome {
    if ready.task.stop().is_some() {
        return Err(IndexError::Interrupted.into());
    }
    Ok(put(index, std::slice::from_ref(ready))?.pop().flatten())
}

/// One transaction with the room that the first has. A panic in it is the host's fault, and nothing is stored.
fn put(index: &Index, ready: &[Ready]) -> Result<Vec<Option<Put>>, IngestError> {
    let Some(Ready { room, .. }) = ready.first() else {
        return Ok(vec![]);
    };
    let versions: Vec<_> = ready.iter().map(|ready| ready.version.parts()).collect();
    let work = || {
        index.database().limit_bytes(Some(room.storage_bytes_max))?;
        index.put_within(&versions, room.documents_max)
    };
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(puts) => Ok(puts?),
        Err(_) => Err(Stop::host(Phase::Commit, "the index panicked").into()),
    }
}

#[cfg(test)]
mod tests;
