//! `stockade prove`: a bar while it runs, then a table or JSON.

use super::Session;
use super::documents::interrupted_by_user;
use super::output::{Output, plural, table};
use crate::api::{ProveJson, ProveRowJson};
use crate::error::{Exit, Failure};
use crate::prove;
use crate::runtime::Runtime;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct ProveArguments {
    /// A shipped policy (default, strict, trusted, python) or a file
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// Prove this key alone, such as chunker.fuel_max; may be given several times
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

pub(super) async fn run(session: &Session, arguments: ProveArguments) -> Result<Exit, Failure> {
    let policy = Runtime::find_policy(arguments.policy.as_deref())?;
    let (bar, interrupt) = (bar(session.out), interrupted_by_user());
    let begin = |key: &str, number: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(number.saturating_sub(1) as u64);
        bar.set_message(key.to_owned());
    };
    let proven = prove::prove(&policy, &arguments.keys, &session.data, &begin, &interrupt).await;
    bar.finish_and_clear();
    let report = proven?;
    let said = ProveJson::from(&report);
    session.out.answer(&said, |out| show(out, &said));
    Ok(match &said {
        said if said.interrupted => Exit::Interrupted,
        said if said.ok => Exit::Done,
        _ => Exit::Partial,
    })
}

fn bar(out: Output) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} keys  {msg}  {elapsed}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn show(out: &Output, said: &ProveJson) {
    let header = [
        "KEY", "LIMIT", "ATTACK", "GOT", "FREE MS", "RSS MB", "VICTIM", "",
    ];
    let rows = said.rows.iter().map(|row| {
        vec![
            row.key.clone(),
            limit(row),
            row.attack.to_owned(),
            row.got.clone(),
            row.limit_to_free_ms
                .map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1}")),
            format!("{:.0}", row.rss_after_mb),
            row.victim_p99_ratio
                .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.1}x")),
            if row.ok { "ok" } else { "FAILED" }.to_owned(),
        ]
    });
    out.line(table(&header, &[4, 5, 6], rows.collect()));
    for row in said.rows.iter().filter(|row| !row.ok) {
        explain(out, row);
    }
    summary(out, said);
}

/// The value that was tried, and the policy's where that is another.
fn limit(row: &ProveRowJson) -> String {
    match row.lowered_to {
        Some(tried) => format!("{} (tried at {tried})", row.limit),
        None => row.limit.to_string(),
    }
}

fn explain(out: &Output, row: &ProveRowJson) {
    out.line(out.bold(&format!("\n{} did not hold", row.key)));
    if !row.violated_ok {
        let (expected, got) = (&row.expected, &row.got);
        out.line(format!("  The attack: expected {expected}; got {got}."));
        out.line("  A hostile tenant gets past this limit. Do not admit strangers' plugins.");
    }
    if !row.obeyed_ok {
        out.line(format!(
            "  What obeys the limit did not get through: {}.",
            row.obeyed
        ));
        out.line(
            "  Well-behaved tenants are refused too early, or the limit is too low for any work.",
        );
    }
    if let Some(wrong) = &row.victim_wrong {
        out.line(format!("  The well-behaved tenant noticed: {wrong}."));
    }
}

fn summary(out: &Output, said: &ProveJson) {
    let held = said.rows.iter().filter(|row| row.ok).count();
    let lowered = said
        .rows
        .iter()
        .filter(|row| row.lowered_to.is_some())
        .count();
    let rounds: usize = said.rows.iter().map(|row| row.victim_rounds).sum();
    out.line(format!(
        "\nPolicy {}: {held} of {} held, each against a guest that breaks it and one that obeys it; {lowered} at a \
         lowered value.",
        said.policy,
        plural(said.rows.len() as u64, "key"),
    ));
    out.line(format!(
        "The well-behaved tenant: {} beside the attacks, p99 {:.0} ms when alone.",
        plural(rounds as u64, "round"),
        said.victim.p99_ms,
    ));
    if said.interrupted {
        out.line("It was interrupted: keys without a row are not proven.");
    }
}
