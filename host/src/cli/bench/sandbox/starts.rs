//! What it costs to begin: a call in a fresh store, and a plugin that was compiled before.

use super::Bench;
use crate::api::{BenchStartJson, round};
use crate::attack::{Guest, Stage, document};
use crate::cli::bench::statistics::Times;
use crate::cli::bench::workload::Workload;
use crate::cli::output::bytes;
use crate::error::Failure;
use crate::ingest::Chunker;
use crate::plugin::{Loader, Options, resolve};
use crate::policy::{Policy, Wasi};
use crate::runtime::{RuntimeError, builtin_component};
use crate::task::Kind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Calls of each kind.
const CALLS: usize = 2_000;

/// Loads of each plugin.
const LOADS: usize = 50;

/// Characters of the document.
const DOCUMENT: usize = 850;

/// Targets of the medians.
const CALL_US_MAX: f64 = 150.0;
const LOAD_US_MAX: f64 = 10_000.0;

/// Functions of the large plugin, and additions in each.
const LARGE: (u32, u32) = (4_000, 60);

/// A chunker with options to call it with.
#[derive(Debug)]
pub(super) struct Builtin {
    pub(super) chunker: Chunker,
    pub(super) options: Options,
    pub(super) policy: Policy,
}

impl Builtin {
    /// The built-in chunker under the default policy, with its own defaults.
    pub(super) async fn recursive(stage: &Stage) -> Result<Self, Failure> {
        let policy = Policy::shipped("default")?;
        let chunker = stage.chunker(recursive()?, policy.wasi)?;
        let task = stage.task(Kind::Trial, &policy);
        let (sandbox, embedder) = (&stage.guests.sandbox, &stage.embedder);
        let specs = chunker.describe(sandbox, embedder, &task).await?;
        let options = resolve(&specs, &[("strategy".to_owned(), "recursive".to_owned())])?;
        Ok(Self {
            chunker,
            options,
            policy,
        })
    }
}

fn recursive() -> Result<&'static [u8], RuntimeError> {
    let missing = || RuntimeError::Builtin("recursive", "there is none".to_owned());
    builtin_component("recursive").ok_or_else(missing)
}

/// So many characters of the study's paragraphs.
pub(super) fn text(characters: usize) -> String {
    let mut text = String::new();
    for document in Workload::new(42) {
        text.push_str(&document);
        text.push_str("\n\n");
        if text.len() >= characters {
            break;
        }
    }
    // The paragraphs are ASCII.
    text.truncate(characters);
    text
}

pub(super) async fn measure(bench: &mut Bench) -> Result<(), Failure> {
    bench.say("calls in fresh stores".to_owned());
    let stage = bench.stage.clone();
    let builtin = Builtin::recursive(&stage).await?;
    let empty = Builtin {
        chunker: stage.chunker(&Guest::chunker("(i32.const 32)").build()?, Wasi::None)?,
        options: vec![],
        policy: builtin.policy.clone(),
    };
    for (name, of, text, most) in [
        (
            "recursive chunker, 850 characters",
            builtin,
            text(DOCUMENT),
            Some(CALL_US_MAX),
        ),
        ("empty guest", empty, "x".to_owned(), None),
    ] {
        let of = Arc::new(of);
        let there = calls(
            bench.stage.clone(),
            of.clone(),
            text.clone(),
            bench.interrupt.clone(),
        );
        let there = stage.guests.sandbox.on_guest_threads(there);
        if let Some(there) = there {
            let times = there.await.map_err(|_| gone())??;
            bench.add_start(format!("{name}, fresh store to result"), times, most);
        }
        let times = calls(bench.stage.clone(), of, text, bench.interrupt.clone()).await?;
        bench.add_start(format!("{name}, from another thread and back"), times, None);
    }
    load(bench, "recursive chunker", recursive()?)?;
    load(bench, "generated plugin", &large()?)
}

fn gone() -> RuntimeError {
    RuntimeError::Argument("the guests' threads are gone".to_owned())
}

async fn calls(
    stage: Arc<Stage>,
    of: Arc<Builtin>,
    text: String,
    interrupt: CancellationToken,
) -> Result<Vec<Duration>, Failure> {
    let mut times = Vec::with_capacity(CALLS);
    let document = document("doc", &text);
    while times.len() < CALLS && !interrupt.is_cancelled() {
        let task = stage.task(Kind::Ingest, &of.policy);
        let (sandbox, embedder) = (&stage.guests.sandbox, &stage.embedder);
        let began = Instant::now();
        let call = of
            .chunker
            .chunk(sandbox, embedder, &task, &document, &of.options);
        call.await?;
        times.push(began.elapsed());
    }
    Ok(times)
}

/// Loads from the cache of a loader that has nothing in memory.
fn load(bench: &mut Bench, name: &str, component: &[u8]) -> Result<(), Failure> {
    bench.say(format!("loading the {name}"));
    let (stage, wasi) = (bench.stage.clone(), Wasi::None);
    stage.guests.loader.load(component, wasi)?;
    let mut times = vec![];
    while times.len() < LOADS && !bench.interrupted() {
        let engine = stage.guests.sandbox.engine().clone();
        // Nothing is compiled: a compiler that is not there would be noticed.
        let loader = Loader::new(engine, stage.cache(), PathBuf::new())?;
        let began = Instant::now();
        loader.load(component, wasi)?;
        times.push(began.elapsed());
    }
    let size = bytes(component.len() as u64);
    let what = format!("{name} of {size}, loaded from the cache");
    bench.add_start(what, times, Some(LOAD_US_MAX));
    Ok(())
}

/// A plugin as large as that of a whole library: functions that add numbers.
fn large() -> Result<Vec<u8>, Failure> {
    let (functions, additions) = LARGE;
    let function = |number: u32| {
        let add = |more: u32| {
            format!(
                "(i32.xor (i32.const {})) (i32.add (local.get 0))",
                number ^ more
            )
        };
        let body: String = (0..additions).map(add).collect();
        format!("(func (param i32) (result i32) (local.get 0) {body})")
    };
    let fields: String = (0..functions).map(function).collect();
    Ok(Guest::chunker("(i32.const 32)").with(&fields).build()?)
}

impl Bench {
    fn add_start(&mut self, what: String, times: Vec<Duration>, target_us: Option<f64>) {
        let us = |time: Duration| round(time.as_secs_f64() * 1e6, 1);
        let rows = times.iter().map(|time| (what.clone(), *time));
        self.start_rows.extend(rows);
        let times = Times::of(times);
        self.progress.inc(1);
        self.said.starts.push(BenchStartJson {
            what,
            count: times.len(),
            p50_us: us(times.percentile(50)),
            p99_us: us(times.percentile(99)),
            target_us,
        });
    }
}
