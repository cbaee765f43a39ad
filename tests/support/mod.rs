//! What every test needs: a data folder of its own, the program, and small guests.

pub mod guests;
pub mod process;
pub mod running;
pub mod stage;

use running::Running;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A data folder and a folder for files, gone when the test ends.
pub struct Bench {
    dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// With tenants under the default policy.
    pub fn with_tenants(names: &[&str]) -> Self {
        let bench = Self::new();
        for name in names {
            bench.run(&["tenant", "add", name]).ok();
        }
        bench
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A path in the folder for files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("files").join(name)
    }

    /// Writes a file, making its folders.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
        command
            .arg("--data")
            .arg(self.data())
            .args(arguments)
            .env("NO_COLOR", "1");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(&self
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap())
    }

    /// The command with `--json`, which must succeed.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        let ran = self.run(&all);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.json()
    }

    pub fn run_with_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ran {
        let mut running = Running::start(self, arguments);
        let mut stdin = running.input();
        let input = input.as_ref().to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let ran = ran(&running.output());
        let _ = writer.join();
        ran
    }

    /// Ids of the documents that a question finds, best first.
    pub fn found(&self, tenant: &str, agent: &str, question: &str) -> Vec<String> {
        let answer = self.json(&["query", tenant, question, "--agent", agent, "--k", "20"]);
        let passages = answer["passages"].as_array().unwrap();
        passages
            .iter()
            .map(|p| p["document"].as_str().unwrap().to_owned())
            .collect()
    }
}

fn ran(output: &Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// Must have succeeded.
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Must have ended so, with all of `words` in what it said of the error.
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "'{word}' is not in: {}", self.err);
        }
        self
    }

    /// The JSON on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Waits for something that will happen; a generous watchdog ends the test where it does not.
pub fn wait_until(happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(600);
    while !happened() {
        assert!(Instant::now() < deadline, "it never happened");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// What Ctrl-C sends.
pub fn interrupt(child: &Child) {
    let number = child.id().to_string();
    let sent = Command::new("kill")
        .args(["-INT", &number])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
