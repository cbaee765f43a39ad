//! The clone that we run in: its root, its guest packages, and cargo commands for it. It does not
//! know the cache's layout, nor what a command is for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use crate::cache::Cache;

/// The root folder of this clone.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// A package that is built into a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Guest {
    /// The package's name: `stockade-agent-text`.
    pub(crate) package: String,
}

impl Guest {
    /// The component's file: `agent-text.wasm`.
    pub(crate) fn component(&self) -> String {
        let short = self
            .package
            .strip_prefix("stockade-")
            .unwrap_or(&self.package);
        format!("{short}.wasm")
    }

    /// The core module's file, as cargo names it: `stockade_agent_text.wasm`.
    pub(crate) fn module(&self) -> String {
        format!("{}.wasm", self.package.replace('-', "_"))
    }
}

impl Workspace {
    /// The workspace whose `cargo xtask` is running.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .ok_or_else(|| anyhow!("xtask has no workspace around it"))?;
        Ok(Self::at(root))
    }

    /// The workspace in the given folder.
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the host's build script looks for the folder of built guests.
    pub(crate) fn guests_pointer(&self) -> PathBuf {
        self.root.join("target/stockade-guests")
    }

    /// Where the tests look for the chunker in Python.
    pub(crate) fn python_guest_pointer(&self) -> PathBuf {
        self.root.join("target/stockade-python-guest")
    }

    /// Every package that is a guest: the chunker and one per folder of `guest-agents`, by name.
    pub(crate) fn guests(&self) -> Result<Vec<Guest>> {
        let agents = self.root.join("guest-agents");
        let mut folders = vec![self.root.join("guest-chunker")];
        for entry in
            fs::read_dir(&agents).with_context(|| format!("cannot list {}", agents.display()))?
        {
            folders.push(entry?.path());
        }
        let mut guests = Vec::new();
        for folder in folders
            .iter()
            .filter(|folder| folder.join("Cargo.toml").exists())
        {
            guests.push(Guest {
                package: package_name(&folder.join("Cargo.toml"))?,
            });
        }
        guests.sort();
        Ok(guests)
    }

    /// The clone's own cargo, working on the shared target folder.
    pub(crate) fn cargo(&self, cache: &Cache) -> Command {
        let mut command = Command::new("cargo");
        command
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", cache.target())
            .env("STOCKADE_CACHE", cache.root());
        command
    }
}

fn package_name(manifest: &Path) -> Result<String> {
    let parsed = parse_toml(manifest)?;
    let name = parsed
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str);
    let name = name.ok_or_else(|| anyhow!("{} names no package", manifest.display()))?;
    Ok(name.to_owned())
}

/// Reads a TOML file.
pub(crate) fn parse_toml(path: &Path) -> Result<toml::Table> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("cannot read {} as TOML", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_has_its_guests() {
        let guests = Workspace::find().unwrap().guests().unwrap();
        let names: Vec<_> = guests.iter().map(Guest::component).collect();
        for name in [
            "chunker.wasm",
            "agent-hybrid.wasm",
            "agent-text.wasm",
            "agent-vector.wasm",
        ] {
            assert!(
                names.contains(&name.to_owned()),
                "{name} is not in {names:?}"
            );
        }
    }

    #[test]
    fn a_guest_knows_its_files() {
        let guest = Guest {
            package: "stockade-agent-text".to_owned(),
        };
        assert_eq!(guest.component(), "agent-text.wasm");
        assert_eq!(guest.module(), "stockade_agent_text.wasm");
    }
}
