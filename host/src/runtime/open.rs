//! Indexes that are open, and how many may be: those not used for longest are closed first.
//!
//! An index that somebody uses is never closed, so that there is one of each file at most.

use super::error::RuntimeError;
use crate::corpus::TenantId;
use crate::index::Index;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::sync::Arc;

/// Files of one index: the database, its log and their shared memory, for a writer and two readers that rest.
const FILES_PER_INDEX: u64 = 7;

/// What everything else may need: threads, sockets, plugins being compiled, documents being read.
const FILES_FOR_THE_REST: u64 = 256;

/// Fewer open indexes than this make no sense.
const INDEXES_MIN: usize = 2;

/// Indexes by tenant.
#[derive(Debug)]
pub(super) struct OpenIndexes {
    most: usize,
    /// Counts uses.
    clock: u64,
    open: HashMap<TenantId, Open>,
}

#[derive(Debug)]
struct Open {
    index: Arc<Index>,
    used: u64,
}

impl OpenIndexes {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            clock: 0,
            open: HashMap::new(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn get(&mut self, tenant: &TenantId) -> Option<Arc<Index>> {
        self.clock += 1;
        let open = self.open.get_mut(tenant)?;
        open.used = self.clock;
        Some(open.index.clone())
    }

    /// Keeps an index open. Those that have to give way are returned, to be dropped.
    pub(super) fn insert(&mut self, tenant: &TenantId, index: &Arc<Index>) -> Vec<Arc<Index>> {
        self.clock += 1;
        let mut closed = vec![];
        while self.open.len() >= self.most {
            let idle = self
                .open
                .iter()
                .filter(|(_, o)| Arc::strong_count(&o.index) == 1);
            let Some(oldest) = idle.min_by_key(|(_, o)| o.used).map(|(t, _)| t.clone()) else {
                break;
            };
            closed.extend(self.open.remove(&oldest).map(|open| open.index));
        }
        let open = Open {
            index: index.clone(),
            used: self.clock,
        };
        self.open.insert(tenant.clone(), open);
        closed
    }

    pub(super) fn remove(&mut self, tenant: &TenantId) -> Option<Arc<Index>> {
        self.open.remove(tenant).map(|open| open.index)
    }
}

/// How many indexes may be open at once where `wanted` are: as many as the limit of open files lets us, which is raised
/// as far as the operating system allows. Refused where it is too low for any work.
pub(super) fn room_for(wanted: usize) -> Result<usize, RuntimeError> {
    let needed = |indexes: u64| indexes * FILES_PER_INDEX + FILES_FOR_THE_REST;
    let limit = getrlimit(Resource::Nofile);
    let mut files = limit.current.unwrap_or(u64::MAX);
    if files < needed(wanted as u64) {
        let most = limit.maximum.unwrap_or(u64::MAX);
        let raised = Rlimit {
            current: Some(most.min(needed(wanted as u64))),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            files = most.min(needed(wanted as u64));
        }
    }
    let room = files.saturating_sub(FILES_FOR_THE_REST) / FILES_PER_INDEX;
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(wanted);
    if room < INDEXES_MIN {
        return Err(RuntimeError::OpenFiles {
            files,
            needed: needed(INDEXES_MIN as u64),
        });
    }
    if room < wanted {
        tracing::warn!(
            "the limit of {files} open files leaves room for {room} open indexes, not {wanted} as open_indexes_max says"
        );
    }
    Ok(room)
}
