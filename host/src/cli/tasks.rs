//! `stockade ps` and `stockade kill`.

use super::Session;
use super::output::{bytes, plural, printable, table, thousands};
use crate::api::{KilledJson, TaskJson};
use crate::corpus::{TenantId, shorten};
use crate::error::{Exit, Failure};
use crate::server::Ask;
use crate::task::TaskId;
use clap::Args;

/// Characters of a document's id or a question that a person is shown.
const SUBJECT: usize = 48;

#[derive(Debug, Args)]
pub(super) struct KillArguments {
    /// Tasks, such as t7
    #[arg(required_unless_present = "tenant")]
    tasks: Vec<TaskId>,
    /// Suspend this tenant: ends all its tasks and admits no new ones until it is resumed
    #[arg(long, value_name = "NAME", conflicts_with = "tasks")]
    tenant: Option<TenantId>,
}

pub(super) async fn ps(session: &Session) -> Result<Exit, Failure> {
    let said = session.ask(&Ask::tasks()).await?;
    session.out.answer(&said, |out| {
        if said.tasks.is_empty() {
            out.line("No tasks.");
            return;
        }
        let header = [
            "TASK", "TENANT", "KIND", "PHASE", "AGE", "FUEL", "CPU", "MEMORY", "SUBJECT",
        ];
        let rows = said.tasks.iter().map(row).collect();
        out.line(table(&header, &[4, 5, 6, 7], rows));
    });
    Ok(Exit::Done)
}

fn row(task: &TaskJson) -> Vec<String> {
    let usage = &task.usage;
    vec![
        task.task.clone(),
        task.tenant.clone(),
        task.kind.as_str().to_owned(),
        task.phase.clone(),
        duration(task.age_ms),
        thousands(usage.fuel),
        duration(usage.guest_cpu_ms),
        bytes(usage.memory_peak_bytes),
        shorten(&printable(&task.subject), SUBJECT),
    ]
}

/// Milliseconds in the unit that a person would choose.
fn duration(ms: f64) -> String {
    match ms {
        ms if ms < 1e3 => format!("{ms:.0} ms"),
        ms if ms < 60e3 => format!("{:.1} s", ms / 1e3),
        ms => format!(
            "{:.0} min {:02.0} s",
            (ms / 60e3).floor(),
            (ms % 60e3 / 1e3).floor()
        ),
    }
}

pub(super) async fn kill(session: &Session, arguments: KillArguments) -> Result<Exit, Failure> {
    if let Some(tenant) = arguments.tenant {
        let said = session.ask(&Ask::kill_all(&tenant)).await?;
        session
            .out
            .answer(&said, |out| super::tenants::show_suspended(out, &said));
        return Ok(Exit::Done);
    }
    let mut said = KilledJson { killed: vec![] };
    let mut failed = None;
    for task in arguments.tasks {
        match session.ask(&Ask::kill(task)).await {
            Ok(KilledJson { killed }) => said.killed.extend(killed),
            Err(failure) if failure.code == "no-task" => {
                // Each one is said; the last one is how the command ends.
                if let Some(before) = failed.replace(failure) {
                    session.out.failure(&before);
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    if !said.killed.is_empty() {
        session.out.answer(&said, |out| {
            let number = said.killed.len() as u64;
            out.line(format!(
                "Killed {}: {}.",
                plural(number, "task"),
                said.killed.join(", ")
            ));
        });
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_for_people() {
        assert_eq!(duration(7.4), "7 ms");
        assert_eq!(duration(1_250.0), "1.2 s");
        assert_eq!(duration(185_000.0), "3 min 05 s");
    }
}
