//! Who waits for whom, and what becomes of the others when one cannot be stored or is killed.

use super::*;
use crate::corpus::TenantId;
use crate::index::PutKind;
use crate::index::TextHash;
use crate::index::tests::support::{chunks, document, open};
use crate::policy::Policy;
use crate::task::{Kind, Limits, Reason};
use tokio::task::JoinHandle;

const ROOM: Room = Room {
    documents_max: 100,
    storage_bytes_max: 1 << 30,
    document_bytes_max: 1 << 20,
};

struct Ingest {
    commits: Arc<Commits>,
    _folder: tempfile::TempDir,
}

impl Ingest {
    /// In which nothing happens because time has passed.
    fn new() -> Self {
        Self::waiting(Duration::from_secs(3_600))
    }

    fn waiting(wait: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut commits = Commits::new(Arc::new(open(folder.path(), "acme")));
        commits.wait = wait;
        Self {
            commits: Arc::new(commits),
            _folder: folder,
        }
    }

    fn ready(&self, id: &str, text: &str, room: Room) -> (Arc<Task>, JoinHandle<Outcome>) {
        let (task, version) = (task(id), version(id, text));
        let (commits, of) = (self.commits.clone(), task.clone());
        let commit = tokio::spawn(async move { commits.commit(&of, version, room).await });
        (task, commit)
    }

    async fn until_ready(&self, number: usize) {
        while self.commits.lock().ready.len() != number {
            tokio::task::yield_now().await;
        }
    }

    fn generation(&self) -> u64 {
        self.commits.index.counts().unwrap().generation
    }
}

fn task(id: &str) -> Arc<Task> {
    let limits = Limits::ingest(&Policy::shipped("default").unwrap());
    Task::new(TenantId::new("acme").unwrap(), Kind::Ingest, id, limits)
}

fn version(id: &str, text: &str) -> Version {
    Version {
        document: document(id, "", text, "{}"),
        hash: TextHash::of(text).0,
        chunker: "lines".to_owned(),
        chunks: chunks(text),
    }
}

fn kind(outcome: Outcome) -> PutKind {
    outcome.unwrap().unwrap().kind
}

async fn all_are_added(commits: impl IntoIterator<Item = JoinHandle<Outcome>>) {
    for commit in commits {
        assert_eq!(kind(commit.await.unwrap()), PutKind::Added);
    }
}

#[tokio::test]
async fn a_document_that_is_alone_waits_for_nobody() {
    let ingest = Ingest::new();
    let _under_way = ingest.commits.begin();
    let (answer, answered) = oneshot::channel();
    ingest.commits.add(Ready {
        task: task("one"),
        version: version("one", "words\n"),
        room: ROOM,
        answer,
    });
    assert!(ingest.commits.lock().ready.is_empty());
    assert_eq!(kind(answered.await.unwrap()), PutKind::Added);
}

#[tokio::test]
async fn whoever_is_ready_waits_until_all_others_are_or_have_failed() {
    let ingest = Ingest::new();
    let places: Vec<_> = (0..3).map(|_| ingest.commits.begin()).collect();
    let (_, first) = ingest.ready("one", "words\n", ROOM);
    ingest.until_ready(1).await;
    let (_, second) = ingest.ready("two", "words\n", ROOM);
    ingest.until_ready(2).await;
    assert_eq!(ingest.generation(), 0);
    drop(places);
    all_are_added([first, second]).await;
}

#[tokio::test]
async fn eight_do_not_wait_for_a_ninth() {
    let ingest = Ingest::new();
    let _places: Vec<_> = (0..20).map(|_| ingest.commits.begin()).collect();
    let ready = |number: usize| ingest.ready(&number.to_string(), "words\n", ROOM).1;
    let commits: Vec<_> = (0..TOGETHER).map(ready).collect();
    all_are_added(commits).await;
}

#[tokio::test]
async fn one_does_not_wait_for_ever() {
    let ingest = Ingest::waiting(Duration::from_millis(1));
    let _places: Vec<_> = (0..20).map(|_| ingest.commits.begin()).collect();
    let (_, commit) = ingest.ready("one", "words\n", ROOM);
    assert_eq!(kind(commit.await.unwrap()), PutKind::Added);
}

#[tokio::test]
async fn many_bytes_do_not_wait() {
    let ingest = Ingest::new();
    let _places: Vec<_> = (0..20).map(|_| ingest.commits.begin()).collect();
    let (_, small) = ingest.ready("small", "words\n", ROOM);
    ingest.until_ready(1).await;
    let large: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
    let (_, large) = ingest.ready("large", &large, ROOM);
    all_are_added([small, large]).await;
}

#[tokio::test]
async fn one_that_is_killed_while_it_waits_is_answered_at_once_and_not_stored() {
    let ingest = Ingest::new();
    let places: Vec<_> = (0..3).map(|_| ingest.commits.begin()).collect();
    let (_, other) = ingest.ready("other", "words\n", ROOM);
    let (task, killed) = ingest.ready("killed", "words\n", ROOM);
    ingest.until_ready(2).await;
    task.end_with(Reason::Killed, "by a test");
    let refused = killed.await.unwrap().unwrap_err();
    assert!(matches!(
        refused,
        IngestError::Index(IndexError::Interrupted)
    ));
    assert_eq!(ingest.commits.lock().ready.len(), 1);
    drop(places);
    assert_eq!(kind(other.await.unwrap()), PutKind::Added);
    assert_eq!(ingest.commits.index.counts().unwrap().documents, 1);
}

#[tokio::test]
async fn one_that_does_not_fit_fails_alone() {
    let ingest = Ingest::new();
    let places: Vec<_> = (0..3).map(|_| ingest.commits.begin()).collect();
    let room = Room {
        storage_bytes_max: ingest.commits.index.database().bytes_on_disk() + 200_000,
        ..ROOM
    };
    let large: String = (0..500).map(|n| format!("line {n}\n")).collect();
    let (_, first) = ingest.ready("first", "words\n", room);
    let (_, too_large) = ingest.ready("large", &large, room);
    let (_, last) = ingest.ready("last", "words\n", room);
    all_are_added([first, last]).await;
    let refused = too_large.await.unwrap().unwrap_err();
    assert!(matches!(refused, IngestError::Index(error) if error.is_full()));
    drop(places);
    assert_eq!(ingest.commits.index.counts().unwrap().documents, 2);
}

#[tokio::test]
async fn a_document_too_many_is_told_and_the_others_are_stored() {
    let ingest = Ingest::new();
    let room = Room {
        documents_max: 2,
        ..ROOM
    };
    let _places: Vec<_> = (0..3).map(|_| ingest.commits.begin()).collect();
    let ready = ["a", "b", "c"].map(|id| ingest.ready(id, "words\n", room).1);
    let mut stored = 0;
    for commit in ready {
        stored += usize::from(commit.await.unwrap().unwrap().is_some());
    }
    assert_eq!(stored, 2);
}
