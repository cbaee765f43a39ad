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
    /// Versions of documents that are skipped since they stopped their chunker.
    pub quarantined: u64,
    /// Its own plugins.
    pub plugins: Vec<PluginJson>,
    /// What it uses, by role; roles that are absent have the built-in default.
    pub uses: BTreeMap<String, String>,
    /// What came of its questions, by version of the agent that was asked; versions in use first.
    pub answers: Vec<AgentAnswersJson>,
    /// What is damaged; null where nothing is.
    pub problem: Option<String>,
}

/// What came of the questions to one version of an agent.
#[derive(Debug, Serialize, Deserialize)]
pub struct AgentAnswersJson {
    /// The label under which it was asked.
    pub label: String,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// The label stands for this version now.
    pub in_use: bool,
    /// Answers.
    pub answers: u64,
    /// Answers without a passage.
    pub empty: u64,
    /// Answers whose receipt says that something was denied, left out, dropped or answered by a fallback.
    pub degraded: u64,
    /// Answers on the way to which a retrieval call was denied; they are among the degraded.
    pub denied: u64,
    /// Questions that had no answer, since the agent was stopped by its own fault; not among the answers.
    pub stopped: u64,
    /// Share of the answers, 0 to 1; 0 without answers.
    pub empty_share: f64,
    /// The same of the degraded.
    pub degraded_share: f64,
    /// The same of the denied.
    pub denied_share: f64,
}

impl From<rt::AgentAnswers> for AgentAnswersJson {
    fn from(one: rt::AgentAnswers) -> Self {
        let counts = one.counts;
        let share = |part: u64| round(part as f64 / counts.answers.max(1) as f64, 6);
        Self {
            label: one.version.label,
            digest: one.version.digest.to_string(),
            in_use: one.in_use,
            answers: counts.answers,
            empty: counts.empty,
            degraded: counts.degraded,
            denied: counts.denied,
            stopped: counts.stopped,
            empty_share: share(counts.empty),
            degraded_share: share(counts.degraded),
            denied_share: share(counts.denied),
        }
    }
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
            quarantined: info.quarantined,
            plugins: info.plugins.into_iter().map(Into::into).collect(),
            uses: info.uses.into_iter().collect(),
            answers: info.answers.into_iter().map(Into::into).collect(),
            problem: info.problem,
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
    /// How many versions of the label are kept that were not taken back.
    pub versions: u32,
    /// The options that it declares.
    pub options: Vec<crate::plugin::OptionSpec>,
    /// What the breaker knows of it.
    #[serde(flatten)]
    pub health: HealthJson,
}

/// What the breaker knows of a plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct HealthJson {
    /// `active`, `open`, `half-open` or `rolled-back`.
    pub state: Cow<'static, str>,
    /// Stops on distinct inputs that opened the breaker; 0 where it is closed.
    pub breaker_stops: u64,
    /// Seconds until an open breaker tries the plugin again; null where it is not open.
    pub retry_in_s: Option<u64>,
    /// Digest of the newer version that the breaker took out of use; null where it did not.
    pub rolled_back_from: Option<String>,
}

impl From<&rt::PluginHealth> for HealthJson {
    fn from(health: &rt::PluginHealth) -> Self {
        Self {
            state: health.state.as_str().into(),
            breaker_stops: health.stops,
            retry_in_s: health.retry.map(|retry| retry.as_secs().max(1)),
            rolled_back_from: health.rolled_back_from.map(String::from),
        }
    }
}

/// A chunker that is switched off, or replaced by an earlier version, at the end of an ingest.
#[derive(Debug, Serialize)]
pub struct AilingJson {
    /// Its label.
    pub label: String,
    /// The version in use.
    pub digest: String,
    /// What the breaker knows of it.
    #[serde(flatten)]
    pub health: HealthJson,
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
            health: (&info.health).into(),
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
