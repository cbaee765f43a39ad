//! `stockade ingest` and `stockade delete`.

use super::Session;
use super::acks::Acks;
use super::args::IngestArguments;
use super::output::{Output, plural, printable, thousands};
use super::plugins::state;
use crate::api::{EndedEarlyJson, IngestJson};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::memory;
use crate::runtime::{IngestReport, IngestRequest, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Failures and skips that a person is shown; the rest is counted.
const SHOWN: usize = 20;

pub(super) async fn ingest(session: &Session, arguments: IngestArguments) -> Result<Exit, Failure> {
    let request = IngestRequest {
        paths: arguments.paths,
        source: arguments.source,
        sync: arguments.sync,
        no_reuse: arguments.no_reuse,
        retry_quarantined: arguments.retry_quarantined,
        encoding: arguments.encoding,
    };
    let acks = arguments.acks.as_deref().map(Acks::open).transpose()?;
    let interrupt = interrupted_by_user();
    let (runtime, listening) = session.open_listening().await?;
    let progress = Arc::new(match &acks {
        Some(acks) => acks.progress(),
        None => Progress::default(),
    });
    let drawing = draw(session.out, progress.clone());
    let report = runtime
        .ingest(&arguments.tenant, &request, &progress, &interrupt)
        .await;
    drop(drawing);
    if !interrupt.is_cancelled() {
        listening.finish().await;
    }
    let report = report?;
    let said = IngestJson::new(&report, memory::resident_peak() as f64 / 1e6);
    session
        .out
        .answer(&said, |out| show(out, &arguments.tenant, &said));
    if let Some(acks) = acks {
        acks.check()?;
    }
    Ok(exit_of(&report))
}

/// The first Ctrl-C, or the system's wish that the process ends, ends the work cleanly; a second one ends the
/// process.
pub(super) fn interrupted_by_user() -> CancellationToken {
    let token = CancellationToken::new();
    let interrupt = token.clone();
    // From here on, not from when the task below runs first.
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupts), Ok(mut terminations)) = signals else {
        tracing::warn!("signals cannot be caught: Ctrl-C ends the process at once");
        return token;
    };
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
            }
            if first {
                interrupt.cancel();
                continue;
            }
            #[expect(clippy::disallowed_methods, reason = "the user insists on not waiting")]
            std::process::exit(i32::from(Exit::Interrupted.status()));
        }
    });
    token
}

fn exit_of(report: &IngestReport) -> Exit {
    match report {
        report if report.interrupted() => Exit::Interrupted,
        report if report.suspended() => Exit::Refused,
        report if report.failed > 0 => Exit::Partial,
        _ => Exit::Done,
    }
}

/// A bar that is redrawn until it is dropped; none where nobody watches.
struct Drawing {
    stop: CancellationToken,
    bar: ProgressBar,
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.stop.cancel();
        self.bar.finish_and_clear();
    }
}

fn draw(out: Output, progress: Arc<Progress>) -> Option<Drawing> {
    if out.json || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(0);
    bar.set_style(style(false));
    let stop = CancellationToken::new();
    let (shown, stopped) = (bar.clone(), stop.clone());
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                () = stopped.cancelled() => return,
                _ = beat.tick() => redraw(&shown, &progress),
            }
        }
    });
    Some(Drawing { stop, bar })
}

fn style(total_known: bool) -> ProgressStyle {
    let template = match total_known {
        true => "{bar:30} {pos}/{len} documents  {msg}  {per_sec}  {eta} left",
        false => "{spinner} {pos} documents  {msg}  {elapsed}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn redraw(bar: &ProgressBar, progress: &Progress) {
    let total = progress.total.load(Relaxed);
    if total > 0 && bar.length() != Some(total) {
        bar.set_length(total);
        bar.set_style(style(true));
    }
    bar.set_position(progress.documents.load(Relaxed));
    let (chunks, tokens) = (progress.chunks.load(Relaxed), progress.tokens.load(Relaxed));
    let failed = match progress.failed.load(Relaxed) {
        0 => String::new(),
        some => format!(", {} failed", thousands(some)),
    };
    bar.set_message(format!(
        "{} chunks, {} tokens{failed}",
        thousands(chunks),
        thousands(tokens)
    ));
}

fn show(out: &Output, tenant: &TenantId, said: &IngestJson) {
    for failure in said.failures.iter().take(SHOWN) {
        out.line(format!(
            "failed   {}: {}",
            failure.document, failure.error.message
        ));
        if let Some(hint) = &failure.error.hint {
            out.line(out.dim(&format!("         {hint}")));
        }
    }
    rest(out, said.documents.failed, said.failures.len(), "failed");
    for skip in said.skipped.iter().take(SHOWN) {
        out.line(format!("skipped  {}: {}", skip.path, skip.reason));
    }
    rest(out, said.documents.skipped, said.skipped.len(), "skipped");
    let counts = &said.documents;
    let parts = [
        ("added", counts.added),
        ("replaced", counts.replaced),
        ("unchanged", counts.unchanged),
        ("deleted", counts.deleted),
        ("failed", counts.failed),
        ("skipped", counts.skipped),
    ];
    let parts = parts.iter().filter(|(_, number)| *number > 0);
    let parts: Vec<String> = parts
        .map(|(what, number)| format!("{} {what}", thousands(*number)))
        .collect();
    let summary = match parts.is_empty() {
        true => "nothing to do".to_owned(),
        false => parts.join(", "),
    };
    if let Some(ended) = &said.ended_early {
        show_end(out, tenant, said, ended);
    }
    health(out, tenant, said);
    if let Some(why) = &said.sync_withheld {
        out.line(format!("--sync deleted nothing: {why}."));
    }
    let rate = match said.tokens {
        0 => String::new(),
        _ => format!(
            " ({:.1} documents/s, peak {:.0} MB)",
            said.docs_per_s, said.peak_rss_mb
        ),
    };
    out.line(format!(
        "{tenant}: {summary}. {}, {} in {:.1} s{rate}.",
        plural(said.chunks, "chunk"),
        plural(said.tokens, "token"),
        said.seconds,
    ));
}

/// Where it ended: what a person needs to know before starting it again.
fn show_end(out: &Output, tenant: &TenantId, said: &IngestJson, ended: &EndedEarlyJson) {
    let why = match said.interrupted {
        true => "Interrupted".to_owned(),
        false => format!("{tenant} was suspended"),
    };
    let last = match &ended.last_committed {
        Some(document) => format!("the last document committed is {}", printable(document)),
        None => "no document was committed".to_owned(),
    };
    let first = match &ended.first_not_begun {
        Some(document) => format!("the first one not begun is {}", printable(document)),
        None => "no further one is known".to_owned(),
    };
    let under_way = plural(said.unfinished, "document");
    out.line(format!(
        "{why}: {last}, {first}; {under_way} under way stayed as before."
    ));
    if !said.interrupted {
        out.line(format!(
            "  Resume the tenant with `stockade tenant resume {tenant}`, then ingest again: what is there is not repeated."
        ));
    }
}

/// Documents that were set aside, and chunkers that are not run as installed.
fn health(out: &Output, tenant: &TenantId, said: &IngestJson) {
    if said.quarantined > 0 {
        let documents = plural(said.quarantined, "document");
        out.line(format!(
            "{documents} in quarantine; --retry-quarantined tries again."
        ));
    }
    for plugin in &said.breaker {
        let (label, digest) = (&plugin.label, &plugin.digest[..12]);
        out.line(format!(
            "plugin   {label} ({digest}): {}.",
            state(&plugin.health)
        ));
        let resume = format!("`stockade plugin resume {tenant} {label}`");
        out.line(out.dim(&format!(
            "         Fix it and install it again, or {resume}."
        )));
    }
}

fn rest(out: &Output, all: u64, listed: usize, what: &str) {
    let more = all.saturating_sub(listed.min(SHOWN) as u64);
    if more > 0 {
        out.line(format!("{what:<8} {} more; see --json", thousands(more)));
    }
}

pub(super) async fn delete(
    session: &Session,
    tenant: TenantId,
    documents: Vec<String>,
) -> Result<Exit, Failure> {
    let runtime = session.open()?;
    let existed = runtime.delete(&tenant, documents.clone()).await?;
    let missing: Vec<&String> = documents
        .iter()
        .zip(&existed)
        .filter(|(_, existed)| !**existed)
        .map(|(id, _)| id)
        .collect();
    let deleted = existed.iter().filter(|&&existed| existed).count() as u64;
    session
        .out
        .answer(&json!({ "deleted": deleted, "missing": missing }), |out| {
            for id in &missing {
                out.line(format!("{tenant} has no document {id}"));
            }
            out.line(format!("Deleted {}.", plural(deleted, "document")));
        });
    Ok(if missing.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}
