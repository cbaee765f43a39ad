//! The list of tasks that others may see and kill, and of the tenants whose tasks are refused.
//!
//! Both are under one lock: a task is in the list before its tenant is suspended, and is ended, or comes
//! after it, and is refused. It does not run anything, and writes nothing down.

use super::lock;
use crate::corpus::TenantId;
use crate::task::{Kind, Phase, Reason, Stop, Task, TaskId, Usage};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tasks that are queued or running.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tasks: BTreeMap<TaskId, Arc<Task>>,
    /// Tenants that may not begin a task, and why.
    refused: HashMap<TenantId, &'static str>,
}

/// A task in the list. It leaves when this is dropped, and ends, if it had not: nobody waits for it.
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
        lock(&self.registry.state).tasks.remove(&self.task.id);
        self.task
            .end_with(Reason::Shutdown, "nobody waits for it any more");
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
    /// Lists a task, or ends it where its tenant's tasks are refused.
    pub fn list(self: &Arc<Self>, task: Arc<Task>) -> Result<Listed, Stop> {
        let mut state = lock(&self.state);
        if let Some(stop) = state.refusal(&task.tenant) {
            task.end(stop.clone());
            return Err(stop);
        }
        state.tasks.insert(task.id, task.clone());
        Ok(Listed {
            task,
            registry: self.clone(),
        })
    }

    /// Whether a tenant may begin a task now. Only [`Registry::list`] decides.
    pub fn check(&self, tenant: &TenantId) -> Result<(), Stop> {
        match lock(&self.state).refusal(tenant) {
            None => Ok(()),
            Some(stop) => Err(stop),
        }
    }

    /// Refuses a tenant's tasks from now on, and ends those in the list; how many there were.
    pub fn refuse(&self, tenant: &TenantId, why: &'static str) -> usize {
        lock(&self.state).refused.insert(tenant.clone(), why);
        self.end(Reason::Suspended, why, |task| task.tenant == *tenant)
    }

    /// Lists a tenant's tasks again.
    pub fn admit(&self, tenant: &TenantId) {
        lock(&self.state).refused.remove(tenant);
    }

    /// All tasks, oldest first.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        let state = lock(&self.state);
        let info = |task: &Arc<Task>| TaskInfo {
            id: task.id,
            tenant: task.tenant.clone(),
            kind: task.kind,
            subject: task.subject.clone(),
            phase: task.phase(),
            age: task.age(),
            usage: task.usage(),
        };
        state.tasks.values().map(info).collect()
    }

    /// Ends the tasks that `chosen` picks; how many there were.
    pub fn end(&self, reason: Reason, detail: &str, chosen: impl Fn(&Task) -> bool) -> usize {
        let tasks: Vec<_> = lock(&self.state)
            .tasks
            .values()
            .filter(|task| chosen(task))
            .cloned()
            .collect();
        for task in &tasks {
            task.end_with(reason, detail);
        }
        tasks.len()
    }
}

impl State {
    fn refusal(&self, tenant: &TenantId) -> Option<Stop> {
        let why = self.refused.get(tenant)?;
        Some(Stop::new(Reason::Suspended, Phase::Queued, 0.0, 0.0, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::task::Limits;

    fn task(tenant: &TenantId) -> Arc<Task> {
        let limits = Limits::query(&Policy::shipped("default").unwrap());
        Task::new(tenant.clone(), Kind::Query, "question", limits)
    }

    #[test]
    fn a_refused_tenant_has_no_task_however_they_race() {
        let (acme, other) = (
            TenantId::new("acme").unwrap(),
            TenantId::new("other").unwrap(),
        );
        for _ in 0..200 {
            let registry = Arc::new(Registry::default());
            let neighbour = registry.list(task(&other)).unwrap();
            let listing = {
                let (registry, acme) = (registry.clone(), acme.clone());
                std::thread::spawn(move || registry.list(task(&acme)))
            };
            registry.refuse(&acme, "suspended");
            let outcome = listing.join().unwrap();
            let stop = match &outcome {
                Ok(listed) => listed.check().unwrap_err(),
                Err(stop) => stop.clone(),
            };
            assert_eq!(stop.reason, Reason::Suspended);
            neighbour.check().unwrap();
        }
    }

    #[test]
    fn an_admitted_tenant_begins_again() {
        let acme = TenantId::new("acme").unwrap();
        let registry = Arc::new(Registry::default());
        registry.refuse(&acme, "suspended");
        assert_eq!(registry.check(&acme).unwrap_err().reason, Reason::Suspended);
        registry.admit(&acme);
        registry.check(&acme).unwrap();
        registry.list(task(&acme)).unwrap();
    }

    #[test]
    fn what_nobody_waits_for_ends() {
        let registry = Arc::new(Registry::default());
        let task = task(&TenantId::new("acme").unwrap());
        drop(registry.list(task.clone()).unwrap());
        assert!(registry.tasks().is_empty());
        assert_eq!(task.check().unwrap_err().reason, Reason::Shutdown);
    }
}
