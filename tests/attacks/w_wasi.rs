//! W: the system interface that `wasi = "sandboxed"` gives, tried by a chunker in Python and by a few lines
//! that ask for what Python does not: it is there, it is empty, and it ends when the task does.

use crate::support::guests::{Guest, WHOLE_TEXT, chunker};
use crate::support::stage::{chunk_task, policy, stage, stopped, tenant, wait};
use crate::support::{Bench, arg, wait_until};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use stockade::corpus::Chunk;
use stockade::error::Blame;
use stockade::policy::Wasi;
use stockade::task::{Kind, Limits, Phase, Reason, Stop, Task, Usage};

const TEXT: &str = "Größe zählt.\n\n  Zwei Zeilen\nim Absatz.\n\n\nEnde";

/// The chunker of `guest-python/`, which the set-up made.
fn python() -> &'static [u8] {
    static COMPONENT: OnceLock<Vec<u8>> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let pointer = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../target/stockade-python-guest"
        );
        let path = std::fs::read_to_string(pointer)
            .expect("run cargo xtask setup --only python-guest first");
        std::fs::read(path.trim()).unwrap()
    })
}

fn python_task(toml: &str) -> Arc<Task> {
    let policy = policy(&format!("extends = \"python\"\n[chunker]\n{toml}"));
    Task::new(tenant(), Kind::Ingest, "doc", Limits::ingest(&policy))
}

/// The Python chunker with these options, for a task that the test holds.
fn run(task: &Arc<Task>, attempt: &str, port: u16) -> Result<Vec<Chunk>, Stop> {
    let chunker = stage().chunker(python(), Wasi::Sandboxed).unwrap();
    let options = vec![
        ("attempt".to_owned(), attempt.to_owned()),
        ("port".to_owned(), port.to_string()),
    ];
    wait(stage().chunk(&chunker, task, TEXT, &options))
}

fn attempt(name: &str, toml: &str) -> (Result<Vec<Chunk>, Stop>, Usage) {
    let task = python_task(toml);
    (run(&task, name, 9), task.usage())
}

/// What an attempt said came of it. Its error is the document's alone.
fn said(outcome: Result<Vec<Chunk>, Stop>) -> String {
    let stop = outcome.expect_err("the attempt should have said something");
    assert_eq!(stop.reason, Reason::InvalidOutput, "{stop}");
    stop.detail
}

/// Each of `attempts` failed with an exception, and none was done.
fn all_failed(said: &str, attempts: &[&str]) {
    assert!(!said.contains("DONE"), "{said}");
    for attempt in attempts {
        assert!(
            said.contains(&format!("{attempt} ")),
            "{attempt} is not in: {said}"
        );
    }
}

/// W-01: reads, writes, lists, makes, links and removes files, by absolute, relative and climbing paths. Every
/// call fails in the guest, and nothing is on the host's disk.
#[test]
fn w_01_there_are_no_files() {
    let said = said(attempt("files", "").0);
    let tried = [
        "read", "climb", "write", "append", "list", "make", "link", "remove",
    ];
    all_failed(&said, &tried);
    for path in ["/tmp/stockade-was-here", "/stockade-was-here"] {
        assert!(!Path::new(path).exists(), "{path}");
    }
}

/// W-02: connects and listens over TCP, sends over UDP, resolves a name. Every call fails in the guest, and a
/// listener on the host's loopback hears nothing.
#[test]
fn w_02_there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let datagrams = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    let said = said(run(&python_task(""), "sockets", port));
    all_failed(&said, &["connect", "listen", "datagram", "resolve"]);
    listener.set_nonblocking(true).unwrap();
    datagrams.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
    assert!(datagrams.recv(&mut [0; 8]).is_err(), "something arrived");
}

/// W-03: reads environment and arguments. Both are empty.
#[test]
fn w_03_environment_and_arguments_are_empty() {
    let said = said(attempt("environment", "").0);
    assert!(said.contains("environment {}, arguments []"), "{said}");
}

/// W-04: asks for a terabyte of random bytes in one call. The call traps before anything is made.
#[test]
fn w_04_a_terabyte_of_random_bytes_traps() {
    let guest = Guest::chunker(
        "(call $random (i64.const 0x10000000000) (i32.const 64)) (i32.const 32)",
    )
    .importing(
        r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))"#,
    );
    let outcome = run_bare(&guest, "import wasi:random/random@0.2.0;", &bare_task(""));
    let stop = outcome.unwrap_err();
    assert_eq!((stop.reason, stop.blame), (Reason::Trap, Blame::Guest));
    assert_eq!(stop.phase, "host:wasi");
    assert!(stop.detail.contains("exceeds limit 65536"), "{stop}");
}

/// W-04, in small portions: a mebibyte is had, each call counted as a host call, and is the same for every task.
#[test]
fn w_04_random_bytes_are_counted_and_repeat() {
    let (first, usage) = attempt("random", "");
    assert!(said(first).contains("DONE"));
    assert!(usage.host_calls > 16, "64 KiB a call at most: {usage:?}");
    let (stopped_early, _) = attempt("random", "host_calls_max = 10");
    assert_eq!(stopped(stopped_early).0, Reason::HostCalls);
    let dice = || said(attempt("dice", "").0);
    assert_eq!(dice(), dice());
}

/// W-05: reads three clocks around ten thousand rounds of a loop. They stand still, at zero.
#[test]
fn w_05_clocks_stand_still() {
    let said = said(attempt("clock", "").0);
    assert!(said.contains("passed [0.0, 0.0, 0.0], since 0"), "{said}");
}

/// W-06: sleeps for an hour. The wall limit ends it, in the host and by nobody's fault.
#[test]
fn w_06_a_sleeper_is_stopped_by_the_wall_clock() {
    let (outcome, usage) = attempt("sleep", "wall_ms_max = 6_000\ncpu_ms_max = 6_000");
    let (reason, blame, phase) = stopped(outcome);
    assert_eq!(
        (reason, blame, phase.as_str()),
        (Reason::Wall, Blame::Limit, "host:wasi")
    );
    assert!(usage.guest_cpu_ms < 3_000.0, "{usage:?}");
}

/// A guest that waits for a timer 580 years away.
fn waits_for_centuries() -> Guest {
    Guest::chunker("(call $block (call $timer (i64.const -1))) (i32.const 32)").importing(
        r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $timer (param i64) (result i32)))
        (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
    )
}

const TIMER: &str = "import wasi:clocks/monotonic-clock@0.2.0;";

/// W-06, without an interpreter: the wall limit ends it as it does the sleeper in Python.
#[test]
fn w_06_a_wait_of_centuries_is_stopped_by_the_wall_clock() {
    let task = bare_task("wall_ms_max = 2_000\ncpu_ms_max = 2_000");
    let (reason, blame, phase) = stopped(run_bare(&waits_for_centuries(), TIMER, &task));
    assert_eq!(
        (reason, blame, phase.as_str()),
        (Reason::Wall, Blame::Limit, "host:wasi")
    );
}

/// W-06, killed: the kill counts at once, not when the wait or the wall limit is over.
#[test]
fn w_06_a_sleeper_is_killed() {
    let task = bare_task("wall_ms_max = 3_600_000");
    let sleeping = task.clone();
    let killer = std::thread::spawn(move || {
        wait_until(|| {
            // The timer is made by the first call; the second is the wait.
            sleeping.usage().host_calls == 2 && sleeping.phase() == Phase::HostWasi
        });
        sleeping.end_with(Reason::Killed, "by the test");
    });
    let (reason, blame, phase) = stopped(run_bare(&waits_for_centuries(), TIMER, &task));
    killer.join().unwrap();
    assert_eq!(
        (reason, blame, phase.as_str()),
        (Reason::Killed, Blame::Caller, "host:wasi")
    );
}

/// W-08: prints a mebibyte. It is counted and dropped, and the document is cut all the same.
#[test]
fn w_08_output_is_counted_and_dropped_and_the_task_goes_on() {
    let (outcome, usage) = attempt("output", "log_kib_max = 1");
    assert_eq!(outcome.map(|chunks| chunks.len()), Ok(3));
    assert!(usage.log_bytes >= 1 << 20, "{usage:?}");
}

/// W-10: reads standard input. It ends at once.
#[test]
fn w_10_standard_input_is_at_its_end() {
    let said = said(attempt("stdin", "").0);
    assert!(said.contains("input ''"), "{said}");
}

/// W-11: ends the process with a status. Only the call ends, as a trap that names the status.
#[test]
fn w_11_an_exit_is_a_trap_with_its_status() {
    let (outcome, _) = attempt("exit", "");
    let stop = outcome.unwrap_err();
    assert_eq!((stop.reason, stop.blame), (Reason::Trap, Blame::Guest));
    assert!(stop.detail.contains("exit status 1"), "{stop}");
}

/// W-12: loops for ever in Python. The same fuel ends it as any guest.
#[test]
fn w_12_a_loop_in_python_ends_by_fuel() {
    let (outcome, _) = attempt("loop", "fuel_max = 100_000_000");
    assert_eq!(stopped(outcome).0, Reason::Fuel);
}

/// W-13: keeps a mebibyte more each round. The memory limit ends it, though Python would handle a refusal.
#[test]
fn w_13_memory_in_python_ends_by_the_memory_limit() {
    let (outcome, usage) = attempt("memory", "memory_mib_max = 24");
    let stop = outcome.unwrap_err();
    assert_eq!((stop.reason, stop.limit.0), (Reason::Memory, 24.0));
    assert!(usage.memory_peak_bytes <= 24 << 20, "{usage:?}");
}

/// W-14: a guest that asks for folders to begin with gets none.
#[test]
fn w_14_there_is_no_folder_to_begin_with() {
    let guest = Guest::chunker(
        "(call $folders (i32.const 64)) (if (i32.load (i32.const 68)) (then unreachable)) (i32.const 32)",
    )
    .importing(r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $folders (param i32)))"#);
    let outcome = run_bare(
        &guest,
        "import wasi:filesystem/preopens@0.2.0;",
        &bare_task(""),
    );
    assert_eq!(outcome.map(|chunks| chunks.len()), Ok(0));
}

/// W-15: a guest of the system interface under `wasi = "none"`, and one that wants more than the sandboxed one
/// has: refused by the name of an import, before anything is compiled.
#[test]
fn w_15_imports_beyond_the_policy_are_refused_by_name() {
    let refused = |bytes: &[u8], wasi| stage().chunker(bytes, wasi).unwrap_err().to_string();
    let error = refused(python(), Wasi::None);
    assert!(
        error.contains("32 MiB") || error.contains("the limit is") || error.contains("wasi:"),
        "{error}"
    );
    let guest = Guest::chunker("(call $random (i64.const 1) (i32.const 64)) (i32.const 32)")
        .importing(r#"(import "wasi:random/random@0.2.0" "get-random-bytes" (func $random (param i64 i32)))"#);
    let small = with_wasi(&guest, "import wasi:random/random@0.2.0;");
    let error = refused(&small, Wasi::None);
    assert!(error.contains("wasi:random/random@0.2.0"), "{error}");
    for name in ["wasi:http/outgoing-handler@0.2.0", "wasi:nn/tensor@0.2.0"] {
        let import =
            wat::parse_str(format!(r#"(component (import "{name}" (instance)))"#)).unwrap();
        let mut component = chunker(WHOLE_TEXT);
        // Sections of a component may follow in any order.
        component.extend_from_slice(&import[8..]);
        let error = refused(&component, Wasi::Sandboxed);
        assert!(error.contains(name), "{error}");
    }
}

/// W-16: what honest guests need works: a chunker in Python is installed, cuts, and its chunks are found, through
/// the whole program; a tenant without WASI is refused it.
#[test]
fn w_16_an_honest_chunker_in_python_serves_its_tenant() {
    let (chunks, _) = attempt("none", "");
    let spans: Vec<_> = chunks
        .unwrap()
        .iter()
        .map(|chunk| (chunk.start, chunk.end))
        .collect();
    assert_eq!(spans, [(0, 15), (19, 41), (44, 48)]);
    let bench = Bench::new();
    share_cache(&bench);
    let file = bench.file("paragraphs.wasm", python());
    bench
        .run(&["tenant", "add", "acme", "--policy", "python"])
        .ok();
    bench.run(&["tenant", "add", "plain"]).ok();
    bench
        .run(&["plugin", "install", "plain", arg(&file)])
        .fails(2, &["the limit is"]);
    let installed = bench.json(&["plugin", "install", "acme", arg(&file)]);
    assert_eq!(installed["check"]["kind"], "chunker", "{installed}");
    bench
        .run(&["plugin", "use", "acme", "paragraphs", "--for", "txt"])
        .ok();
    let document = bench.file("three.txt", TEXT);
    let report = bench.json(&["ingest", "acme", arg(&document)]);
    assert_eq!(report["chunks"], 3, "{report}");
    let answer = bench.json(&["query", "acme", "Größe", "--agent", "text"]);
    assert_eq!(answer["passages"][0]["text"], "Größe zählt.", "{answer}");
    misuse(&bench, arg(&document));
}

/// A misdeed through the whole program: the document fails by name, and the next command works.
fn misuse(bench: &Bench, document: &str) {
    let using = [
        "plugin",
        "use",
        "acme",
        "paragraphs",
        "--for",
        "txt",
        "--option",
    ];
    bench.run(&[&using[..], &["attempt=exit"]].concat()).ok();
    let ran = bench.run(&["ingest", "acme", document]).fails(3, &[]);
    assert!(
        ran.out.contains("three.txt") && ran.out.contains("exit status"),
        "{ran:?}"
    );
    bench.run(&[&using[..], &["attempt=none"]].concat()).ok();
    bench.run(&["ingest", "acme", document]).ok();
}

/// Gives a data folder the artefacts that this process compiled already, with the key that they verify by.
fn share_cache(bench: &Bench) {
    stage().chunker(python(), Wasi::Sandboxed).unwrap();
    let cache = bench.data().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let digest = stockade::plugin::Digest::of(python()).to_string();
    for entry in std::fs::read_dir(stage().cache()).unwrap() {
        let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
        let name = name.to_str().unwrap();
        if name == "key" || name.starts_with(&digest) {
            std::fs::copy(path, cache.join(name)).unwrap();
        }
    }
}

/// The parts of the system interface that the guests below ask for.
const WASI: &str = "
    package wasi:random@0.2.0 {
        interface random { get-random-bytes: func(len: u64) -> list<u8>; }
    }
    package wasi:io@0.2.0 {
        interface poll { resource pollable { block: func(); } }
    }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(when: u64) -> pollable;
        }
    }
    package wasi:filesystem@0.2.0 {
        interface types { resource descriptor; }
        interface preopens {
            use types.{descriptor};
            get-directories: func() -> list<tuple<descriptor, string>>;
        }
    }";

/// The component of a guest whose world has these imports besides.
fn with_wasi(guest: &Guest, imports: &str) -> Vec<u8> {
    let wit = [
        include_str!("../../wit/types.wit"),
        include_str!("../../wit/chunker.wit"),
        &format!("world system {{ include chunker; {imports} }}"),
        WASI,
    ];
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_source("system.wit", &wit.concat()).unwrap();
    let world = resolve.select_world(&[package], Some("system")).unwrap();
    let mut module = wat::parse_str(guest.text()).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
    stockade::plugin::componentize(&module, stockade::plugin::PluginKind::Chunker).unwrap()
}

/// A task under the sandboxed interface and these limits of a chunker.
fn bare_task(toml: &str) -> Arc<Task> {
    let policy = policy(&format!("wasi = \"sandboxed\"\n[chunker]\n{toml}"));
    Task::new(tenant(), Kind::Ingest, "doc", Limits::ingest(&policy))
}

/// Runs a guest that asks for these imports besides.
fn run_bare(guest: &Guest, imports: &str, task: &Arc<Task>) -> Result<Vec<Chunk>, Stop> {
    let component = with_wasi(guest, imports);
    chunk_task(&component, "wasi = \"sandboxed\"", "x", task)
}
