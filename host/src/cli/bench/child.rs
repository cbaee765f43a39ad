//! Runs one program to its end, samples what it and its descendants use, and takes its answer: the first
//! line of its standard output.
//!
//! The program has a process group of its own, which is killed when the user interrupts or this is dropped.

use super::error::BenchError;
use super::tree::{Samples, Tree};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often memory and CPU are read.
const BEAT: Duration = Duration::from_millis(50);

/// Of what a program says on standard error, the last so many bytes are kept.
const COMPLAINT_BYTES: usize = 4_096;

/// A program that has ended.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) began: Instant,
    /// The first line of its standard output; empty when there was none.
    pub(super) answer: String,
    /// When that line was whole.
    pub(super) answered: Instant,
    /// The end of its standard error.
    pub(super) complaint: String,
    pub(super) samples: Samples,
}

pub(super) async fn run(
    mut command: Command,
    interrupt: &CancellationToken,
) -> Result<Ended, BenchError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let wrong = |source| BenchError::Start {
        program: program.clone(),
        source,
    };
    // ONNX Runtime as it is published sends usage data from a thread of its own: not in a measurement.
    command
        .env("ORT_DISABLE_TELEMETRY", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let began = Instant::now();
    let mut group = Group(command.process_group(0).spawn().map_err(wrong)?);
    let answer = group
        .0
        .stdout
        .take()
        .map(|out| std::thread::spawn(|| first_line(out)));
    let complaint = group
        .0
        .stderr
        .take()
        .map(|err| std::thread::spawn(|| tail(err)));
    let mut tree = Tree::new(group.0.id())?;
    let mut samples = Samples::default();
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let status = loop {
        tokio::select! {
            () = interrupt.cancelled() => return Err(BenchError::Interrupted),
            _ = beat.tick() => {}
        }
        samples.0.push(tree.sample());
        if let Some(status) = group.0.try_wait().map_err(wrong)? {
            break status;
        }
    };
    // A descendant that outlives the program would keep its output open for ever.
    group.kill();
    let (answer, answered) = joined(answer).unwrap_or_else(|| (String::new(), Instant::now()));
    let complaint = joined(complaint).unwrap_or_default();
    Ok(Ended {
        status,
        began,
        answer,
        answered,
        complaint,
        samples,
    })
}

fn joined<T>(thread: Option<JoinHandle<T>>) -> Option<T> {
    thread?.join().ok()
}

/// The first line and when it was there; the rest is read and forgotten, so that nobody waits.
fn first_line(output: impl Read) -> (String, Instant) {
    let mut output = BufReader::new(output);
    let mut line = vec![];
    // What cannot be read is as good as not said.
    drop(output.read_until(b'\n', &mut line));
    let at = Instant::now();
    drop(std::io::copy(&mut output, &mut std::io::sink()));
    (String::from_utf8_lossy(&line).trim().to_owned(), at)
}

fn tail(mut output: impl Read) -> String {
    let (mut kept, mut piece) = (vec![], [0; COMPLAINT_BYTES]);
    while let Ok(read @ 1..) = output.read(&mut piece) {
        kept.extend_from_slice(&piece[..read]);
        kept.drain(..kept.len().saturating_sub(COMPLAINT_BYTES));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

/// A program with all that it started.
struct Group(Child);

impl Group {
    fn kill(&self) {
        let leader = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // An error says that nobody is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.kill();
            drop(self.0.wait());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn run_to_end(command: Command, interrupt: &CancellationToken) -> Result<Ended, BenchError> {
        let executor = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        executor.unwrap().block_on(run(command, interrupt))
    }

    #[test]
    fn the_first_line_is_the_answer_and_the_last_words_are_kept() {
        let script = "echo yes; echo more; echo sorry >&2; exit 3";
        let ended = run_to_end(shell(script), &CancellationToken::new()).unwrap();
        assert_eq!(
            (ended.answer.as_str(), ended.complaint.as_str()),
            ("yes", "sorry")
        );
        assert_eq!(ended.status.code(), Some(3));
        assert!(ended.answered >= ended.began);
    }

    #[test]
    fn an_interrupt_kills_the_program_and_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("started");
        // Renamed when it is whole.
        let script = format!(
            "sleep 600 & echo $! >{0}.new; mv {0}.new {0}; wait",
            file.display()
        );
        let watchdog = Instant::now() + Duration::from_secs(60);
        let until = |happened: &dyn Fn() -> bool| {
            while !happened() {
                assert!(Instant::now() < watchdog, "it never happened");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        };
        let interrupt = CancellationToken::new();
        std::thread::scope(|scope| {
            let run = scope.spawn(|| run_to_end(shell(&script), &interrupt));
            until(&|| file.exists());
            interrupt.cancel();
            let ended = run.join().unwrap();
            assert!(matches!(ended, Err(BenchError::Interrupted)));
        });
        let started = std::fs::read_to_string(file).unwrap();
        let stat = format!("/proc/{}/stat", started.trim());
        // Gone, or dead and not yet waited for.
        until(&|| std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    }
}
