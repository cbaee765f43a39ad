//! `cargo xtask bench`: sets up and hands over to `stockade bench`, which knows what is measured, or to the
//! comparison of two commits.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::baseline;
use crate::cache::Cache;
use crate::process;
use crate::setup::{self, Scope};
use crate::workspace::Workspace;

/// Runs `stockade bench` with these arguments; its exit code is ours. The lock is held to the end,
/// so that no other command of ours works beside a measurement.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, arguments: &[String]) -> Result<ExitCode> {
    if let Some(asked) = baseline::parse(arguments)? {
        return baseline::run(cache, workspace, &asked);
    }
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, Scope::Only(&[]), &lock)?;
    let mut bench = Command::new(cache.stockade());
    bench
        .env("STOCKADE_CACHE", cache.root())
        .arg("bench")
        .args(arguments);
    process::exit_code(&mut bench)
}
