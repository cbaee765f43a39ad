//! `stockade policy …`

use super::Session;
use super::args::PolicyCommand;
use super::output::table;
use crate::api::PolicyJson;
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::policy::{Policy, PolicySource};
use crate::server::Ask;
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) async fn run(session: &Session, command: PolicyCommand) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Check { files } => check(session, &files),
        PolicyCommand::Show { name } => show(session, &name).await,
    }
}

/// Checks every file, so that one run tells everything that is wrong.
fn check(session: &Session, files: &[PathBuf]) -> Result<Exit, Failure> {
    let mut exit = Exit::Done;
    for file in files {
        match Policy::load(file) {
            Ok(policy) => {
                let said = json!({ "file": file, "ok": true, "digest": policy.digest_hex() });
                session
                    .out
                    .answer(&said, |out| out.line(format!("{}: ok", file.display())));
            }
            Err(error) => exit = session.out.failure(&error.into()),
        }
    }
    Ok(exit)
}

async fn show(session: &Session, name: &str) -> Result<Exit, Failure> {
    let policy = find(session, name).await?;
    let said = PolicyJson {
        name: policy.name.clone(),
        digest: policy.digest_hex(),
        entries: policy.entries().to_vec(),
    };
    session.out.answer(&said, |out| {
        let row = |entry: &crate::policy::Entry| {
            let value = format!("{} {}", entry.value, entry.unit);
            vec![
                entry.key.clone(),
                value.trim_end().to_owned(),
                entry.range.clone(),
                entry.source.clone(),
            ]
        };
        let rows = said.entries.iter().map(row).collect();
        out.line(table(&["KEY", "VALUE", "ALLOWED", "FROM"], &[1], rows));
    });
    Ok(Exit::Done)
}

/// A tenant of this data folder goes before a shipped policy and a file of the same name.
async fn find(session: &Session, name: &str) -> Result<Policy, Failure> {
    let is_tenant = session.data.join("catalog.db").exists() && !Path::new(name).exists();
    if let (true, Ok(tenant)) = (is_tenant, TenantId::new(name)) {
        match session.ask(&Ask::policy(&tenant)).await {
            Ok(files) => {
                let files = PolicySource::from_json(&files.to_string())?;
                return Ok(Policy::from_bundle(&files)?);
            }
            Err(failure) if failure.code == "no-tenant" => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Policy::find(name)?)
}
