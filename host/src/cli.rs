//! The command line: arguments in, tables or JSON out, an exit code at the end.
//!
//! The only user of clap, of progress bars and of tables. What the commands do is the runtime's business.

mod acks;
mod args;
mod bench;
mod documents;
mod embed;
mod evaluate;
mod health;
mod holder;
mod output;
mod plugins;
mod policies;
mod projects;
mod prove;
mod query;
mod replay;
mod tasks;
mod tenants;
mod transfer;

use crate::error::{Exit, Failure};
use crate::runtime::{Runtime, RuntimeError};
use args::{Arguments, Command};
use clap::{CommandFactory, Parser};
use output::Output;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// What a command needs besides its own arguments.
#[derive(Clone)]
struct Session {
    data: PathBuf,
    out: Output,
}

impl Session {
    /// The host over the data folder, for as long as the command runs.
    fn open(&self) -> Result<Arc<Runtime>, Failure> {
        Ok(Arc::new(Runtime::open(&self.data)?))
    }
}

/// The variable by which ONNX Runtime is told to report nothing to its maker. It looks before any of its
/// functions can say so, and what it sends is not ours to send.
const NO_TELEMETRY: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// How the C library's allocator gives memory back. By itself it learns from what it sees: once a guest's table of
/// some megabytes was freed, blocks of that size stay with the thread that asked, and every thread comes to keep
/// one. Fixed, large blocks go back to the system at once, and so does what lies free at a heap's end. Whoever
/// sets other values has reasons.
const ALLOCATOR: [(&str, &str); 2] = [
    ("MALLOC_MMAP_THRESHOLD_", "524288"),
    ("MALLOC_TRIM_THRESHOLD_", "1048576"),
];

/// Begins again with [`NO_TELEMETRY`] and [`ALLOCATOR`] in the environment, unless they are: all of it is read
/// before `main`, and a process cannot safely change its own environment.
fn settle_environment() {
    let (name, value) = NO_TELEMETRY;
    let mut missing: Vec<_> = ALLOCATOR
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .collect();
    if std::env::var_os(name).is_none_or(|set| set != value) {
        missing.push(NO_TELEMETRY);
    }
    if missing.is_empty() {
        return;
    }
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let again = std::process::Command::new("/proc/self/exe")
        .arg0(program)
        .args(words)
        .envs(missing)
        .exec();
    // Only a failure comes back.
    eprintln!(
        "warning: the program could not begin again: {again}. Without {name} ONNX Runtime may report to its maker."
    );
}

/// Runs one command.
pub fn main() -> ExitCode {
    if let Some(status) = crate::plugin::compile_if_asked() {
        return ExitCode::from(status);
    }
    settle_environment();
    let arguments = Arguments::parse();
    start_log(arguments.verbose);
    let session = Session {
        data: arguments.data,
        out: Output::new(arguments.json),
    };
    let outcome = run(&session, arguments.command);
    let exit = outcome.unwrap_or_else(|failure| session.out.failure(&failure));
    ExitCode::from(exit.status())
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "stockade=warn,guest=off",
        1 => "stockade=info,guest=debug",
        _ => "stockade=debug,guest=debug,wasmtime=info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("STOCKADE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

fn run(session: &Session, command: Command) -> Result<Exit, Failure> {
    if let Command::Completions { shell } = command {
        let mut program = Arguments::command();
        clap_complete::generate(shell, &mut program, "stockade", &mut std::io::stdout());
        return Ok(Exit::Done);
    }
    let executor = tokio::runtime::Builder::new_multi_thread()
        .thread_name("stockade")
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(RuntimeError::Threads)?;
    // On the executor's own threads: what a command hands over and gets back wakes no other thread.
    let session = session.clone();
    let running = executor.spawn(async move { dispatch(&session, command).await });
    let outcome = executor.block_on(running);
    let outcome = outcome.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    // A document that is being committed is committed; nothing else is worth waiting for.
    executor.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}

async fn dispatch(session: &Session, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Tenant(command) => tenants::run(session, command).await,
        Command::Policy(command) => policies::run(session, command).await,
        Command::Plugin(command) => plugins::run(session, command).await,
        Command::Ingest(arguments) => documents::ingest(session, arguments).await,
        Command::Delete { tenant, documents } => {
            documents::delete(session, tenant, documents).await
        }
        Command::Query(arguments) => query::run(session, arguments).await,
        Command::Replay { file } => replay::run(session, &file).await,
        Command::Embed { file } => embed::run(session, file).await,
        Command::Eval(arguments) => evaluate::run(session, arguments).await,
        Command::Ps => tasks::ps(session).await,
        Command::Kill(arguments) => tasks::kill(session, arguments).await,
        Command::Prove(arguments) => prove::run(session, arguments).await,
        Command::Bench(command) => bench::run(session, command).await,
        Command::Backup(arguments) => transfer::backup(session, arguments).await,
        Command::Restore(arguments) => transfer::restore(session, arguments).await,
        Command::Doctor { repair } => health::doctor(session, repair).await,
        Command::Model(command) => health::model(session, &command),
        Command::Completions { .. } => Ok(Exit::Done),
    }
}
