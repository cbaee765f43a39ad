//! Policies of tenants, as they are in force: read once, and one in memory for all tenants that have the same.
//!
//! It does not know when a policy changes: whoever changes one has it forgotten.

use crate::catalog::{CatalogError, TenantRecord};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::{Policy, PolicySource};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

/// What tenants' policies say.
#[derive(Debug, Default)]
pub(super) struct SharedPolicies {
    tenants: HashMap<TenantId, Arc<Policy>>,
    /// By the hash of their files.
    texts: HashMap<[u8; 32], Weak<Policy>>,
}

impl SharedPolicies {
    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<Policy>> {
        self.tenants.get(tenant).cloned()
    }

    /// The policy of a record, remembered. One that is not as it was written is refused.
    pub(super) fn read(&mut self, record: &TenantRecord) -> Result<Arc<Policy>, Failure> {
        if !record.sound {
            return Err(CatalogError::Policy(record.name.clone()).into());
        }
        let text = *blake3::hash(record.policy.as_bytes()).as_bytes();
        let policy = match self.texts.get(&text).and_then(Weak::upgrade) {
            Some(policy) => policy,
            None => {
                let source = PolicySource::from_json(&record.policy)?;
                let policy = Arc::new(Policy::from_bundle(&source)?);
                self.texts.retain(|_, policy| policy.strong_count() > 0);
                self.texts.insert(text, Arc::downgrade(&policy));
                policy
            }
        };
        self.tenants.insert(record.name.clone(), policy.clone());
        Ok(policy)
    }

    pub(super) fn forget(&mut self, tenant: &TenantId) {
        self.tenants.remove(tenant);
    }
}
