//! The built-in plugins: compiles every guest package to WebAssembly, turns each into a component,
//! and keeps the set under a key of all that it was made from. Afterwards the clone points to its
//! set, where the host's build script finds it. It does not know what the plugins do.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use wit_component::{ComponentEncoder, DecodedWasm};

use super::Context;
use super::key::key;
use super::toolchain::{TARGET, Toolchain};
use crate::cache;
use crate::process;
use crate::ui::{self, OrTodo as _, Outcome};
use crate::workspace::Guest;

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
    let mut cargo = toolchain.recipe()?.command();
    cargo.current_dir(context.workspace.root());
    cargo.args(["--locked", "--profile", "guest"]);
    for guest in guests {
        cargo.args(["--package", &guest.package]);
    }
    cargo.env("CARGO_TARGET_DIR", context.cache.target_guests());
    process::run(&mut cargo).or_todo(
        "the plugins did not compile",
        "mend what the compiler says above, then:\ncargo xtask setup --only guests",
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chunker() -> Vec<Guest> {
        vec![Guest {
            package: "stockade-chunker".to_owned(),
        }]
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
