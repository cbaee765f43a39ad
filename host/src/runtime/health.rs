//! What a tenant's plugins are worth at the moment: in use, switched off by the breaker, or replaced by an
//! earlier version; and how a person puts that right.

use super::breaker::state::Phase;
use super::breaker::{QUARANTINE_STOPS, Refusal};
use super::builtin::{self, BUILTINS};
use super::plugins::builtin_used_for;
use super::{Runtime, RuntimeError};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::plugin::{Digest, PluginKind};
use std::time::Duration;

/// Whether a plugin is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    /// It is.
    Active,
    /// Its breaker is open: it is not run.
    Open,
    /// Its breaker lets the next task through, which decides.
    HalfOpen,
    /// An earlier version is run in its place.
    RolledBack,
}

impl PluginState {
    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// What the breaker knows of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginHealth {
    /// Whether it is run.
    pub state: PluginState,
    /// Stops on distinct inputs that opened the breaker; 0 where it is closed.
    pub stops: u64,
    /// How long the breaker stays open.
    pub retry: Option<Duration>,
    /// The newer version that the breaker took out of use.
    pub rolled_back_from: Option<Digest>,
}

impl Runtime {
    /// How a version in use is, and which version it stands in for.
    pub(super) fn health(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        rolled_back_from: Option<Digest>,
    ) -> Result<PluginHealth, Failure> {
        let limits = self.policy(tenant)?.breaker;
        let (state, stops, retry) = match self.breakers.phase(tenant, digest, &limits)? {
            Phase::Open(open, ms) => (
                PluginState::Open,
                open.stops,
                Some(Duration::from_millis(ms)),
            ),
            Phase::HalfOpen(open) => (PluginState::HalfOpen, open.stops, None),
            Phase::Closed if rolled_back_from.is_some() => (PluginState::RolledBack, 0, None),
            Phase::Closed => (PluginState::Active, 0, None),
        };
        Ok(PluginHealth {
            state,
            stops,
            retry,
            rolled_back_from,
        })
    }

    /// The chunkers of a tenant that are not run as they were installed: label, digest in use, health.
    pub(super) fn ailing_chunkers(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(String, Digest, PluginHealth)>, Failure> {
        let own = self.plugins_of(tenant)?;
        let own = own
            .into_iter()
            .filter(|plugin| plugin.kind == PluginKind::Chunker && !plugin.used_for.is_empty())
            .map(|plugin| (plugin.label, plugin.digest, plugin.health));
        let mut all: Vec<_> = own.collect();
        let uses = self.catalog.uses(tenant)?;
        let used = |b: &&builtin::Builtin| !builtin_used_for(&uses, b.label).is_empty();
        let mut chunkers = BUILTINS.iter().filter(|b| b.kind == PluginKind::Chunker);
        // The built-in chunkers are one plugin under three labels, with one breaker.
        if let Some(builtin) = chunkers.find(used) {
            let digest = Digest::of(builtin.bytes);
            let health = self.health(tenant, &digest, None)?;
            all.push((builtin.label.to_owned(), digest, health));
        }
        all.retain(|(_, _, health)| health.state != PluginState::Active);
        Ok(all)
    }

    /// Closes a plugin's breaker, and puts the newest version in use again where the breaker took it out.
    /// The version that is in use now.
    pub fn resume_plugin(&self, tenant: &TenantId, label: &str) -> Result<Digest, Failure> {
        self.catalog.tenant(tenant)?;
        if let Some(builtin) = builtin::find(label) {
            let digest = Digest::of(builtin.bytes);
            let tell = || {
                self.catalog
                    .forget_breaker(tenant, &digest)
                    .map(|()| vec![digest])
            };
            self.breakers.forget(tenant, tell)?;
            return Ok(digest);
        }
        let tell = || self.catalog.resume_plugin(tenant, label);
        self.breakers.forget(tenant, tell)?;
        Ok(self.catalog.plugin(tenant, label)?.digest)
    }

    /// How many of a tenant's documents are skipped since they stopped their chunker.
    pub(super) fn quarantined(&self, tenant: &TenantId) -> Result<u64, Failure> {
        Ok(self.catalog.stopped_count(tenant, QUARANTINE_STOPS)?)
    }

    /// The refusal of a task whose plugin is switched off.
    pub(super) fn breaker_open(
        tenant: &TenantId,
        label: String,
        digest: &Digest,
        refusal: Refusal,
    ) -> RuntimeError {
        let Refusal {
            stops,
            since,
            retry,
        } = refusal;
        RuntimeError::BreakerOpen {
            tenant: tenant.clone(),
            label,
            plugin: digest.short(),
            stops,
            since,
            retry,
        }
    }
}
