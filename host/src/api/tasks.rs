//! JSON of `ps`, `kill` and of what ends a tenant's tasks.

use super::round;
use crate::runtime as rt;
use crate::task::{Kind, Usage};
use serde::{Deserialize, Serialize};

/// What `ps` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct TasksJson {
    /// Queued and running, oldest first.
    pub tasks: Vec<TaskJson>,
}

/// A task.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskJson {
    /// Its id, such as `t7`.
    pub task: String,
    /// Whose it is.
    pub tenant: String,
    /// `ingest`, `query` or `trial`.
    pub kind: Kind,
    /// Where it is.
    pub phase: String,
    /// Since it was made.
    pub age_ms: f64,
    /// The document's id, or the question.
    pub subject: String,
    /// What it used so far, all meters.
    pub usage: Usage,
}

impl From<Vec<rt::TaskInfo>> for TasksJson {
    fn from(tasks: Vec<rt::TaskInfo>) -> Self {
        Self {
            tasks: tasks.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<rt::TaskInfo> for TaskJson {
    fn from(info: rt::TaskInfo) -> Self {
        Self {
            task: info.id.to_string(),
            tenant: info.tenant.to_string(),
            kind: info.kind,
            phase: info.phase.as_str().to_owned(),
            age_ms: round(info.age.as_secs_f64() * 1e3, 3),
            subject: info.subject,
            usage: info.usage,
        }
    }
}

/// What `kill TASK…` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct KilledJson {
    /// The tasks that were ended.
    pub killed: Vec<String>,
}

/// What `kill --tenant`, `tenant suspend` and `tenant resume` say.
#[derive(Debug, Serialize, Deserialize)]
pub struct SuspendedJson {
    /// The tenant.
    pub tenant: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// How many tasks this ended.
    pub ended: usize,
}
