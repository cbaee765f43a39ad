//! JSON of `tenant` and `plugin`.

use super::round;
use crate::runtime as rt;
use crate::task::Usage;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What `tenant list` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct TenantsJson {
    /// By name.
    pub tenants: Vec<TenantJson>,
}

/// What `tenant policy` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct TenantPolicyJson {
    /// The tenant.
    pub tenant: String,
    /// Its policy's name.
    pub policy: String,
}

/// A tenant, for `tenant list` and `tenant show`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TenantJson {
    /// Its name.
    pub name: String,
    /// Its policy's name.
    pub policy: String,
    /// BLAKE3 of its policy's effective values.
    pub policy_digest: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Size of its index on disk.
    pub storage_bytes: u64,
    /// Grows with every change of its documents.
    pub index_generation: u64,
    /// Its own plugins.
    pub plugins: Vec<PluginJson>,
    /// What it uses, by role; roles that are absent have the built-in default.
    pub uses: BTreeMap<String, String>,
}

impl From<rt::TenantInfo> for TenantJson {
    fn from(info: rt::TenantInfo) -> Self {
        Self {
            name: info.name.to_string(),
            policy: info.policy,
            policy_digest: info.policy_digest,
            suspended: info.suspended,
            documents: info.documents,
            chunks: info.chunks,
            storage_bytes: info.storage_bytes,
            index_generation: info.index_generation,
            plugins: info.plugins.into_iter().map(Into::into).collect(),
            uses: info.uses.into_iter().collect(),
        }
    }
}

/// A plugin, for `plugin list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct PluginJson {
    /// Its label.
    pub label: String,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// `chunker` or `agent`.
    pub kind: Cow<'static, str>,
    /// It comes with Stockade.
    pub builtin: bool,
    /// What the tenant uses it for.
    pub used_for: Vec<String>,
    /// How many versions the label has had.
    pub versions: u32,
    /// The options that it declares.
    pub options: Vec<crate::plugin::OptionSpec>,
}

impl From<rt::PluginInfo> for PluginJson {
    fn from(info: rt::PluginInfo) -> Self {
        Self {
            label: info.label,
            digest: info.digest.to_string(),
            kind: Cow::Borrowed(info.kind.as_str()),
            builtin: info.builtin,
            used_for: info.used_for,
            versions: info.versions,
            options: info.options,
        }
    }
}

/// What `plugin check` says.
#[derive(Debug, Serialize)]
pub struct CheckJson {
    /// BLAKE3 of the bytes.
    pub digest: String,
    /// `chunker` or `agent`.
    pub kind: &'static str,
    /// What it asks of the host.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
    /// The options that it declares.
    pub options: Vec<crate::plugin::OptionSpec>,
    /// Its size.
    pub size_bytes: u64,
    /// Functions with code.
    pub functions: u64,
    /// The largest of them.
    pub largest_function_bytes: u64,
    /// How long compiling took; 0 when it was compiled before.
    pub compile_ms: f64,
    /// What the trial run gave and used.
    pub trial: TrialJson,
}

/// A plugin's trial run.
#[derive(Debug, Serialize)]
pub struct TrialJson {
    /// Chunks or passages.
    pub results: usize,
    /// What it used.
    pub usage: Usage,
}

impl From<&rt::Checked> for CheckJson {
    fn from(checked: &rt::Checked) -> Self {
        let structure = &checked.structure;
        Self {
            digest: checked.digest.to_string(),
            kind: structure.kind.as_str(),
            imports: structure.imports.clone(),
            exports: structure.exports.clone(),
            options: checked.options.clone(),
            size_bytes: structure.size,
            functions: structure.functions,
            largest_function_bytes: structure.largest_function,
            compile_ms: round(checked.compile_time.as_secs_f64() * 1e3, 1),
            trial: TrialJson {
                results: checked.trial_results,
                usage: checked.trial.clone(),
            },
        }
    }
}
