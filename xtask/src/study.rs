//! `cargo xtask study`: what the documents show of ingest, fairness and starts, in one go of some 35
//! minutes on two cores, into docs/runs, and from there into the documents. It does not know what is measured.

use std::fs;
use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::cache::Cache;
use crate::process;
use crate::setup::{self, Scope};
use crate::ui;
use crate::workspace::Workspace;
use crate::{numbers, peers};

/// What is run after `stockade bench`; `{runs}` is docs/runs of the clone.
const MEASUREMENTS: [(&str, &str); 3] = [
    (
        "starts",
        "starts --runs 10 --csv {runs}/starts/runs.csv --report {runs}/starts/report.md",
    ),
    (
        "fairness",
        "fairness --requests 1000 --rate 20 --blocks 5 --seconds 20 --csv {runs}/fairness/questions.csv --report {runs}/fairness/report.md",
    ),
    (
        "ingest",
        "ingest --study --csv {runs}/ingest/rows.csv --plot {runs}/ingest --report {runs}/ingest/report.md",
    ),
];

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Measurements by name; empty means all.
    only: Vec<String>,
    without_peers: bool,
    rounds: Option<String>,
}

/// Reads what follows `study`; the error is a sentence.
pub(crate) fn parse(arguments: &[String]) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || {
            let missing = format!("`{argument}` needs a value.");
            rest.next().cloned().ok_or(missing)
        };
        match argument.as_str() {
            "--without-peers" => asked.without_peers = true,
            "--rounds" => asked.rounds = Some(value()?),
            "--only" => {
                let name = value()?;
                if !MEASUREMENTS.iter().any(|(known, _)| *known == name) {
                    let known = MEASUREMENTS.map(|(known, _)| known).join(", ");
                    return Err(format!(
                        "There is no measurement `{name}`. They are: {known}."
                    ));
                }
                asked.only.push(name);
            }
            other => return Err(format!("`{other}` is not understood here.")),
        }
    }
    Ok(asked)
}

/// Sets up, measures, and fills the documents. The first measurement that fails ends it; what was measured before
/// is kept, and is in the documents.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, asked: &Asked) -> Result<ExitCode> {
    if !asked.without_peers {
        peers::run(cache)?;
    }
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let runs = workspace.root().join("docs/runs");
    for (name, line) in MEASUREMENTS {
        if !asked.only.is_empty() && !asked.only.iter().any(|only| only == name) {
            continue;
        }
        let folder = runs.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        ui::heading(&format!("== {name}"));
        let mut bench = Command::new(cache.stockade());
        bench.env("STOCKADE_CACHE", cache.root()).arg("bench");
        for word in line.split(' ') {
            bench.arg(word.replace("{runs}", &runs.to_string_lossy()));
        }
        if name == "ingest" && !asked.without_peers {
            bench.args(["--peers", "all"]);
        }
        if let Some(rounds) = asked.rounds.as_ref().filter(|_| name == "ingest") {
            bench.args(["--rounds", rounds]);
        }
        let began = Instant::now();
        let code = process::exit_code(&mut bench)?;
        ui::note(&format!("took {}", ui::seconds(began.elapsed())));
        if code != ExitCode::SUCCESS {
            numbers::run(workspace)?;
            return Ok(code);
        }
    }
    numbers::run(workspace)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&arguments)
    }

    #[test]
    fn what_is_measured_can_be_chosen() {
        assert_eq!(parsed(""), Ok(Asked::default()));
        let asked = parsed("--only fairness --without-peers --rounds 2").unwrap();
        assert_eq!(asked.only, ["fairness"]);
        assert!(asked.without_peers && asked.rounds.as_deref() == Some("2"));
        for line in ["--only moon", "--only", "now"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
