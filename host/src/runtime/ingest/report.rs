//! What is asked of an ingest, how far it is, and what it did.

use super::super::health::PluginHealth;
use super::super::lock;
use super::EndedEarly;
use crate::error::Failure;
use crate::ingest::Fate;
use crate::loader::Encoding;
use crate::plugin::Digest;
use crate::task::Reason;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

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
    /// Try documents in quarantine again.
    pub retry_quarantined: bool,
    /// What texts are read as that are not UTF-8 and have no byte-order mark; `None`: they are refused.
    pub encoding: Option<Encoding>,
}

impl IngestRequest {
    /// One file, without anything that a user may ask for besides.
    pub fn of(file: PathBuf) -> Self {
        Self {
            paths: vec![file],
            source: None,
            sync: false,
            no_reuse: false,
            retry_quarantined: false,
            encoding: None,
        }
    }
}

/// What became of a document, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is new, and on disk.
    Added,
    /// It took an older version's place, and is on disk.
    Replaced,
    /// This version is on disk already.
    Unchanged,
    /// `--sync` deleted it, on disk.
    Deleted,
    /// What was there of it before is there still.
    Failed,
}

impl From<Fate> for Outcome {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Added => Self::Added,
            Fate::Replaced => Self::Replaced,
            Fate::Unchanged => Self::Unchanged,
        }
    }
}

/// One document's end, told when it is durable.
#[derive(Debug)]
pub struct Ack<'a> {
    /// Its id, or `file:line` where it has none.
    pub document: &'a str,
    /// What became of it.
    pub outcome: Outcome,
    /// Chunks that it has now; 0 where it is gone or failed.
    pub chunks: u64,
    /// Why it failed.
    pub failure: Option<&'a Failure>,
}

/// Who is told of every document.
type Listener = Box<dyn FnMut(&Ack<'_>) + Send>;

/// How far an ingest is; read by whoever draws it.
#[derive(Default)]
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
    listener: Mutex<Option<Listener>>,
}

impl Progress {
    /// Tells `listener` of every document as soon as its end is durable, one after the other.
    pub fn telling(listener: impl FnMut(&Ack<'_>) + Send + 'static) -> Self {
        Self {
            listener: Mutex::new(Some(Box::new(listener))),
            ..Self::default()
        }
    }

    pub(super) fn acknowledge(&self, ack: &Ack<'_>) {
        if let Some(listener) = lock(&self.listener).as_mut() {
            listener(ack);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("documents", &self.documents)
            .finish_non_exhaustive()
    }
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
    /// Documents among the failed that were in quarantine, and not tried.
    pub quarantined: u64,
    /// Chunkers of the tenant that are switched off or replaced at the end: label, digest in use, health.
    pub ailing: Vec<(String, Digest, PluginHealth)>,
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
