//! From a tenant's choice to a linked plugin: which label, which bytes, which options.
//!
//! Linked plugins are kept, so that a task only instantiates.

use super::builtin::{self, Builtin};
use super::trial::Trial;
use super::{Runtime, RuntimeError, lock};
use crate::agent::Agent;
use crate::catalog::Role;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::ingest::{Chunker, Method};
use crate::plugin::{Digest, Loaded, OptionSpec, Options, PluginError, PluginKind, resolve};
use crate::policy::{Policy, Wasi};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Plugins that were linked, so that a task only instantiates.
#[derive(Debug, Default)]
pub(super) struct Linked {
    chunkers: Mutex<HashMap<(Digest, Wasi), Chunker>>,
    agents: Mutex<HashMap<(Digest, Wasi), Agent>>,
    builtin_options: Mutex<HashMap<&'static str, Vec<OptionSpec>>>,
}

/// Plugins of each kind that are kept linked. Each is mapped code, so the bound is generous.
const LINKED_MAX: usize = 512;

/// Keeps a linked plugin; where there are too many, any other one goes.
fn keep<T>(linked: &Mutex<HashMap<(Digest, Wasi), T>>, key: (Digest, Wasi), plugin: T) {
    let mut all = lock(linked);
    if all.len() >= LINKED_MAX
        && !all.contains_key(&key)
        && let Some(&other) = all.keys().next()
    {
        all.remove(&other);
    }
    all.insert(key, plugin);
}

/// Which version of an agent answers.
#[derive(Debug, Clone)]
pub(super) enum Version {
    /// The one that its label stands for.
    InUse,
    /// One of the tenant's history, in use or not.
    Kept(Digest),
    /// One that is compared with the tenant's own before it is used. The breaker neither asks it nor learns of it.
    Candidate(Arc<Candidate>),
}

/// An agent in the place of another: nothing of the tenant's changes for it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) agent: Agent,
    /// Those that it declares.
    pub(super) options: Vec<OptionSpec>,
}

impl Candidate {
    pub(super) fn declares(&self, option: &str) -> bool {
        self.options.iter().any(|spec| spec.name == option)
    }
}

/// In which way a question is asked.
#[derive(Debug, Clone)]
pub(super) struct Manner {
    pub(super) version: Version,
    /// It counts among the answers that `tenant show` tells of.
    pub(super) counted: bool,
}

impl Manner {
    /// As tenants ask.
    pub(super) const USUAL: Self = Self {
        version: Version::InUse,
        counted: true,
    };

    /// To find out about an agent, or about an answer that there was.
    pub(super) fn trying(version: Version) -> Self {
        Self {
            version,
            counted: false,
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

impl Runtime {
    pub(super) async fn kind_and_options(
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
    pub(super) async fn builtin_options(
        &self,
        builtin: &'static Builtin,
    ) -> Result<Vec<OptionSpec>, Failure> {
        if let Some(specs) = lock(&self.linked.builtin_options).get(builtin.label) {
            return Ok(specs.clone());
        }
        let broken = |what: String| RuntimeError::Builtin(builtin.label, what);
        let policy = Policy::shipped("default")?;
        let guests = self.guests()?;
        let loaded = guests.load(builtin.bytes.to_vec(), Wasi::None).await?;
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
    pub(crate) async fn method_for(
        &self,
        tenant: &TenantId,
        media_type: &str,
        wasi: Wasi,
    ) -> Result<Method, Failure> {
        let (label, given) = self.chunker_of(tenant, media_type)?;
        let chosen = self
            .chosen(tenant, &label, PluginKind::Chunker, &given)
            .await?;
        let chunker = self.linked_chunker(&chosen, wasi).await?;
        Ok(Method::new(chunker, chosen.options))
    }

    /// The label of a media type's chunker, and what the tenant set of its options.
    pub(super) fn chunker_of(
        &self,
        tenant: &TenantId,
        media_type: &str,
    ) -> Result<(String, Options), Failure> {
        let uses = self.catalog.uses(tenant)?;
        let own = Role::ChunkerFor(media_type.to_owned());
        let used = uses.iter().find(|u| u.role == own);
        let used = used.or_else(|| uses.iter().find(|u| u.role == Role::Chunker));
        Ok(match used {
            Some(used) => (used.label.clone(), used.options.clone()),
            None => (builtin::default_chunker(media_type).to_owned(), vec![]),
        })
    }

    /// The agent of a question, linked, with every option.
    pub(super) async fn agent_for(
        &self,
        tenant: &TenantId,
        label: &str,
        version: &Version,
        given: &Options,
        wasi: Wasi,
    ) -> Result<(Agent, Options), Failure> {
        let chosen = match version {
            Version::InUse => {
                let given = self.with_own(tenant, label, given)?;
                self.chosen(tenant, label, PluginKind::Agent, &given)
                    .await?
            }
            Version::Kept(digest) => self.kept(tenant, label, digest, given).await?,
            Version::Candidate(candidate) => {
                return Ok((candidate.agent.clone(), resolve(&candidate.options, given)?));
            }
        };
        let agent = self.linked_agent(&chosen, wasi).await?;
        Ok((agent, chosen.options))
    }

    /// Every option of a question to the version in use.
    pub(super) async fn options_of(
        &self,
        tenant: &TenantId,
        label: &str,
        given: &Options,
    ) -> Result<Options, Failure> {
        let given = self.with_own(tenant, label, given)?;
        let chosen = self.chosen(tenant, label, PluginKind::Agent, &given);
        Ok(chosen.await?.options)
    }

    /// The caller's options, and those that the tenant set for its own choice where the caller set no other.
    pub(super) fn with_own(
        &self,
        tenant: &TenantId,
        label: &str,
        given: &Options,
    ) -> Result<Options, Failure> {
        let uses = self.catalog.uses(tenant)?;
        let used = uses
            .iter()
            .find(|used| used.role == Role::Agent && used.label == label);
        let mut options = given.clone();
        if let Some(used) = used {
            let missing = used
                .options
                .iter()
                .filter(|(name, _)| given.iter().all(|(g, _)| g != name));
            options.extend(missing.cloned());
        }
        Ok(options)
    }

    /// A version that the tenant has, whichever is in use.
    async fn kept(
        &self,
        tenant: &TenantId,
        label: &str,
        digest: &Digest,
        given: &Options,
    ) -> Result<Chosen, Failure> {
        let builtin = builtin::find(label).filter(|b| Digest::of(b.bytes) == *digest);
        if let Some(builtin) = builtin {
            let preset = builtin.preset.map(|(name, _)| name);
            let others = given
                .iter()
                .filter(|(name, _)| preset != Some(name.as_str()));
            let others: Options = others.cloned().collect();
            return self.chosen(tenant, label, PluginKind::Agent, &others).await;
        }
        match self.catalog.kept_version(tenant, digest)? {
            Some(kept) if kept.kind == PluginKind::Agent => Ok(Chosen {
                digest: *digest,
                bytes: None,
                options: resolve(&kept.options, given)?,
            }),
            _ => Err(RuntimeError::VersionGone {
                tenant: tenant.clone(),
                label: label.to_owned(),
                plugin: digest.short(),
            }
            .into()),
        }
    }

    /// An agent that the tenant can use, as a candidate for the place of another.
    pub(super) async fn installed_candidate(
        &self,
        tenant: &TenantId,
        label: &str,
    ) -> Result<Candidate, Failure> {
        let wasi = self.policy(tenant)?.wasi;
        let none = Options::new();
        let chosen = self.chosen(tenant, label, PluginKind::Agent, &none);
        let agent = self.linked_agent(&chosen.await?, wasi).await?;
        let (_, options) = self.kind_and_options(tenant, label).await?;
        Ok(Candidate { agent, options })
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
    pub(super) fn bytes_of(&self, digest: &Digest) -> Result<Vec<u8>, Failure> {
        let path = self.plugin_file(digest);
        let read = std::fs::read(&path);
        let bytes = read.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => PluginError::Damaged { digest: *digest },
            _ => PluginError::Io {
                what: "read",
                path,
                source,
            },
        })?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(PluginError::Damaged { digest: *digest }.into()),
        }
    }

    async fn loaded(&self, chosen: &Chosen, wasi: Wasi) -> Result<Loaded, Failure> {
        let bytes = match chosen.bytes {
            Some(bytes) => bytes.to_vec(),
            None => self.bytes_of(&chosen.digest)?,
        };
        self.guests()?.load(bytes, wasi).await
    }

    async fn linked_chunker(&self, chosen: &Chosen, wasi: Wasi) -> Result<Chunker, Failure> {
        let key = (chosen.digest, wasi);
        if let Some(chunker) = lock(&self.linked.chunkers).get(&key) {
            return Ok(chunker.clone());
        }
        let loaded = self.loaded(chosen, wasi).await?;
        let chunker = Chunker::link(self.guests()?.sandbox.engine(), &loaded, wasi)?;
        keep(&self.linked.chunkers, key, chunker.clone());
        Ok(chunker)
    }

    async fn linked_agent(&self, chosen: &Chosen, wasi: Wasi) -> Result<Agent, Failure> {
        let key = (chosen.digest, wasi);
        if let Some(agent) = lock(&self.linked.agents).get(&key) {
            return Ok(agent.clone());
        }
        let loaded = self.loaded(chosen, wasi).await?;
        let agent = Agent::link(self.guests()?.sandbox.engine(), &loaded, wasi)?;
        keep(&self.linked.agents, key, agent.clone());
        Ok(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_linked_plugin_is_kept_and_not_too_many_others() {
        let linked = Mutex::default();
        for number in 0..2 * LINKED_MAX {
            let key = (Digest::of(&number.to_le_bytes()), Wasi::None);
            keep(&linked, key, number);
            assert_eq!(lock(&linked).get(&key), Some(&number));
        }
        assert_eq!(lock(&linked).len(), LINKED_MAX);
    }
}
