//! The query flow: a question goes to the tenant's agent, which retrieves; its citations are checked and
//! come back as passages with a receipt.
//!
//! The host side of world `agent` is here. It knows one tenant's index and nothing of HTTP or of who asked.

mod answer;
mod arguments;
mod ledger;
mod retrieval;

pub use answer::{Answer, Answered};
pub use ledger::Hop;

use crate::bindings::agent::exports::stockade::plugin::answering as guest;
use crate::bindings::agent::{Agent as World, AgentPre};
use crate::corpus::Filter;
use crate::embedder::{Embedder, Lane};
use crate::engine::Engine;
use crate::error::{Explain, Wraps};
use crate::index::{Index, IndexError};
use crate::plugin::{Digest, Loaded, OptionSpec, Options, PluginError};
use crate::policy::Wasi;
use crate::sandbox::{Context, Sandbox, link_wasi};
use crate::task::{Meter, Stop, Task};
use ledger::Ledger;
use std::sync::{Arc, Mutex, PoisonError};
use wasmtime::component::{HasSelf, Linker};

/// The host's side of one agent call: bound to one tenant by what it holds.
pub struct AgentHost {
    embedder: Embedder,
    lane: Lane,
    index: Arc<Index>,
    filter: Option<Filter>,
    ledger: Ledger,
    failed: Failed,
}

/// The failure of the index that ended a call, for whoever asked: a stop says less.
#[derive(Debug, Clone, Default)]
struct Failed(Arc<Mutex<Option<IndexError>>>);

impl Failed {
    fn note(&self, error: IndexError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn take(&self) -> Option<IndexError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl AgentHost {
    /// The host's side for one question to the tenant whose index this is. The caller's `filter` holds for
    /// every call of the agent.
    pub fn new(embedder: Embedder, lane: Lane, index: Arc<Index>, filter: Option<Filter>) -> Self {
        Self {
            embedder,
            lane,
            index,
            filter,
            ledger: Ledger::default(),
            failed: Failed::default(),
        }
    }
}

/// An agent that was linked and fits its world.
#[derive(Clone)]
pub struct Agent {
    /// The plugin's name.
    pub digest: Digest,
    pre: AgentPre<Context<AgentHost>>,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// In the asker's words.
    pub text: String,
    /// Passages wanted.
    pub k: usize,
    /// Every declared option with its value.
    pub options: Options,
}

impl Agent {
    /// Links a loaded plugin; refuses one whose imports or exports have other types.
    pub fn link(engine: &Engine, plugin: &Loaded, wasi: Wasi) -> Result<Self, PluginError> {
        let link = || -> wasmtime::Result<AgentPre<Context<AgentHost>>> {
            let mut linker = Linker::new(engine.wasmtime());
            World::add_to_linker::<_, HasSelf<Context<AgentHost>>>(&mut linker, |c| c)?;
            if wasi == Wasi::Sandboxed {
                link_wasi(&mut linker)?;
            }
            AgentPre::new(linker.instantiate_pre(&plugin.component)?)
        };
        let pre = link().map_err(|error| PluginError::WrongTypes {
            world: "agent",
            message: format!("{error:#}"),
        })?;
        Ok(Self {
            digest: plugin.digest,
            pre,
        })
    }

    /// The options that the plugin declares, as it says them.
    pub async fn describe(
        &self,
        sandbox: &Sandbox,
        host: AgentHost,
        task: &Arc<Task>,
    ) -> Result<Vec<OptionSpec>, Stop> {
        let pre = self.pre.clone();
        let specs = sandbox
            .run(task, host, move |store| {
                Box::pin(async move {
                    let world = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().instantiated();
                    world.call_describe(&mut *store).await
                })
            })
            .await?;
        let bytes = |s: &crate::bindings::agent::OptionSpec| {
            s.name.len() + s.help.len() + s.range.len() + 16
        };
        let size: usize = specs.iter().map(bytes).sum();
        task.charge_or_end(Meter::Output, size as u64)?;
        Ok(specs.into_iter().map(crate::ingest::option_spec).collect())
    }

    /// Answers `question`: the agent runs, what it cites is checked, and the passages are read.
    pub async fn answer(
        &self,
        sandbox: &Sandbox,
        host: AgentHost,
        task: &Arc<Task>,
        question: &Question,
    ) -> Result<Answer, AgentError> {
        let (index, filter) = (host.index.clone(), host.filter.clone());
        let failed = host.failed.clone();
        let called = self.call(sandbox, host, task, question).await;
        let (said, mut ledger) = called.map_err(|stop| match failed.take() {
            Some(error) => AgentError::Index(error),
            None => AgentError::Stop(stop),
        })?;
        let cited =
            answer::check(task, said, &mut ledger).inspect_err(|stop| task.end(stop.clone()))?;
        let k = question.k;
        let read = move || answer::read(&index, filter.as_ref(), cited, ledger, k);
        let joined = tokio::task::spawn_blocking(read).await;
        joined.map_err(|error| Stop::host(task.phase(), &error.to_string()))?
    }

    async fn call(
        &self,
        sandbox: &Sandbox,
        host: AgentHost,
        task: &Arc<Task>,
        question: &Question,
    ) -> Result<(Result<guest::Answer, String>, Ledger), Stop> {
        let pre = self.pre.clone();
        let (text, options) = (question.text.clone(), question.options.clone());
        let sent: usize = options
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        task.charge_or_end(Meter::Boundary, (text.len() + sent) as u64)?;
        sandbox
            .run(task, host, move |store| {
                Box::pin(async move {
                    let world = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().instantiated();
                    let answering = world.stockade_plugin_answering();
                    let said = answering
                        .call_retrieve(&mut *store, &text, &options)
                        .await?;
                    Ok((said, std::mem::take(&mut store.data_mut().host.ledger)))
                })
            })
            .await
    }
}

/// A question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The task was stopped.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The tenant's index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Wraps for AgentError {
    fn inner(&self) -> &dyn Explain {
        match self {
            Self::Stop(stop) => stop,
            Self::Index(error) => error,
        }
    }
}
