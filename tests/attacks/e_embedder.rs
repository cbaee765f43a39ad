//! E: the shared model as a whole program: what its threads and its memory are after hostile texts. How batches,
//! workers and the queue take faults is held by the unit tests of the embedder.

use crate::support::Bench;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// Lines that `stockade embed` reads before it answers.
const WINDOW: usize = 128;

/// `stockade embed -`, which answers a window at a time and goes on.
struct Embedding {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Embedding {
    fn start(bench: &Bench) -> Self {
        let mut child = bench
            .command(&["embed", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    /// The vectors of one window: `texts`, then short ones.
    fn window(&mut self, texts: &[String]) -> Vec<String> {
        let filler = (texts.len()..WINDOW).map(|number| format!("filler {number}"));
        let texts: Vec<String> = texts.iter().cloned().chain(filler).collect();
        let mut input = self.input.take().unwrap();
        let writer = std::thread::spawn(move || {
            for text in texts {
                writeln!(input, "{}", serde_json::json!({ "text": text })).unwrap();
            }
            input
        });
        let mut line = || {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the program ended");
            line
        };
        let vectors = (0..WINDOW).map(|_| line()).collect();
        self.input = Some(writer.join().unwrap());
        vectors
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.child.id())
    }

    /// Resident memory, in MiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() / 1024
    }

    /// The names of its threads.
    fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(self.proc("task")).unwrap();
        tasks
            .map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap())
            .map(|name| name.trim().to_owned())
            .collect()
    }
}

impl Drop for Embedding {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// E-08: the model has a thread a core, one more for short questions, and no pool of its own beside them.
#[test]
fn e_08_the_model_has_a_thread_a_core_and_one_for_questions() {
    let bench = Bench::new();
    let mut embedding = Embedding::start(&bench);
    embedding.window(&["a text".to_owned()]);
    let cores = std::thread::available_parallelism().unwrap().get();
    let threads = embedding.threads();
    let models = threads.iter().filter(|name| name.starts_with("embed-"));
    assert_eq!(models.count(), cores + 1, "{threads:?}");
    assert!(
        threads.iter().any(|name| name == "embed-express"),
        "{threads:?}"
    );
    // The program's own two, the first one, and those that read and wait for it.
    assert!(threads.len() <= cores + 7, "{threads:?}");
}

/// E-09, E-10: a window of texts of mebibytes among short ones: memory comes back to what it was, and the next
/// window's vectors are those of the first.
#[test]
fn e_09_e_10_memory_and_vectors_are_the_same_after_giant_texts() {
    let bench = Bench::new();
    let mut embedding = Embedding::start(&bench);
    let first = embedding.window(&[]);
    let before = embedding.resident();
    let giant = "many words that fill the window of the model ".repeat(40_000);
    let word = "x".repeat(1 << 20);
    let texts = [giant, word, "\u{301}".repeat(200_000), "あ".repeat(200_000)];
    embedding.window(&texts);
    let again = embedding.window(&[]);
    assert_eq!(first, again);
    let after = embedding.resident();
    assert!(
        after <= before + 96,
        "{before} MiB before, {after} MiB after"
    );
}
