//! `stockade tenant …`

use super::Session;
use super::args::TenantCommand;
use super::output::{Output, bytes, plural, table, thousands};
use super::plugins::state;
use crate::api::{AgentAnswersJson, SuspendedJson, TenantJson};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::runtime::Runtime;
use crate::server::Ask;
use serde_json::json;

pub(super) async fn run(session: &Session, command: TenantCommand) -> Result<Exit, Failure> {
    let out = &session.out;
    match command {
        TenantCommand::Add { name, policy } => {
            let policy = Runtime::find_policy(policy.as_deref())?;
            session.open()?.add_tenant(&name, &policy)?;
            out.answer(&json!({ "tenant": name, "policy": policy.name }), |out| {
                out.line(format!("Added {name} under policy {}.", policy.name));
            });
        }
        TenantCommand::Policy { name, file } => {
            let policy = Runtime::find_policy(Some(&file))?;
            let said = session.ask(&Ask::set_policy(&name, &policy)).await?;
            out.answer(&said, |out| {
                out.line(format!("{name} is under policy {} now.", policy.name));
            });
        }
        TenantCommand::List => list(session).await?,
        TenantCommand::Show { name } => {
            let tenant = session.ask(&Ask::tenant(&name)).await?;
            out.answer(&tenant, |out| show(out, &tenant));
        }
        TenantCommand::Remove { name } => {
            session.open()?.remove_tenant(&name)?;
            out.answer(&json!({ "tenant": name, "removed": true }), |out| {
                out.line(format!("Removed {name} with its documents and plugins."));
            });
        }
        TenantCommand::Suspend { name } => suspend(session, &name, true).await?,
        TenantCommand::Resume { name } => suspend(session, &name, false).await?,
    }
    Ok(Exit::Done)
}

async fn suspend(session: &Session, name: &TenantId, suspended: bool) -> Result<(), Failure> {
    let said = session.ask(&Ask::set_suspended(name, suspended)).await?;
    session.out.answer(&said, |out| show_suspended(out, &said));
    Ok(())
}

/// Also for `kill --tenant`.
pub(super) fn show_suspended(out: &Output, said: &SuspendedJson) {
    let state = match (said.suspended, said.ended) {
        (true, 0) => "suspended: its tasks are refused".to_owned(),
        (true, ended) => format!(
            "suspended: its tasks are refused; {} ended",
            plural(ended as u64, "task")
        ),
        (false, _) => "running again".to_owned(),
    };
    out.line(format!("{} is {state}.", said.tenant));
}

async fn list(session: &Session) -> Result<(), Failure> {
    let said = session.ask(&Ask::tenants()).await?;
    session.out.answer(&said, |out| {
        let tenants = &said.tenants;
        if tenants.is_empty() {
            out.line("No tenants yet. Add one with `stockade tenant add NAME`.");
            return;
        }
        let rows = tenants.iter().map(|tenant| {
            vec![
                tenant.name.clone(),
                tenant.policy.clone(),
                thousands(tenant.documents),
                thousands(tenant.chunks),
                bytes(tenant.storage_bytes),
                tenant.plugins.len().to_string(),
                note(tenant),
            ]
        });
        let header = [
            "TENANT",
            "POLICY",
            "DOCUMENTS",
            "CHUNKS",
            "STORAGE",
            "PLUGINS",
            "",
        ];
        out.line(table(&header, &[2, 3, 4, 5], rows.collect()));
    });
    Ok(())
}

fn note(tenant: &TenantJson) -> String {
    match (&tenant.problem, tenant.suspended) {
        (Some(_), _) => "damaged: see `stockade doctor`".to_owned(),
        (None, true) => "suspended".to_owned(),
        (None, false) => String::new(),
    }
}

fn show(out: &Output, tenant: &TenantJson) {
    out.line(out.bold(&tenant.name));
    if tenant.suspended {
        out.line("  suspended   its tasks are refused");
    }
    out.line(format!(
        "  policy      {} ({})",
        tenant.policy,
        &tenant.policy_digest[..12]
    ));
    out.line(format!(
        "  documents   {} in {} chunks, {}",
        thousands(tenant.documents),
        thousands(tenant.chunks),
        bytes(tenant.storage_bytes)
    ));
    if tenant.quarantined > 0 {
        let documents = plural(tenant.quarantined, "document");
        out.line(format!(
            "  quarantine  {documents}; `ingest --retry-quarantined` tries again"
        ));
    }
    for (role, label) in &tenant.uses {
        out.line(format!("  {role:<11} {label}"));
    }
    for plugin in &tenant.plugins {
        let digest = &plugin.digest[..12];
        out.line(format!(
            "  plugin      {} ({}, {digest}), {}",
            plugin.label,
            plugin.kind,
            state(&plugin.health)
        ));
    }
    for answers in &tenant.answers {
        out.line(format!("  answers     {}", shares(answers)));
    }
}

/// How often a version of an agent answered, and how much of that was less than it could have been.
fn shares(answers: &AgentAnswersJson) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let in_use = match answers.in_use {
        true => "",
        false => ", not in use",
    };
    let stopped = match answers.stopped {
        0 => String::new(),
        some => format!("; {} without an answer", plural(some, "question")),
    };
    format!(
        "{} ({}{in_use}): {}, {} empty, {} degraded, {} denied{stopped}",
        answers.label,
        &answers.digest[..12],
        plural(answers.answers, "answer"),
        percent(answers.empty_share),
        percent(answers.degraded_share),
        percent(answers.denied_share),
    )
}
