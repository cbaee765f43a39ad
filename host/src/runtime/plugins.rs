//! Plugins of tenants: checked, tried, installed, chosen, and resolved for a task.
//!
//! A stranger's bytes are compiled in a child and run under limits before a row names them.

use super::builtin::{self, BUILTINS, Builtin};
use super::{Guests, Runtime, RuntimeError, lock};
use crate::agent::{Agent, AgentHost};
use crate::catalog::{NewPlugin, Role, Use};
use crate::corpus::{Document, TenantId};
use crate::embedder::{Embedder, Lane, Priority};
use crate::error::Failure;
use crate::index::{Index, IndexOptions, MatrixCache};
use crate::ingest::{Chunker, Method};
use crate::plugin::{
    Digest, Loaded, OptionSpec, Options, PluginError, PluginKind, Structure, check_specs, resolve,
};
use crate::policy::{Policy, Wasi};
use crate::task::{Kind, Limits, Task, Usage};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Plugins that were linked, so that a task only instantiates.
#[derive(Debug, Default)]
pub(super) struct Linked {
    chunkers: Mutex<HashMap<(Digest, Wasi), Chunker>>,
    agents: Mutex<HashMap<(Digest, Wasi), Agent>>,
    builtin_options: Mutex<HashMap<&'static str, Vec<OptionSpec>>>,
}

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

/// A plugin that a tenant can use.
#[derive(Debug, Clone)]
pub struct PluginInfo {
    /// Its label.
    pub label: String,
    /// Its bytes' name.
    pub digest: Digest,
    /// Chunker or agent.
    pub kind: PluginKind,
    /// It comes with Stockade.
    pub builtin: bool,
    /// What the tenant uses it for, empty when for nothing.
    pub used_for: Vec<String>,
    /// The options that it declares.
    pub options: Vec<OptionSpec>,
    /// How many versions the label has had.
    pub versions: u32,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Agent => f.write_str("agent"),
            Self::Chunker => f.write_str("chunker"),
            Self::ChunkerFor(media_type) => write!(f, "chunker for {media_type}"),
        }
    }
}

/// A plugin on its way to a task.
struct Chosen {
    digest: Digest,
    /// Of a built-in plugin; an installed one's are read when it is not loaded yet.
    bytes: Option<&'static [u8]>,
    options: Options,
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
    let loaded = guests.loader.load(bytes, policy.wasi)?;
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
struct Trial<'a> {
    guests: &'a Guests,
    embedder: &'a Embedder,
    policy: &'a Policy,
    tenant: &'a TenantId,
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
        let question = crate::agent::Question {
            text: TRIAL_QUESTION.to_owned(),
            k: 5,
            options: resolve(&specs, &[])?,
        };
        let answer = agent
            .answer(sandbox, self.host(&task, &index), &task, &question)
            .await;
        let answer = answer.map_err(|error| match error {
            crate::agent::AgentError::Stop(stop) => RuntimeError::Trial(stop).into(),
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

fn scratch() -> Result<tempfile::TempDir, Failure> {
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

impl Runtime {
    /// Checks a plugin and makes it a tenant's.
    pub async fn install_plugin(
        &self,
        tenant: &TenantId,
        file: &Path,
        label: Option<&str>,
    ) -> Result<(String, Checked), Failure> {
        let policy = self.policy(tenant)?;
        let label = match label {
            Some(label) => label.to_owned(),
            None => label_of(file)?,
        };
        check_label(&label)?;
        let bytes = read_plugin(file, self.config.plugin_mib_max)?;
        let embedder = self.embedder()?;
        let checked = check_plugin(self.guests()?, &embedder, &bytes, &policy).await?;
        self.keep(&checked.digest, &bytes)?;
        let plugin = NewPlugin {
            digest: checked.digest,
            kind: checked.structure.kind,
            options: &checked.options,
        };
        self.catalog
            .install(tenant, &label, &plugin, policy.tenant.plugins_max)?;
        Ok((label, checked))
    }

    /// Writes a plugin's bytes under their own name: on disk before a row names them.
    fn keep(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.plugin_file(digest);
        let write = || -> std::io::Result<()> {
            let folder = self.data().join("plugins");
            std::fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            std::fs::File::open(&folder)?.sync_all()
        };
        write().map_err(|source| {
            PluginError::Io {
                what: "write",
                path: path.clone(),
                source,
            }
            .into()
        })
    }

    fn plugin_file(&self, digest: &Digest) -> PathBuf {
        self.data().join("plugins").join(format!("{digest}.wasm"))
    }

    /// Removes plugin files that no tenant's history names any more.
    pub(super) fn sweep_plugins(&self) -> Result<(), Failure> {
        let needed = self.catalog.digests()?;
        let Ok(files) = std::fs::read_dir(self.data().join("plugins")) else {
            return Ok(());
        };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let digest = name.strip_suffix(".wasm").unwrap_or_default();
            if !needed.iter().any(|needed| needed == digest) {
                let _ = std::fs::remove_file(file.path());
            }
        }
        Ok(())
    }

    /// Puts the version before the one in use back.
    pub fn rollback_plugin(&self, tenant: &TenantId, label: &str) -> Result<PluginInfo, Failure> {
        self.catalog.tenant(tenant)?;
        self.catalog.rollback(tenant, label)?;
        self.plugin_info(tenant, label)
    }

    /// Removes a tenant's plugin with its history.
    pub fn remove_plugin(&self, tenant: &TenantId, label: &str) -> Result<(), Failure> {
        self.catalog.tenant(tenant)?;
        self.catalog.remove_plugin(tenant, label)?;
        self.sweep_plugins()
    }

    fn plugin_info(&self, tenant: &TenantId, label: &str) -> Result<PluginInfo, Failure> {
        let all = self.plugins_of(tenant)?;
        let found = all.into_iter().find(|plugin| plugin.label == label);
        let missing = || crate::catalog::CatalogError::NoPlugin {
            label: label.to_owned(),
        };
        found.ok_or_else(|| missing().into())
    }

    /// A tenant's own plugins, by label.
    pub fn plugins_of(&self, tenant: &TenantId) -> Result<Vec<PluginInfo>, Failure> {
        self.catalog.tenant(tenant)?;
        let uses = self.catalog.uses(tenant)?;
        let installed = self.catalog.plugins(tenant)?.into_iter();
        let info = |plugin: crate::catalog::Installed| PluginInfo {
            used_for: used_for(&uses, &plugin.label),
            label: plugin.label,
            digest: plugin.digest,
            kind: plugin.kind,
            builtin: false,
            options: plugin.options,
            versions: plugin.versions,
        };
        Ok(installed.map(info).collect())
    }

    /// Everything that a tenant can use: its own plugins and the built-in ones.
    pub async fn all_plugins(&self, tenant: &TenantId) -> Result<Vec<PluginInfo>, Failure> {
        let mut all = self.plugins_of(tenant)?;
        let uses = self.catalog.uses(tenant)?;
        for builtin in BUILTINS {
            all.push(PluginInfo {
                label: builtin.label.to_owned(),
                digest: Digest::of(builtin.bytes),
                kind: builtin.kind,
                builtin: true,
                used_for: builtin_used_for(&uses, builtin.label),
                options: self.builtin_options(builtin).await?,
                versions: 1,
            });
        }
        Ok(all)
    }

    /// Chooses the plugin of a role, for new documents and questions.
    pub async fn use_plugin(
        &self,
        tenant: &TenantId,
        label: &str,
        media_types: &[String],
        options: &Options,
    ) -> Result<Vec<Role>, Failure> {
        self.catalog.tenant(tenant)?;
        let (kind, specs) = self.kind_and_options(tenant, label).await?;
        resolve(&specs, options)?;
        let roles = match kind {
            PluginKind::Agent if !media_types.is_empty() => {
                let message = "an agent is not for media types: leave out --for";
                return Err(RuntimeError::Argument(message.to_owned()).into());
            }
            PluginKind::Agent => vec![Role::Agent],
            PluginKind::Chunker if media_types.is_empty() => vec![Role::Chunker],
            PluginKind::Chunker => media_types
                .iter()
                .map(|name| media_type(name).map(Role::ChunkerFor))
                .collect::<Result<_, _>>()?,
        };
        for role in &roles {
            let (role, label, options) = (role.clone(), label.to_owned(), options.clone());
            self.catalog.set_use(
                tenant,
                &Use {
                    role,
                    label,
                    options,
                },
            )?;
        }
        Ok(roles)
    }

    async fn kind_and_options(
        &self,
        tenant: &TenantId,
        label: &str,
    ) -> Result<(PluginKind, Vec<OptionSpec>), Failure> {
        match builtin::find(label) {
            Some(builtin) => Ok((builtin.kind, self.builtin_options(builtin).await?)),
            None => {
                let installed = self.catalog.plugin(tenant, label)?;
                Ok((installed.kind, installed.options))
            }
        }
    }

    /// The options of a built-in plugin, less the one that its label sets.
    async fn builtin_options(&self, builtin: &'static Builtin) -> Result<Vec<OptionSpec>, Failure> {
        if let Some(specs) = lock(&self.linked.builtin_options).get(builtin.label) {
            return Ok(specs.clone());
        }
        let broken = |what: String| RuntimeError::Builtin(builtin.label, what);
        let policy = Policy::shipped("default")?;
        let guests = self.guests()?;
        let loaded = guests.loader.load(builtin.bytes, Wasi::None)?;
        let embedder = self.embedder()?;
        let tenant = TenantId::new("builtin")?;
        let trial = Trial {
            guests,
            embedder: &embedder,
            policy: &policy,
            tenant: &tenant,
        };
        let described = match builtin.kind {
            PluginKind::Chunker => trial.describe_chunker(&loaded).await,
            PluginKind::Agent => trial.describe_agent(&loaded).await,
        };
        let mut specs = described.map_err(|failure| broken(failure.message))?;
        if let Some((name, _)) = builtin.preset {
            specs.retain(|spec| spec.name != name);
        }
        lock(&self.linked.builtin_options).insert(builtin.label, specs.clone());
        Ok(specs)
    }

    /// The chunker of a document's media type, linked, with its options.
    pub(super) async fn method_for(
        &self,
        tenant: &TenantId,
        media_type: &str,
        wasi: Wasi,
    ) -> Result<Method, Failure> {
        let uses = self.catalog.uses(tenant)?;
        let own = Role::ChunkerFor(media_type.to_owned());
        let used = uses.iter().find(|u| u.role == own);
        let used = used.or_else(|| uses.iter().find(|u| u.role == Role::Chunker));
        let (label, given) = match used {
            Some(used) => (used.label.as_str(), used.options.clone()),
            None => (builtin::default_chunker(media_type), vec![]),
        };
        let chosen = self
            .chosen(tenant, label, PluginKind::Chunker, &given)
            .await?;
        let chunker = self.linked_chunker(&chosen, wasi)?;
        Ok(Method {
            chunker,
            options: chosen.options,
        })
    }

    /// The agent of a question: the one named, else the tenant's, else the built-in default.
    pub(super) async fn agent_for(
        &self,
        tenant: &TenantId,
        named: Option<&str>,
        given: &Options,
        wasi: Wasi,
    ) -> Result<(String, Agent, Options), Failure> {
        let uses = self.catalog.uses(tenant)?;
        let used = uses.iter().find(|u| u.role == Role::Agent);
        let label = named
            .or(used.map(|u| u.label.as_str()))
            .unwrap_or(builtin::DEFAULT_AGENT);
        // Options that the tenant set hold for its own choice; the caller's come on top.
        let mut options = given.clone();
        if let Some(used) = used.filter(|used| used.label == label) {
            let missing = used
                .options
                .iter()
                .filter(|(name, _)| given.iter().all(|(g, _)| g != name));
            options.extend(missing.cloned());
        }
        let chosen = self
            .chosen(tenant, label, PluginKind::Agent, &options)
            .await?;
        let agent = self.linked_agent(&chosen, wasi)?;
        Ok((label.to_owned(), agent, chosen.options))
    }

    /// Whether an agent declares an option.
    pub(super) async fn declares(
        &self,
        tenant: &TenantId,
        label: &str,
        option: &str,
    ) -> Result<bool, Failure> {
        let (_, specs) = self.kind_and_options(tenant, label).await?;
        Ok(specs.iter().any(|spec| spec.name == option))
    }

    /// The label of the agent that a question without one goes to.
    pub(super) fn default_agent(&self, tenant: &TenantId) -> Result<String, Failure> {
        let uses = self.catalog.uses(tenant)?;
        let used = uses.into_iter().find(|u| u.role == Role::Agent);
        Ok(used.map_or_else(|| builtin::DEFAULT_AGENT.to_owned(), |used| used.label))
    }

    async fn chosen(
        &self,
        tenant: &TenantId,
        label: &str,
        wanted: PluginKind,
        given: &Options,
    ) -> Result<Chosen, Failure> {
        let (kind, specs) = self.kind_and_options(tenant, label).await?;
        if kind != wanted {
            let (found, wanted) = (kind.as_str(), wanted.as_str());
            return Err(RuntimeError::Kind {
                label: label.to_owned(),
                found,
                wanted,
            }
            .into());
        }
        let mut options = resolve(&specs, given)?;
        let Some(builtin) = builtin::find(label) else {
            let digest = self.catalog.plugin(tenant, label)?.digest;
            return Ok(Chosen {
                digest,
                bytes: None,
                options,
            });
        };
        if let Some((name, value)) = builtin.preset {
            options.insert(0, (name.to_owned(), value.to_owned()));
        }
        let digest = Digest::of(builtin.bytes);
        Ok(Chosen {
            digest,
            bytes: Some(builtin.bytes),
            options,
        })
    }

    /// An installed plugin's bytes. A file that is not what its name says is refused.
    fn bytes_of(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let path = self.plugin_file(digest);
        let read = std::fs::read(&path);
        let bytes = read.map_err(|source| PluginError::Io {
            what: "read",
            path,
            source,
        })?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(PluginError::Damaged { digest: *digest }.into()),
        }
    }

    fn loaded(&self, chosen: &Chosen, wasi: Wasi) -> Result<Loaded, Failure> {
        let loader = &self.guests()?.loader;
        match chosen.bytes {
            Some(bytes) => Ok(loader.load(bytes, wasi)?),
            None => Ok(loader.load(&self.bytes_of(&chosen.digest)?, wasi)?),
        }
    }

    fn linked_chunker(&self, chosen: &Chosen, wasi: Wasi) -> Result<Chunker, Failure> {
        let key = (chosen.digest, wasi);
        if let Some(chunker) = lock(&self.linked.chunkers).get(&key) {
            return Ok(chunker.clone());
        }
        let loaded = self.loaded(chosen, wasi)?;
        let chunker = Chunker::link(self.guests()?.sandbox.engine(), &loaded, wasi)?;
        lock(&self.linked.chunkers).insert(key, chunker.clone());
        Ok(chunker)
    }

    fn linked_agent(&self, chosen: &Chosen, wasi: Wasi) -> Result<Agent, Failure> {
        let key = (chosen.digest, wasi);
        if let Some(agent) = lock(&self.linked.agents).get(&key) {
            return Ok(agent.clone());
        }
        let loaded = self.loaded(chosen, wasi)?;
        let agent = Agent::link(self.guests()?.sandbox.engine(), &loaded, wasi)?;
        lock(&self.linked.agents).insert(key, agent.clone());
        Ok(agent)
    }
}

impl Trial<'_> {
    async fn describe_chunker(&self, loaded: &Loaded) -> Result<Vec<OptionSpec>, Failure> {
        let sandbox = &self.guests.sandbox;
        let chunker = Chunker::link(sandbox.engine(), loaded, self.policy.wasi)?;
        let task = self.task("describe", Limits::ingest(self.policy));
        let specs = chunker.describe(sandbox, self.embedder, &task).await;
        Ok(specs.map_err(RuntimeError::Trial)?)
    }

    async fn describe_agent(&self, loaded: &Loaded) -> Result<Vec<OptionSpec>, Failure> {
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

fn used_for(uses: &[Use], label: &str) -> Vec<String> {
    uses.iter()
        .filter(|used| used.label == label)
        .map(|used| used.role.to_string())
        .collect()
}

/// As [`used_for`], with the roles that a built-in plugin has because the tenant chose no other.
fn builtin_used_for(uses: &[Use], label: &str) -> Vec<String> {
    let mut roles = used_for(uses, label);
    let free = |role: &Role| uses.iter().all(|used| used.role != *role);
    let markdown = Role::ChunkerFor("text/markdown".to_owned());
    let default = match label {
        builtin::DEFAULT_AGENT => free(&Role::Agent).then_some(Role::Agent),
        "recursive" => free(&Role::Chunker).then_some(Role::Chunker),
        "markdown" => (free(&Role::Chunker) && free(&markdown)).then_some(markdown),
        _ => None,
    };
    roles.extend(default.map(|role| format!("{role} (default)")));
    roles
}

/// Reads a plugin file, at most `mib_max` of it.
pub fn read_plugin(file: &Path, mib_max: usize) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let wrong = |source| RuntimeError::Read {
        path: file.to_owned(),
        source,
    };
    let limit = (mib_max as u64) << 20;
    let opened = std::fs::File::open(file).map_err(wrong)?;
    let size = opened.metadata().map_err(wrong)?.len();
    if size > limit {
        return Err(PluginError::TooLarge { size, limit }.into());
    }
    let mut bytes = Vec::new();
    opened
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(wrong)?;
    match bytes.len() as u64 > limit {
        true => Err(PluginError::TooLarge {
            size: bytes.len() as u64,
            limit,
        }
        .into()),
        false => Ok(bytes),
    }
}

fn label_of(file: &Path) -> Result<String, Failure> {
    let stem = file
        .file_stem()
        .map(|stem| stem.to_string_lossy().to_lowercase());
    let stem = stem.unwrap_or_default().replace(['_', '.', ' '], "-");
    Ok(stem)
}

/// Labels look like tenants' names.
fn check_label(label: &str) -> Result<(), Failure> {
    if TenantId::new(label).is_err() {
        return Err(RuntimeError::Label(crate::corpus::shorten(label, 80)).into());
    }
    if builtin::is_reserved(label) {
        return Err(RuntimeError::Reserved(label.to_owned()).into());
    }
    Ok(())
}

/// `md` and `text/markdown` mean the same.
fn media_type(name: &str) -> Result<String, Failure> {
    Ok(match name {
        "txt" | "text" => "text/plain".to_owned(),
        "md" | "markdown" => "text/markdown".to_owned(),
        "html" | "htm" => "text/html".to_owned(),
        full if full.contains('/') => full.to_owned(),
        other => {
            let message = format!("'{other}' is no media type: txt, md, html, or like text/csv");
            return Err(RuntimeError::Argument(message).into());
        }
    })
}
