//! One process of `processes`: documents come as lines on standard input, and leave as a line with their chunks
//! and the vectors' bytes behind it.

use super::{chunker, lane};
use crate::config::Config;
use crate::corpus::{Chunk, DIMENSIONS, Embedding, TenantId};
use crate::embedder::Embedder;
use crate::error::Failure;
use crate::runtime::{PIPELINE, RuntimeError};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// What a worker says once it has its model.
pub(super) const READY: &str = "ready";

/// A document on its way to a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) number: u64,
    pub(super) media_type: String,
    pub(super) text: String,
}

/// Names and values that a chunker attached to a chunk.
type Labels = Vec<(String, String)>;

/// What comes back, the vectors' bytes apart.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    number: u64,
    /// Start, end and labels of each chunk.
    chunks: Vec<(u32, u32, Labels)>,
    tokens: u64,
    failed: Option<String>,
}

/// What became of a document.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) outcome: Result<Embedded, String>,
}

/// A document's chunks with their vectors.
#[derive(Debug)]
pub(super) struct Embedded {
    pub(super) chunks: Vec<(Chunk, Embedding)>,
    pub(super) tokens: u64,
}

pub(super) async fn run(data: &Path) -> Result<(), Failure> {
    let config = Config {
        embed_workers: 1,
        ..Config::load(data)?
    };
    let embedder = Embedder::start(&config)?;
    embedder.prepare()?;
    say(|out| writeln!(out, "{READY}"))?;
    let (sender, mut orders) = mpsc::channel(PIPELINE);
    tokio::task::spawn_blocking(move || {
        for line in io::stdin().lock().lines() {
            let order = line.and_then(|line| Ok(serde_json::from_str::<Order>(&line)?));
            if order.map(|order| sender.blocking_send(order)).is_err() {
                return;
            }
        }
    });
    let window = Arc::new(Semaphore::new(PIPELINE));
    let mut running = JoinSet::new();
    while let Some(order) = orders.recv().await {
        let Ok(place) = window.clone().acquire_owned().await else {
            break;
        };
        let embedder = embedder.clone();
        running.spawn(async move {
            let _place = place;
            let number = order.number;
            let outcome = embed(&embedder, order).await;
            say(|out| Delivery { number, outcome }.write(out))
        });
        while running.try_join_next().is_some() {}
    }
    running.join_all().await;
    Ok(())
}

/// Says something whole, whoever else speaks.
fn say(what: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), RuntimeError> {
    let mut out = io::stdout().lock();
    let said = what(&mut out).and_then(|()| out.flush());
    said.map_err(|error| RuntimeError::Argument(format!("nobody listens: {error}")))
}

async fn embed(embedder: &Embedder, order: Order) -> Result<Embedded, String> {
    let Order {
        media_type, text, ..
    } = &order;
    let chunks = chunker::chunks(embedder, media_type, text).map_err(|error| error.to_string())?;
    let texts = chunks
        .iter()
        .map(|chunk| embedder.tokenize(chunk.text(text)));
    let texts: Vec<_> = texts.collect();
    let tokens = texts.iter().map(|text| text.len() as u64).sum();
    let tenant = TenantId::new("worker").map_err(|error| error.to_string())?;
    let vectors = embedder.embed(&lane(&tenant), texts).await;
    let vectors = vectors.map_err(|error| error.to_string())?;
    let vectors = vectors.into_iter().collect::<Result<Vec<_>, _>>();
    let vectors = vectors.map_err(|error| error.to_string())?;
    Ok(Embedded {
        chunks: chunks.into_iter().zip(vectors).collect(),
        tokens,
    })
}

impl Delivery {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (chunks, tokens) = match &self.outcome {
            Ok(embedded) => (embedded.chunks.as_slice(), embedded.tokens),
            Err(_) => (&[][..], 0),
        };
        let head = Head {
            number: self.number,
            chunks: chunks
                .iter()
                .map(|(chunk, _)| (chunk.start, chunk.end, chunk.labels.clone()))
                .collect(),
            tokens,
            failed: self.outcome.as_ref().err().cloned(),
        };
        let mut bytes = serde_json::to_vec(&head)?;
        bytes.push(b'\n');
        for (_, vector) in chunks {
            bytes.extend(
                vector
                    .values()
                    .iter()
                    .flat_map(|number| number.to_le_bytes()),
            );
        }
        out.write_all(&bytes)
    }

    /// The next one; nothing when the worker has ended.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let head: Head = serde_json::from_str(&line)?;
        let mut chunks = Vec::with_capacity(head.chunks.len());
        let mut bytes = [0; 4 * DIMENSIONS];
        for (start, end, labels) in head.chunks {
            from.read_exact(&mut bytes)?;
            let numbers = bytes.as_chunks::<4>().0.iter();
            let numbers = numbers.map(|number| f32::from_le_bytes(*number));
            let vector = Embedding::new(numbers.collect()).map_err(io::Error::other)?;
            chunks.push((Chunk { start, end, labels }, vector));
        }
        let embedded = Embedded {
            chunks,
            tokens: head.tokens,
        };
        Ok(Some(Self {
            number: head.number,
            outcome: head.failed.map_or(Ok(embedded), Err),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_delivered_arrives() {
        let mut unit = vec![0.0; DIMENSIONS];
        unit[7] = 1.0;
        let chunk = Chunk {
            start: 3,
            end: 9,
            labels: vec![("heading".to_owned(), "A\nB".to_owned())],
        };
        let embedded = Embedded {
            chunks: vec![(chunk.clone(), Embedding::new(unit).unwrap())],
            tokens: 12,
        };
        let mut bytes = vec![];
        let deliveries = [(1, Ok(embedded)), (2, Err("too long".to_owned()))];
        for (number, outcome) in deliveries {
            Delivery { number, outcome }.write(&mut bytes).unwrap();
        }
        let mut from = bytes.as_slice();
        let first = Delivery::read(&mut from).unwrap().unwrap();
        let Ok(embedded) = first.outcome else {
            panic!("{:?}", first.outcome)
        };
        assert_eq!((first.number, embedded.tokens), (1, 12));
        assert_eq!(embedded.chunks[0].0, chunk);
        assert_eq!(embedded.chunks[0].1.values()[7], 1.0);
        let second = Delivery::read(&mut from).unwrap().unwrap();
        assert_eq!(second.outcome.unwrap_err(), "too long");
        assert!(Delivery::read(&mut from).unwrap().is_none());
    }
}
