//! The chunker in Python that the tests run: componentize-py of one version in an environment of its own,
//! and the component that it makes of `guest-python/`, kept under a key of all that it was made from. It does
//! not know what the chunker does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use super::Context;
use super::key;
use crate::cache;
use crate::fetch;
use crate::process;
use crate::ui::{OrTodo as _, Outcome};
use crate::workspace::Workspace;

/// The release that the documents and the tests were written with.
const TOOL: &str = "componentize-py==0.25.1";
/// What the component is made from, relative to the root.
const SOURCES: [&str; 2] = ["guest-python", "wit"];

pub(super) fn run(context: &Context) -> Result<Outcome> {
    let folder = context.cache.python_guest();
    let component = folder.join(format!("{}.wasm", component_key(&context.workspace)?));
    let what = component.display().to_string();
    let there = component.exists();
    if !there {
        let tool = installed(&folder.join("environment"))?;
        let bytes = build(context, &tool)?;
        cache::put(&component, &bytes)?;
    }
    cache::put(&context.workspace.python_guest_pointer(), what.as_bytes())?;
    Ok(if there {
        Outcome::AlreadyThere(what)
    } else {
        Outcome::Done(what)
    })
}

/// A hash of the tool's version and of every file that it reads.
fn component_key(workspace: &Workspace) -> Result<String> {
    let root = workspace.root();
    let mut parts = TOOL.to_owned();
    for file in key::source_files(root, &SOURCES)? {
        let hash = cache::sha256(&fs::read(root.join(&file))?);
        parts.push_str(&format!("\n{} {hash}", file.display()));
    }
    Ok(cache::sha256(parts.as_bytes())[..32].to_owned())
}

/// The tool, in an environment that is made or completed where it has to be.
fn installed(environment: &Path) -> Result<PathBuf> {
    let marker = environment.join("complete.txt");
    let tool = environment.join("bin/componentize-py");
    if fs::read_to_string(&marker).is_ok_and(|text| text == TOOL) && tool.exists() {
        return Ok(tool);
    }
    let mut venv = Command::new(fetch::python()?);
    venv.args(["-m", "venv", "--clear"]).arg(environment);
    process::run(&mut venv).or_todo(
        "the Python environment could not be made",
        "on Debian or Ubuntu:\napt-get install -y python3-venv",
    )?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--no-input", "--quiet"])
        .args(["--disable-pip-version-check", TOOL]);
    let typed = process::shown(&pip);
    process::run(&mut pip).or_todo(
        "componentize-py was not installed",
        format!("see that this works, then run the same `cargo xtask` command again:\n{typed}"),
    )?;
    cache::put(&marker, TOOL.as_bytes())?;
    Ok(tool)
}

/// The component's bytes. The tool works on a copy: it leaves files beside what it reads.
fn build(context: &Context, tool: &Path) -> Result<Vec<u8>> {
    let folder = context.downloads.join("python-guest");
    fs::create_dir_all(&folder)?;
    let source = context.workspace.root().join("guest-python/app.py");
    fs::copy(&source, folder.join("app.py"))
        .with_context(|| format!("cannot copy {}", source.display()))?;
    let made = folder.join("app.wasm");
    let mut tool = Command::new(tool);
    tool.current_dir(&folder)
        .arg("--wit-path")
        .arg(context.workspace.root().join("wit"))
        .args(["--world", "chunker", "componentize", "app", "--output"])
        .arg(&made);
    process::run(&mut tool).or_todo(
        "the chunker in Python was not built",
        "mend what is said above, then:\ncargo xtask setup --only python-guest",
    )?;
    fs::read(&made).map_err(|error| anyhow!(error).context(format!("no {}", made.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_changes_with_the_source_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("guest-python/app.py", "pass"),
            ("wit/a.wit", "package a:b;"),
        ] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let workspace = Workspace::at(folder.path());
        let first = component_key(&workspace).unwrap();
        fs::write(folder.path().join("README.md"), "words").unwrap();
        assert_eq!(component_key(&workspace).unwrap(), first);
        fs::write(folder.path().join("guest-python/app.py"), "print()").unwrap();
        assert_ne!(component_key(&workspace).unwrap(), first);
    }

    #[test]
    fn this_workspace_has_its_chunker_in_python() {
        assert!(component_key(&Workspace::find().unwrap()).is_ok());
    }
}
