//! `cargo xtask crash` and `cargo xtask mutants`: set up and hand over to the tests that know what is shown, with
//! more trials than a run of all tests has time for.

use std::process::ExitCode;

use anyhow::Result;

use crate::cache::Cache;
use crate::process;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// The kill loop, by its place in the tests of the whole.
const CRASH: &str = "crash::d_01_d_15_no_kill_loses_doubles_or_tears_an_acknowledged_document";

/// Every law broken in turn, by its place in the library's tests.
const MUTANTS: &str =
    "durability::laws::every_law_that_is_broken_is_noticed_and_the_published_list_is_true";

/// How often is killed where nobody says.
const KILLS: u64 = 1_000;

/// What the kill loop is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crash {
    /// Kills, at least.
    pub(crate) kills: u64,
    /// What everything is chosen by.
    pub(crate) seed: u64,
}

impl Crash {
    /// `--kills N` and `--seed S`, each with a default.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut crash = Self {
            kills: KILLS,
            seed: 1,
        };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let number = match argument.as_str() {
                "--kills" => &mut crash.kills,
                "--seed" => &mut crash.seed,
                other => return Err(format!("`{other}` is not understood here.")),
            };
            let value = rest.next().and_then(|value| value.parse().ok());
            *number = value.ok_or(format!("`{argument}` needs a number."))?;
        }
        Ok(crash)
    }
}

/// Kills the program again and again; its exit code is ours.
pub(crate) fn crash(cache: &Cache, workspace: &Workspace, crash: &Crash) -> Result<ExitCode> {
    let variables = [
        ("STOCKADE_KILLS", crash.kills.to_string()),
        ("STOCKADE_SEED", crash.seed.to_string()),
    ];
    test(cache, workspace, &["--test", "tests"], CRASH, &variables)
}

/// Breaks every law in turn; the exit code says whether each was noticed.
pub(crate) fn mutants(cache: &Cache, workspace: &Workspace) -> Result<ExitCode> {
    test(cache, workspace, &["--lib"], MUTANTS, &[])
}

fn test(
    cache: &Cache,
    workspace: &Workspace,
    target: &[&str],
    name: &str,
    variables: &[(&str, String)],
) -> Result<ExitCode> {
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let mut cargo = workspace.cargo(cache);
    cargo
        .args(["test", "--release", "--locked", "--package", "stockade"])
        .args(target)
        .args(["--", "--exact", name, "--nocapture"])
        .envs(variables.iter().map(|(name, value)| (name, value)));
    process::exit_code(&mut cargo)
}
