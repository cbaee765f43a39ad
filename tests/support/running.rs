//! Commands that run in the background, and an ingest that waits for the lines of a test.

use super::{Bench, Ran, wait_until};
use serde_json::json;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Output, Stdio};

/// A command that runs in the background; killed where a test fails before its end.
pub struct Running(pub Option<Child>);

impl Running {
    pub fn start(bench: &Bench, arguments: &[&str]) -> Self {
        let child = bench
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(Some(child))
    }

    pub fn input(&mut self) -> ChildStdin {
        self.0.as_mut().unwrap().stdin.take().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let number = self.0.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args([name, &number]).status();
        assert!(sent.unwrap().success());
    }

    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }

    pub fn end(self) -> Ran {
        let ended = self.output();
        Ran {
            code: ended.status.code().unwrap_or(-1),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn socket(bench: &Bench) -> std::path::PathBuf {
    bench.data().join("control.sock")
}

/// An ingest of lines that the test writes.
pub fn ingest_lines(bench: &Bench) -> (Running, ChildStdin) {
    let mut running = Running::start(bench, &["--json", "ingest", "acme", "-"]);
    let input = running.input();
    // From here on it holds the folder: another command that begins at the same moment might.
    wait_until(|| socket(bench).exists());
    (running, input)
}

pub fn put(input: &mut ChildStdin, id: &str, text: &str) {
    let line = json!({ "id": id, "text": text });
    // Where the ingest has ended nobody reads any more.
    let _ = writeln!(input, "{line}");
}
