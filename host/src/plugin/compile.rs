//! Compiling in a child process with limits: compilers were not written for hostile input.
//!
//! The child is this same program under a hidden name. It limits itself before it reads a byte, and
//! what it returns is only ever an artefact of our own engine's settings.

use super::PluginError;
use crate::guard::{self, Guard};
use crate::policy::Wasi;
use rustix::process::{Resource, Rlimit, setpriority_process, setrlimit};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What one compilation may use.
#[derive(Debug, Clone, Copy)]
pub struct CompileProfile {
    /// The profile's word on the child's command line.
    pub name: &'static str,
    /// Seconds of CPU.
    pub cpu_s: u64,
    /// Bytes of address space.
    pub memory: u64,
    /// Wall time.
    pub wall: Duration,
}

impl CompileProfile {
    /// The profile for a policy's `wasi`.
    pub fn of(wasi: Wasi) -> Self {
        let gib = 1 << 30;
        match wasi {
            Wasi::None => Self {
                name: "none",
                cpu_s: 10,
                memory: gib,
                wall: Duration::from_secs(120),
            },
            Wasi::Sandboxed => Self {
                name: "sandboxed",
                cpu_s: 60,
                memory: 2 * gib,
                wall: Duration::from_secs(120),
            },
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::of(Wasi::None), Self::of(Wasi::Sandboxed)]
            .into_iter()
            .find(|p| p.name == name)
    }
}

/// The hidden subcommand's name.
const COMPILE_SUBCOMMAND: &str = "__compile";

/// What a child that is ended by the clock had too much of.
pub(super) const WALL_TIME: &str = "wall time";

/// The child's exit status for a component that is not valid.
const INVALID: u8 = 65;

/// The child's exit status when there was no room for what it made.
const NO_ROOM: u8 = 74;

/// How willingly the child leaves the processor to everybody else. Whoever installs a plugin can wait; whoever
/// asks a question meanwhile must not notice. Not the most there is: beside guests that spin it would starve.
const CHILD_NICE: i32 = 10;

/// Compiles `bytes` by running `compiler`; the artefact's bytes. The child is killed when `given_up` says
/// that nobody waits for them any more.
pub(super) fn compile(
    compiler: &Path,
    bytes: &[u8],
    wasi: Wasi,
    scratch: &Path,
    given_up: &dyn Fn() -> bool,
) -> Result<Vec<u8>, PluginError> {
    let profile = CompileProfile::of(wasi);
    let io = |what, source| PluginError::Io {
        what,
        path: scratch.to_owned(),
        source,
    };
    if given_up() {
        return Err(PluginError::GivenUp);
    }
    let output = tempfile::NamedTempFile::new_in(scratch).map_err(|e| io("write to", e))?;
    let mut child = Command::new(compiler)
        .arg(COMPILE_SUBCOMMAND)
        .arg(profile.name)
        .arg(output.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| PluginError::Io {
            what: "start the compiler",
            path: compiler.to_owned(),
            source,
        })?;
    feed(&mut child, bytes);
    let said = listen(&mut child);
    let status =
        wait(&mut child, profile.wall, given_up).map_err(|e| io("wait for the compiler in", e))?;
    if status.is_none() && given_up() {
        return Err(PluginError::GivenUp);
    }
    let said = said
        .and_then(|thread| thread.join().ok())
        .unwrap_or_default();
    if status.is_some_and(|status| status.code() == Some(i32::from(NO_ROOM))) {
        let full = std::io::ErrorKind::StorageFull.into();
        return Err(io("write what was compiled to", full));
    }
    judge(status, profile, said.trim())?;
    std::fs::read(output.path()).map_err(|e| io("read from", e))
}

/// From a thread, so that a child that does not read cannot hold us.
fn feed(child: &mut Child, bytes: &[u8]) {
    if let Some(mut stdin) = child.stdin.take() {
        let bytes = bytes.to_owned();
        std::thread::spawn(move || stdin.write_all(&bytes));
    }
}

fn listen(child: &mut Child) -> Option<std::thread::JoinHandle<String>> {
    let stderr = child.stderr.take()?;
    Some(std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = stderr.take(8 << 10).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }))
}

/// The exit status, or nothing when the wall time passed or it was given up, and the child was killed.
fn wait(
    child: &mut Child,
    wall: Duration,
    given_up: &dyn Fn() -> bool,
) -> std::io::Result<Option<std::process::ExitStatus>> {
    let deadline = Instant::now() + wall;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let too_long = Instant::now() >= deadline && guard::stands(Guard::CompileLimits);
        if too_long || given_up() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a child tells of its end by no channel"
        )]
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn judge(
    status: Option<std::process::ExitStatus>,
    profile: CompileProfile,
    said: &str,
) -> Result<(), PluginError> {
    use std::os::unix::process::ExitStatusExt;
    let Some(status) = status else {
        let limit = format!("{} s", profile.wall.as_secs());
        return Err(PluginError::CompileLimit {
            what: WALL_TIME,
            limit,
        });
    };
    if status.success() {
        return Ok(());
    }
    let said = crate::corpus::shorten(said, 400);
    if status.code() == Some(i32::from(INVALID)) {
        return Err(PluginError::Invalid(said));
    }
    let cpu = [rustix::process::Signal::XCPU, rustix::process::Signal::KILL];
    if status
        .signal()
        .is_some_and(|signal| cpu.iter().any(|s| s.as_raw() == signal))
    {
        let limit = format!("{} s", profile.cpu_s);
        return Err(PluginError::CompileLimit {
            what: "CPU time",
            limit,
        });
    }
    if said.contains("memory allocation of") || said.contains("Cannot allocate memory") {
        let limit = format!("{} MiB", profile.memory >> 20);
        return Err(PluginError::CompileLimit {
            what: "memory",
            limit,
        });
    }
    Err(PluginError::CompilerCrash(format!("{status}: {said}")))
}

/// Compiles, if this process is a child that was started to, and returns its exit status. A program that loads plugins
/// calls this before all else, since the child is the same program again.
pub fn compile_if_asked() -> Option<u8> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != COMPILE_SUBCOMMAND {
        return None;
    }
    let (Some(profile), Some(output)) = (words.next(), words.next()) else {
        return Some(2);
    };
    Some(compile_child(&profile.to_string_lossy(), output.as_ref()))
}

/// The child's whole life: limit itself, read the component, compile it, write the artefact. The exit
/// status is 0, 65 with the reason on standard error, 74 when there is no room, or 1.
pub(crate) fn compile_child(profile: &str, output: &Path) -> u8 {
    let outcome = limit_self(profile).and_then(|()| {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|e| (1, e.to_string()))?;
        let engine = wasmtime::Engine::new(&crate::engine::settings())
            .map_err(|error| (1, format!("{error:#}")))?;
        let artefact = engine
            .precompile_component(&bytes)
            .map_err(|error| (INVALID, format!("{error:#}")))?;
        std::fs::write(output, artefact).map_err(|e| match crate::error::is_full(&e) {
            true => (NO_ROOM, e.to_string()),
            false => (1, e.to_string()),
        })
    });
    match outcome {
        Ok(()) => 0,
        Err((status, message)) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            status
        }
    }
}

fn limit_self(profile: &str) -> Result<(), (u8, String)> {
    let profile = CompileProfile::named(profile).ok_or((1, "unknown profile".to_owned()))?;
    let limits = [
        (Resource::As, profile.memory),
        (Resource::Cpu, profile.cpu_s),
        (Resource::Core, 0),
        (Resource::Fsize, 512 << 20),
    ];
    for (resource, value) in limits
        .into_iter()
        .filter(|_| guard::stands(Guard::CompileLimits))
    {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit).map_err(|e| (1, e.to_string()))?;
    }
    setpriority_process(None, CHILD_NICE).map_err(|e| (1, e.to_string()))?;
    Ok(())
}
