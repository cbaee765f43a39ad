//! Tenants: adding, removing, their policies, what they hold.

use super::answers::AgentAnswers;
use super::plugins::PluginInfo;
use super::{Runtime, RuntimeError, builtin, lock, removal};
use crate::catalog::{AgentVersion, TenantRecord};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::Digest;
use crate::policy::Policy;
use crate::task::{Reason, TaskId};
use std::path::PathBuf;
use std::sync::Arc;

/// What a stop says where its tenant is suspended.
pub(super) const SUSPENDED: &str = "the tenant is suspended";

/// A tenant with what it holds.
#[derive(Debug, Clone)]
pub struct TenantInfo {
    /// Its name.
    pub name: TenantId,
    /// Its policy's name.
    pub policy: String,
    /// Digest of its policy's effective values.
    pub policy_digest: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of its index on disk.
    pub storage_bytes: u64,
    /// Grows with every change of its documents.
    pub index_generation: u64,
    /// Versions of documents that are skipped since they stopped their chunker.
    pub quarantined: u64,
    /// Its own plugins.
    pub plugins: Vec<PluginInfo>,
    /// What it uses: role, label.
    pub uses: Vec<(String, String)>,
    /// What came of its questions, by version of the agent that was asked.
    pub answers: Vec<AgentAnswers>,
}

impl Runtime {
    /// Adds a tenant under `policy`.
    pub fn add_tenant(&self, name: &TenantId, policy: &Policy) -> Result<(), Failure> {
        let _changing = lock(&self.changes);
        // What is left of an earlier tenant of this name must not come back with it.
        if self.catalog.tenant(name).is_err() {
            removal::finish(&self.tenants_folder(), name)?;
        }
        self.catalog.add_tenant(name, &policy.bundle().to_json())?;
        self.gates.resize(name, policy);
        self.registry.admit(name);
        Ok(())
    }

    /// Replaces a tenant's policy; tasks that run keep the one that they began with.
    pub fn set_policy(&self, name: &TenantId, policy: &Policy) -> Result<(), Failure> {
        let _changing = lock(&self.changes);
        self.catalog.set_policy(name, &policy.bundle().to_json())?;
        lock(&self.policies).remove(name);
        self.gates.resize(name, policy);
        Ok(())
    }

    /// Removes a tenant with its documents and plugins, ending its tasks. After a crash it is there whole, or
    /// gone whole.
    pub fn remove_tenant(&self, name: &TenantId) -> Result<(), Failure> {
        let _changing = lock(&self.changes);
        self.catalog.tenant(name)?;
        {
            // Nobody opens the index between the two steps that decide.
            let mut open = lock(&self.indexes);
            removal::remove(&self.tenants_folder(), name, || {
                Ok(self.catalog.remove_tenant(name)?)
            })?;
            open.remove(name);
        }
        self.registry.refuse(name, "the tenant was removed");
        lock(&self.policies).remove(name);
        self.breakers.forget_tenant(name);
        self.answers.forget(name, None);
        removal::finish(&self.tenants_folder(), name)?;
        self.sweep_plugins()
    }

    /// Suspends a tenant, which ends its tasks at once, or resumes it; how many tasks were ended. When this
    /// returns no task of a suspended tenant can begin.
    pub fn set_suspended(&self, name: &TenantId, suspended: bool) -> Result<usize, Failure> {
        let _changing = lock(&self.changes);
        self.catalog.set_suspended(name, suspended)?;
        if suspended {
            return Ok(self.registry.refuse(name, SUSPENDED));
        }
        self.registry.admit(name);
        Ok(0)
    }

    /// Ends one task: running, waiting or in a batch.
    pub fn kill(&self, id: TaskId) -> Result<(), Failure> {
        let this = |task: &crate::task::Task| task.id == id;
        match self
            .registry
            .end(Reason::Killed, "somebody killed it", this)
        {
            0 => Err(RuntimeError::NoTask(id.to_string()).into()),
            _ => Ok(()),
        }
    }

    /// All tenants, by name.
    pub fn tenants(&self) -> Result<Vec<TenantInfo>, Failure> {
        let records = self.catalog.tenants()?;
        records
            .iter()
            .map(|record| self.describe_tenant(record))
            .collect()
    }

    /// One tenant.
    pub fn tenant(&self, name: &TenantId) -> Result<TenantInfo, Failure> {
        self.describe_tenant(&self.catalog.tenant(name)?)
    }

    fn describe_tenant(&self, record: &TenantRecord) -> Result<TenantInfo, Failure> {
        let policy: Arc<Policy> = self.policy(&record.name)?;
        let file = self.tenant_folder(&record.name).join("index.db");
        let counts = match file.exists() {
            true => Some(self.index(&record.name)?.counts()?),
            false => None,
        };
        let uses = self.catalog.uses(&record.name)?;
        Ok(TenantInfo {
            name: record.name.clone(),
            policy: policy.name.clone(),
            policy_digest: policy.digest_hex(),
            suspended: record.suspended,
            documents: counts.map_or(0, |c| c.documents),
            chunks: counts.map_or(0, |c| c.chunks),
            storage_bytes: counts.map_or(0, |c| c.bytes),
            index_generation: counts.map_or(0, |c| c.generation),
            quarantined: self.quarantined(&record.name)?,
            answers: self.answers_of(&record.name)?,
            plugins: self.plugins_of(&record.name)?,
            uses: uses
                .into_iter()
                .map(|used| (used.role.to_string(), used.label))
                .collect(),
        })
    }

    /// What came of a tenant's questions, the versions in use first.
    fn answers_of(&self, name: &TenantId) -> Result<Vec<AgentAnswers>, Failure> {
        let installed = self.catalog.plugins(name)?;
        let in_use = |version: &AgentVersion| match builtin::find(&version.label) {
            Some(builtin) => Digest::of(builtin.bytes) == version.digest,
            None => installed
                .iter()
                .any(|own| own.label == version.label && own.digest == version.digest),
        };
        let all = self.answers.of(name)?.into_iter();
        let one = |(version, counts)| AgentAnswers {
            in_use: in_use(&version),
            version,
            counts,
        };
        let mut all: Vec<_> = all.map(one).collect();
        all.sort_by_key(|answers| !answers.in_use);
        Ok(all)
    }

    /// Reads a policy that a person named: a shipped one or a file.
    pub fn find_policy(name_or_path: Option<&str>) -> Result<Policy, Failure> {
        Ok(Policy::find(name_or_path.unwrap_or("default"))?)
    }

    /// Where a tenant's files are, for messages.
    pub fn folder_of(&self, name: &TenantId) -> PathBuf {
        self.tenant_folder(name)
    }
}
