//! What the documents say is tried: every command in them is run as a reader would run it, every link
//! leads somewhere, and every command of the program is explained.
//!
//! A ```` ```sh ```` block is a script; of a ```` ```console ```` block the lines after `$ ` are run and the rest
//! is an example of what they print. `# exit 3` at the end of a line is the exit code that it must have. A
//! block that cannot be run here says why: ```` ```sh no-run: needs a network ````. The blocks of one
//! document run in order, in one folder, which has what a clone has and two small plugins.

use crate::support::guests::{self, Guest};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use tempfile::TempDir;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// The documents, by path from the root.
fn documents() -> Vec<String> {
    let mut paths: Vec<String> = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "demo/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // What was measured is data beside the documents.
        if name != "runs" {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.sort();
    paths
}

fn text_of(document: &str) -> String {
    std::fs::read_to_string(root().join(document)).unwrap()
}

/// A fenced block of commands.
struct Block {
    line: usize,
    commands: Vec<String>,
}

/// The blocks of a document that are to be run; the error says what is wrong with a fence.
fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let inside = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```");
        let inside: Vec<String> = inside.map(str::to_owned).collect();
        let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
        let commands: Vec<String> = match language {
            "sh" => inside,
            "console" => inside
                .iter()
                .filter_map(|line| line.strip_prefix("$ "))
                .map(str::to_owned)
                .collect(),
            "bash" | "shell" | "zsh" => return Err(format!("line {}: write `sh`", number + 1)),
            _ => continue,
        };
        match rest.strip_prefix("no-run:").map(str::trim) {
            None if rest.is_empty() => blocks.push(Block {
                line: number + 1,
                commands,
            }),
            Some(reason) if !reason.is_empty() => {}
            _ => {
                return Err(format!(
                    "line {}: `{rest}` is not `no-run: reason`",
                    number + 1
                ));
            }
        }
    }
    Ok(blocks)
}

impl Block {
    /// The commands as a script that ends at the first one that does not do what is said of it.
    fn script(&self) -> String {
        let mut script = String::from(
            "set -euo pipefail\n\
             expect() { local code=0; \"${@:2}\" || code=$?; \
             [ $code = $1 ] || { echo \"exit code $code instead of $1\" >&2; exit 1; }; }\n",
        );
        for command in &self.commands {
            match command.rsplit_once("# exit ") {
                Some((command, code)) => script.push_str(&format!("expect {code} {command}\n")),
                None => script.push_str(&format!("{command}\n")),
            }
        }
        script
    }
}

/// A folder that looks like a clone after the set-up, with `stockade` on the path, a plugin to install and
/// one that never ends.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["demo", "policies", "wit", "guest"] {
            std::os::unix::fs::symlink(root().join(name), dir.path().join(name)).unwrap();
        }
        let bin = dir.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_stockade"), bin.join("stockade")).unwrap();
        std::fs::write(dir.path().join("lines.wasm"), lines()).unwrap();
        let endless = guests::chunker("(loop (br 0)) unreachable");
        std::fs::write(dir.path().join("endless.wasm"), endless).unwrap();
        Self(dir)
    }

    /// What went wrong with the block, if anything did.
    fn run(&self, block: &Block) -> Option<String> {
        let path = std::env::var("PATH").unwrap();
        let ran = Command::new("bash")
            .args(["-c", &block.script()])
            .current_dir(self.0.path())
            .env(
                "PATH",
                format!("{}:{path}", self.0.path().join("bin").display()),
            )
            .env("NO_COLOR", "1")
            .env_remove("STOCKADE_DATA")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        let commands = block.commands.join("\n");
        (!ran.status.success()).then(|| format!("{}\n{commands}\n{out}{err}", ran.status))
    }
}

/// Stands in for the chunker that the authors' guide builds, which needs a compiler for WebAssembly: it
/// declares the same option and gives the whole text as one chunk.
fn lines() -> Vec<u8> {
    let mut guest = Guest::chunker(guests::WHOLE_TEXT);
    guest.fields = r#"
        (data (i32.const 512) "lines1..100Lines a chunk.")
        (data (i32.const 16) "\40\02\00\00\01\00\00\00")
        (data (i32.const 576) "\00\02\00\00\05\00\00\00" "\01\00\00\00"
            "\05\02\00\00\01\00\00\00" "\05\02\00\00\06\00\00\00" "\0b\02\00\00\0e\00\00\00")"#
        .to_owned();
    guest.build().unwrap()
}

#[test]
fn every_command_in_the_documents_does_what_they_say() {
    let documents = documents();
    let run_all = |document: &String| -> Vec<String> {
        let blocks = match blocks(&text_of(document)) {
            Ok(blocks) => blocks,
            Err(wrong) => return vec![format!("{document}: {wrong}")],
        };
        let place = Place::new();
        let wrong = blocks
            .iter()
            .filter_map(|block| Some((block.line, place.run(block)?)));
        wrong
            .map(|(line, wrong)| format!("{document}:{line}: {wrong}"))
            .collect()
    };
    // Two at a time: some commands prove limits of time, which a crowd would not keep.
    let left = Mutex::new(documents.iter());
    let next = || left.lock().unwrap().next();
    let work = || -> Vec<String> { std::iter::from_fn(next).flat_map(run_all).collect() };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running = [scope.spawn(work), scope.spawn(work)];
        running
            .into_iter()
            .flat_map(|document| document.join().unwrap())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every command below `words`, as it is typed.
fn commands(words: &[String], found: &mut BTreeSet<String>) {
    let program = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(words)
        .arg("--help")
        .output();
    let help = String::from_utf8(program.unwrap().stdout).unwrap();
    let Some((_, listed)) = help.split_once("Commands:\n") else {
        return;
    };
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        let name = line
            .strip_prefix("  ")
            .and_then(|line| line.split(' ').next());
        if let Some(name) = name.filter(|name| !name.is_empty() && *name != "help") {
            let below = [words, &[name.to_owned()]].concat();
            found.insert(format!("stockade {}", below.join(" ")));
            commands(&below, found);
        }
    }
}

#[test]
fn every_command_of_the_program_is_in_the_documents() {
    let text: String = documents()
        .iter()
        .map(|document| text_of(document))
        .collect();
    let mut all = BTreeSet::new();
    commands(&[], &mut all);
    assert!(all.contains("stockade plugin install"), "{all:?}");
    let missing: Vec<_> = all
        .iter()
        .filter(|command| !text.contains(command.as_str()))
        .collect();
    assert!(missing.is_empty(), "no document shows {missing:?}");
}

/// Targets of a text's links: `[text](target)`.
fn links(text: &str) -> Vec<&str> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).collect()
}

/// A heading's name in a link, as it is on code hosts: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-")
}

fn leads_somewhere(document: &str, target: &str) -> bool {
    let (path, name) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(document).parent().unwrap();
    let file = match path {
        "" => root().join(document),
        path => root().join(folder).join(path),
    };
    let has_heading = || {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        headings.any(|line| anchor(line.trim_start_matches('#')) == name)
    };
    file.exists() && (name.is_empty() || has_heading())
}

#[test]
fn every_link_leads_somewhere() {
    let mut lost = Vec::new();
    for document in documents() {
        for target in links(&text_of(&document)) {
            if !target.contains("://") && !leads_somewhere(&document, target) {
                lost.push(format!("{document}: {target}"));
            }
        }
    }
    assert!(lost.is_empty(), "links to nowhere: {lost:#?}");
}

#[test]
fn the_readme_leads_to_every_document() {
    let readme = text_of("README.md");
    let known: BTreeSet<&str> = links(&readme).into_iter().collect();
    let lost = documents().into_iter().filter(|path| path != "README.md");
    let lost: Vec<String> = lost.filter(|path| !known.contains(path.as_str())).collect();
    assert!(lost.is_empty(), "README.md does not link {lost:?}");
}

#[test]
fn a_block_that_is_not_run_gives_its_reason() {
    assert_eq!(
        blocks("```sh\na\nb # exit 3\n```\n").unwrap()[0].commands,
        ["a", "b # exit 3"]
    );
    assert_eq!(
        blocks("```console\n$ a\nout\n```\n").unwrap()[0].commands,
        ["a"]
    );
    assert!(
        blocks("```sh no-run: takes an hour\na\n```\n")
            .unwrap()
            .is_empty()
    );
    assert!(blocks("```sh no-run:\na\n```\n").is_err());
    assert!(blocks("```bash\na\n```\n").is_err());
}

#[test]
fn the_dockerfile_runs_commands_that_there_are() {
    let dockerfile = text_of("Dockerfile");
    let (readme, help) = (text_of("README.md"), text_of("xtask/src/main.rs"));
    let commands = dockerfile.replace("\", \"", " ");
    let commands: BTreeSet<&str> = commands
        .match_indices("cargo xtask ")
        .filter_map(|(at, words)| {
            let rest = &commands[at + words.len()..];
            rest.split(|c: char| !c.is_ascii_alphanumeric()).next()
        })
        .collect();
    assert!(commands.contains("demo") && commands.contains("study"));
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
    }
    assert!(readme.contains("cargo xtask demo"));
    let manifest = text_of("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).unwrap();
    let version = version.split('"').next().unwrap();
    assert!(
        dockerfile.contains(&format!("FROM rust:{version}-")),
        "the image's compiler is the workspace's: {version}"
    );
}
