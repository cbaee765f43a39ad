//! How guests are compiled on this machine: what the set-up found and left in its cache. It looks for no compiler
//! itself.

use super::ProjectError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The set-up's word of it, below its cache folder.
const FILE: &str = "guest-toolchain.json";

/// A cargo command that makes core modules of guests.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Toolchain {
    /// Which compiler it is, for people.
    pub(super) description: String,
    /// The cargo to run.
    pub(super) program: PathBuf,
    /// Its arguments, the subcommand first.
    arguments: Vec<String>,
    /// Variables that it needs.
    set: BTreeMap<String, String>,
    /// Variables that would mislead it.
    unset: Vec<String>,
    /// Where all guests are compiled, so that what they share is compiled once.
    build_dir: PathBuf,
}

impl Toolchain {
    /// What the set-up left in `cache`.
    pub(super) fn load(cache: &Path) -> Result<Self, ProjectError> {
        let path = cache.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ProjectError::NoToolchain(path));
            }
            Err(source) => {
                return Err(ProjectError::Io {
                    what: "read",
                    path,
                    source,
                });
            }
        };
        serde_json::from_str(&text).map_err(|error| ProjectError::Toolchain {
            path,
            reason: error.to_string(),
        })
    }

    /// The command that compiles the project with this manifest. What is finished goes to the project's own
    /// folder `target`; what is on the way stays in the folder that all share.
    pub(super) fn command(&self, manifest: &Path, target: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for name in &self.unset {
            command.env_remove(name);
        }
        command
            .envs(&self.set)
            .env("CARGO_BUILD_BUILD_DIR", &self.build_dir)
            // A crate without the profile is compiled as cargo's release has it.
            .args(["--config", "profile.guest.inherits=\"release\""])
            .args(["--profile", "guest"])
            .arg("--message-format=json-render-diagnostics")
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(target);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_set_up_left_becomes_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Toolchain::load(folder.path()).unwrap_err();
        assert!(matches!(missing, ProjectError::NoToolchain(_)));
        let file = folder.path().join(FILE);
        std::fs::write(&file, "{}").unwrap();
        let wrong = Toolchain::load(folder.path()).unwrap_err();
        assert!(matches!(wrong, ProjectError::Toolchain { .. }));
        let text = r#"{"description": "rustc 1", "program": "/cargo", "arguments": ["build", "-Zx"],
            "set": {"RUSTC": "/rustc"}, "unset": ["RUSTFLAGS"], "build_dir": "/shared"}"#;
        std::fs::write(&file, text).unwrap();
        let toolchain = Toolchain::load(folder.path()).unwrap();
        let command = toolchain.command(Path::new("/p/Cargo.toml"), Path::new("/p/target"));
        let line = format!("{command:?}");
        for part in [
            "RUSTC=\"/rustc\"",
            "CARGO_BUILD_BUILD_DIR=\"/shared\"",
            "\"build\" \"-Zx\"",
            "\"--manifest-path\" \"/p/Cargo.toml\"",
            "\"--target-dir\" \"/p/target\"",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}
