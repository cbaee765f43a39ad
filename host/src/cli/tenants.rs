//! `stockade tenant …`

use super::Session;
use super::args::TenantCommand;
use super::output::{bytes, plural, table, thousands};
use super::plugins::state;
use crate::api::TenantJson;
use crate::error::{Exit, Failure};
use crate::runtime::Runtime;
use serde_json::json;

pub(super) fn run(session: &Session, command: TenantCommand) -> Result<Exit, Failure> {
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
            session.open()?.set_policy(&name, &policy)?;
            out.answer(&json!({ "tenant": name, "policy": policy.name }), |out| {
                out.line(format!("{name} is under policy {} now.", policy.name));
            });
        }
        TenantCommand::List => list(session)?,
        TenantCommand::Show { name } => {
            let tenant = TenantJson::from(session.open()?.tenant(&name)?);
            out.answer(&tenant, |out| show(out, &tenant));
        }
        TenantCommand::Remove { name } => {
            session.open()?.remove_tenant(&name)?;
            out.answer(&json!({ "tenant": name, "removed": true }), |out| {
                out.line(format!("Removed {name} with its documents and plugins."));
            });
        }
        TenantCommand::Suspend { name } => suspend(session, &name, true)?,
        TenantCommand::Resume { name } => suspend(session, &name, false)?,
    }
    Ok(Exit::Done)
}

fn suspend(
    session: &Session,
    name: &crate::corpus::TenantId,
    suspended: bool,
) -> Result<(), Failure> {
    session.open()?.set_suspended(name, suspended)?;
    session
        .out
        .answer(&json!({ "tenant": name, "suspended": suspended }), |out| {
            let state = if suspended {
                "suspended: its tasks are refused"
            } else {
                "running again"
            };
            out.line(format!("{name} is {state}."));
        });
    Ok(())
}

fn list(session: &Session) -> Result<(), Failure> {
    let tenants = session.open()?.tenants()?;
    let tenants: Vec<TenantJson> = tenants.into_iter().map(Into::into).collect();
    session.out.answer(&json!({ "tenants": tenants }), |out| {
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
                if tenant.suspended { "suspended" } else { "" }.to_owned(),
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

fn show(out: &super::output::Output, tenant: &TenantJson) {
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
}
