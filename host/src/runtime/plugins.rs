//! Plugins of tenants: installed, listed, chosen, rolled back, removed.
//!
//! A stranger's bytes are compiled in a child and tried under limits before a row names them.

use super::builtin::{self, BUILTINS};
use super::health::PluginHealth;
use super::trial::{Checked, check_plugin};
use super::{Runtime, RuntimeError};
use crate::catalog::{NewPlugin, Role, Use};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::{Digest, OptionSpec, Options, PluginError, PluginKind, resolve};
use crate::task::{Kind, Limits, Task};
use std::path::Path;

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
    /// How many versions of the label are kept that were not taken back.
    pub versions: u32,
    /// What the breaker knows of it.
    pub health: PluginHealth,
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
        // A compilation takes a place like any other work: one tenant's do not pile up.
        let limits = Limits::ingest(&policy);
        let task = Task::new(tenant.clone(), Kind::Trial, &label, limits);
        let task = self.registry.list(task)?;
        let place = self.gates.admit(&task, &policy).await?;
        let guests = self.guests()?.holding(place);
        let _installing = self.installing(Digest::of(&bytes));
        let checked = tokio::select! {
            biased;
            stop = task.ended() => return Err(stop.into()),
            checked = check_plugin(&guests, &embedder, &bytes, &policy) => checked?,
        };
        let plugin = NewPlugin {
            digest: checked.digest,
            kind: checked.structure.kind,
            options: &checked.options,
        };
        self.keep_plugin(tenant, &label, &plugin, &bytes, policy.tenant.plugins_max)?;
        Ok((label, checked))
    }

    /// Puts the version before the one in use back.
    pub fn rollback_plugin(&self, tenant: &TenantId, label: &str) -> Result<PluginInfo, Failure> {
        self.catalog.tenant(tenant)?;
        self.catalog.rollback(tenant, label)?;
        self.breakers.note_change();
        self.plugin_info(tenant, label)
    }

    /// Removes a tenant's plugin with its history.
    pub fn remove_plugin(&self, tenant: &TenantId, label: &str) -> Result<(), Failure> {
        self.catalog.tenant(tenant)?;
        let digest = self.catalog.plugin(tenant, label)?.digest;
        let tell = || {
            self.catalog
                .remove_plugin(tenant, label)
                .map(|()| vec![digest])
        };
        self.breakers.forget(tenant, tell)?;
        self.answers.forget(tenant, Some(label));
        crate::cut::here(crate::cut::Point::PluginUnnamed);
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
        let info = |plugin: crate::catalog::Installed| {
            Ok(PluginInfo {
                health: self.health(tenant, &plugin.digest, plugin.put_back_from)?,
                used_for: used_for(&uses, &plugin.label),
                label: plugin.label,
                digest: plugin.digest,
                kind: plugin.kind,
                builtin: false,
                options: plugin.options,
                versions: plugin.versions,
            })
        };
        installed.map(info).collect()
    }

    /// Everything that a tenant can use: its own plugins and the built-in ones.
    pub async fn all_plugins(&self, tenant: &TenantId) -> Result<Vec<PluginInfo>, Failure> {
        let mut all = self.plugins_of(tenant)?;
        let uses = self.catalog.uses(tenant)?;
        for builtin in BUILTINS {
            let digest = Digest::of(builtin.bytes);
            all.push(PluginInfo {
                label: builtin.label.to_owned(),
                digest,
                health: self.health(tenant, &digest, None)?,
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
}

fn used_for(uses: &[Use], label: &str) -> Vec<String> {
    uses.iter()
        .filter(|used| used.label == label)
        .map(|used| used.role.to_string())
        .collect()
}

/// As [`used_for`], with the roles that a built-in plugin has because the tenant chose no other.
pub(super) fn builtin_used_for(uses: &[Use], label: &str) -> Vec<String> {
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
