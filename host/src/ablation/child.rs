//! The child process: attacks in a row, each written down before it begins and when it is over. And the
//! program that compiles guests for it, since this test program is not `stockade`.
//!
//! It judges nothing: what is written is read by the matrix.

use super::{Arena, Outcome, attacks};
use crate::guard::{Guard, WITHOUT};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ATTACKS: &str = "STOCKADE_ABLATION_ATTACKS";
const REPORT: &str = "STOCKADE_ABLATION_REPORT";
const CACHE: &str = "STOCKADE_ABLATION_CACHE";
const COMPILER: &str = "STOCKADE_ABLATION_COMPILER";
const COMPILE_PROFILE: &str = "STOCKADE_ABLATION_PROFILE";
const COMPILE_OUTPUT: &str = "STOCKADE_ABLATION_OUTPUT";

/// One child's work: which guards are away, which attacks run, and the files of its own.
pub(super) struct Job<'a> {
    pub(super) without: &'a [Guard],
    pub(super) attacks: &'a [&'static str],
    pub(super) folder: &'a Path,
    pub(super) cache: &'a Path,
}

impl Job<'_> {
    fn words(&self) -> String {
        let words: Vec<_> = self.without.iter().map(|guard| guard.word()).collect();
        words.join(",")
    }

    pub(super) fn start(&self) -> Child {
        std::fs::write(self.report(), "").unwrap();
        self.test("ablation::child::run")
            .env(WITHOUT, self.words())
            .env(ATTACKS, self.attacks.join(","))
            .env(REPORT, self.report())
            .env(CACHE, self.cache)
            .env(COMPILER, self.compiler())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.errors()).unwrap())
            .spawn()
            .unwrap()
    }

    /// What the child said of its end.
    pub(super) fn errors(&self) -> PathBuf {
        self.folder.join("errors")
    }

    fn report(&self) -> PathBuf {
        self.folder.join("report")
    }

    fn test(&self, name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--exact",
            name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ]);
        command
    }

    fn compiler(&self) -> PathBuf {
        compiler(self.folder, &self.words())
    }

    /// The outcomes that were written down, and the attack that had begun and was not over.
    pub(super) fn outcomes(&self) -> (Vec<(String, Outcome)>, Option<String>) {
        let mut begun = None;
        let mut outcomes = vec![];
        for line in std::fs::read_to_string(self.report()).unwrap().lines() {
            match line.split_once('\t') {
                None => begun = Some(line.to_owned()),
                Some((name, "")) => outcomes.push((name.to_owned(), Outcome::Succeeds)),
                Some((name, by)) => outcomes.push((name.to_owned(), Outcome::stopped(by))),
            }
            if outcomes.last().map(|(name, _)| name) == begun.as_ref() {
                begun = None;
            }
        }
        (outcomes, begun)
    }
}

/// A script in `folder` that is called as `stockade` is when it compiles, and starts this program as [`compile`],
/// without these guards.
pub(super) fn compiler(folder: &Path, without: &str) -> PathBuf {
    let path = folder.join("compiler");
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nexport {WITHOUT}='{without}' {COMPILE_PROFILE}=\"$2\" {COMPILE_OUTPUT}=\"$3\"\n\
         exec '{}' --exact ablation::child::compile --ignored --nocapture --test-threads=1\n",
        program.display()
    );
    let mut options = std::fs::OpenOptions::new();
    let file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o700)
        .open(&path);
    file.unwrap().write_all(script.as_bytes()).unwrap();
    path
}

#[test]
#[ignore = "a child of the matrix"]
fn run() {
    let Ok(names) = std::env::var(ATTACKS) else {
        return;
    };
    let path = |name| PathBuf::from(std::env::var_os(name).unwrap());
    let mut report = std::fs::OpenOptions::new()
        .append(true)
        .open(path(REPORT))
        .unwrap();
    let arena = Arena::start(&path(CACHE), &path(COMPILER));
    let attacks = attacks();
    for name in names.split(',') {
        let attack = attacks.iter().find(|attack| attack.name == name).unwrap();
        writeln!(report, "{name}").unwrap();
        let by = match (attack.run)(&arena) {
            Outcome::Succeeds => String::new(),
            Outcome::Stopped(by) => by,
        };
        writeln!(report, "{name}\t{by}").unwrap();
    }
}

#[test]
#[ignore = "the compile child of the attacks"]
fn compile() {
    let Ok(profile) = std::env::var(COMPILE_PROFILE) else {
        return;
    };
    let output = PathBuf::from(std::env::var_os(COMPILE_OUTPUT).unwrap());
    let status = crate::plugin::compile_child(&profile, &output);
    #[expect(clippy::disallowed_methods, reason = "the exit status is the answer")]
    std::process::exit(status.into());
}
