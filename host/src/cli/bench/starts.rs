//! `stockade bench starts`: from the start of a command to its answer, as whoever types it waits: process, model,
//! engine, work and end.

use super::child;
use super::error::BenchError;
use super::machine;
use super::stage::{check_writable, copy_configuration, write_error, write_if_asked};
use super::statistics::Spread;
use super::workload::Workload;
use crate::api::{BenchProgramStartJson, BenchStartsJson, SpreadJson, round};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, table};
use crate::error::{Exit, Failure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What is typed, by the name that it is reported under, and the largest median that is wanted.
const COMMANDS: [(&str, &[&str], Option<f64>); 3] = [
    (
        "query",
        &["query", "small", "What do separate processes load?"],
        Some(0.5),
    ),
    ("tenant list", &["tenant", "list"], None),
    ("completions bash", &["completions", "bash"], None),
];

#[derive(Debug, Args)]
pub(in crate::cli) struct BenchStartsArguments {
    /// Runs of each command, in turn
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Documents of the tenant that is asked
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    documents: u32,
    /// Write every run as a line of comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write what was measured as Markdown
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(
    session: &Session,
    arguments: BenchStartsArguments,
) -> Result<Exit, Failure> {
    for file in [&arguments.csv, &arguments.report].into_iter().flatten() {
        check_writable(file)?;
    }
    let interrupt = interrupted_by_user();
    let folder = ground(&session.data, arguments.documents, &interrupt).await?;
    let data = folder.path().join("data");
    let mut seconds: Vec<Vec<f64>> = COMMANDS.iter().map(|_| vec![]).collect();
    // The first round is not counted: files come into memory.
    'rounds: for round in 0..=arguments.runs {
        for ((_, words, _), seconds) in COMMANDS.iter().zip(&mut seconds) {
            if interrupt.is_cancelled() {
                break 'rounds;
            }
            let took = once(&data, words)?;
            if round > 0 {
                seconds.push(took.as_secs_f64());
            }
        }
    }
    write_if_asked(arguments.csv.as_deref(), || csv(&seconds))?;
    let said = json(&seconds, arguments.documents, interrupt.is_cancelled());
    session.out.answer(&said, |out| show(out, &said));
    write_if_asked(arguments.report.as_deref(), || markdown(&said))?;
    Ok(match said.interrupted {
        true => Exit::Interrupted,
        false => Exit::Done,
    })
}

/// Every run of each command in order.
fn csv(seconds: &[Vec<f64>]) -> String {
    let mut text = "command,seconds\n".to_owned();
    for ((name, ..), runs) in COMMANDS.iter().zip(seconds) {
        for took in runs {
            text.push_str(&format!("{name},{took:.4}\n"));
        }
    }
    text
}

/// A data folder with a small tenant.
async fn ground(
    data: &Path,
    documents: u32,
    interrupt: &CancellationToken,
) -> Result<TempDir, Failure> {
    let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
    let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
    let own = folder.path().join("data");
    copy_configuration(data, &own)?;
    let corpus = folder.path().join("corpus.jsonl");
    let written = Workload::new(42).write(&corpus, documents);
    written.map_err(|source| write_error(&corpus, source))?;
    let corpus = corpus.to_string_lossy();
    for words in [
        &["tenant", "add", "small"][..],
        &["ingest", "small", corpus.as_ref()],
    ] {
        let ended = child::run(command(&own, words), interrupt).await?;
        if !ended.status.success() {
            return Err(failed(words[0], &ended.complaint).into());
        }
    }
    Ok(folder)
}

fn command(data: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg("--data").arg(data).args(words);
    command
}

fn failed(what: &str, message: &str) -> BenchError {
    BenchError::Scenario {
        scenario: "starts",
        message: format!("{what}: {message}"),
        hint: None,
    }
}

/// From the call that starts the process to its end.
fn once(data: &Path, words: &[&str]) -> Result<Duration, BenchError> {
    let mut command = command(data, words);
    // As from a terminal: the program sets its own environment, and begins again for it.
    for (name, _) in crate::cli::ALLOCATOR {
        command.env_remove(name);
    }
    command.env_remove(crate::cli::NO_TELEMETRY.0);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let output = command.output().map_err(|source| BenchError::Start {
        program: words.join(" "),
        source,
    })?;
    let took = began.elapsed();
    match output.status.success() {
        true => Ok(took),
        false => Err(failed(words[0], &String::from_utf8_lossy(&output.stderr))),
    }
}

fn json(seconds: &[Vec<f64>], documents: u32, interrupted: bool) -> BenchStartsJson {
    let command = |((name, _, target), seconds): (&(&'static str, _, Option<f64>), &Vec<f64>)| {
        let Spread { median, min, max } = Spread::of(seconds.iter().copied())?;
        Some(BenchProgramStartJson {
            command: name,
            runs: seconds.len(),
            seconds: SpreadJson {
                median: round(median, 4),
                min: round(min, 4),
                max: round(max, 4),
            },
            target_s: *target,
            met: target.map(|target| median <= target),
        })
    };
    BenchStartsJson {
        machine: machine::this(),
        documents,
        commands: COMMANDS.iter().zip(seconds).filter_map(command).collect(),
        interrupted,
    }
}

const HEADER: [&str; 4] = ["`stockade …`", "runs", "seconds (least to most)", "target"];

fn rows(said: &BenchStartsJson) -> Vec<Vec<String>> {
    let row = |one: &BenchProgramStartJson| {
        let SpreadJson { median, min, max } = one.seconds;
        let target = one.target_s.map_or_else(String::new, |target| {
            let met = if one.met == Some(true) {
                "met"
            } else {
                "missed"
            };
            format!("{target} s: {met}")
        });
        vec![
            one.command.to_owned(),
            one.runs.to_string(),
            format!("{median:.3} ({min:.3} to {max:.3})"),
            target,
        ]
    };
    said.commands.iter().map(row).collect()
}

fn show(out: &Output, said: &BenchStartsJson) {
    out.line(table(&HEADER, &[1, 2], rows(said)));
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

fn markdown(said: &BenchStartsJson) -> String {
    let mut text = format!(
        "# Starts\n\n<!-- table:starts -->\n| {} |\n|---|---:|---:|---|\n",
        HEADER.join(" | ")
    );
    for row in rows(said) {
        text.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    text.push_str(&format!(
        "\nMeasured on {}; a tenant of {} documents.\n<!-- /table -->\n",
        machine::words(&said.machine),
        said.documents
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_judged_and_what_did_not_run_is_left_out() {
        let said = json(&[vec![0.4, 0.6, 0.45], vec![0.01], vec![]], 50, true);
        assert_eq!(said.commands.len(), 2);
        assert_eq!(said.commands[0].met, Some(true));
        assert_eq!(said.commands[1].met, None);
        let csv = csv(&[vec![0.4, 0.6], vec![0.01]]);
        assert!(csv.contains("\nquery,0.4000\nquery,0.6000\n"), "{csv}");
        let text = markdown(&said);
        assert!(
            text.contains("| query | 3 | 0.450 (0.400 to 0.600) | 0.5 s: met |"),
            "{text}"
        );
    }
}
