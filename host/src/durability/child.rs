//! The child process: a scenario's steps in a row, each written to a journal before it begins and when it is
//! acknowledged. A later child goes on where the one before was ended, and begins that step again.
//!
//! It judges nothing.

use super::{documents, host, schema};
use crate::cut::{AT, Point, passes};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

const SCENARIO: &str = "STOCKADE_DURABILITY_SCENARIO";
const FOLDER: &str = "STOCKADE_DURABILITY_FOLDER";
const JOURNAL: &str = "STOCKADE_DURABILITY_JOURNAL";
const PASSES: &str = "STOCKADE_DURABILITY_PASSES";

/// Steps that write, and what is seen after them.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// How many steps there are.
    pub(super) steps: usize,
    /// Opens what is in the folder and hands over a step's work.
    pub(super) work: fn(&Path, Range<'_>),
    /// Asserts that the folder holds exactly what so many steps leave, or one more.
    pub(super) check: fn(&Path, usize),
}

/// The steps that a child has to do, and where it writes that it has done them.
pub(super) struct Range<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    journal: &'a mut File,
}

impl Range<'_> {
    /// Every step in turn; each is acknowledged when `step` returns.
    pub(super) fn each(self, mut step: impl FnMut(usize)) {
        for number in self.from..self.to {
            step(number);
            writeln!(self.journal, "{number}").unwrap();
        }
    }
}

/// All of them.
pub(super) fn scenarios() -> [Scenario; 4] {
    [
        documents::scenario(),
        host::scenario(),
        host::plugins(),
        schema::scenario(),
    ]
}

/// A folder to work in and the journal beside it.
pub(super) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("data")).unwrap();
        Self { dir }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn journal(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// How many steps are acknowledged.
    pub(super) fn done(&self) -> usize {
        let journal = std::fs::read_to_string(self.journal()).unwrap_or_default();
        journal.lines().count()
    }

    /// A copy of the folder as it is now: looking at it must not repair it.
    pub(super) fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.data(), copy.path());
        copy
    }

    /// A child goes on with the scenario, to the end or to this point on this pass.
    pub(super) fn run(&self, scenario: &Scenario, end: Option<(Point, u64)>) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "durability::child::run", "--ignored"])
            .args(["--nocapture", "--test-threads=1"])
            .env(SCENARIO, scenario.name)
            .env(FOLDER, self.data())
            .env(JOURNAL, self.journal())
            .env(PASSES, self.passes())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.errors()).unwrap());
        if let Some((point, pass)) = end {
            command.env(AT, format!("{}:{pass}", point.word()));
        }
        command.status().unwrap()
    }

    fn passes(&self) -> PathBuf {
        self.dir.path().join("passes")
    }

    fn errors(&self) -> PathBuf {
        self.dir.path().join("errors")
    }

    /// What the last child said of its end.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.errors()).unwrap_or_default()
    }

    /// How often the last child, which came to its end, passed each point.
    pub(super) fn passed(&self) -> Vec<(Point, u64)> {
        let text = std::fs::read_to_string(self.passes()).unwrap();
        let counts = text.lines().map(|line| line.parse().unwrap());
        Point::ALL.iter().copied().zip(counts).collect()
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => {
                std::fs::create_dir(&target).unwrap();
                copy_folder(&entry.path(), &target);
            }
            kind if kind.is_file() => drop(std::fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}

#[test]
#[ignore = "a child of the tests beside it"]
fn run() {
    let Ok(name) = std::env::var(SCENARIO) else {
        return;
    };
    let path = |name| PathBuf::from(std::env::var_os(name).unwrap());
    let scenarios = scenarios();
    let scenario = scenarios.iter().find(|s| s.name == name).unwrap();
    let (folder, journal) = (path(FOLDER), path(JOURNAL));
    let done = std::fs::read_to_string(&journal).unwrap_or_default();
    let range = Range {
        from: done.lines().count(),
        to: scenario.steps,
        journal: &mut File::options()
            .append(true)
            .create(true)
            .open(&journal)
            .unwrap(),
    };
    (scenario.work)(&folder, range);
    let counts = passes().into_iter().map(|(_, count)| format!("{count}\n"));
    std::fs::write(path(PASSES), counts.collect::<String>()).unwrap();
}
