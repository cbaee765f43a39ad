//! The only place that wires: it holds the data folder and its parts, admits tasks, refuses and kills.
//!
//! Parts that cost start-up time (engine, model) are made when first needed. It knows neither HTTP nor the
//! command line.

mod admission;
mod answers;
mod archive;
mod backup;
mod breaker;
mod builtin;
mod doctor;
mod error;
mod evaluate;
mod files;
mod folder;
mod health;
mod ingest;
mod moves;
mod open;
mod plugins;
mod query;
mod receipt;
mod registry;
mod removal;
mod replay;
mod resolve;
mod shadow;
mod shared;
mod tenants;
mod trial;

pub use admission::{Gates, Place};
pub use answers::AgentAnswers;
pub use archive::{ArchiveError, partial_of};
pub use backup::{BackedUp, Restored, Unfit};
pub use builtin::{component as builtin_component, is_reserved as is_reserved_label};
pub use doctor::{Finding, examine};
pub use error::RuntimeError;
pub use evaluate::{
    CONFIDENCE, EvalAgent, EvalQuery, EvalRequest, Evaluation, Interval, Intervals, MEASURES,
    Measures, read_queries,
};
pub use folder::DataFolder;
pub use health::{PluginHealth, PluginState};
pub use ingest::{Ack, EndedEarly, IngestReport, IngestRequest, Outcome, Progress};
pub(crate) use ingest::{Found, PIPELINE, Stored, Window, read_ahead};
pub use plugins::{PluginInfo, read_plugin};
pub use query::{QueryOutcome, QueryRequest};
pub use receipt::{AnswerIdentity, CitedPassage, Inquiry, Receipt};
pub use registry::{Registry, TaskInfo};
pub use replay::{Change, Recorded, RecordedHop, Replayed, VersionState};
pub use shadow::{Shadow, ShadowAnswers, Verdict};
pub use tenants::TenantInfo;
pub use trial::{Checked, check_plugin};

use crate::catalog::Catalog;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::Embedder;
use crate::engine::Engine;
use crate::error::Failure;
use crate::index::{Index, IndexError, IndexOptions, MatrixCache};
use crate::plugin::{Digest, Loaded, Loader};
use crate::policy::{Policy, Wasi};
use crate::sandbox::Sandbox;
use crate::task::{Phase, Stop};
#[cfg(test)]
pub(crate) use admission::flood;
use answers::Answers;
use breaker::Breakers;
use open::OpenIndexes;
use resolve::Linked;
use shared::SharedPolicies;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio_util::sync::CancellationToken;

/// A running host over one data folder.
#[derive(Debug)]
pub struct Runtime {
    config: Config,
    catalog: Arc<Catalog>,
    breakers: Breakers,
    answers: Answers,
    matrices: Arc<MatrixCache>,
    guests: OnceLock<Arc<Guests>>,
    embedder: Mutex<Option<Embedder>>,
    open_index: OpenIndex,
    model: OnceLock<String>,
    indexes: Mutex<OpenIndexes>,
    /// Tenants whose index was found to be damaged, and what was found: it is not used any more.
    damaged: Mutex<HashMap<TenantId, Failure>>,
    policies: Mutex<SharedPolicies>,
    linked: Linked,
    /// Plugins that are being installed. Held while files of plugins and the rows that name them change.
    installing: Mutex<Vec<Digest>>,
    registry: Arc<Registry>,
    gates: Gates,
    /// Held while a tenant is changed, so that catalog, registry and gates agree on who came last.
    changes: Mutex<()>,
    // Last: everything above lets go of its files before the folder is given up.
    folder: DataFolder,
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.breakers.flush();
        self.answers.flush();
    }
}

/// How a tenant's index is opened.
type OpenIndex = fn(&Path, &TenantId, IndexOptions) -> Result<Index, IndexError>;

/// What runs plugins.
#[derive(Debug, Clone)]
pub struct Guests {
    /// Runs calls.
    pub sandbox: Sandbox,
    /// Compiles and loads.
    pub loader: Arc<Loader>,
}

impl Guests {
    /// An engine with guest threads, and compiled artefacts in `cache`.
    pub fn start(config: &Config, cache: &Path) -> Result<Self, Failure> {
        Self::start_with(config, cache, compiler())
    }

    /// As [`Guests::start`], with another program that compiles: it must understand the hidden subcommand.
    pub fn start_with(config: &Config, cache: &Path, compiler: PathBuf) -> Result<Self, Failure> {
        let engine = Engine::new()?;
        let sandbox =
            Sandbox::new(engine.clone(), config.guest_threads).map_err(RuntimeError::Threads)?;
        let loader = Arc::new(Loader::new(engine, cache, compiler)?);
        Ok(Self { sandbox, loader })
    }

    /// The same, for guests and compilations that keep a place until they are gone.
    fn holding(&self, place: Place) -> Self {
        Self {
            sandbox: self.sandbox.holding(place),
            loader: self.loader.clone(),
        }
    }

    /// The same, with what it compiles kept in another folder.
    fn caching_in(&self, cache: &Path) -> Result<Self, Failure> {
        let engine = self.sandbox.engine().clone();
        Ok(Self {
            sandbox: self.sandbox.clone(),
            loader: Arc::new(Loader::new(engine, cache, compiler())?),
        })
    }

    /// The component of `bytes`, compiled off the caller's thread where it has to be: threads that answer
    /// must not wait for compilers. Dropping the future ends the compiler.
    pub async fn load(&self, bytes: Vec<u8>, wasi: Wasi) -> Result<Loaded, Failure> {
        let given_up = CancellationToken::new();
        let _dropped = given_up.clone().drop_guard();
        let guests = self.clone();
        let load = move || {
            let loader = &guests.loader;
            loader.load_unless(&bytes, wasi, &|| given_up.is_cancelled())
        };
        let joined = tokio::task::spawn_blocking(load).await;
        Ok(joined.map_err(|error| Stop::host(Phase::Queued, &error.to_string()))??)
    }
}

/// The program that compiles plugins: this one.
fn compiler() -> PathBuf {
    PathBuf::from("/proc/self/exe")
}

impl Runtime {
    /// Takes the data folder, making it where there is none. Refused while another process has it.
    pub fn open(data: &Path) -> Result<Self, Failure> {
        Self::open_with(data, Index::open)
    }

    /// As [`Runtime::open`], with indexes that do not wait for the disk: to measure what durability costs, and
    /// for nothing else.
    pub fn open_without_sync_for_bench(data: &Path) -> Result<Self, Failure> {
        Self::open_with(data, Index::open_without_sync_for_bench)
    }

    fn open_with(data: &Path, open_index: OpenIndex) -> Result<Self, Failure> {
        let folder = DataFolder::take(data)?;
        let config = Config::load(data)?;
        let open_max = open::room_for(config.open_indexes_max)?;
        let catalog = Arc::new(Catalog::open(data)?);
        let tenants = catalog.tenants()?;
        let there = |name: &TenantId| tenants.iter().any(|tenant| tenant.name == *name);
        removal::recover(&data.join("tenants"), &there)?;
        moves::finish(data, &catalog)?;
        moves::sweep(data);
        let registry = Arc::new(Registry::default());
        for tenant in tenants.iter().filter(|t| t.suspended) {
            registry.refuse(&tenant.name, tenants::SUSPENDED);
        }
        Ok(Self {
            breakers: Breakers::new(catalog.clone()),
            answers: Answers::new(catalog.clone()),
            catalog,
            matrices: MatrixCache::new(config.vector_cache_mib << 20),
            guests: OnceLock::new(),
            embedder: Mutex::default(),
            open_index,
            model: OnceLock::new(),
            indexes: Mutex::new(OpenIndexes::new(open_max)),
            damaged: Mutex::default(),
            policies: Mutex::default(),
            linked: Linked::default(),
            installing: Mutex::default(),
            registry,
            gates: Gates::new(config.tasks_running_max),
            changes: Mutex::default(),
            folder,
            config,
        })
    }

    /// With an engine and a model that run already.
    #[cfg(test)]
    pub(crate) fn with(self, guests: Arc<Guests>, embedder: Embedder) -> Self {
        *lock(&self.embedder) = Some(embedder);
        assert!(self.guests.set(guests).is_ok(), "it has an engine");
        self
    }

    /// What the host was configured with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The folder that it holds.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Tasks that are queued or running.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What runs plugins; started at the first call. Refused while time limits could not be kept.
    pub fn guests(&self) -> Result<&Arc<Guests>, Failure> {
        if let Some(guests) = self.guests.get() {
            return match guests.sandbox.engine().rouse_now() {
                true => Ok(guests),
                false => Err(RuntimeError::Unhealthy.into()),
            };
        }
        let started = Guests::start(&self.config, &self.data().join("cache"))?;
        Ok(self.guests.get_or_init(|| Arc::new(started)))
    }

    /// The model; started at the first call, which takes about 0.3 s.
    pub fn embedder(&self) -> Result<Embedder, Failure> {
        let mut slot = lock(&self.embedder);
        if let Some(embedder) = slot.as_ref() {
            return Ok(embedder.clone());
        }
        let started = Embedder::start(&self.config)?;
        *slot = Some(started.clone());
        Ok(started)
    }

    /// A tenant's index; opened at the first call.
    pub fn index(&self, tenant: &TenantId) -> Result<Arc<Index>, Failure> {
        self.catalog.tenant(tenant)?;
        if let Some(failure) = lock(&self.damaged).get(tenant) {
            return Err(failure.clone());
        }
        let model = self.model_digest()?;
        let mut open = lock(&self.indexes);
        if let Some(index) = open.get(tenant) {
            return Ok(index);
        }
        let cache = self.matrices.clone();
        let options = IndexOptions { model, cache };
        let opened = (self.open_index)(&self.tenant_folder(tenant), tenant, options);
        let index = match opened {
            Ok(index) => Arc::new(index),
            Err(error) => {
                drop(open);
                return Err(self.noted(tenant, error.into()));
            }
        };
        let closed = open.insert(tenant, &index);
        drop(open);
        // Closing one copies its log, for which nobody needs to wait.
        drop(closed);
        Ok(index)
    }

    /// Takes note of a failure: an index in which damage was found is refused from here on, so that nothing is built
    /// upon it. Others go on.
    fn noted(&self, tenant: &TenantId, failure: Failure) -> Failure {
        if failure.code == "storage-corrupt" {
            lock(&self.damaged)
                .entry(tenant.clone())
                .or_insert_with(|| failure.clone());
            lock(&self.indexes).remove(tenant);
        }
        failure
    }

    /// Which model vectors are of. What only counts or deletes does not wait for the model to be loaded.
    fn model_digest(&self) -> Result<String, Failure> {
        match lock(&self.embedder).as_ref() {
            Some(embedder) => Ok(embedder.model().digest.clone()),
            None => match self.model.get() {
                Some(digest) => Ok(digest.clone()),
                None => {
                    let digest = crate::embedder::onnx::check(&self.config.model_dir)?.digest;
                    Ok(self.model.get_or_init(|| digest).clone())
                }
            },
        }
    }

    fn tenants_folder(&self) -> PathBuf {
        self.data().join("tenants")
    }

    /// How many tenants' indexes are open.
    pub fn open_indexes(&self) -> usize {
        lock(&self.indexes).len()
    }

    fn tenant_folder(&self, tenant: &TenantId) -> PathBuf {
        self.tenants_folder().join(tenant.as_str())
    }

    /// A tenant's policy, as it is in force.
    pub fn policy(&self, tenant: &TenantId) -> Result<Arc<Policy>, Failure> {
        // Kept from here on: what was read before a change must not be remembered after it.
        let mut policies = lock(&self.policies);
        match policies.get(tenant) {
            Some(policy) => Ok(policy),
            None => policies.read(&self.catalog.tenant(tenant)?),
        }
    }
}

/// A panic elsewhere must not take everything with it: what these locks guard is valid at every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says where it stopped")]

    use super::*;

    #[test]
    fn c_12_a_host_whose_clock_stands_still_admits_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::open(folder.path()).unwrap();
        let engine = runtime.guests().unwrap().sandbox.engine().clone();
        engine.lose_ticker();
        let watchdog = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let refused = loop {
            match runtime.guests() {
                Err(failure) => break failure,
                Ok(_) => assert!(std::time::Instant::now() < watchdog, "still admitting"),
            }
            std::thread::yield_now();
        };
        assert_eq!(refused.code, "unhealthy");
    }
}
