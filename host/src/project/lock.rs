//! Cargo.lock for a new project: the versions that this Stockade was built with, so that what the set-up has
//! fetched is what a plugin is compiled with, with a network and without.
//!
//! It reads cargo's file by its blocks and knows no more of cargo.

use std::collections::{BTreeMap, BTreeSet};

/// What this program was built with.
const WORKSPACE: &str = include_str!("../../../Cargo.lock");

/// The crate that every plugin depends on.
const GUEST: &str = "stockade-guest";

/// A package of a lock file.
#[derive(Debug, Clone, Copy)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    block: &'a str,
}

/// The lock file of a project called `name`. It may have packages that only other uses of a crate need: cargo
/// leaves them out when it writes the file again.
pub(super) fn lock(name: &str) -> String {
    locked(WORKSPACE, name)
}

fn locked(workspace: &str, name: &str) -> String {
    let mut blocks = workspace.split("\n[[package]]\n");
    let header = blocks.next().unwrap_or_default();
    let packages: Vec<Package<'_>> = blocks.filter_map(read).collect();
    let mut kept: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let own =
        format!("name = \"{name}\"\nversion = \"0.1.0\"\ndependencies = [\n \"{GUEST}\",\n]\n");
    kept.insert((name, "0.1.0"), &own);
    let mut wanted = vec![GUEST];
    let mut seen = BTreeSet::new();
    while let Some(wish) = wanted.pop() {
        let mut words = wish.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let fits = |p: &&Package<'_>| p.name == name && version.is_none_or(|v| v == p.version);
        for package in packages.iter().filter(fits) {
            if seen.insert((package.name, package.version)) {
                kept.insert((package.name, package.version), package.block);
                wanted.extend(dependencies(package.block));
            }
        }
    }
    let mut text = header.trim_end().to_owned();
    text.push('\n');
    for block in kept.values() {
        text.push_str("\n[[package]]\n");
        text.push_str(block.trim_end());
        text.push('\n');
    }
    text
}

fn read(block: &str) -> Option<Package<'_>> {
    let field = |name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(" = \"")?.strip_suffix('"')
    };
    Some(Package {
        name: field("name")?,
        version: field("version")?,
        block,
    })
}

/// The entries of a package's list: `name`, or `name version` where there are several.
fn dependencies(block: &str) -> impl Iterator<Item = &str> {
    let list = block
        .split_once("dependencies = [\n")
        .map_or("", |(_, list)| list);
    list.lines()
        .take_while(|line| *line != "]")
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_plugin_reaches_is_locked() {
        let workspace = "# by cargo\nversion = 4\n\n[[package]]\nname = \"other\"\nversion = \"1.0.0\"\n\n\
            [[package]]\nname = \"stockade-guest\"\nversion = \"0.1.0\"\ndependencies = [\n \"twice 2.0.0\",\n]\n\n\
            [[package]]\nname = \"twice\"\nversion = \"1.0.0\"\n\n\
            [[package]]\nname = \"twice\"\nversion = \"2.0.0\"\nchecksum = \"aa\"\n";
        let text = locked(workspace, "notes");
        let expected = "# by cargo\nversion = 4\n\n\
            [[package]]\nname = \"notes\"\nversion = \"0.1.0\"\ndependencies = [\n \"stockade-guest\",\n]\n\n\
            [[package]]\nname = \"stockade-guest\"\nversion = \"0.1.0\"\ndependencies = [\n \"twice 2.0.0\",\n]\n\n\
            [[package]]\nname = \"twice\"\nversion = \"2.0.0\"\nchecksum = \"aa\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_plugins_are_written_with_is_locked_here() {
        let text = lock("notes");
        for name in [
            "stockade-guest",
            "wit-bindgen",
            "wit-bindgen-rust-macro",
            "serde_json",
        ] {
            assert!(text.contains(&format!("name = \"{name}\"\n")), "{name}");
        }
        assert!(!text.contains("name = \"wasmtime\""));
        assert!(!text.contains("name = \"stockade\"\n"));
    }
}
