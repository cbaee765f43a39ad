//! A full disk, for real: the data folder on a small file system in memory, filled up and made larger while the
//! program runs. It needs to mount one, which only root may; where that is refused the test says so.

use crate::support::{Bench, Ran, guests};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A file system of a few MiB, gone when it is dropped.
struct Small {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Small {
    /// `None` where this process may not mount.
    fn mount(kib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("small");
        std::fs::create_dir(&path).unwrap();
        let options = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path)
            .stderr(Stdio::null())
            .status();
        mounted.ok()?.success().then_some(Self { path, _dir: dir })
    }

    fn resize(&self, kib: u64) {
        let options = format!("remount,size={kib}k");
        let status = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.path)
            .status();
        assert!(status.unwrap().success());
    }

    /// Leaves so many KiB free.
    fn fill(&self, free_kib: u64) {
        let mut file = std::fs::File::create(self.path.join("ballast")).unwrap();
        while file.write_all(&[1; 4_096]).is_ok() {}
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(free_kib << 10)).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.path.join("ballast")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn small(kib: u64) -> Option<Small> {
    let small = Small::mount(kib);
    if small.is_none() {
        println!("skipped: this process may not mount a file system");
    }
    small
}

fn line(id: &str, text: &str) -> String {
    json!({ "id": id, "text": text }).to_string() + "\n"
}

fn stockade(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stockade"));
    command
        .arg("--data")
        .arg(data)
        .args(arguments)
        .env("NO_COLOR", "1");
    command
}

fn run(data: &Path, arguments: &[&str]) -> Ran {
    let output = stockade(data, arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// An ingest that reads lines and tells of each document.
struct Ingest {
    child: Child,
    input: ChildStdin,
    acks: BufReader<std::process::ChildStdout>,
}

impl Ingest {
    fn start(data: &Path) -> Self {
        let mut child = stockade(data, &["ingest", "acme", "-", "--acks", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            acks: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Sends a document and waits for what became of it.
    fn send(&mut self, id: &str, text: &str) -> Value {
        self.input.write_all(line(id, text).as_bytes()).unwrap();
        self.input.flush().unwrap();
        let mut said = String::new();
        self.acks.read_line(&mut said).unwrap();
        let ack: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(ack["document"], id, "{ack}");
        ack
    }

    fn end(mut self) -> i32 {
        drop(self.input);
        self.child.wait().unwrap().code().unwrap()
    }
}

/// A text that takes about a hundred KiB of an index without much embedding: its chunks are equal.
fn bulky(id: &str) -> String {
    format!("The {id} lies beside the harbour, where ships wait for the tide. ").repeat(700)
}

#[test]
fn d_03_a_full_disk_fails_documents_by_name_and_writing_goes_on_in_the_same_process() {
    let Some(disk) = small(48 << 10) else {
        return;
    };
    let data = disk.path.join("data");
    run(&data, &["tenant", "add", "acme"]).ok();
    let mut ingest = Ingest::start(&data);
    assert_eq!(
        ingest.send("first", "A heron stands in the reeds.")["outcome"],
        "added"
    );
    // The agent is compiled while there is room for that.
    let ask = ["--json", "query", "acme", "heron reeds", "--agent", "text"];
    run(&data, &ask).ok();
    disk.fill(64);
    let mut refused = vec![];
    for number in 0..6 {
        let id = format!("bulky-{number}");
        let ack = ingest.send(&id, &bulky(&id));
        if ack["outcome"] == "failed" {
            assert_eq!(ack["error"]["code"], "storage-full", "{ack}");
            assert_eq!(ack["error"]["blame"], "host", "{ack}");
            assert!(
                ack["error"]["hint"]
                    .as_str()
                    .unwrap()
                    .contains("Free some space"),
                "{ack}"
            );
            refused.push(id);
        }
    }
    assert!(!refused.is_empty(), "nothing was refused");
    // Questions are answered meanwhile, by the same process.
    let answer = run(&data, &ask).ok();
    assert_eq!(answer.json()["passages"][0]["document"], "first");
    disk.resize(96 << 10);
    for id in &refused {
        // One ingest takes an id once.
        let ack = ingest.send(&format!("again-{id}"), &bulky(id));
        assert_eq!(ack["outcome"], "added", "{ack}");
    }
    assert_eq!(ingest.end(), 3, "some documents had failed");
    disk.empty();
    let shown = run(&data, &["--json", "tenant", "show", "acme"])
        .ok()
        .json();
    assert_eq!(shown["documents"], 7, "{shown}");
    let sound = run(&data, &["doctor"]);
    assert_eq!(sound.code, 0, "{sound:?}");
}

#[test]
fn d_03_every_command_on_a_disk_of_any_fullness_ends_with_its_work_or_a_typed_error() {
    let Some(disk) = small(64 << 10) else {
        return;
    };
    let data = disk.path.join("data");
    run(&data, &["tenant", "add", "acme"]).ok();
    let bench = Bench::new();
    let plugin = bench.file("lines.wasm", guests::chunker(guests::WHOLE_TEXT));
    let document = bench.file("new.txt", bulky("new"));
    let known = bench.file("known.txt", "A heron stands in the reeds.");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    run(&data, &["ingest", "acme", &path(&known)]).ok();
    let (plugin, document) = (path(&plugin), path(&document));
    let mut full = 0;
    for free_kib in [0, 4, 16, 40, 64, 96, 160, 320] {
        disk.fill(free_kib);
        for arguments in [
            &["--json", "tenant", "add", "beta"][..],
            &["--json", "tenant", "policy", "acme", "strict"],
            &[
                "--json", "plugin", "install", "acme", &plugin, "--as", "lines",
            ],
            &["--json", "ingest", "acme", &document],
            &["--json", "query", "acme", "heron", "--agent", "text"],
            &["--json", "delete", "acme", "new.txt"],
        ] {
            let ran = run(&data, arguments);
            let said = format!("{}{}", ran.out, ran.err);
            let typed = said.contains("\"storage-full\"");
            full += u32::from(typed);
            // Beta may be there already, and new.txt may not.
            let done =
                ran.code == 0 || said.contains("tenant-exists") || said.contains("\"missing\"");
            assert!(done || typed, "{free_kib} KiB free, {arguments:?}: {ran:?}");
        }
        disk.empty();
        let sound = run(&data, &["doctor"]);
        assert_eq!(sound.code, 0, "{free_kib} KiB free: {sound:?}");
        let answer = run(
            &data,
            &["--json", "query", "acme", "heron", "--agent", "text"],
        )
        .ok();
        assert_eq!(answer.json()["passages"][0]["document"], "known.txt");
    }
    assert!(full > 5, "{full} commands found the disk full");
}
