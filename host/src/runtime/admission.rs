//! Who may run: a place for every task, the tenant's and the host's, and the list of tasks that others
//! may see and kill.
//!
//! It does not run anything.

use super::lock;
use crate::corpus::TenantId;
use crate::guard::{self, Guard};
use crate::policy::Policy;
use crate::task::{Kind, Phase, Reason, Stop, Task, TaskId, Usage, count};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Tasks that are queued or running.
#[derive(Debug, Default)]
pub struct Registry {
    tasks: Mutex<BTreeMap<TaskId, Arc<Task>>>,
}

/// A task in the list; it leaves when this is dropped.
#[derive(Debug)]
pub struct Listed {
    task: Arc<Task>,
    registry: Arc<Registry>,
}

impl std::ops::Deref for Listed {
    type Target = Arc<Task>;
    fn deref(&self) -> &Arc<Task> {
        &self.task
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        lock(&self.registry.tasks).remove(&self.task.id);
    }
}

/// A task as others see it.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// Its number.
    pub id: TaskId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: Kind,
    /// The document's id, or the question.
    pub subject: String,
    /// Where it is.
    pub phase: Phase,
    /// Since it was made.
    pub age: Duration,
    /// What it used so far.
    pub usage: Usage,
}

impl Registry {
    /// Lists a task.
    pub fn list(self: &Arc<Self>, task: Arc<Task>) -> Listed {
        lock(&self.tasks).insert(task.id, task.clone());
        Listed {
            task,
            registry: self.clone(),
        }
    }

    /// All tasks, oldest first.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let tasks = lock(&self.tasks);
        let info = |task: &Arc<Task>| TaskInfo {
            id: task.id,
            tenant: task.tenant.clone(),
            kind: task.kind,
            subject: task.subject.clone(),
            phase: task.phase(),
            age: task.age(),
            usage: task.usage(),
        };
        tasks.values().map(info).collect()
    }

    /// Ends the tasks that `chosen` picks; how many there were.
    pub fn end(&self, reason: Reason, detail: &str, chosen: impl Fn(&Task) -> bool) -> usize {
        let tasks: Vec<_> = lock(&self.tasks)
            .values()
            .filter(|t| chosen(t))
            .cloned()
            .collect();
        for task in &tasks {
            task.end_with(reason, detail);
        }
        tasks.len()
    }
}

/// The places of all tenants.
#[derive(Debug)]
pub(super) struct Gates {
    host: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Gate>>>,
}

/// One tenant's places under one policy.
#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    running_max: u64,
    queued: AtomicU64,
}

/// A place to run in: given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _tenant: OwnedSemaphorePermit,
    _host: OwnedSemaphorePermit,
}

impl Gates {
    pub(super) fn new(host: usize) -> Self {
        Self {
            host: Arc::new(Semaphore::new(host)),
            tenants: Mutex::default(),
        }
    }

    fn gate(&self, tenant: &TenantId, policy: &Policy) -> Arc<Gate> {
        let running_max = policy.tenant.tasks_running_max;
        let mut gates = lock(&self.tenants);
        if let Some(gate) = gates.get(tenant)
            && gate.running_max == running_max
        {
            return gate.clone();
        }
        let places = usize::try_from(guard::limit(Guard::Places, running_max))
            .unwrap_or(Semaphore::MAX_PERMITS);
        let gate = Arc::new(Gate {
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            running_max,
            queued: AtomicU64::new(0),
        });
        gates.insert(tenant.clone(), gate.clone());
        gate
    }

    /// A place for one of a batch that its driver feeds one by one: waits as long as it takes.
    pub(super) async fn next(&self, task: &Task, policy: &Policy) -> Result<Place, Stop> {
        let gate = self.gate(&task.tenant, policy);
        tokio::select! {
            biased;
            stop = task.ended() => Err(stop),
            place = self.place(&gate) => place,
        }
    }

    /// A place for a request: refused when too many wait, or when it waits too long.
    pub(super) async fn admit(&self, task: &Task, policy: &Policy) -> Result<Place, Stop> {
        let gate = self.gate(&task.tenant, policy);
        let limits = &policy.tenant;
        if gate.places.available_permits() == 0
            && gate.queued.load(Ordering::Relaxed) >= limits.tasks_queued_max
            && guard::stands(Guard::QueueLength)
        {
            let (limit, used) = (limits.tasks_queued_max, limits.tasks_queued_max + 1);
            let detail = "as many tasks of the tenant wait as the policy allows";
            return Err(numbers(Reason::TasksQueued, limit, used, detail));
        }
        gate.queued.fetch_add(1, Ordering::Relaxed);
        let wait = Duration::from_millis(limits.queue_ms_max);
        let waited = tokio::select! {
            biased;
            stop = task.ended() => Err(stop),
            place = self.place(&gate) => place,
            () = tokio::time::sleep(wait), if guard::stands(Guard::QueueTime) => {
                let detail = "no place became free in time";
                Err(numbers(Reason::Queue, limits.queue_ms_max, limits.queue_ms_max, detail))
            }
        };
        gate.queued.fetch_sub(1, Ordering::Relaxed);
        waited.inspect_err(|stop| task.end(stop.clone()))
    }

    async fn place(&self, gate: &Gate) -> Result<Place, Stop> {
        let closed = |_| Stop::new(Reason::Shutdown, Phase::Queued, 0.0, 0.0, "shutting down");
        let tenant = gate.places.clone().acquire_owned().await.map_err(closed)?;
        let host = self.host.clone().acquire_owned().await.map_err(closed)?;
        Ok(Place {
            _tenant: tenant,
            _host: host,
        })
    }
}

fn numbers(reason: Reason, limit: u64, used: u64, detail: &str) -> Stop {
    Stop::new(reason, Phase::Queued, count(limit), count(used), detail)
}

#[cfg(test)]
pub(crate) mod flood;
