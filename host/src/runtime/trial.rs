//! A plugin's first runs: what it says of its options, one document or one question, under a policy's limits.
//!
//! A trial shows that a plugin works, not that it is harmless: that is what the limits are for.

use super::{Guests, RuntimeError};
use crate::agent::{Agent, AgentError, AgentHost, Question};
use crate::corpus::{Document, TenantId};
use crate::embedder::{Embedder, Lane, Priority};
use crate::error::Failure;
use crate::index::{Index, IndexOptions, MatrixCache};
use crate::ingest::Chunker;
use crate::plugin::{Digest, Loaded, OptionSpec, PluginKind, Structure, check_specs, resolve};
use crate::policy::Policy;
use crate::task::{Kind, Limits, Task, Usage};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a check of a plugin found.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Its bytes' name.
    pub digest: Digest,
    /// What its bytes showed.
    pub structure: Arc<Structure>,
    /// The options that it declares.
    pub options: Vec<OptionSpec>,
    /// How long compiling took; zero when it was in the cache.
    pub compile_time: Duration,
    /// What a trial run used.
    pub trial: Usage,
    /// What the trial run gave: chunks or passages.
    pub trial_results: usize,
}

/// The text that a chunker is tried with.
const TRIAL_TEXT: &str = "# Trial\n\nA first paragraph with a sentence. And another one.\n\n\
    - an item\n- and one more\n\nA last paragraph: é, 日本, 🙂.\n";

/// The question that an agent is tried with, on an index with one document.
const TRIAL_QUESTION: &str = "What does the first paragraph say?";

/// Checks a plugin without a data folder: shape, world, options, and a trial run under `policy`.
pub async fn check_plugin(
    guests: &Guests,
    embedder: &Embedder,
    bytes: &[u8],
    policy: &Policy,
) -> Result<Checked, Failure> {
    let loaded = guests.load(bytes.to_vec(), policy.wasi).await?;
    let tenant = TenantId::new("trial")?;
    let trial = Trial {
        guests,
        embedder,
        policy,
        tenant: &tenant,
    };
    let (options, results, usage) = match loaded.structure.kind {
        PluginKind::Chunker => trial.chunker(&loaded).await?,
        PluginKind::Agent => trial.agent(&loaded).await?,
    };
    Ok(Checked {
        digest: loaded.digest,
        structure: loaded.structure.clone(),
        options,
        compile_time: loaded.compile_time,
        trial: usage,
        trial_results: results,
    })
}

/// One plugin's first runs.
pub(super) struct Trial<'a> {
    pub(super) guests: &'a Guests,
    pub(super) embedder: &'a Embedder,
    pub(super) policy: &'a Policy,
    pub(super) tenant: &'a TenantId,
}

type Tried = (Vec<OptionSpec>, usize, Usage);

impl Trial<'_> {
    fn task(&self, subject: &str, limits: Limits) -> Arc<Task> {
        Task::new(self.tenant.clone(), Kind::Trial, subject, limits)
    }

    async fn chunker(&self, loaded: &Loaded) -> Result<Tried, Failure> {
        let sandbox = &self.guests.sandbox;
        let chunker = Chunker::link(sandbox.engine(), loaded, self.policy.wasi)?;
        let specs = self.describe_chunker(loaded).await?;
        check_specs(&specs)?;
        let task = self.task("trial document", Limits::ingest(self.policy));
        let options = resolve(&specs, &[])?;
        let document = trial_document();
        let chunks = chunker
            .chunk(sandbox, self.embedder, &task, &document, &options)
            .await;
        let chunks = chunks.map_err(RuntimeError::Trial)?;
        Ok((specs, chunks.len(), task.usage()))
    }

    async fn agent(&self, loaded: &Loaded) -> Result<Tried, Failure> {
        let sandbox = &self.guests.sandbox;
        let agent = Agent::link(sandbox.engine(), loaded, self.policy.wasi)?;
        let folder = scratch()?;
        let index = Arc::new(self.trial_index(folder.path())?);
        let specs = self.describe_agent(loaded).await?;
        check_specs(&specs)?;
        let task = self.task("trial question", Limits::query(self.policy));
        let question = Question {
            text: TRIAL_QUESTION.to_owned(),
            k: 5,
            options: resolve(&specs, &[])?,
        };
        let answer = agent
            .answer(sandbox, self.host(&task, &index), &task, &question)
            .await;
        let answer = answer.map_err(|error| match error {
            AgentError::Stop(stop) => RuntimeError::Trial(stop).into(),
            other => Failure::from(other),
        })?;
        Ok((specs, answer.passages.len(), task.usage()))
    }

    fn host(&self, task: &Task, index: &Arc<Index>) -> AgentHost {
        let lane = Lane {
            tenant: self.tenant.clone(),
            share: 1,
            priority: Priority::Interactive,
            cancel: task.token().clone(),
        };
        AgentHost::new(self.embedder.clone(), lane, index.clone(), None)
    }

    fn trial_index(&self, folder: &Path) -> Result<Index, Failure> {
        let model = self.embedder.model().digest.clone();
        let options = IndexOptions {
            model,
            cache: MatrixCache::new(1 << 20),
        };
        Ok(Index::open(folder, self.tenant, options)?)
    }
}

pub(super) fn scratch() -> Result<tempfile::TempDir, Failure> {
    let wrong = |source| RuntimeError::Folder {
        path: std::env::temp_dir(),
        source,
    };
    Ok(tempfile::tempdir().map_err(wrong)?)
}

fn trial_document() -> Document {
    Document {
        id: "trial".to_owned(),
        title: "Trial".to_owned(),
        media_type: "text/markdown".to_owned(),
        text: TRIAL_TEXT.to_owned(),
        metadata: serde_json::Map::new(),
    }
}

impl Trial<'_> {
    pub(super) async fn describe_chunker(
        &self,
        loaded: &Loaded,
    ) -> Result<Vec<OptionSpec>, Failure> {
        let sandbox = &self.guests.sandbox;
        let chunker = Chunker::link(sandbox.engine(), loaded, self.policy.wasi)?;
        let task = self.task("describe", Limits::ingest(self.policy));
        let specs = chunker.describe(sandbox, self.embedder, &task).await;
        Ok(specs.map_err(RuntimeError::Trial)?)
    }

    pub(super) async fn describe_agent(&self, loaded: &Loaded) -> Result<Vec<OptionSpec>, Failure> {
        let sandbox = &self.guests.sandbox;
        let agent = Agent::link(sandbox.engine(), loaded, self.policy.wasi)?;
        let folder = scratch()?;
        let index = Arc::new(self.trial_index(folder.path())?);
        let task = self.task("describe", Limits::query(self.policy));
        let specs = agent
            .describe(sandbox, self.host(&task, &index), &task)
            .await;
        Ok(specs.map_err(RuntimeError::Trial)?)
    }
}
