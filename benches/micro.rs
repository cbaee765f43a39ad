//! Small measurements of what a change could slow down: a call in a fresh store, the way to the host and back, a
//! scan of vectors, fusion, forming batches, a transaction.
//!
//! `cargo xtask bench --baseline REV` runs them in two commits in turn and compares. One run alone says little:
//! it is a number of this machine at this moment.

#![allow(
    clippy::unwrap_used,
    reason = "a tool for developers: what it cannot go on without is its own mistake"
)]

use divan::{Bencher, black_box};
use std::process::ExitCode;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use stockade::attack::{Guest, Stage, document};
use stockade::config::Config;
use stockade::corpus::{Chunk, ChunkId, DIMENSIONS, Embedding, Hit, TenantId};
use stockade::db::Interrupt;
use stockade::embedder::{Lane, Priority, Tokens, form_batches};
use stockade::index::{Index, IndexOptions, MatrixCache, NewChunk, NewVersion, TextHash, fuse};
use stockade::ingest::Chunker;
use stockade::plugin::{Options, resolve};
use stockade::policy::{Policy, Wasi};
use stockade::runtime::builtin_component;
use stockade::task::Kind;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Characters of a document that is chunked.
const CHARACTERS: usize = 850;

/// Calls of the host in one call of a guest.
const HOST_CALLS: u32 = 1_000;

/// Vectors that are scanned.
const VECTORS: u64 = 20_000;

fn main() -> ExitCode {
    if let Some(status) = stockade::plugin::compile_if_asked() {
        return ExitCode::from(status);
    }
    divan::main();
    ExitCode::SUCCESS
}

/// What runs guests, and an executor to wait on them.
struct Bench {
    executor: Runtime,
    stage: Stage,
    policy: Policy,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let tenant = TenantId::new("micro").unwrap();
    Bench {
        executor: Runtime::new().unwrap(),
        stage: Stage::start(&Config::default(), &tenant, None).unwrap(),
        policy: Policy::shipped("default").unwrap(),
    }
});

impl Bench {
    fn chunk(&self, chunker: &Chunker, options: &Options, text: &str) -> usize {
        let task = self.stage.task(Kind::Ingest, &self.policy);
        let chunks = self.stage.chunk(chunker, &task, text, options);
        self.executor.block_on(chunks).unwrap().len()
    }

    /// The built-in chunker with its defaults.
    fn recursive(&self) -> (Chunker, Options) {
        let component = builtin_component("recursive").unwrap();
        let chunker = self.stage.chunker(component, Wasi::None).unwrap();
        let task = self.stage.task(Kind::Trial, &self.policy);
        let (sandbox, embedder) = (&self.stage.guests.sandbox, &self.stage.embedder);
        let specs = chunker.describe(sandbox, embedder, &task);
        let specs = self.executor.block_on(specs).unwrap();
        (chunker, resolve(&specs, &[]).unwrap())
    }
}

/// So many characters of words.
fn text(characters: usize) -> String {
    let sentence =
        "A store is made for every call, and everything in it is gone when the call is. ";
    let mut text = sentence.repeat(characters / sentence.len() + 1);
    text.truncate(characters);
    text
}

/// An 850-character document through the built-in chunker, from a fresh store to checked chunks.
#[divan::bench]
fn fresh_store_and_call(bencher: Bencher<'_, '_>) {
    let ((chunker, options), text) = (BENCH.recursive(), text(CHARACTERS));
    bencher.bench_local(|| BENCH.chunk(&chunker, &options, black_box(&text)));
}

/// A guest that asks for its budget a thousand times.
#[divan::bench]
fn thousand_host_calls(bencher: Bencher<'_, '_>) {
    let body = format!(
        "(local.set $i (i32.const {HOST_CALLS}))
         (loop (call $budget (i32.const 256))
               (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
         (i32.const 32)"
    );
    let budget = r#"(import "stockade:plugin/host" "budget" (func $budget (param i32)))"#;
    let guest = Guest::chunker(&body).importing(budget).build().unwrap();
    let chunker = BENCH.stage.chunker(&guest, Wasi::None).unwrap();
    bencher.bench_local(|| BENCH.chunk(&chunker, &vec![], "x"));
}

/// A vector of its own for each number, of unit length.
fn vector(number: u64) -> Embedding {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let numbers: Vec<f32> = (0..DIMENSIONS).map(|_| next()).collect();
    let length = numbers.iter().map(|n| n * n).sum::<f32>().sqrt();
    Embedding::new(numbers.iter().map(|n| n / length).collect()).unwrap()
}

/// An index that is gone when it is dropped.
fn index() -> (Index, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options = IndexOptions {
        model: "model".to_owned(),
        cache: MatrixCache::new(256 << 20),
    };
    let tenant = TenantId::new("micro").unwrap();
    let index = Index::open(folder.path(), &tenant, options).unwrap();
    (index, folder)
}

/// Puts a document of `chunks` chunks whose vectors are numbered from `first`.
fn put(index: &Index, id: &str, first: u64, chunks: u64) {
    let text = text(40 * chunks as usize);
    let document = document(id, &text);
    let chunk = |number: u64| {
        let start = 40 * number as u32;
        let chunk = Chunk {
            start,
            end: start + 40,
            labels: vec![],
        };
        NewChunk {
            hash: TextHash::of(chunk.text(&text)),
            chunk,
            embedding: vector(first + number),
        }
    };
    let chunks: Vec<NewChunk> = (0..chunks).map(chunk).collect();
    let version = NewVersion {
        document: &document,
        hash: [0; 32],
        chunker: "micro",
        chunks: &chunks,
    };
    index.put(&version).unwrap();
}

/// The ten nearest of 20,000 vectors in memory.
#[divan::bench(sample_count = 50)]
fn vector_scan(bencher: Bencher<'_, '_>) {
    let (index, _folder) = index();
    for number in 0..VECTORS / 1_000 {
        put(&index, &format!("d{number}"), 1_000 * number, 1_000);
    }
    let (query, never) = (vector(u64::MAX), Interrupt::never());
    let search = || index.search_vector(&query, 10, None, &never).unwrap();
    assert_eq!(search().len(), 10);
    bencher.bench_local(search);
}

/// Two lists of a hundred hits, half of them the same, into ten.
#[divan::bench]
fn fusion(bencher: Bencher<'_, '_>) {
    let list = |first: u64| -> Vec<Hit> {
        let hit = |place: u64| Hit {
            chunk: ChunkId(first + place),
            score: 1.0 / (place + 1) as f32,
        };
        (0..100).map(hit).collect()
    };
    let (one, other) = (list(0), list(50));
    bencher.bench_local(|| fuse(&[black_box(&one), black_box(&other)], 10));
}

/// 300 texts of three tenants into batches of 256 tokens.
#[divan::bench]
fn batch_forming(bencher: Bencher<'_, '_>) {
    let long = text(1_000);
    let texts = (0..100).map(|n| BENCH.stage.embedder.tokenize(&long[..60 + 9 * n]));
    let texts: Vec<Tokens> = texts.collect();
    let lane = |tenant: &str| Lane {
        tenant: TenantId::new(tenant).unwrap(),
        share: 1,
        priority: Priority::Bulk,
        cancel: CancellationToken::new(),
    };
    let calls = || ["a", "b", "c"].map(|tenant| (lane(tenant), texts.clone()));
    bencher
        .with_inputs(|| calls().to_vec())
        .bench_local_values(|calls| form_batches(calls, 256));
}

/// A new document of four chunks, on disk.
#[divan::bench]
fn transaction(bencher: Bencher<'_, '_>) {
    let (index, _folder) = index();
    let number = AtomicU64::new(0);
    bencher.bench_local(|| {
        let number = number.fetch_add(1, Ordering::Relaxed);
        put(&index, &format!("d{number}"), 4 * number, 4);
    });
}
