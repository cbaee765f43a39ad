//! Who may run: a place for every task, the tenant's and the host's.
//!
//! It does not run anything, and does not know which tasks there are.

use super::lock;
use crate::corpus::TenantId;
use crate::guard::{self, Guard};
use crate::policy::Policy;
use crate::task::{Phase, Reason, Stop, Task, count};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of all tenants.
#[derive(Debug)]
pub struct Gates {
    host: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Gate>>>,
}

/// One tenant's places. There is one gate for as long as the process lives: a policy that changes their
/// number does not forget the places that are taken.
#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    size: Mutex<Size>,
    queued: AtomicU64,
}

#[derive(Debug)]
struct Size {
    /// Places that the policy allows.
    allowed: usize,
    /// Places that are taken beyond that: gone when they are given back.
    surplus: usize,
}

/// A place to run in: given back when dropped.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    tenant: Option<OwnedSemaphorePermit>,
    host: Option<OwnedSemaphorePermit>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.tenant.take() {
            self.gate.give_back(permit);
        }
    }
}

/// One that waits for a place; counted until dropped, also where whoever asked has gone.
struct Queued<'a>(&'a AtomicU64);

impl<'a> Queued<'a> {
    /// One more, unless as many wait as may: asked and counted in one step.
    fn in_line(queued: &'a AtomicU64, queued_max: u64) -> Result<Self, Stop> {
        let one_more = |waiting| (waiting < queued_max).then_some(waiting + 1);
        let counted = queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        counted.map(|_| Self(queued)).map_err(|_| {
            let detail = "as many tasks of the tenant wait as the policy allows";
            numbers(Reason::TasksQueued, queued_max, queued_max + 1, detail)
        })
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    fn new(allowed: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(allowed)),
            size: Mutex::new(Size {
                allowed,
                surplus: 0,
            }),
            queued: AtomicU64::new(0),
        }
    }

    fn resize(&self, allowed: usize) {
        let mut size = lock(&self.size);
        if allowed > size.allowed {
            let more = allowed - size.allowed;
            let kept = more.min(size.surplus);
            size.surplus -= kept;
            self.places.add_permits(more - kept);
        } else {
            let fewer = size.allowed - allowed;
            size.surplus += fewer - self.places.forget_permits(fewer);
        }
        size.allowed = allowed;
    }

    fn give_back(&self, permit: OwnedSemaphorePermit) {
        let mut size = lock(&self.size);
        if size.surplus > 0 {
            size.surplus -= 1;
            permit.forget();
        }
    }
}

impl Gates {
    /// Gates for at most `host` running tasks over all tenants.
    pub fn new(host: usize) -> Self {
        Self {
            host: Arc::new(Semaphore::new(host)),
            tenants: Mutex::default(),
        }
    }

    /// The tenant's gate; made with as many places as `policy` says where there is none.
    fn gate(&self, tenant: &TenantId, policy: &Policy) -> Arc<Gate> {
        let mut gates = lock(&self.tenants);
        let gate = gates
            .entry(tenant.clone())
            .or_insert_with(|| Arc::new(Gate::new(places_of(policy))));
        gate.clone()
    }

    /// Gives a tenant as many places as its new policy says. A task with an older one does not undo it.
    pub(super) fn resize(&self, tenant: &TenantId, policy: &Policy) {
        self.gate(tenant, policy).resize(places_of(policy));
    }

    /// A place for one of a batch that its driver feeds one by one: waits as long as it takes.
    pub(super) async fn next(&self, task: &Task, policy: &Policy) -> Result<Place, Stop> {
        let gate = self.gate(&task.tenant, policy);
        tokio::select! {
            biased;
            stop = task.ended() => Err(stop),
            place = self.place(&gate, None) => place,
        }
    }

    /// A place for a request: refused when too many wait, or when it waits too long.
    pub async fn admit(&self, task: &Task, policy: &Policy) -> Result<Place, Stop> {
        let gate = self.gate(&task.tenant, policy);
        let limits = &policy.tenant;
        // A free place is taken at once: only what finds none counts as waiting.
        let free = gate.places.clone().try_acquire_owned().ok();
        let queued_max = guard::limit(Guard::QueueLength, limits.tasks_queued_max);
        let _queued = match free {
            Some(_) => None,
            None => Some(Queued::in_line(&gate.queued, queued_max)?),
        };
        let wait = Duration::from_millis(limits.queue_ms_max);
        let waited = tokio::select! {
            biased;
            stop = task.ended() => Err(stop),
            place = self.place(&gate, free) => place,
            () = tokio::time::sleep(wait), if guard::stands(Guard::QueueTime) => {
                let detail = "no place became free in time";
                Err(numbers(Reason::Queue, limits.queue_ms_max, limits.queue_ms_max, detail))
            }
        };
        waited.inspect_err(|stop| task.end(stop.clone()))
    }

    async fn place(
        &self,
        gate: &Arc<Gate>,
        free: Option<OwnedSemaphorePermit>,
    ) -> Result<Place, Stop> {
        let closed = |_| Stop::new(Reason::Shutdown, Phase::Queued, 0.0, 0.0, "shutting down");
        let tenant = match free {
            Some(place) => place,
            None => gate.places.clone().acquire_owned().await.map_err(closed)?,
        };
        // Once it is one, it is given back as one, also where waiting for the host's is given up.
        let mut place = Place {
            gate: gate.clone(),
            tenant: Some(tenant),
            host: None,
        };
        place.host = Some(self.host.clone().acquire_owned().await.map_err(closed)?);
        Ok(place)
    }
}

fn places_of(policy: &Policy) -> usize {
    let places = guard::limit(Guard::Places, policy.tenant.tasks_running_max);
    let places = usize::try_from(places).unwrap_or(usize::MAX);
    places.min(Semaphore::MAX_PERMITS)
}

fn numbers(reason: Reason, limit: u64, used: u64, detail: &str) -> Stop {
    Stop::new(reason, Phase::Queued, count(limit), count(used), detail)
}

#[cfg(test)]
pub(crate) mod flood;

#[cfg(test)]
mod tests {
    use super::*;

    fn take(gate: &Arc<Gate>) -> Option<Place> {
        let permit = gate.places.clone().try_acquire_owned().ok()?;
        Some(Place {
            gate: gate.clone(),
            tenant: Some(permit),
            host: None,
        })
    }

    fn take_all(gate: &Arc<Gate>) -> Vec<Place> {
        std::iter::from_fn(|| take(gate)).collect()
    }

    #[test]
    fn a_smaller_policy_counts_the_places_that_are_taken() {
        let gate = Arc::new(Gate::new(4));
        let mut held = take_all(&gate);
        assert_eq!(held.len(), 4);
        gate.resize(2);
        for left in (2..4).rev() {
            held.pop();
            assert!(
                take(&gate).is_none(),
                "{left} are still held, 2 are allowed"
            );
        }
        held.pop();
        assert_eq!(take_all(&gate).len(), 1);
        held.clear();
        assert_eq!(take_all(&gate).len(), 2);
    }

    #[test]
    fn a_larger_policy_after_a_smaller_one_gives_no_place_twice() {
        let gate = Arc::new(Gate::new(4));
        let held = take_all(&gate);
        for places in [1, 3, 2, 5] {
            gate.resize(places);
        }
        let more = take_all(&gate);
        assert_eq!((held.len(), more.len()), (4, 1));
        drop((held, more));
        assert_eq!(take_all(&gate).len(), 5);
    }
}
