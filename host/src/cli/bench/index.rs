//! `stockade bench index`: an index of many chunks: how fast it fills, opens and answers, beside what the memory of this
//! machine gives, and how large its write-ahead log becomes while it is read without a pause.
//!
//! Documents and vectors are generated and written through the index; no model is asked.

use super::generated::Generated;
use super::stage::write_error;
use crate::api::{BenchIndexJson, BenchSearchJson};
use crate::cli::Session;
use crate::cli::documents::interrupted_by_user;
use crate::cli::output::{Output, bytes, thousands};
use crate::corpus::{DIMENSIONS, Embedding, TenantId};
use crate::db::Interrupt;
use crate::error::{Exit, Failure};
use crate::index::{Index, IndexError, IndexOptions, MatrixCache};
use crate::memory;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::cli) struct BenchIndexArguments {
    /// Chunks in the index
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    chunks: u32,
    /// Memory for vectors; default: enough for all of them
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(8..=1_048_576))]
    cache_mib: Option<u32>,
    /// Searches of each kind
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    searches: u32,
    /// Seed of the generated documents
    #[arg(long, default_value_t = 42, value_name = "S")]
    seed: u64,
    /// Where to keep the index, and to find it again; default: a temporary folder
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Bytes of the vector that one chunk has.
const VECTOR: u64 = DIMENSIONS as u64 * 4;

/// At least so much memory is read to see how fast that is: more than any processor's cache.
const READ_MIN: u64 = 256 << 20;
const READ_MAX: u64 = 2 << 30;

pub(in crate::cli) async fn run(
    session: &Session,
    arguments: BenchIndexArguments,
) -> Result<Exit, Failure> {
    let interrupt = interrupted_by_user();
    let bar = draw(session.out, u64::from(arguments.chunks));
    let (shown, token) = (bar.clone(), interrupt.clone());
    let measured = tokio::task::spawn_blocking(move || measure(&arguments, &shown, &token));
    let said = match measured.await {
        Ok(said) => said?,
        Err(error) => return Err(scenario(&error.to_string()).into()),
    };
    bar.finish_and_clear();
    let Some(said) = said else {
        return Ok(Exit::Interrupted);
    };
    session.out.answer(&said, |out| show(out, &said));
    Ok(Exit::Done)
}

fn scenario(message: &str) -> super::error::BenchError {
    super::error::BenchError::Scenario {
        scenario: "bench index",
        message: message.to_owned(),
        hint: None,
    }
}

fn draw(out: Output, length: u64) -> ProgressBar {
    if out.json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} chunks  {per_sec}  {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

struct Place {
    path: PathBuf,
    tenant: TenantId,
    cache: Arc<MatrixCache>,
    _temporary: Option<tempfile::TempDir>,
}

impl Place {
    fn make(arguments: &BenchIndexArguments) -> Result<Self, Failure> {
        let temporary = match arguments.folder {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|e| write_error(&std::env::temp_dir(), e))?),
        };
        let path = match (&arguments.folder, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        // Beside each vector: ids, document and length.
        let all = (u64::from(arguments.chunks) * (VECTOR + 64)) >> 20;
        let mib = arguments.cache_mib.map_or(all + 64, u64::from);
        Ok(Self {
            path: path.join("index"),
            tenant: TenantId::new("generated")?,
            cache: MatrixCache::new(usize::try_from(mib << 20).unwrap_or(usize::MAX)),
            _temporary: temporary,
        })
    }

    fn open(&self) -> Result<Index, IndexError> {
        let options = IndexOptions {
            model: "generated".to_owned(),
            cache: self.cache.clone(),
        };
        Index::open(&self.path, &self.tenant, options)
    }
}

fn measure(
    arguments: &BenchIndexArguments,
    bar: &ProgressBar,
    interrupt: &CancellationToken,
) -> Result<Option<BenchIndexJson>, Failure> {
    let place = Place::make(arguments)?;
    let generated = Generated::new(arguments.seed);
    let index = place.open()?;
    let resident_before = memory::resident();
    let fill_s = fill(&index, &generated, arguments, bar, interrupt)?;
    if interrupt.is_cancelled() {
        return Ok(None);
    }
    bar.set_message("opening");
    drop(index);
    let (index, open_ms) = timed(|| place.open());
    let index = index?;
    let counts = index.counts()?;
    let vector = generated.version(1).chunks[0].embedding.clone();
    let never = Interrupt::never();
    let (first, first_search_ms) = timed(|| index.search_vector(&vector, 10, None, &never));
    first?;
    bar.set_message("searching");
    let mut said = BenchIndexJson {
        chunks: counts.chunks,
        documents: counts.documents,
        index_bytes: counts.bytes,
        cache_bytes: place.cache.budget() as u64,
        fill_chunks_per_s: fill_s.map(|seconds| counts.chunks as f64 / seconds),
        open_ms,
        first_search_ms,
        vector: BenchSearchJson::default(),
        text: BenchSearchJson::default(),
        hybrid: BenchSearchJson::default(),
        vector_gb_per_s: 0.0,
        memory_gb_per_s: 0.0,
        vector_share: 0.0,
        machine_gb_per_s: 0.0,
        machine_share: 0.0,
        resident_growth_bytes: 0,
        log_peak_bytes: 0,
        log_writes: 0,
    };
    search(&index, &generated, arguments, &vector, &mut said)?;
    said.resident_growth_bytes = memory::resident().saturating_sub(resident_before);
    if interrupt.is_cancelled() {
        return Ok(None);
    }
    bar.set_message("writing while it is read");
    let busy = read_and_write(&index, &generated, &vector, interrupt)?;
    (said.log_peak_bytes, said.log_writes) = busy;
    Ok((!interrupt.is_cancelled()).then_some(said))
}

/// Seconds that it took; `None` where the index was there.
fn fill(
    index: &Index,
    generated: &Generated,
    arguments: &BenchIndexArguments,
    bar: &ProgressBar,
    interrupt: &CancellationToken,
) -> Result<Option<f64>, Failure> {
    let wanted = u64::from(arguments.chunks);
    match index.counts()?.chunks {
        0 => {}
        there if there == wanted => return Ok(None),
        there => {
            let message = format!("the index in the folder has {there} chunks, not {wanted}");
            return Err(scenario(&message).into());
        }
    }
    let began = Instant::now();
    generated.fill(index, wanted, |there| {
        bar.set_position(there);
        !interrupt.is_cancelled()
    })?;
    Ok(Some(began.elapsed().as_secs_f64()))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64() * 1_000.0)
}

/// Each kind of search in turn, and between them memory is read.
fn search(
    index: &Index,
    generated: &Generated,
    arguments: &BenchIndexArguments,
    vector: &Embedding,
    said: &mut BenchIndexJson,
) -> Result<(), Failure> {
    let never = Interrupt::never();
    let mut times: [Vec<f64>; 5] = Default::default();
    let scanned = said.chunks * VECTOR;
    let memory = vec![1_u64; usize::try_from(scanned.clamp(READ_MIN, READ_MAX) / 8).unwrap_or(0)];
    for number in 0..arguments.searches {
        let question = generated.question(u64::from(number), said.documents);
        let (found, ms) = timed(|| index.search_vector(vector, 10, None, &never));
        found?;
        times[0].push(ms);
        let (found, ms) = timed(|| index.search_text(&question, 10, None, &never));
        found?;
        times[1].push(ms);
        let (found, ms) = timed(|| index.search_hybrid(&question, vector, 10, None, &never));
        found?;
        times[2].push(ms);
        let (_, ms) = timed(|| std::hint::black_box(read_all(std::hint::black_box(&memory))));
        times[3].push(ms);
        let (_, ms) = timed(|| read_by_all(std::hint::black_box(&memory)));
        times[4].push(ms);
    }
    let read = BenchSearchJson::of(&mut times[3]);
    said.vector = BenchSearchJson::of(&mut times[0]);
    said.text = BenchSearchJson::of(&mut times[1]);
    said.hybrid = BenchSearchJson::of(&mut times[2]);
    let by_all = BenchSearchJson::of(&mut times[4]);
    let gb_per_s = |bytes: u64, ms: f64| bytes as f64 / 1e6 / ms.max(f64::MIN_POSITIVE);
    said.vector_gb_per_s = gb_per_s(scanned, said.vector.p50_ms);
    said.memory_gb_per_s = gb_per_s(memory.len() as u64 * 8, read.p50_ms);
    said.vector_share = said.vector_gb_per_s / said.memory_gb_per_s.max(f64::MIN_POSITIVE);
    said.machine_gb_per_s = gb_per_s(memory.len() as u64 * 8, by_all.p50_ms);
    said.machine_share = said.vector_gb_per_s / said.machine_gb_per_s.max(f64::MIN_POSITIVE);
    Ok(())
}

/// As simple as reading can be: eight sums side by side, so that no addition waits for another.
fn read_all(memory: &[u64]) -> u64 {
    let mut sums = [0_u64; 8];
    let (eights, _) = memory.as_chunks::<8>();
    for eight in eights {
        for (sum, word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

/// A part of it on each core.
fn read_by_all(memory: &[u64]) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = memory.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        for part in memory.chunks(part) {
            scope.spawn(move || std::hint::black_box(read_all(part)));
        }
    });
}

/// How large the write-ahead log became while documents were replaced and two readers searched without a pause, and
/// how many documents were.
fn read_and_write(
    index: &Index,
    generated: &Generated,
    vector: &Embedding,
    interrupt: &CancellationToken,
) -> Result<(u64, u64), Failure> {
    const LASTS: Duration = Duration::from_secs(5);
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut log = index.database().path().as_os_str().to_owned();
    log.push("-wal");
    let log = PathBuf::from(log);
    let mut written = 0;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let _ = index.search_vector(vector, 10, None, &Interrupt::never());
                }
            });
        }
        let until = Instant::now() + LASTS;
        let mut write = || -> Result<(), IndexError> {
            while Instant::now() < until && !interrupt.is_cancelled() {
                generated.version(written).put(index)?;
                written += 1;
                peak.fetch_max(size(&log), Relaxed);
            }
            Ok(())
        };
        let outcome = write();
        over.store(true, Relaxed);
        outcome
    })?;
    Ok((peak.load(Relaxed), written))
}

fn size(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

fn show(out: &Output, said: &BenchIndexJson) {
    out.line(format!(
        "{} chunks of {} documents, {} on disk",
        thousands(said.chunks),
        thousands(said.documents),
        bytes(said.index_bytes)
    ));
    if let Some(rate) = said.fill_chunks_per_s {
        out.line(format!("filled          {rate:.0} chunks/s"));
    }
    out.line(format!("opened          {:.1} ms", said.open_ms));
    out.line(format!(
        "first search    {:.0} ms (reads the vectors)",
        said.first_search_ms
    ));
    let kinds = [
        ("vector", &said.vector),
        ("text", &said.text),
        ("hybrid", &said.hybrid),
    ];
    for (name, times) in kinds {
        out.line(format!(
            "{name:<15} p50 {:.1} ms, p90 {:.1} ms",
            times.p50_ms, times.p90_ms
        ));
    }
    out.line(format!(
        "vector search   {:.1} GB/s, {:.0} % of the {:.1} GB/s at which one thread reads memory, {:.0} % of the \
         {:.1} GB/s at which all cores do",
        said.vector_gb_per_s,
        100.0 * said.vector_share,
        said.memory_gb_per_s,
        100.0 * said.machine_share,
        said.machine_gb_per_s
    ));
    out.line(format!(
        "memory          {} more than before, with {} for vectors",
        bytes(said.resident_growth_bytes),
        bytes(said.cache_bytes)
    ));
    out.line(format!(
        "write-ahead log at most {} while {} documents were written and two readers never paused",
        bytes(said.log_peak_bytes),
        thousands(said.log_writes)
    ));
}
