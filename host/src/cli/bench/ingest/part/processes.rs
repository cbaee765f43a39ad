//! `processes`: documents divided among processes with a model each, and what comes back committed to one index,
//! as a pool of processes is used where threads will not do.

use super::worker::{Delivery, Embedded, Order, READY};
use super::{Done, documents};
use crate::api::BenchPartJson;
use crate::cli::Session;
use crate::cli::bench::ingest::programs::OURSELVES;
use crate::corpus::{Document, TenantId};
use crate::error::Failure;
use crate::index::{Index, IndexError, NewChunk, NewVersion, TextHash};
use crate::ingest::version_hash;
use crate::loader::Loaded;
use crate::policy::Policy;
use crate::runtime::{PIPELINE, RuntimeError};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::mpsc;

/// What stands for the chunker in a version's hash.
const METHOD: &str = "native";

pub(super) async fn run(
    session: &Session,
    tenant: &TenantId,
    corpus: &Path,
    workers: usize,
) -> Result<BenchPartJson, Failure> {
    let runtime = session.open()?;
    let policy = runtime.policy(tenant)?;
    let index = runtime.index(tenant)?;
    let coming = documents(corpus, &policy)?;
    let data = session.data.clone();
    let divide = move || divide(&data, workers, coming, &index, &policy);
    let divided = tokio::task::spawn_blocking(divide).await;
    divided.map_err(|error| gone(&error.to_string()))?
}

fn gone(why: &str) -> RuntimeError {
    RuntimeError::Argument(format!("a worker process has gone: {why}"))
}

/// Documents that a worker has, by number.
type Out = Arc<Mutex<HashMap<u64, Document>>>;

fn divide(
    data: &Path,
    workers: usize,
    coming: mpsc::Receiver<Loaded>,
    index: &Index,
    policy: &Policy,
) -> Result<BenchPartJson, Failure> {
    let mut pool = (0..workers)
        .map(|_| Worker::start(data))
        .collect::<Result<Vec<_>, _>>()?;
    for worker in &mut pool {
        worker.wait_until_ready()?;
    }
    let began = Instant::now();
    let out = Out::default();
    let (sender, deliveries) = channel();
    let feeding = feed(pool, coming, &out, &sender);
    drop(sender);
    let mut done = Done::default();
    commit(&deliveries, &out, index, policy, &mut done)?;
    let fed = feeding.join().map_err(|_| gone("its feeder panicked"))?;
    fed.map_err(|error| gone(&error.to_string()))?;
    done.said.seconds = began.elapsed().as_secs_f64();
    Ok(done.said)
}

/// A process with a model.
struct Worker {
    child: Child,
    orders: BufWriter<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(data: &Path) -> Result<Self, RuntimeError> {
        let mut command = Command::new(OURSELVES);
        command.arg("--data").arg(data);
        command.args(["--json", "bench", "part", "worker"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| gone(&error.to_string()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(orders), Some(answers)) => Ok(Self {
                child,
                orders: BufWriter::new(orders),
                answers: BufReader::new(answers),
            }),
            _ => Err(gone("it has no pipes")),
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), RuntimeError> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line);
        match read {
            Ok(_) if line.trim() == READY => Ok(()),
            Ok(_) => Err(gone("it did not start")),
            Err(error) => Err(gone(&error.to_string())),
        }
    }
}

/// An event of the pool.
enum Event {
    /// A document that could not be read.
    Failed(String),
    Delivery(Delivery),
    /// A worker ended, for this reason where it is one.
    Ended(std::io::Result<()>),
}

type Feeder = std::thread::JoinHandle<std::io::Result<()>>;

/// Starts a thread that gives each document to the next worker in turn, at most [`PIPELINE`] ahead of its answers,
/// and one for each worker that hears the answers.
fn feed(
    pool: Vec<Worker>,
    coming: mpsc::Receiver<Loaded>,
    out: &Out,
    events: &Sender<Event>,
) -> Feeder {
    let mut orders = vec![];
    for worker in pool {
        let (places, freed) = sync_channel(PIPELINE);
        orders.push((worker.orders, places));
        let events = events.clone();
        let (child, answers) = (worker.child, worker.answers);
        std::thread::spawn(move || hear(child, answers, &freed, &events));
    }
    let (out, events) = (out.clone(), events.clone());
    std::thread::spawn(move || give(orders, coming, &out, &events))
}

fn give(
    mut orders: Vec<(BufWriter<ChildStdin>, SyncSender<()>)>,
    mut coming: mpsc::Receiver<Loaded>,
    out: &Out,
    events: &Sender<Event>,
) -> std::io::Result<()> {
    let mut number = 0u64;
    while let Some(loaded) = coming.blocking_recv() {
        let document = match loaded {
            Loaded::Document(document) => document,
            Loaded::Failed { error, .. } => {
                // Nobody hears it once the commits have failed.
                drop(events.send(Event::Failed(error.to_string())));
                continue;
            }
            Loaded::Skipped { .. } => continue,
        };
        let order = Order {
            number,
            media_type: document.media_type.clone(),
            text: document.text.clone(),
        };
        lock(out).insert(number, document);
        let turn = number as usize % orders.len();
        let (stdin, places) = &mut orders[turn];
        let free = places.send(());
        free.map_err(|_| std::io::Error::other("it ended early"))?;
        serde_json::to_writer(&mut *stdin, &order)?;
        stdin.write_all(b"\n")?;
        stdin.flush()?;
        number += 1;
    }
    Ok(())
}

/// Hears one worker to its end, which comes when its orders end.
fn hear(
    mut child: Child,
    mut answers: BufReader<ChildStdout>,
    freed: &Receiver<()>,
    events: &Sender<Event>,
) {
    loop {
        let event = match Delivery::read(&mut answers) {
            Ok(Some(delivery)) => Event::Delivery(delivery),
            Ok(None) => break,
            Err(error) => {
                drop(events.send(Event::Ended(Err(error))));
                break;
            }
        };
        // One place less is taken; nobody is told where the giver has gone.
        let _ = freed.recv();
        if events.send(event).is_err() {
            break;
        }
    }
    drop(child.kill());
    drop(events.send(Event::Ended(child.wait().map(drop))));
}

fn commit(
    events: &Receiver<Event>,
    out: &Out,
    index: &Index,
    policy: &Policy,
    done: &mut Done,
) -> Result<(), Failure> {
    index
        .database()
        .limit_bytes(Some(policy.tenant.storage_mib_max << 20))
        .map_err(IndexError::from)?;
    for event in events {
        match event {
            Event::Failed(message) => done.failed(message),
            Event::Ended(ended) => ended.map_err(|error| gone(&error.to_string()))?,
            Event::Delivery(Delivery { number, outcome }) => {
                let document = lock(out).remove(&number);
                let document = document.ok_or_else(|| gone("it answered what nobody asked"))?;
                match outcome {
                    Ok(embedded) => put(index, &document, embedded, done)?,
                    Err(message) => done.failed(message),
                }
            }
        }
    }
    match lock(out).len() {
        0 => Ok(()),
        lost => Err(gone(&format!("{lost} documents were not answered")).into()),
    }
}

fn put(
    index: &Index,
    document: &Document,
    embedded: Embedded,
    done: &mut Done,
) -> Result<(), IndexError> {
    let chunks = embedded.chunks.into_iter().map(|(chunk, embedding)| {
        let hash = TextHash::of(chunk.text(&document.text));
        NewChunk {
            chunk,
            hash,
            embedding,
        }
    });
    let chunks: Vec<NewChunk> = chunks.collect();
    let put = index.put(&NewVersion {
        document,
        hash: version_hash(document, METHOD, index.model()),
        chunker: METHOD,
        chunks: &chunks,
    })?;
    done.document(put.chunks, embedded.tokens);
    Ok(())
}

fn lock(out: &Out) -> std::sync::MutexGuard<'_, HashMap<u64, Document>> {
    out.lock().unwrap_or_else(PoisonError::into_inner)
}
