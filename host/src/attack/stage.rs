//! A stage: one engine, one model, one cache of compiled guests, and calls under any policy.
//!
//! It admits nobody and keeps nothing: what a task may do is the policy's, what it means is the caller's.

use crate::agent::{Agent, AgentError, AgentHost, Answer, Question};
use crate::config::Config;
use crate::corpus::{Chunk, Document, Embedding, TenantId};
use crate::embedder::{Embedder, Lane, Priority};
use crate::error::Failure;
use crate::index::{Index, IndexOptions, MatrixCache, NewChunk, NewVersion, TextHash};
use crate::ingest::Chunker;
use crate::plugin::Options;
use crate::policy::{Policy, Wasi};
use crate::runtime::{Guests, Runtime, RuntimeError};
use crate::task::{Kind, Limits, Stop, Task};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// One engine, one model, one cache of compiled guests; a cache of its own is gone when it is dropped.
#[derive(Debug)]
pub struct Stage {
    /// What runs plugins.
    pub guests: Arc<Guests>,
    /// The model.
    pub embedder: Embedder,
    tenant: TenantId,
    cache: PathBuf,
    _scratch: Option<TempDir>,
}

/// An index that is gone when it is dropped.
#[derive(Debug)]
pub struct SmallIndex {
    /// The index.
    pub index: Arc<Index>,
    _folder: TempDir,
}

impl Stage {
    /// A stage for one tenant. `compiler` is the program that compiles guests; this one where `None`.
    pub fn start(
        config: &Config,
        tenant: &TenantId,
        compiler: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let cache = scratch()?;
        let guests = match compiler {
            Some(compiler) => Guests::start_with(config, cache.path(), compiler)?,
            None => Guests::start(config, cache.path())?,
        };
        Ok(Self {
            guests: Arc::new(guests),
            embedder: Embedder::start(config)?,
            tenant: tenant.clone(),
            cache: cache.path().to_owned(),
            _scratch: Some(cache),
        })
    }

    /// A stage on the engine and the model of a running host, beside its tenants.
    pub fn within(runtime: &Runtime, tenant: &TenantId) -> Result<Self, Failure> {
        Ok(Self {
            guests: runtime.guests()?.clone(),
            embedder: runtime.embedder()?,
            tenant: tenant.clone(),
            cache: runtime.data().join("cache"),
            _scratch: None,
        })
    }

    /// Where compiled guests are kept.
    pub fn cache(&self) -> &std::path::Path {
        &self.cache
    }

    /// A task under a policy's limits.
    pub fn task(&self, kind: Kind, policy: &Policy) -> Arc<Task> {
        let limits = match kind {
            Kind::Query => Limits::query(policy),
            Kind::Ingest | Kind::Trial => Limits::ingest(policy),
        };
        Task::new(self.tenant.clone(), kind, "stage", limits)
    }

    /// A chunker of these bytes, compiled, loaded and linked.
    pub fn chunker(&self, component: &[u8], wasi: Wasi) -> Result<Chunker, Failure> {
        let loaded = self.guests.loader.load(component, wasi)?;
        Ok(Chunker::link(self.guests.sandbox.engine(), &loaded, wasi)?)
    }

    /// An agent of these bytes, compiled, loaded and linked.
    pub fn agent(&self, component: &[u8], wasi: Wasi) -> Result<Agent, Failure> {
        let loaded = self.guests.loader.load(component, wasi)?;
        Ok(Agent::link(self.guests.sandbox.engine(), &loaded, wasi)?)
    }

    /// One guest call on one text.
    pub async fn chunk(
        &self,
        chunker: &Chunker,
        task: &Arc<Task>,
        text: &str,
        options: &Options,
    ) -> Result<Vec<Chunk>, Stop> {
        chunker
            .chunk(
                &self.guests.sandbox,
                &self.embedder,
                task,
                &document("doc", text),
                options,
            )
            .await
    }

    /// One question to an agent over `index`.
    pub async fn ask(
        &self,
        agent: &Agent,
        task: &Arc<Task>,
        index: &Arc<Index>,
        question: &str,
        options: &Options,
    ) -> Result<Answer, AgentError> {
        let lane = self.lane(task, Priority::Interactive);
        let host = AgentHost::new(self.embedder.clone(), lane, index.clone(), None);
        let question = Question {
            text: question.to_owned(),
            k: 5,
            options: options.clone(),
        };
        agent
            .answer(&self.guests.sandbox, host, task, &question)
            .await
    }

    /// The tenant's place in the embedder's queue; given up when the task ends.
    pub fn lane(&self, task: &Task, priority: Priority) -> Lane {
        Lane {
            tenant: self.tenant.clone(),
            share: 1,
            priority,
            cancel: task.token().clone(),
        }
    }

    /// One text's vector.
    pub async fn embed(&self, task: &Task, text: &str) -> Result<Embedding, Failure> {
        let lane = self.lane(task, Priority::Interactive);
        let tokens = vec![self.embedder.tokenize(text)];
        let mut vectors = self.embedder.embed(&lane, tokens).await?;
        Ok(vectors.remove(0)?)
    }

    /// An index of one document and one chunk a text, `doc-0` first.
    pub async fn index(&self, task: &Task, texts: &[&str]) -> Result<SmallIndex, Failure> {
        let folder = scratch()?;
        let model = self.embedder.model().digest.clone();
        let cache = MatrixCache::new(1 << 20);
        let options = IndexOptions { model, cache };
        let index = Index::open(folder.path(), &self.tenant, options)?;
        for (number, text) in texts.iter().enumerate() {
            let chunk = Chunk {
                start: 0,
                end: u32::try_from(text.len()).unwrap_or(u32::MAX),
                labels: vec![],
            };
            let chunks = [NewChunk {
                chunk,
                hash: TextHash::of(text),
                embedding: self.embed(task, text).await?,
            }];
            let document = document(&format!("doc-{number}"), text);
            index.put(&NewVersion {
                document: &document,
                hash: [0; 32],
                chunker: "stage",
                chunks: &chunks,
            })?;
        }
        Ok(SmallIndex {
            index: Arc::new(index),
            _folder: folder,
        })
    }
}

/// A plain document of this text.
pub fn document(id: &str, text: &str) -> Document {
    Document {
        id: id.to_owned(),
        title: "Doc".to_owned(),
        media_type: "text/plain".to_owned(),
        text: text.to_owned(),
        metadata: serde_json::Map::new(),
    }
}

fn scratch() -> Result<TempDir, Failure> {
    let wrong = |source| RuntimeError::Folder {
        path: std::env::temp_dir(),
        source,
    };
    Ok(tempfile::tempdir().map_err(wrong)?)
}
