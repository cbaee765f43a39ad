//! One guest call in this process: the real sandbox, the real model, a policy written in the test.

use super::guests;
use std::sync::{Arc, OnceLock};
use stockade::agent::{Agent, AgentHost, Answer, Question};
use stockade::config::Config;
use stockade::corpus::{Chunk, Document, Embedding, TenantId};
use stockade::embedder::{Embedder, Lane, Priority};
use stockade::error::Blame;
use stockade::index::{Index, IndexOptions, MatrixCache, NewChunk, NewVersion, TextHash};
use stockade::ingest::Chunker;
use stockade::policy::Policy;
use stockade::runtime::Guests;
use stockade::task::{Kind, Limits, Reason, Stop, Task, Usage};
use tempfile::TempDir;

/// What all tests of this process share: one engine, one model, one cache of compiled guests.
struct Stage {
    guests: Guests,
    embedder: Embedder,
    executor: tokio::runtime::Runtime,
    _cache: TempDir,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        let config = Config::default();
        let compiler = env!("CARGO_BIN_EXE_stockade").into();
        Stage {
            guests: Guests::start_with(&config, cache.path(), compiler).unwrap(),
            embedder: Embedder::start(&config).unwrap(),
            executor: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
            _cache: cache,
        }
    })
}

pub fn tenant() -> TenantId {
    TenantId::new("test").unwrap()
}

/// The policy of a few lines.
pub fn policy(toml: &str) -> Policy {
    Policy::from_toml("test.toml", toml).unwrap()
}

pub fn document(text: &str) -> Document {
    Document {
        id: "doc".to_owned(),
        title: "Doc".to_owned(),
        media_type: "text/plain".to_owned(),
        text: text.to_owned(),
        metadata: serde_json::Map::new(),
    }
}

/// Runs `component` as the chunker of `text`: what came of it, and what it used.
pub fn chunk(component: &[u8], toml: &str, text: &str) -> (Result<Vec<Chunk>, Stop>, Usage) {
    let task = Task::new(tenant(), Kind::Ingest, "doc", Limits::ingest(&policy(toml)));
    let outcome = chunk_task(component, toml, text, &task);
    (outcome, task.usage())
}

/// As [`chunk`], for a task that the test holds.
pub fn chunk_task(
    component: &[u8],
    toml: &str,
    text: &str,
    task: &Arc<Task>,
) -> Result<Vec<Chunk>, Stop> {
    let stage = stage();
    let wasi = policy(toml).wasi;
    let loaded = stage.guests.loader.load(component, wasi).unwrap();
    let sandbox = &stage.guests.sandbox;
    let chunker = Chunker::link(sandbox.engine(), &loaded, wasi).unwrap();
    let document = document(text);
    let options = vec![];
    stage
        .executor
        .block_on(chunker.chunk(sandbox, &stage.embedder, task, &document, &options))
}

/// An index with one document a text, on the real model.
pub fn index(texts: &[&str]) -> (Arc<Index>, TempDir) {
    let stage = stage();
    let folder = tempfile::tempdir().unwrap();
    let model = stage.embedder.model().digest.clone();
    let options = IndexOptions {
        model,
        cache: MatrixCache::new(1 << 20),
    };
    let index = Index::open(folder.path(), &tenant(), options).unwrap();
    for (number, text) in texts.iter().enumerate() {
        let mut document = document(text);
        document.id = format!("doc-{number}");
        let chunk = Chunk {
            start: 0,
            end: u32::try_from(text.len()).unwrap(),
            labels: vec![],
        };
        let chunks = [NewChunk {
            chunk,
            hash: TextHash::of(text),
            embedding: embed(text),
        }];
        let hash = [0; 32];
        index
            .put(&NewVersion {
                document: &document,
                hash,
                chunker: "t",
                chunks: &chunks,
            })
            .unwrap();
    }
    (Arc::new(index), folder)
}

pub fn embed(text: &str) -> Embedding {
    let stage = stage();
    let tokens = vec![stage.embedder.tokenize(text)];
    let lane = lane(&tokio_util::sync::CancellationToken::new());
    let vectors = stage
        .executor
        .block_on(stage.embedder.embed(&lane, tokens))
        .unwrap();
    vectors.into_iter().next().unwrap().unwrap()
}

fn lane(cancel: &tokio_util::sync::CancellationToken) -> Lane {
    Lane {
        tenant: tenant(),
        share: 1,
        priority: Priority::Interactive,
        cancel: cancel.clone(),
    }
}

/// Asks `component` as the agent over `index`.
pub fn ask(component: &[u8], toml: &str, index: &Arc<Index>) -> (Result<Answer, Stop>, Usage) {
    let task = Task::new(
        tenant(),
        Kind::Query,
        "question",
        Limits::query(&policy(toml)),
    );
    let outcome = ask_task(component, toml, index, &task);
    (outcome, task.usage())
}

/// As [`ask`], for a task that the test holds.
pub fn ask_task(
    component: &[u8],
    toml: &str,
    index: &Arc<Index>,
    task: &Arc<Task>,
) -> Result<Answer, Stop> {
    let stage = stage();
    let wasi = policy(toml).wasi;
    let loaded = stage.guests.loader.load(component, wasi).unwrap();
    let sandbox = &stage.guests.sandbox;
    let agent = Agent::link(sandbox.engine(), &loaded, wasi).unwrap();
    let host = AgentHost::new(
        stage.embedder.clone(),
        lane(task.token()),
        index.clone(),
        None,
    );
    let question = Question {
        text: "question".to_owned(),
        k: 5,
        options: vec![],
    };
    let outcome = stage
        .executor
        .block_on(agent.answer(sandbox, host, task, &question));
    outcome.map_err(|error| match error {
        stockade::agent::AgentError::Stop(stop) => stop,
        other => panic!("{other}"),
    })
}

/// A chunker or agent whose body first does `misdeed` and then answers emptily.
pub fn chunker_that(misdeed: &str) -> Vec<u8> {
    guests::chunker(&format!("{misdeed} (i32.const 32)"))
}

/// As [`chunker_that`].
pub fn agent_that(imports: &str, misdeed: &str) -> Vec<u8> {
    let mut guest = guests::Guest::agent(&format!("{misdeed} (i32.const 32)"));
    guest.imports = imports.to_owned();
    guest.build()
}

/// The stop of a task that must have been stopped: reason, blame, phase.
pub fn stopped<T: std::fmt::Debug>(outcome: Result<T, Stop>) -> (Reason, Blame, String) {
    let stop = outcome.expect_err("it should have been stopped");
    (stop.reason, stop.blame, stop.phase)
}
