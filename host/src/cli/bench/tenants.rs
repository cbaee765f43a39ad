//! `stockade bench tenants`: many tenants on one host: what each costs in memory when it rests, how many files are open,
//! how long it takes to list them and to start.
//!
//! Every tenant has a document and answers a question, through the same runtime as any other command.

use super::generated::Generated;
use super::stage::write_error;
use crate::api::BenchTenantsJson;
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, bytes, thousands};
use crate::corpus::TenantId;
use crate::error::{Exit, Failure};
use crate::memory;
use crate::policy::Policy;
use crate::runtime::{QueryRequest, Runtime};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct BenchTenantsArguments {
    /// Tenants
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(20..=1_000_000))]
    tenants: u32,
    /// Seed of the generated documents
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
}

pub(in crate::cli) async fn run(
    session: &Session,
    arguments: BenchTenantsArguments,
) -> Result<Exit, Failure> {
    let interrupt = interrupted_by_user();
    let bar = draw(session.out, u64::from(arguments.tenants) * 2);
    let measured = measure(&arguments, &bar, &interrupt).await;
    bar.finish_and_clear();
    let Some(said) = measured? else {
        return Ok(Exit::Interrupted);
    };
    session.out.answer(&said, |out| show(out, &said));
    Ok(Exit::Done)
}

fn draw(out: Output, length: u64) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{bar:30} {msg}  {per_sec}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

async fn measure(
    arguments: &BenchTenantsArguments,
    bar: &ProgressBar,
    interrupt: &CancellationToken,
) -> Result<Option<BenchTenantsJson>, Failure> {
    let folder = tempfile::tempdir().map_err(|e| write_error(&std::env::temp_dir(), e))?;
    let runtime = Arc::new(Runtime::open(folder.path())?);
    let generated = Generated::new(arguments.seed);
    let policy = Policy::shipped("default")?;
    bar.set_message("adding tenants");
    for number in 0..arguments.tenants {
        if interrupt.is_cancelled() {
            return Ok(None);
        }
        add(&runtime, &generated, number, &policy)?;
        bar.inc(1);
    }
    drop(runtime);
    let began = Instant::now();
    let runtime = Arc::new(Runtime::open(folder.path())?);
    let start_ms = began.elapsed().as_secs_f64() * 1_000.0;
    bar.set_message("asking each");
    let asked = ask_all(&runtime, arguments.tenants, bar, interrupt).await?;
    let Some((early, late, open_files)) = asked else {
        return Ok(None);
    };
    let began = Instant::now();
    let listed = runtime.tenants()?;
    let list_ms = began.elapsed().as_secs_f64() * 1_000.0;
    let rest = u64::from(arguments.tenants - arguments.tenants / 10);
    Ok(Some(BenchTenantsJson {
        tenants: listed.len() as u64,
        start_ms,
        list_ms,
        bytes_per_tenant: late.saturating_sub(early) / rest.max(1),
        resident_bytes: late,
        open_files_peak: open_files,
        open_indexes: runtime.open_indexes() as u64,
    }))
}

fn name(number: u32) -> Result<TenantId, Failure> {
    Ok(TenantId::new(&format!("tenant-{number:07}"))?)
}

fn add(
    runtime: &Runtime,
    generated: &Generated,
    number: u32,
    policy: &Policy,
) -> Result<(), Failure> {
    let tenant = name(number)?;
    runtime.add_tenant(&tenant, policy)?;
    let mut version = generated.version(u64::from(number));
    version.chunks.truncate(2);
    let index = runtime.index(&tenant)?;
    version.put(&index)?;
    Ok(())
}

/// Memory when a tenth of the tenants had answered, and when all had; and the most files that were open.
async fn ask_all(
    runtime: &Arc<Runtime>,
    tenants: u32,
    bar: &ProgressBar,
    interrupt: &CancellationToken,
) -> Result<Option<(u64, u64, u64)>, Failure> {
    let (mut early, mut open_files) = (0, 0);
    for number in 0..tenants {
        if interrupt.is_cancelled() {
            return Ok(None);
        }
        let request = QueryRequest {
            question: "where is it?".to_owned(),
            agent: Some("text".to_owned()),
            k: 1,
            filter: None,
            options: vec![],
        };
        runtime.query(&name(number)?, &request).await?;
        if number % 16 == 0 {
            open_files = open_files.max(files());
        }
        if number == tenants / 10 {
            early = memory::resident();
        }
        bar.inc(1);
    }
    Ok(Some((early, memory::resident(), open_files)))
}

fn files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

fn show(out: &Output, said: &BenchTenantsJson) {
    out.line(format!("{} tenants", thousands(said.tenants)));
    out.line(format!("start           {:.0} ms", said.start_ms));
    out.line(format!("tenant list     {:.0} ms", said.list_ms));
    out.line(format!(
        "memory          {} for each tenant that rests; {} in all",
        bytes(said.bytes_per_tenant),
        bytes(said.resident_bytes)
    ));
    out.line(format!(
        "open files      at most {}, of {} indexes that are kept open",
        thousands(said.open_files_peak),
        thousands(said.open_indexes)
    ));
}
