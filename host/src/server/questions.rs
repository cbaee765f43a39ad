//! How many questions are in hand: bounded over all tenants, so that memory is, and for each, so that one that
//! asks more than it is answered leaves room for others.
//!
//! Which of them run, and how long the others wait, is the runtime's business.

use super::error::ServerError;
use crate::corpus::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Questions over all tenants. Fewer than there may be connections: a kill always gets through.
const ALL_MAX: usize = 256;

/// Questions to one tenant: more than the default policy lets run and wait, so that the policy decides.
const TENANT_MAX: usize = 96;

/// Questions that wait or are being answered.
#[derive(Debug, Default)]
pub(super) struct Questions(Mutex<InHand>);

#[derive(Debug, Default)]
struct InHand {
    all: usize,
    tenants: HashMap<TenantId, usize>,
}

/// A question in hand until it is dropped.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    questions: &'a Questions,
    tenant: TenantId,
}

impl Questions {
    /// One more question to `tenant`, where there is room.
    pub(super) fn ask(&self, tenant: &TenantId) -> Result<Asked<'_>, ServerError> {
        let mut in_hand = self.in_hand();
        let of_tenant = in_hand.tenants.get(tenant).copied().unwrap_or(0);
        if of_tenant >= TENANT_MAX {
            return Err(ServerError::TenantBusy(TENANT_MAX));
        }
        if in_hand.all >= ALL_MAX {
            return Err(ServerError::Busy(ALL_MAX));
        }
        in_hand.all += 1;
        in_hand.tenants.insert(tenant.clone(), of_tenant + 1);
        Ok(Asked {
            questions: self,
            tenant: tenant.clone(),
        })
    }

    /// Valid at every step: a panic elsewhere takes nothing with it.
    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut in_hand = self.questions.in_hand();
        in_hand.all = in_hand.all.saturating_sub(1);
        if let Some(left) = in_hand.tenants.get_mut(&self.tenant) {
            *left = left.saturating_sub(1);
        }
        in_hand.tenants.retain(|_, left| *left > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::new(&format!("tenant-{number}")).unwrap()
    }

    fn ask_all<'a>(questions: &'a Questions, tenant: &TenantId) -> Vec<Asked<'a>> {
        std::iter::from_fn(|| questions.ask(tenant).ok()).collect()
    }

    #[test]
    fn a_tenant_that_asks_without_end_leaves_room_for_others() {
        let questions = Questions::default();
        let flood = ask_all(&questions, &tenant(0));
        assert_eq!(flood.len(), TENANT_MAX);
        let refused = questions.ask(&tenant(0)).unwrap_err();
        assert!(matches!(refused, ServerError::TenantBusy(_)), "{refused}");
        assert!(questions.ask(&tenant(1)).is_ok());
        drop(flood);
        assert!(questions.ask(&tenant(0)).is_ok());
    }

    #[test]
    fn many_tenants_together_are_bounded_and_nothing_is_left_of_them() {
        let questions = Questions::default();
        let all: Vec<_> = (0..8).map(|n| ask_all(&questions, &tenant(n))).collect();
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), ALL_MAX);
        let refused = questions.ask(&tenant(9)).unwrap_err();
        assert!(matches!(refused, ServerError::Busy(_)), "{refused}");
        drop(all);
        let in_hand = questions.in_hand();
        assert_eq!((in_hand.all, in_hand.tenants.len()), (0, 0));
    }
}
