//! The built-in plugins: compiles every guest package to WebAssembly, turns each into a component,
//! and keeps the set under a key of all that it was made from. Afterwards the clone points to its
//! set, where the host's build script finds it. It does not know what the plugins do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};
use wit_component::{ComponentEncoder, DecodedWasm};

use super::Context;
use super::toolchain::{TARGET, Toolchain};
use crate::cache;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};
use crate::workspace::{self, Guest, Workspace};

/// Folders whose every file goes into the key.
const SOURCES: [&str; 4] = ["guest", "guest-agents", "guest-chunker", "wit"];
/// The list of hashes in each set, which tells a whole set from a damaged one.
const SUMS: &str = "SHA256SUMS";
/// Sets that are kept; clones on other branches come back to theirs.
const SETS_KEPT: usize = 20;

pub(super) fn run(context: &Context) -> Result<Outcome> {
    let toolchain = Toolchain::required()?;
    let guests = context.workspace.guests()?;
    let set = context
        .cache
        .guests()
        .join(key(&context.workspace, &guests, &toolchain.version()?)?);
    let there = is_whole(&set, &guests)?;
    if !there {
        compile(context, &guests, &toolchain)?;
        cache::put_dir(&set, |folder| componentize(context, &guests, folder))?;
    }
    point_to(context, &set)?;
    let what = format!("{} components in {}", guests.len(), set.display());
    Ok(if there {
        Outcome::AlreadyThere(what)
    } else {
        Outcome::Done(what)
    })
}

fn compile(context: &Context, guests: &[Guest], toolchain: &Toolchain) -> Result<()> {
    if matches!(toolchain, Toolchain::Debian { .. }) {
        ui::note("the first build also compiles the standard library: about three minutes");
    }
    let mut cargo = toolchain.cargo_build(&context.workspace);
    cargo.args(["--profile", "guest"]);
    for guest in guests {
        cargo.args(["--package", &guest.package]);
    }
    cargo.env("CARGO_TARGET_DIR", context.cache.target_guests());
    // Replaces flags that the user set for native code, and keeps the user's folders out of the components.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remap_cargo_home()?);
    process::run(&mut cargo).or_todo(
        "the plugins did not compile",
        "mend what the compiler says above, then:\ncargo xtask setup --only guests",
    )
}

fn remap_cargo_home() -> Result<String> {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.context("neither CARGO_HOME nor HOME is set")?;
    Ok(format!("--remap-path-prefix={home}=/cargo"))
}

fn componentize(context: &Context, guests: &[Guest], folder: &Path) -> Result<()> {
    let modules = context.cache.target_guests().join(TARGET).join("guest");
    let mut sums = String::new();
    for guest in guests {
        let path = modules.join(guest.module());
        let module = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let component = component_of(&module)
            .with_context(|| format!("{} makes no component", guest.package))?;
        cache::put(&folder.join(guest.component()), &component)?;
        sums.push_str(&format!(
            "{}  {}\n",
            cache::sha256(&component),
            guest.component()
        ));
    }
    cache::put(&folder.join(SUMS), sums.as_bytes())?;
    Ok(())
}

fn component_of(module: &[u8]) -> Result<Vec<u8>> {
    let component = ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .encode()?;
    refuse_foreign_imports(&component)?;
    Ok(component)
}

/// A built-in plugin may import from `stockade:plugin` only.
fn refuse_foreign_imports(component: &[u8]) -> Result<()> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("it is a WIT package, not a component");
    };
    for key in resolve.worlds[world].imports.keys() {
        let name = resolve.name_world_key(key);
        if name.contains(':') && !name.starts_with("stockade:plugin/") {
            bail!("it imports {name}, which no built-in plugin may");
        }
    }
    Ok(())
}

/// Whether every component is there with the hash that was written beside it.
fn is_whole(set: &Path, guests: &[Guest]) -> Result<bool> {
    let Ok(sums) = fs::read_to_string(set.join(SUMS)) else {
        return Ok(false);
    };
    let sums: BTreeMap<&str, &str> = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(sum, name)| (name, sum))
        .collect();
    for guest in guests {
        let name = guest.component();
        let Some(sum) = sums.get(name.as_str()) else {
            return Ok(false);
        };
        if !cache::has_sha256(&set.join(&name), sum)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells the host's build script where the set is, and forgets sets that were not used for long.
fn point_to(context: &Context, set: &Path) -> Result<()> {
    let path = set
        .to_str()
        .ok_or_else(|| anyhow!("{} is not UTF-8", set.display()))?;
    cache::put(&context.workspace.guests_pointer(), path.as_bytes())?;
    let sums = fs::File::options().append(true).open(set.join(SUMS))?;
    sums.set_modified(std::time::SystemTime::now())?;
    forget_old_sets(&context.cache.guests(), SETS_KEPT)
}

fn forget_old_sets(folder: &Path, kept: usize) -> Result<()> {
    let mut sets = Vec::new();
    for entry in fs::read_dir(folder)? {
        let set = entry?.path();
        let used = fs::metadata(set.join(SUMS))
            .and_then(|sums| sums.modified())
            .ok();
        sets.push((used, set));
    }
    sets.sort_unstable();
    let surplus = sets.len().saturating_sub(kept);
    sets.iter()
        .take(surplus)
        .try_for_each(|(_, set)| cache::remove_dir(set))
}

/// A hash of all that the components are made from: sources, WIT, the locked versions of what the
/// guests depend on and how the workspace asks for them, the profile, and the compiler.
fn key(workspace: &Workspace, guests: &[Guest], compiler: &str) -> Result<String> {
    let root = workspace.root();
    let mut hasher = Sha256::new();
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    };
    add(compiler);
    add(&format!("{guests:?}"));
    for file in source_files(root)? {
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

/// Every file under [`SOURCES`], relative to the root, in a fixed order.
fn source_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(PathBuf::from).collect();
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

    #[test]
    fn a_set_is_whole_only_with_every_hash_right() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path();
        assert!(!is_whole(set, &chunker()).unwrap());
        fs::write(
            set.join(SUMS),
            format!("{}  chunker.wasm\n", cache::sha256(b"wasm")),
        )
        .unwrap();
        assert!(!is_whole(set, &chunker()).unwrap());
        fs::write(set.join("chunker.wasm"), "wasm").unwrap();
        assert!(is_whole(set, &chunker()).unwrap());
        fs::write(set.join("chunker.wasm"), "was").unwrap();
        assert!(!is_whole(set, &chunker()).unwrap());
    }

    #[test]
    fn the_sets_that_were_used_last_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in ["new", "old", "older"].iter().enumerate() {
            let set = folder.path().join(name);
            fs::create_dir(&set).unwrap();
            let sums = fs::File::create(set.join(SUMS)).unwrap();
            let used =
                std::time::SystemTime::now() - std::time::Duration::from_secs(60 * age as u64);
            sums.set_modified(used).unwrap();
        }
        forget_old_sets(folder.path(), 2).unwrap();
        let left = |name: &str| folder.path().join(name).exists();
        assert!(left("new") && left("old") && !left("older"));
    }

    #[test]
    fn what_is_no_guest_makes_no_component() {
        assert!(component_of(b"\0asm\x01\0\0\0").is_err() || component_of(b"no wasm").is_err());
    }
}
