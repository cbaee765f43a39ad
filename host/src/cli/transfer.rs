//! `stockade backup` and `stockade restore`.

use super::Session;
use super::output::{bytes, plural};
use crate::api::{BackupToJson, RestoreFromJson};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::runtime::{RuntimeError, partial_of};
use crate::server::Ask;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;

#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// The tenant
    tenant: TenantId,
    /// Where to; a backup that is there is replaced when the new one is whole
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArguments {
    /// The tenant; it may have another name than the one that was backed up
    tenant: TenantId,
    /// What `stockade backup` wrote
    file: PathBuf,
    /// Put it in the place of the tenant of that name
    #[arg(long)]
    replace: bool,
}

pub(super) async fn backup(session: &Session, given: BackupArguments) -> Result<Exit, Failure> {
    let BackupArguments { tenant, file } = given;
    let file = absolute(&file)?;
    let interrupt = super::documents::interrupted_by_user();
    let shown = watch(session, "written", Some(partial_of(&file)));
    let to = BackupToJson { file };
    let ask = Ask::backup(&tenant, &to);
    let said = tokio::select! {
        said = session.ask(&ask) => said?,
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
    };
    drop(shown);
    session.out.answer(&said, |out| {
        out.line(format!(
            "{tenant} is in {}: {}, {}, {}, {}.",
            said.file.display(),
            plural(said.documents, "document"),
            plural(said.chunks, "chunk"),
            plural(said.plugins, "plugin version"),
            bytes(said.bytes)
        ));
    });
    Ok(Exit::Done)
}

pub(super) async fn restore(session: &Session, given: RestoreArguments) -> Result<Exit, Failure> {
    let RestoreArguments {
        tenant,
        file,
        replace,
    } = given;
    let file = absolute(&file)?;
    let interrupt = super::documents::interrupted_by_user();
    let shown = watch(session, "restoring", None);
    let from = RestoreFromJson { file, replace };
    let ask = Ask::restore(&tenant, &from);
    let said = tokio::select! {
        said = session.ask(&ask) => said?,
        () = interrupt.cancelled() => return Ok(Exit::Interrupted),
    };
    drop(shown);
    session.out.answer(&said, |out| {
        let how = if said.replaced {
            "Replaced"
        } else {
            "Restored"
        };
        out.line(format!(
            "{how} {tenant}: {}, {}, {}.",
            plural(said.documents, "document"),
            plural(said.chunks, "chunk"),
            plural(said.plugins, "plugin version")
        ));
        if said.suspended {
            out.line(format!(
                "  It is suspended, as it was; `stockade tenant resume {tenant}` admits its tasks."
            ));
        }
        if said.other_model {
            out.line("  Another model embedded its documents: ingest them again.");
        }
        for plugin in &said.refused {
            let digest = &plugin.digest[..12.min(plugin.digest.len())];
            out.line(format!(
                "refused  {} ({digest}): {}",
                plugin.label, plugin.error.message
            ));
        }
    });
    match said.refused.is_empty() {
        true => Ok(Exit::Done),
        false => Ok(Exit::Partial),
    }
}

/// The process that does the work may be in another folder.
fn absolute(file: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::path::absolute(file);
    let wrong = |source| RuntimeError::Read {
        path: file.to_owned(),
        source,
    };
    Ok(absolute.map_err(wrong)?)
}

/// A sign of life on a terminal, gone when dropped; with the size of `file`, where there is one to watch.
struct Watching {
    bar: ProgressBar,
    beat: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.beat.abort();
        self.bar.finish_and_clear();
    }
}

fn watch(session: &Session, what: &'static str, file: Option<PathBuf>) -> Option<Watching> {
    if session.out.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_message(what);
    let shown = bar.clone();
    let beat = tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            let size = file
                .as_deref()
                .and_then(|file| std::fs::metadata(file).ok());
            if let Some(size) = size {
                shown.set_message(format!("{} {what}", bytes(size.len())));
            }
            shown.tick();
        }
    });
    Some(Watching { bar, beat })
}
