//! `stockade doctor`, and the hidden `stockade model import` of the set-up.

use super::Session;
use super::args::ModelCommand;
use crate::api::{DoctorJson, FindingJson};
use crate::error::{Exit, Failure};
use serde_json::json;

pub(super) async fn doctor(session: &Session, repair: bool) -> Result<Exit, Failure> {
    let findings = crate::runtime::examine(&session.data, repair).await?;
    let ok = findings.iter().all(|finding| finding.ok);
    let findings: Vec<FindingJson> = findings.into_iter().map(Into::into).collect();
    let said = DoctorJson { ok, findings };
    session.out.answer(&said, |out| {
        for finding in &said.findings {
            let mark = match (finding.ok, &finding.fix, &finding.repaired) {
                (true, None, Some(_)) => "fixed",
                (true, None, None) => "ok   ",
                (true, Some(_), _) => "warn ",
                (false, ..) => "WRONG",
            };
            out.line(format!(
                "{mark}  {:<20} {}",
                finding.subject, finding.message
            ));
            if let Some(done) = &finding.repaired {
                out.line(format!("       {:<20} repaired: {done}", ""));
            }
            if let Some(fix) = &finding.fix {
                out.line(format!("       {:<20} {fix}", ""));
            }
        }
    });
    Ok(if ok { Exit::Done } else { Exit::HostFault })
}

pub(super) fn model(session: &Session, command: &ModelCommand) -> Result<Exit, Failure> {
    let ModelCommand::Import { folder } = command;
    let imported = crate::embedder::onnx::import(folder)?;
    let model = &imported.model;
    let said = json!({ "model": model.name, "digest": model.digest, "written": imported.written });
    session.out.answer(&said, |out| {
        let state = if imported.written {
            "imported"
        } else {
            "already imported"
        };
        let digest = &model.digest[..12.min(model.digest.len())];
        out.line(format!(
            "{} ({digest}) is {state} in {}.",
            model.name,
            folder.display()
        ));
    });
    Ok(Exit::Done)
}
