//! The key of a set of built plugins: the same wherever the same is built from, another as soon as
//! anything differs that could change a byte. It does not know how plugins are built.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::cache;
use crate::workspace::{self, Guest, Workspace};

/// Folders whose every file goes into the key.
const SOURCES: [&str; 4] = ["guest", "guest-agents", "guest-chunker", "wit"];
/// A hash of all that the components are made from: sources, WIT, the locked versions of what the
/// guests depend on and how the workspace asks for them, the profile, and the compiler.
pub(super) fn key(workspace: &Workspace, guests: &[Guest], compiler: &str) -> Result<String> {
    let root = workspace.root();
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    add(compiler);
    add(&format!("{guests:?}"));
    for file in source_files(root, &SOURCES)? {
        add(&file.to_string_lossy());
        add(&cache::sha256(&fs::read(root.join(&file))?));
    }
    let locked = locked(&workspace::parse_toml(&root.join("Cargo.lock"))?, guests)?;
    add(&format!("{locked:?}"));
    add(&settings(
        &workspace::parse_toml(&root.join("Cargo.toml"))?,
        &locked,
    ));
    Ok(hasher
        .finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Every file under `sources`, relative to the root, in a fixed order.
pub(super) fn source_files(root: &Path, sources: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = sources.iter().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        let listing = fs::read_dir(root.join(&folder))
            .with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in listing {
            let path = folder.join(entry?.file_name());
            if !root.join(&path).is_dir() {
                files.push(path);
            } else if !path.ends_with("target") {
                folders.push(path);
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The packages that the guests depend on, directly or not, as `name version checksum`.
fn locked(lock: &toml::Table, guests: &[Guest]) -> Result<BTreeSet<String>> {
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .context("Cargo.lock lists no packages")?;
    let text = |package: &toml::Value, key: &str| {
        package
            .get(key)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut found = BTreeSet::new();
    let mut wanted: Vec<String> = guests.iter().map(|guest| guest.package.clone()).collect();
    while let Some(wish) = wanted.pop() {
        let mut words = wish.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        for package in packages
            .iter()
            .filter(|package| text(package, "name") == name)
        {
            let its_version = text(package, "version");
            let entry = format!("{name} {its_version} {}", text(package, "checksum"));
            if version.is_none_or(|version| version == its_version) && found.insert(entry) {
                let dependencies = package.get("dependencies").and_then(toml::Value::as_array);
                wanted.extend(
                    dependencies
                        .into_iter()
                        .flatten()
                        .filter_map(toml::Value::as_str)
                        .map(str::to_owned),
                );
            }
        }
    }
    Ok(found)
}

/// The parts of the root manifest that change what the guests compile to.
fn settings(manifest: &toml::Table, locked: &BTreeSet<String>) -> String {
    let names: BTreeSet<&str> = locked
        .iter()
        .filter_map(|entry| entry.split(' ').next())
        .collect();
    let at = |path: [&str; 2]| manifest.get(path[0]).and_then(|value| value.get(path[1]));
    let mut text = String::new();
    for path in [
        ["profile", "guest"],
        ["profile", "release"],
        ["workspace", "package"],
    ] {
        text.push_str(&format!("{path:?} {:?}\n", at(path)));
    }
    let wishes = at(["workspace", "dependencies"]).and_then(toml::Value::as_table);
    for (name, wish) in wishes
        .into_iter()
        .flatten()
        .filter(|(name, _)| names.contains(name.as_str()))
    {
        text.push_str(&format!("{name} {wish:?}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "stockade-chunker"
        version = "0.1.0"
        dependencies = ["used", "twice 2.0.0"]
        [[package]]
        name = "used"
        version = "1.0.0"
        checksum = "aa"
        [[package]]
        name = "twice"
        version = "1.0.0"
        checksum = "bb"
        [[package]]
        name = "twice"
        version = "2.0.0"
        checksum = "cc"
        [[package]]
        name = "stranger"
        version = "1.0.0"
        checksum = "dd"
    "#;

    fn chunker() -> Vec<Guest> {
        vec![Guest {
            package: "stockade-chunker".to_owned(),
        }]
    }

    fn write(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn clone(folder: &Path) -> Workspace {
        for source in SOURCES {
            write(folder, &format!("{source}/src/lib.rs"), source);
        }
        write(folder, "Cargo.lock", LOCK);
        let manifest = "[workspace.dependencies]\nused = '1'\nstranger = '1'\n";
        write(folder, "Cargo.toml", manifest);
        Workspace::at(folder)
    }

    fn key_after(change: impl FnOnce(&Path)) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let workspace = clone(folder.path());
        let before = key(&workspace, &chunker(), "rustc 1").unwrap();
        change(folder.path());
        (before, key(&workspace, &chunker(), "rustc 1").unwrap())
    }

    #[test]
    fn only_what_the_guests_reach_is_locked() {
        let found = locked(&LOCK.parse().unwrap(), &chunker()).unwrap();
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        assert_eq!(
            found,
            ["stockade-chunker 0.1.0 ", "twice 2.0.0 cc", "used 1.0.0 aa"]
        );
    }

    #[test]
    fn the_key_is_the_same_in_every_clone() {
        let (here, _) = key_after(|_| {});
        let (there, _) = key_after(|_| {});
        assert_eq!(here, there);
    }

    #[test]
    fn a_changed_source_dependency_or_setting_changes_the_key() {
        let changes = [
            ("guest/src/lib.rs", "changed".to_owned()),
            ("wit/new.wit", String::new()),
            ("Cargo.lock", LOCK.replace("\"aa\"", "\"ab\"")),
            (
                "Cargo.toml",
                "[workspace.dependencies]\nused = '2'\n".to_owned(),
            ),
        ];
        for (file, text) in changes {
            let (before, after) = key_after(|root| write(root, file, &text));
            assert_ne!(before, after, "{file}");
        }
    }

    #[test]
    fn another_compiler_changes_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = clone(folder.path());
        let keys =
            ["rustc 1", "rustc 2"].map(|compiler| key(&workspace, &chunker(), compiler).unwrap());
        assert_ne!(keys[0], keys[1]);
    }

    #[test]
    fn what_concerns_only_others_does_not_change_the_key() {
        let changes = [
            ("Cargo.lock", LOCK.replace("\"dd\"", "\"de\"")),
            ("README.md", "changed".to_owned()),
            ("guest/target/built", String::new()),
        ];
        for (file, text) in changes {
            let (before, after) = key_after(|root| write(root, file, &text));
            assert_eq!(before, after, "{file}");
        }
    }
}
