//! The plugin author's afternoon: from nothing to an answer of one's own plugin, by the commands that are printed,
//! and what is said where it does not work.
//!
//! Compiling is shared: the components by the set-up's folder, the native tests by one below cargo's own, and the
//! projects lie where the last run had them.

use crate::support::{Bench, arg, interrupt, wait_until};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// An empty folder that has this name in every run, so that cargo knows its crates again.
fn afternoon(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("authors")
        .join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A shell in `folder`, as an author has it: `stockade` on the path, nothing of the cargo that runs these tests, and
/// no network, since what the set-up fetched is all there may be.
fn shell(folder: &Path, line: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_stockade"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let native = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors-target");
    Command::new("bash")
        .args(["-c", &format!("set -euo pipefail\n{line}")])
        .current_dir(folder)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", native)
        .env("CARGO_NET_OFFLINE", "true")
        .env("NO_COLOR", "1")
        .env_remove("STOCKADE_DATA")
        .env_remove("RUSTFLAGS")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn run(folder: &Path, line: &str) -> String {
    let ran = shell(folder, line);
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{line}: {}\n{out}{err}", ran.status);
    out.into_owned()
}

/// The commands that an answer ends with.
fn printed(said: &str) -> Vec<String> {
    let (_, next) = said.split_once("Next:\n").unwrap();
    let commands = next.lines().filter_map(|line| line.strip_prefix("  "));
    commands.map(str::to_owned).collect()
}

/// `plugin new`, and all that it prints, as printed; what each command said.
fn follow(kind: &str) -> (PathBuf, BTreeMap<String, String>) {
    let folder = afternoon(kind);
    let said = run(
        &folder,
        &format!("stockade plugin new 'my {kind}' --kind {kind}"),
    );
    let commands = printed(&said);
    assert_eq!(commands.len(), 8, "{said}");
    let guide = std::fs::read_to_string(root().join("docs/plugin-authors.md")).unwrap();
    let mut answers = BTreeMap::new();
    for command in commands {
        let answer = run(&folder, &command);
        let shown = command
            .replace(&format!("'my {kind}"), "'notes")
            .replace(&format!("my-{kind}"), "notes")
            .replace('\'', "");
        if kind == "chunker" {
            assert!(guide.contains(&shown), "the guide does not show: {shown}");
        }
        let word = command.split(' ').take(3).collect::<Vec<_>>().join(" ");
        answers.insert(word, answer);
    }
    (folder.join(format!("my {kind}")), answers)
}

#[test]
fn a_chunker_goes_from_nothing_to_an_answer_as_printed() {
    let (project, said) = follow("chunker");
    assert!(said["cargo test --manifest-path"].contains("4 passed"));
    let check = &said["stockade plugin check"];
    assert!(
        check.contains("kind      chunker") && check.contains("tokens = 200"),
        "{check}"
    );
    let query = &said["stockade query my-chunker"];
    assert!(query.contains("tests/native.rs"), "{query}");
    // It is the author's chunker that cut: with other options there are other chunks.
    let recut = "stockade plugin use my-chunker my-chunker --for md --option tokens=1\n\
                 stockade ingest my-chunker 'my chunker/README.md' --json";
    let said = run(project.parent().unwrap(), recut);
    let line = said.lines().last().unwrap();
    let report: serde_json::Value = serde_json::from_str(line).unwrap();
    let readme = std::fs::read_to_string(project.join("README.md")).unwrap();
    let paragraphs = readme.split("\n\n").filter(|part| !part.trim().is_empty());
    assert_eq!(report["chunks"], paragraphs.count(), "{report}");
}

#[test]
fn an_agent_goes_from_nothing_to_an_answer_as_printed() {
    let (project, said) = follow("agent");
    assert!(said["cargo test --manifest-path"].contains("4 passed"));
    let check = &said["stockade plugin check"];
    assert!(
        check.contains("kind      agent") && check.contains("follow = 3"),
        "{check}"
    );
    let query = &said["stockade query my-agent"];
    assert!(
        query.contains("tests/native.rs") && query.contains("my-agent ("),
        "{query}"
    );
    holds_the_same_as_this_repository(&project);
}

/// The copies in a project are this repository's files, all of them, and ask for the same dependencies.
#[track_caller]
fn holds_the_same_as_this_repository(project: &Path) {
    let files = |folder: PathBuf| -> BTreeMap<PathBuf, String> {
        let walk = walkdir::WalkDir::new(&folder).into_iter();
        let walk = walk.filter_entry(|entry| entry.file_name() != "target");
        walk.map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file() && entry.file_name() != "Cargo.toml")
            .map(|entry| {
                let path = entry.path().strip_prefix(&folder).unwrap().to_owned();
                (path, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    };
    for folder in ["guest", "wit"] {
        let (ours, theirs) = (
            files(root().join(folder)),
            files(project.join("stockade").join(folder)),
        );
        let names = |files: &BTreeMap<PathBuf, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            names(&theirs),
            names(&ours),
            "the table in host/src/project/template.rs"
        );
        assert_eq!(theirs, ours);
    }
    let read =
        |path: PathBuf| -> toml::Table { std::fs::read_to_string(path).unwrap().parse().unwrap() };
    let workspace = read(root().join("Cargo.toml"));
    let ours = dependencies(&read(root().join("guest/Cargo.toml")));
    let theirs = dependencies(&read(project.join("stockade/guest/Cargo.toml")));
    assert!(
        ours.keys().eq(theirs.keys()),
        "host/templates/guest.toml.in"
    );
    for (name, wish) in &theirs {
        assert_eq!(
            wish, &workspace["workspace"]["dependencies"][name],
            "{name}"
        );
    }
    let own = read(project.join("Cargo.toml"));
    assert_eq!(own["profile"]["guest"], workspace["profile"]["guest"]);
    assert_eq!(
        own["package"]["edition"],
        workspace["workspace"]["package"]["edition"]
    );
}

/// All dependencies of a manifest, whatever the target.
fn dependencies(manifest: &toml::Table) -> toml::Table {
    let mut all = manifest["dependencies"].as_table().unwrap().clone();
    for target in manifest["target"].as_table().unwrap().values() {
        all.extend(target["dependencies"].as_table().unwrap().clone());
    }
    all
}

#[test]
fn the_guide_shows_the_agent_that_a_project_begins_with() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let agent = read("host/templates/agent/lib.rs");
    assert!(
        read("docs/plugin-authors.md").contains(&agent),
        "the agent in docs/plugin-authors.md"
    );
}

#[test]
fn a_mistake_is_shown_with_its_line_and_no_component_is_left() {
    let folder = afternoon("mistake");
    run(&folder, "stockade plugin new slip --kind chunker");
    let source = folder.join("slip/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let line = text
        .lines()
        .position(|line| line.contains("paragraph.end"))
        .unwrap()
        + 1;
    std::fs::write(&source, text.replace("paragraph.end", "paragraph.ending")).unwrap();
    let place = format!("src/lib.rs:{line}:");
    let ran = shell(&folder, "stockade plugin build slip");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{err}");
    for word in [
        &*place,
        "ending",
        "error: the plugin does not compile",
        "build again",
    ] {
        assert!(err.contains(word), "{word} is not in {err}");
    }
    let ran = shell(&folder, "stockade plugin build slip --json");
    let said: serde_json::Value = serde_json::from_slice(&ran.stderr).unwrap();
    assert_eq!(said["error"]["code"], "project-compile");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains(&place), "{message}");
    assert!(!folder.join("slip/slip.wasm").exists());
}

#[test]
fn what_is_no_plugin_is_said_to_be_none() {
    let folder = afternoon("no-plugin");
    run(&folder, "stockade plugin new mute --kind agent");
    let library = folder.join("mute/src/lib.rs");
    let text = std::fs::read_to_string(&library).unwrap();
    std::fs::write(&library, text.replace("export_agent!(Mentions);", "")).unwrap();
    let ran = shell(&folder, "stockade plugin build mute");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{err}");
    assert!(err.contains("neither a chunker nor an agent"), "{err}");
    let manifest = folder.join("mute/Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"cdylib\", ", "")).unwrap();
    let ran = shell(&folder, "stockade plugin build mute");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert!(
        err.contains("crate-type") && ran.status.code() == Some(2),
        "{err}"
    );
}

#[test]
fn only_an_empty_folder_and_a_known_kind_make_a_project() {
    let bench = Bench::new();
    let full = bench.file("full/mine.txt", "mine");
    let full = full.parent().unwrap();
    let new =
        |folder: &Path, more: &[&str]| bench.run(&[&["plugin", "new", arg(folder)], more].concat());
    new(full, &["--kind", "agent"]).fails(2, &["is not empty", "full"]);
    new(&full.join("mine.txt"), &["--kind", "agent"]).fails(2, &["no folder"]);
    let fresh = bench.path("fresh");
    new(&fresh, &["--kind", "robot"]).fails(2, &["a chunker or an agent"]);
    new(&fresh, &[]).fails(2, &["--kind"]);
    new(&fresh, &["--kind", "agent", "--name", "hybrid"]).fails(2, &["built-in", "--name"]);
    assert!(!fresh.exists(), "what is refused leaves nothing");
    bench
        .run(&["plugin", "build", arg(full)])
        .fails(2, &["no Cargo.toml", "plugin new"]);
    assert_eq!(std::fs::read_dir(full).unwrap().count(), 1);
}

#[test]
fn a_folder_whose_name_no_crate_can_have_gets_one_that_can() {
    let bench = Bench::new();
    for (folder, name) in [("2024 Größe", "chunker-2024-gr-e"), ("fn", "fn-chunker")] {
        let folder = bench.path(folder);
        let said = bench.json(&["plugin", "new", arg(&folder), "--kind", "chunker"]);
        assert_eq!(said["name"], name);
        assert_eq!(said["kind"], "chunker");
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{manifest}"
        );
        let files = said["files"].as_array().unwrap();
        assert!(
            files
                .iter()
                .all(|file| folder.join(file.as_str().unwrap()).exists())
        );
    }
}

#[test]
fn without_the_set_ups_compiler_the_command_that_brings_it_is_named() {
    let bench = Bench::new();
    let project = bench.path("notes");
    bench
        .run(&["plugin", "new", arg(&project), "--kind", "agent"])
        .ok();
    let build = |cache: &Path| {
        let mut command = bench.command(&["plugin", "build", arg(&project)]);
        let output = command.env("STOCKADE_CACHE", cache).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let bring = "cargo xtask setup --only toolchain";
    let cache = bench.path("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let err = build(&cache);
    assert!(err.contains(bring), "{err}");
    let gone = r#"{"description": "rustc 0", "program": "/gone/cargo", "arguments": ["build"],
        "set": {}, "unset": [], "build_dir": "/gone/target"}"#;
    for (text, word) in [("{}", "does not say how"), (gone, "/gone/cargo")] {
        std::fs::write(cache.join("guest-toolchain.json"), text).unwrap();
        let err = build(&cache);
        assert!(err.contains(word) && err.contains(bring), "{err}");
    }
}

#[test]
fn an_interrupted_build_leaves_no_compiler_behind() {
    let bench = Bench::new();
    let project = bench.path("notes");
    bench
        .run(&["plugin", "new", arg(&project), "--kind", "agent"])
        .ok();
    // In cargo's place something that starts a child and would go on for ever.
    let begun = bench.path("begun");
    let line = format!(
        "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
        begun.display()
    );
    let cargo = bench.file("cargo", format!("#!/bin/sh\n{line}\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&cargo, mode).unwrap();
    let recipe = serde_json::json!({"description": "none", "program": cargo, "arguments": [],
        "set": {}, "unset": [], "build_dir": bench.path("target")});
    bench.file("cache/guest-toolchain.json", recipe.to_string());
    let mut build = bench.command(&["plugin", "build", arg(&project)]);
    build.env("STOCKADE_CACHE", bench.path("cache"));
    let mut build = build.stdin(Stdio::null()).spawn().unwrap();
    wait_until(|| begun.exists());
    let child = std::fs::read_to_string(&begun).unwrap();
    let alive = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(alive());
    interrupt(&build);
    assert_eq!(build.wait().unwrap().code(), Some(130));
    wait_until(|| !alive());
}
