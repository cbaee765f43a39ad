//! From a project to its component: cargo makes a core module, which becomes a component beside Cargo.toml, checked
//! as any stranger's is. It looks for no compiler and runs no plugin.

use super::ProjectError;
use super::toolchain::Toolchain;
use crate::plugin::{Digest, Structure, componentize, inspect, kind_of_module};
use crate::policy::Wasi;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

/// How often somebody is asked whether the build is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// How long an interrupted cargo may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most of what a compiler said that is kept for an answer in JSON.
const SAID_MAX: u64 = 64 << 10;

/// What to build, and for whom.
#[derive(Debug, Clone)]
pub struct Build {
    /// The project's folder.
    pub folder: PathBuf,
    /// The set-up's cache folder.
    pub cache: PathBuf,
    /// Whether a person watches standard error: then the compiler writes there itself.
    pub watched: bool,
}

/// A component that was built.
#[derive(Debug, Clone)]
pub struct Built {
    /// The plugin's name.
    pub name: String,
    /// The component's file.
    pub component: PathBuf,
    /// The name of its bytes.
    pub digest: Digest,
    /// What its bytes show.
    pub structure: Structure,
    /// How long it took.
    pub took: Duration,
}

/// Builds a project. Ends the compiler and fails when `given_up` says that nobody waits any more.
pub fn build(
    wish: &Build,
    begun: impl FnOnce(&str),
    given_up: impl Fn() -> bool,
) -> Result<Built, ProjectError> {
    let start = Instant::now();
    let missing = |_| ProjectError::NoManifest(wish.folder.clone());
    let manifest = wish.folder.join("Cargo.toml");
    let manifest = manifest.canonicalize().map_err(missing)?;
    let toolchain = Toolchain::load(&wish.cache)?;
    begun(&toolchain.description);
    let library = compile(&toolchain, &manifest, wish.watched, given_up)?;
    let module = std::fs::read(&library.file).map_err(|source| ProjectError::Io {
        what: "read",
        path: library.file.clone(),
        source,
    })?;
    let kind = kind_of_module(&module).ok_or(ProjectError::NoPlugin)?;
    let bytes = componentize(&module, kind)?;
    let structure = inspect(&bytes, Wasi::None)?;
    let component = wish.folder.join(format!("{}.wasm", library.name));
    put(&component, &bytes).map_err(|source| ProjectError::Io {
        what: "write",
        path: component.clone(),
        source,
    })?;
    Ok(Built {
        name: library.name,
        component,
        digest: Digest::of(&bytes),
        structure,
        took: start.elapsed(),
    })
}

/// Whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    // As `cargo` leaves its files, not for the owner alone.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// What cargo made.
#[derive(Debug, Clone, PartialEq)]
struct Library {
    name: String,
    file: PathBuf,
}

/// One of cargo's messages, as far as it is read here.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

/// The library that a line of cargo's speaks of, if it is this project's.
fn library(line: &str, manifest: &Path) -> Option<Library> {
    let message: Message = serde_json::from_str(line).ok()?;
    let ours = message.reason == "compiler-artifact" && message.manifest_path == manifest;
    let library = message
        .target
        .crate_types
        .iter()
        .any(|kind| kind == "cdylib");
    let wasm = |file: &PathBuf| file.extension().is_some_and(|end| end == "wasm");
    let file = message.filenames.into_iter().find(wasm)?;
    (ours && library).then(|| Library {
        name: message.target.name.replace('_', "-"),
        file,
    })
}

fn compile(
    toolchain: &Toolchain,
    manifest: &Path,
    watched: bool,
    given_up: impl Fn() -> bool,
) -> Result<Library, ProjectError> {
    let folder = manifest.parent().unwrap_or(manifest);
    let mut command = toolchain.command(manifest, &folder.join("target"));
    let stderr = match watched {
        true => Stdio::inherit(),
        false => Stdio::piped(),
    };
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        // Its own group, so that the compilers that it starts can be ended with it.
        .process_group(0);
    let child = command.spawn().map_err(|source| ProjectError::NoCargo {
        program: toolchain.program.clone(),
        source,
    })?;
    let mut cargo = Cargo { child };
    let (status, found, said) = cargo.watch(manifest, given_up)?;
    if !status.success() {
        return Err(ProjectError::Compile(said));
    }
    found.ok_or_else(|| ProjectError::NoLibrary(folder.to_owned()))
}

/// A running cargo. It ends when this is dropped, with every process that it started.
struct Cargo {
    child: Child,
}

impl Drop for Cargo {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.send(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

impl Cargo {
    fn send(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }

    /// Waits for its end; what it made, and what it said where nobody saw it.
    fn watch(
        &mut self,
        manifest: &Path,
        given_up: impl Fn() -> bool,
    ) -> Result<(ExitStatus, Option<Library>, String), ProjectError> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let said = std::thread::spawn(move || stderr.map_or_else(String::new, tail));
        let (sender, lines) = sync_channel(64);
        std::thread::spawn(move || {
            let lines = stdout
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines());
            // Ends when cargo does, or when nobody listens.
            let _ = lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line));
        });
        let mut found = None;
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) => found = library(&line, manifest).or(found),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if given_up() {
                self.end();
                return Err(ProjectError::Interrupted);
            }
        }
        let status = self.child.wait().map_err(|source| ProjectError::Io {
            what: "wait for cargo in",
            path: manifest.to_owned(),
            source,
        })?;
        Ok((status, found, said.join().unwrap_or_default()))
    }

    /// Interrupts it, as Ctrl-C would, and kills what does not end by that.
    fn end(&mut self) {
        self.send(Signal::INT);
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            #[expect(
                clippy::disallowed_methods,
                reason = "a child tells of its end by no channel"
            )]
            std::thread::sleep(Duration::from_millis(5));
        }
        self.send(Signal::KILL);
    }
}

/// The last of what is read: a compiler's summary comes at the end, and errors right before it.
fn tail(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut part = [0; 8 << 10];
    while let Ok(count @ 1..) = from.read(&mut part) {
        kept.extend_from_slice(&part[..count]);
        let surplus = kept.len().saturating_sub(SAID_MAX as usize);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"reason":"compiler-artifact","package_id":"path+file:///p#my-plugin@0.1.0",
        "manifest_path":"/p/Cargo.toml","target":{"kind":["cdylib","rlib"],"crate_types":["cdylib","rlib"],
        "name":"my_plugin","src_path":"/p/src/lib.rs"},"filenames":["/t/my_plugin.wasm","/t/libmy_plugin.rlib"]}"#;

    #[test]
    fn the_projects_own_library_is_found_among_cargos_messages() {
        let found = library(LINE, Path::new("/p/Cargo.toml")).unwrap();
        assert_eq!(found.name, "my-plugin");
        assert_eq!(found.file, Path::new("/t/my_plugin.wasm"));
        assert_eq!(library(LINE, Path::new("/q/Cargo.toml")), None);
        let other = LINE.replace("[\"cdylib\",\"rlib\"],\n", "[\"rlib\"],\n");
        assert_eq!(library(&other, Path::new("/p/Cargo.toml")), None);
        assert_eq!(library("{}", Path::new("/p/Cargo.toml")), None);
        assert_eq!(library("no JSON", Path::new("/p/Cargo.toml")), None);
    }

    #[test]
    fn of_much_that_is_said_the_end_is_kept() {
        let long = format!("{}the end", "x".repeat(1 << 20));
        let kept = tail(long.as_bytes());
        assert_eq!(kept.len(), SAID_MAX as usize);
        assert!(kept.ends_with("the end"));
    }
}
