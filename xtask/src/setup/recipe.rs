//! How a guest is compiled on this machine, as the set-up found it: written into the cache, so that
//! `stockade plugin build` compiles with the same compiler and reuses what was compiled here. It does not know
//! which compilers there are, nor what will be compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::cache::{self, Cache};

/// A cargo command that makes core modules of guests; packages, profile and folders are to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Which compiler it is, for people.
    pub(super) description: String,
    /// The cargo to run.
    pub(super) program: PathBuf,
    /// Its arguments, the subcommand first.
    pub(super) arguments: Vec<String>,
    /// Variables that it needs.
    pub(super) set: BTreeMap<String, String>,
    /// Variables that would mislead it.
    pub(super) unset: Vec<String>,
}

impl Recipe {
    /// The command.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for name in &self.unset {
            command.env_remove(name);
        }
        command.envs(&self.set);
        command
    }

    /// Leaves it where `stockade plugin build` looks for it.
    pub(super) fn keep(&self, cache: &Cache) -> Result<()> {
        let text = json!({
            "description": self.description,
            "program": self.program,
            "arguments": self.arguments,
            "set": self.set,
            "unset": self.unset,
            "build_dir": cache.target_guests(),
        });
        let text = format!("{text:#}\n");
        cache::put(&cache.guest_toolchain(), text.as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_says_all_that_the_command_does() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path()).unwrap();
        let recipe = Recipe {
            description: "rustc 1".to_owned(),
            program: PathBuf::from("/cargo"),
            arguments: vec!["build".to_owned()],
            set: BTreeMap::from([("RUSTC".to_owned(), "/rustc".to_owned())]),
            unset: vec!["RUSTFLAGS".to_owned()],
        };
        recipe.keep(&cache).unwrap();
        let text = std::fs::read_to_string(cache.guest_toolchain()).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kept["program"], "/cargo");
        assert_eq!(kept["arguments"], json!(["build"]));
        assert_eq!(kept["set"]["RUSTC"], "/rustc");
        assert_eq!(kept["unset"], json!(["RUSTFLAGS"]));
        assert_eq!(kept["build_dir"], json!(cache.target_guests()));
        let line = crate::process::shown(&recipe.command());
        assert_eq!(line, "RUSTC=/rustc /cargo build");
    }
}
