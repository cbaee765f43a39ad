//! `--sync`: what has gone from a source goes from the index, and nothing else.
//!
//! It knows what the run has seen, not how it was read.

use super::super::RuntimeError;
use super::report::{Ack, Outcome};
use super::{Driver, IngestRequest};
use crate::corpus::Metadata;
use crate::error::Failure;
use crate::index::{Index, IndexError};
use crate::law::{self, Law};
use crate::task::{Phase, Stop};
use std::collections::HashSet;
use std::sync::Arc;

/// Ids that are looked at, and deleted, in one go.
const PAGE: usize = 1_000;

/// `--sync` without a source would delete what others brought.
pub(super) fn check(request: &IngestRequest) -> Result<(), RuntimeError> {
    if request.sync && request.source.is_none() {
        let message = "--sync needs --source: it deletes what has gone from that source alone";
        return Err(RuntimeError::Argument(message.to_owned()));
    }
    Ok(())
}

/// Some of the documents below a source's prefix.
struct Page {
    /// Those of the source that were not seen.
    gone: Vec<String>,
    /// The last one that was looked at; nothing where there are no more.
    last: Option<String>,
}

/// The next documents below `prefix` that have gone. One of another source, whose name only begins like this
/// one's, has not.
fn gone(
    index: &Index,
    prefix: &str,
    after: Option<&str>,
    seen: &HashSet<String>,
) -> Result<Page, IndexError> {
    let within = law::holds(Law::SyncWithinSource);
    let ids = index.document_ids(if within { prefix } else { "" }, after, PAGE)?;
    let last = ids.last().cloned();
    let mut gone = vec![];
    for id in ids.into_iter().filter(|id| !seen.contains(id)) {
        let metadata = index.metadata(&id)?;
        if !within || !metadata.is_some_and(|json| is_of_another(&json, prefix)) {
            gone.push(id);
        }
    }
    Ok(Page { gone, last })
}

/// Whether a document's metadata name a source below `prefix`, such as `wiki/en` below `wiki/`.
fn is_of_another(metadata: &str, prefix: &str) -> bool {
    let metadata: Metadata = serde_json::from_str(metadata).unwrap_or_default();
    let source = metadata.get("source").and_then(|source| source.as_str());
    source.is_some_and(|source| source.starts_with(prefix))
}

impl Driver {
    /// Deletes the source's documents that this run did not see.
    pub(super) async fn sync(&mut self, request: &IngestRequest) -> Result<(), Failure> {
        let (Some(seen), Some(source)) = (self.seen_ids.take(), &request.source) else {
            return Ok(());
        };
        let seen = Arc::new(seen);
        if let Some(why) = self.withheld() {
            self.report.sync_withheld = Some(why);
            return Ok(());
        }
        // As the loader writes it before every id.
        let prefix = format!("{}/", source.trim_end_matches('/'));
        let mut after: Option<String> = None;
        loop {
            let (index, from) = (self.line.index.clone(), after.take());
            let (within, seen) = (prefix.clone(), seen.clone());
            let page = move || gone(&index, &within, from.as_deref(), &seen);
            let page = tokio::task::spawn_blocking(page).await;
            let page = page.map_err(|e| Stop::host(Phase::Commit, &e.to_string()))??;
            self.delete(page.gone).await?;
            match page.last {
                Some(last) => after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Why nothing may be deleted: not everything that is there was seen.
    fn withheld(&self) -> Option<String> {
        if self.report.ended_early.is_some() {
            let why = match self.report.suspended() {
                true => "the tenant was suspended",
                false => "the run was interrupted",
            };
            return Some(why.to_owned());
        }
        let unidentified = self.unidentified;
        (unidentified > 0).then(|| format!("{unidentified} entries could not be identified"))
    }

    async fn delete(&mut self, gone: Vec<String>) -> Result<(), Failure> {
        if gone.is_empty() {
            return Ok(());
        }
        let deleted = self.runtime.delete(&self.tenant, gone.clone()).await?;
        for (document, _) in gone.iter().zip(deleted).filter(|(_, was)| *was) {
            self.report.deleted += 1;
            self.progress.acknowledge(&Ack {
                document,
                outcome: Outcome::Deleted,
                chunks: 0,
                failure: None,
            });
        }
        Ok(())
    }
}
