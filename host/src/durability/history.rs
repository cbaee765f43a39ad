//! Any sequence of ingests, edits, deletions and changed options, with the real chunkers and the real model,
//! leaves what a fresh tenant holds that was given the last versions alone. A reference that is a map says what
//! each ingest has to do and to leave alone.
//!
//! Three histories by default; `STOCKADE_HISTORIES=N` for more, `STOCKADE_HISTORY=SEED` for one.

mod files;

use self::files::{File, SENTENCES, Source, file_document, line_document, write};
use crate::ablation::compiler;
use crate::config::Config;
use crate::corpus::{ChunkId, Document, Embedding, TenantId};
use crate::db::Interrupt;
use crate::embedder::{Embedder, Lane, Priority};
use crate::index::Index;
use crate::index::tests::model::assert_same;
use crate::policy::Policy;
use crate::runtime::{Guests, IngestReport, IngestRequest, Outcome, Progress, Runtime};
use crate::statistics::SplitMix64;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const STEPS: usize = 16;

/// A host in a folder, opened again and again with the same engine and model.
struct Host {
    dir: tempfile::TempDir,
    guests: Arc<Guests>,
    embedder: Embedder,
}

impl Host {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            embed_workers: 1,
            ..Config::default()
        };
        let cache = dir.path().join("compiled");
        let guests = Guests::start_with(&config, &cache, compiler(dir.path())).unwrap();
        Self {
            guests: Arc::new(guests),
            embedder: Embedder::start(&config).unwrap(),
            dir,
        }
    }

    fn open(&self) -> Arc<Runtime> {
        let runtime = open_when_free(&self.dir.path().join("data"));
        Arc::new(runtime.with(self.guests.clone(), self.embedder.clone()))
    }

    /// The vector that a text has, whatever an index says.
    async fn embed(&self, text: &str) -> Embedding {
        let lane = Lane {
            tenant: tenant("nobody"),
            share: 1,
            priority: Priority::Interactive,
            cancel: CancellationToken::new(),
        };
        let texts = vec![self.embedder.tokenize(text)];
        let mut vectors = self.embedder.embed(&lane, texts).await.unwrap();
        vectors.remove(0).unwrap()
    }
}

/// A host over a folder. The lock of one that was just given up may still be held: by a child of another test that was
/// forked a moment ago and has not yet become its program.
fn open_when_free(data: &Path) -> Runtime {
    let watchdog = Instant::now() + Duration::from_secs(60);
    loop {
        match Runtime::open(data) {
            Ok(runtime) => return runtime,
            Err(refused) if refused.code == "data-folder-held" => {
                assert!(Instant::now() < watchdog, "{refused:?}");
                std::thread::yield_now();
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// A version, as far as it decides whether another is the same: the document and its chunker's options.
#[derive(Debug, Clone, PartialEq)]
struct Version {
    document: Document,
    options: Vec<(String, String)>,
}

/// The reference.
#[derive(Default)]
struct Model {
    sources: BTreeMap<(Source, String), File>,
    stored: BTreeMap<String, Version>,
    options: Vec<(String, String)>,
}

struct History<'a> {
    host: &'a Host,
    runtime: Arc<Runtime>,
    tenant: TenantId,
    folder: PathBuf,
    model: Model,
    random: SplitMix64,
}

const NAMES: [&str; 5] = ["ada", "zurich", "nile", "new york", "twin"];

impl History<'_> {
    async fn step(&mut self) {
        match self.random.below(10) {
            0..=2 => self.edit(),
            3 => drop(self.take_away()),
            4 => self.change_options().await,
            5 => self.delete().await,
            6 => self.reopen(),
            _ => {
                let source = self.some_source();
                let sync = self.random.below(2) == 0;
                self.ingest(source, sync).await;
            }
        }
    }

    fn reopen(&mut self) {
        // Nobody else may hold the folder.
        let closed = std::mem::replace(&mut self.runtime, Arc::new(nobody(self.host)));
        drop(closed);
        self.runtime = self.host.open();
    }

    fn some_source(&mut self) -> Source {
        match self.random.below(2) {
            0 => Source::Files,
            _ => Source::Lines,
        }
    }

    /// A file of a few sentences is written or changed.
    fn edit(&mut self) {
        let source = self.some_source();
        let name = NAMES[self.random.below(5)].to_owned();
        let sentences = 1 + self.random.below(12);
        let sentence = |_| SENTENCES[self.random.below(6)];
        let mut text = (0..sentences).map(sentence).collect::<Vec<_>>().join(" ");
        // One name has the same text wherever and whenever it is written.
        if name == "twin" {
            text = SENTENCES.join(" ");
        }
        let number = self.random.below(3);
        let readable = self.random.below(6) > 0;
        self.put(source, &name, text, number, readable);
    }

    fn put(&mut self, source: Source, name: &str, text: String, number: usize, readable: bool) {
        let document = match source {
            Source::Files => file_document(name, text),
            Source::Lines => line_document(name, text, number),
        };
        let file = File { document, readable };
        self.model.sources.insert((source, name.to_owned()), file);
    }

    /// What chance may leave out: metadata alone change, then options alone, and a file that was stored cannot be
    /// read when its source is synchronised.
    async fn begin(&mut self) {
        let text = || SENTENCES[..3].join(" ");
        for (number, sentence) in SENTENCES[..2].iter().enumerate() {
            self.put(Source::Lines, "twin", text(), number, true);
            self.put(Source::Files, "ada", (*sentence).to_owned(), 0, true);
            self.ingest(Source::Lines, false).await;
            self.ingest(Source::Files, false).await;
        }
        self.change_options().await;
        self.ingest(Source::Lines, true).await;
        self.put(Source::Files, "ada", text(), 0, false);
        self.ingest(Source::Files, true).await;
    }

    fn take_away(&mut self) -> Option<File> {
        let keys: Vec<_> = self.model.sources.keys().cloned().collect();
        let which = self.random.below(keys.len().max(1));
        self.model.sources.remove(keys.get(which)?)
    }

    async fn change_options(&mut self) {
        let size = [200, 300, 1_000][self.random.below(3)];
        let options = vec![
            ("size".to_owned(), size.to_string()),
            ("overlap".to_owned(), "50".to_owned()),
        ];
        let used = self
            .runtime
            .use_plugin(&self.tenant, "recursive", &[], &options);
        used.await.unwrap();
        self.model.options = options;
    }

    async fn delete(&mut self) {
        let keys: Vec<_> = self.model.stored.keys().cloned().collect();
        let which = self.random.below(keys.len().max(1));
        let id = keys.get(which).cloned().unwrap_or_else(|| "nobody".into());
        let deleted = self.runtime.delete(&self.tenant, vec![id.clone()]).await;
        let was = self.model.stored.remove(&id).is_some();
        assert_eq!(deleted.unwrap(), [was]);
    }

    /// One source is ingested, with `--sync` or without; the reference says what that has to do.
    async fn ingest(&mut self, source: Source, sync: bool) {
        let files: BTreeMap<String, File> = self
            .model
            .sources
            .iter()
            .filter(|((of, _), _)| *of == source)
            .map(|((_, name), file)| (name.clone(), file.clone()))
            .collect();
        let path = write(&self.folder, source, &files);
        let generation = self.index().counts().unwrap().generation;
        let (report, told) = self.run(path, source, sync).await;
        let expected = self.expect(source, &files, sync);
        assert_eq!(told, expected, "{source:?} sync {sync}");
        let counts = |outcome| expected.values().filter(|o| **o == outcome).count() as u64;
        let said = [
            report.added,
            report.replaced,
            report.unchanged,
            report.deleted,
            report.failed,
        ];
        let all = [
            Outcome::Added,
            Outcome::Replaced,
            Outcome::Unchanged,
            Outcome::Deleted,
            Outcome::Failed,
        ];
        assert_eq!(said, all.map(counts));
        if expected
            .values()
            .all(|o| matches!(o, Outcome::Unchanged | Outcome::Failed))
        {
            assert_eq!(self.index().counts().unwrap().generation, generation);
            assert_eq!((report.chunks, report.tokens), (0, 0));
        }
    }

    async fn run(
        &self,
        path: PathBuf,
        source: Source,
        sync: bool,
    ) -> (IngestReport, BTreeMap<String, Outcome>) {
        let told = Arc::new(Mutex::new(BTreeMap::new()));
        let telling = told.clone();
        let progress = Progress::telling(move |ack| {
            let before = telling
                .lock()
                .unwrap()
                .insert(ack.document.to_owned(), ack.outcome);
            assert_eq!(before, None, "{} is told twice", ack.document);
        });
        let request = IngestRequest {
            source: Some(source.name().to_owned()),
            sync,
            ..IngestRequest::of(path)
        };
        let report = ingest(&self.runtime, &self.tenant, request, progress).await;
        (report, Arc::into_inner(told).unwrap().into_inner().unwrap())
    }

    /// What an ingest does to each document, done to the reference, too.
    fn expect(
        &mut self,
        source: Source,
        files: &BTreeMap<String, File>,
        sync: bool,
    ) -> BTreeMap<String, Outcome> {
        let mut outcomes = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for File { document, readable } in files.values() {
            seen.insert(document.id.clone());
            let outcome = if *readable {
                self.store(document)
            } else {
                Outcome::Failed
            };
            outcomes.insert(document.id.clone(), outcome);
        }
        if sync {
            let owned = |version: &Version| version.document.metadata["source"] == source.name();
            let gone = |(id, version): &(&String, &Version)| owned(version) && !seen.contains(*id);
            let gone: Vec<String> = self
                .model
                .stored
                .iter()
                .filter(gone)
                .map(|(id, _)| id.clone())
                .collect();
            for id in gone {
                self.model.stored.remove(&id);
                outcomes.insert(id, Outcome::Deleted);
            }
        }
        outcomes
    }

    fn store(&mut self, document: &Document) -> Outcome {
        let version = Version {
            document: document.clone(),
            options: self.model.options.clone(),
        };
        let old = self
            .model
            .stored
            .insert(document.id.clone(), version.clone());
        match old {
            None => Outcome::Added,
            Some(old) if old == version => Outcome::Unchanged,
            Some(_) => Outcome::Replaced,
        }
    }

    fn index(&self) -> Arc<Index> {
        self.runtime.index(&self.tenant).unwrap()
    }

    /// The survivors alone, ingested by a tenant that never saw anything else.
    async fn fresh(&self, name: &str) -> Arc<Index> {
        let fresh = tenant(name);
        self.runtime
            .add_tenant(&fresh, &Policy::shipped("default").unwrap())
            .unwrap();
        for (number, version) in self.model.stored.values().enumerate() {
            let used = self
                .runtime
                .use_plugin(&fresh, "recursive", &[], &version.options);
            used.await.unwrap();
            let document = &version.document;
            let line = serde_json::json!({ "id": document.id, "title": document.title,
                "text": document.text, "metadata": document.metadata });
            let path = self.folder.join(format!("fresh-{number}.jsonl"));
            std::fs::write(&path, line.to_string()).unwrap();
            let request = IngestRequest::of(path);
            let report = ingest(&self.runtime, &fresh, request, Progress::default()).await;
            assert_eq!((report.added, report.failed), (1, 0));
        }
        self.runtime.index(&fresh).unwrap()
    }

    async fn compare(&self, name: &str) {
        let (index, fresh) = (self.index(), self.fresh(name).await);
        let survivors = self.model.stored.iter();
        let survivors = survivors.map(|(id, version)| (id.clone(), version.document.clone()));
        assert_same(&index, &fresh, &survivors.collect());
        let (one, two) = (chunks(&index), chunks(&fresh));
        assert_eq!(
            one.keys().collect::<Vec<_>>(),
            two.keys().collect::<Vec<_>>()
        );
        for (place, vector) in one {
            let apart = vector.iter().zip(&two[&place]).map(|(a, b)| (a - b).abs());
            let largest = apart.fold(0.0, f32::max);
            assert!(largest <= 1e-6, "{place:?}: {largest}");
            let own = self.host.embed(&place.4).await;
            let apart = vector.iter().zip(own.values()).map(|(a, b)| (a - b).abs());
            let largest = apart.fold(0.0, f32::max);
            assert!(largest <= 1e-6, "{place:?} has another text's vector");
        }
    }
}

type Place = (String, u32, u32, u32, String);

/// Every chunk by where it stands and what it says, with its vector.
fn chunks(index: &Index) -> BTreeMap<Place, Vec<f32>> {
    let all = index
        .search_vector(&unit(), 1_000, None, &Interrupt::never())
        .unwrap();
    let ids: Vec<ChunkId> = all.iter().map(|hit| hit.chunk).collect();
    let passages = index.read(&ids, &Interrupt::never()).unwrap();
    let place = |p: crate::corpus::Passage| {
        let vector = index.vector_of(p.chunk).unwrap().values().to_vec();
        ((p.document, p.ordinal, p.start, p.end, p.text), vector)
    };
    passages.into_iter().map(place).collect()
}

fn unit() -> Embedding {
    crate::index::tests::support::unit_vector(1)
}

/// A host over no folder of interest, while another is closed.
fn nobody(host: &Host) -> Runtime {
    open_when_free(&host.dir.path().join("nobody"))
}

async fn ingest(
    runtime: &Arc<Runtime>,
    tenant: &TenantId,
    request: IngestRequest,
    progress: Progress,
) -> IngestReport {
    let (progress, interrupt) = (Arc::new(progress), CancellationToken::new());
    let report = runtime.ingest(tenant, &request, &progress, &interrupt);
    report.await.unwrap()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_of_ingests_equals_one_of_the_survivors() {
    let host = Host::new();
    let seeds = match number("STOCKADE_HISTORY") {
        Some(seed) => seed..seed + 1,
        None => 0..number("STOCKADE_HISTORIES").unwrap_or(3),
    };
    for seed in seeds {
        eprintln!("history {seed}");
        let runtime = host.open();
        let acme = tenant(&format!("acme-{seed}"));
        runtime
            .add_tenant(&acme, &Policy::shipped("default").unwrap())
            .unwrap();
        let mut history = History {
            host: &host,
            runtime,
            tenant: acme,
            folder: host.dir.path().join(format!("files-{seed}")),
            model: Model::default(),
            random: SplitMix64(seed),
        };
        std::fs::create_dir(&history.folder).unwrap();
        history.begin().await;
        (0..4).for_each(|_| history.edit());
        for _ in 0..STEPS {
            history.step().await;
        }
        history.compare(&format!("fresh-{seed}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_without_room_is_told_and_goes_in_when_there_is_room() {
    let host = Host::new();
    let runtime = host.open();
    let acme = tenant("acme");
    let small = Policy::from_toml("small.toml", "tenant.storage_mib_max = 1").unwrap();
    runtime.add_tenant(&acme, &small).unwrap();
    let file = |number: usize, times: usize| {
        let path = host.dir.path().join(format!("{number}.txt"));
        let text = format!("{} {number}.\n\n", SENTENCES.join(" "));
        std::fs::write(&path, text.repeat(times)).unwrap();
        IngestRequest::of(path)
    };
    let first = ingest(&runtime, &acme, file(0, 1), Progress::default()).await;
    assert_eq!(first.added, 1);
    let large = ingest(&runtime, &acme, file(1, 1_200), Progress::default()).await;
    assert_eq!((large.added, large.failed), (0, 1), "{large:?}");
    let failure = &large.failures[0].failure;
    assert!(failure.hint.is_some(), "{failure:?}");
    let index = runtime.index(&acme).unwrap();
    assert_eq!(index.document_ids("", None, 10).unwrap(), ["0.txt"]);
    runtime
        .set_policy(&acme, &Policy::shipped("default").unwrap())
        .unwrap();
    let later = ingest(&runtime, &acme, file(1, 1_200), Progress::default()).await;
    assert_eq!((later.added, later.failed), (1, 0), "{later:?}");
    assert!(index.check(&Interrupt::never()).unwrap().is_empty());
}
