//! `cargo xtask fuzz`: sets up and hands over to the fuzz target, which knows what is searched.

use std::process::ExitCode;

use anyhow::Result;

use crate::cache::Cache;
use crate::process;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Runs the fuzz target with these arguments; its exit code is ours.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let mut cargo = workspace.cargo(cache);
    cargo
        .args(["test", "--release", "--locked", "--package", "stockade"])
        .args(["--test", "fuzz", "--"])
        .args(arguments);
    process::exit_code(&mut cargo)
}
