//! Tenants: adding, removing, their policies, what they hold.

use super::answers::AgentAnswers;
use super::plugins::PluginInfo;
use super::{Runtime, RuntimeError, builtin, lock, removal};
use crate::catalog::{AgentVersion, TenantRecord};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::index::Counts;
use crate::plugin::Digest;
use crate::policy::Policy;
use crate::task::{Reason, TaskId};
use std::path::PathBuf;

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
    /// What is damaged, where something is: then what is not known is 0 or empty.
    pub problem: Option<String>,
}

impl Runtime {
    /// Adds a tenant under `policy`.
    pub fn add_tenant(&self, name: &TenantId, policy: &Policy) -> Result<(), Failure> {
        let _changing = lock(&self.changes);
        // What is left of an earlier tenant of this name must not come back with it.
        if self.catalog.tenant(name).is_err() {
            removal::finish(&self.tenants_folder(), name)?;
        }
        self.finish_moves()?;
        self.refuse_left_folder(name)?;
        self.catalog.add_tenant(name, &policy.bundle().to_json())?;
        self.gates.resize(name, policy);
        self.registry.admit(name);
        Ok(())
    }

    /// Replaces a tenant's policy; tasks that run keep the one that they began with.
    pub fn set_policy(&self, name: &TenantId, policy: &Policy) -> Result<(), Failure> {
        let _changing = lock(&self.changes);
        self.catalog.set_policy(name, &policy.bundle().to_json())?;
        lock(&self.policies).forget(name);
        self.gates.resize(name, policy);
        Ok(())
    }

    /// A new tenant must not come into what an earlier one of its name left.
    pub(super) fn refuse_left_folder(&self, name: &TenantId) -> Result<(), Failure> {
        let path = self.tenant_folder(name);
        let left = ["index.db", "index.made"]
            .iter()
            .any(|file| path.join(file).exists());
        match left && self.catalog.tenant(name).is_err() {
            true => Err(RuntimeError::LeftFolder {
                tenant: name.clone(),
                path,
            }
            .into()),
            false => Ok(()),
        }
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
        lock(&self.policies).forget(name);
        lock(&self.damaged).remove(name);
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

    /// All tenants, by name. One of which something is damaged says so, and the others are listed.
    pub fn tenants(&self) -> Result<Vec<TenantInfo>, Failure> {
        let records = self.catalog.tenants()?;
        let describe = |record: &TenantRecord| {
            let described = self.describe_tenant(record);
            described.unwrap_or_else(|failure| self.ailing_tenant(record, failure))
        };
        Ok(records.iter().map(describe).collect())
    }

    fn ailing_tenant(&self, record: &TenantRecord, failure: Failure) -> TenantInfo {
        let policy = lock(&self.policies).read(record).ok();
        TenantInfo {
            name: record.name.clone(),
            policy: policy.as_ref().map_or_else(String::new, |p| p.name.clone()),
            policy_digest: policy.map_or_else(String::new, |p| p.digest_hex()),
            suspended: record.suspended,
            documents: 0,
            chunks: 0,
            storage_bytes: 0,
            index_generation: 0,
            quarantined: 0,
            plugins: vec![],
            uses: vec![],
            answers: vec![],
            problem: Some(failure.message),
        }
    }

    /// What a tenant's index holds; `None` where it has none yet. One that is closed is not opened for it, if that can
    /// be helped.
    fn counts(&self, name: &TenantId) -> Result<Option<Counts>, Failure> {
        let folder = self.tenant_folder(name);
        let files = ["index.db", "index.made"];
        if !files.iter().any(|file| folder.join(file).exists()) {
            return Ok(None);
        }
        let mut open = lock(&self.indexes);
        if open.get(name).is_none() {
            // Nobody opens it meanwhile.
            if let Some(counts) = crate::index::glance(&folder)? {
                return Ok(Some(counts));
            }
        }
        drop(open);
        let counts = self.index(name)?.counts();
        Ok(Some(
            counts.map_err(|error| self.noted(name, error.into()))?,
        ))
    }

    /// One tenant.
    pub fn tenant(&self, name: &TenantId) -> Result<TenantInfo, Failure> {
        self.describe_tenant(&self.catalog.tenant(name)?)
    }

    fn describe_tenant(&self, record: &TenantRecord) -> Result<TenantInfo, Failure> {
        let known = lock(&self.policies).get(&record.name);
        let policy = match known {
            Some(policy) => policy,
            None => lock(&self.policies).read(record)?,
        };
        let counts = self.counts(&record.name)?;
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
            problem: None,
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
