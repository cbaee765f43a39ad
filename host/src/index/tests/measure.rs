//! Measurements, run by hand: `cargo test --release -p stockade --lib measure -- --ignored --nocapture`.

use super::support::{Random, document, open_with, unit_vector};
use crate::corpus::{Chunk, ChunkId, Embedding};
use crate::db::Interrupt;
use crate::index::{Index, MatrixCache, NeighbourKind, NewChunk, NewVersion, TextHash};
use crate::memory::resident;
use std::time::{Duration, Instant};

/// Zipf-like: word r with probability about 1 / r.
fn word(random: &mut Random) -> String {
    let rank = (30_000.0_f64).powf(f64::from(random.fraction())) as u64;
    format!("w{rank}x")
}

fn text(random: &mut Random, words: usize) -> String {
    (0..words).map(|_| word(random) + " ").collect()
}

fn spread(pool: &[Embedding], random: &mut Random) -> Embedding {
    pool[random.below(pool.len() as u64) as usize].clone()
}

fn fill(index: &Index, documents: u64, chunks_each: usize) {
    let mut random = Random(1);
    let pool: Vec<Embedding> = (0..5_000).map(unit_vector).collect();
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    for i in 0..documents {
        let title = format!("{} {}", word(&mut random), word(&mut random));
        let mut body = String::new();
        let mut chunks = Vec::new();
        for _ in 0..chunks_each {
            let start = body.len() as u32;
            body.push_str(&text(&mut random, 100));
            let chunk = Chunk {
                start,
                end: body.len() as u32,
                labels: vec![],
            };
            let hash = TextHash::of(&body[start as usize..]);
            chunks.push(NewChunk {
                chunk,
                hash,
                embedding: spread(&pool, &mut random),
            });
        }
        let metadata = format!(
            r#"{{"year": {}, "lang": "en", "path": "x/y/{i}"}}"#,
            2000 + i % 20
        );
        let document = document(&format!("d{i}"), &title, &body, &metadata);
        let one = Instant::now();
        let version = NewVersion {
            document: &document,
            hash: [1; 32],
            chunker: "c",
            chunks: &chunks,
        };
        index.put(&version).unwrap();
        slowest = slowest.max(one.elapsed());
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = documents as f64 / seconds;
    println!(
        "put {documents} documents x {chunks_each}: {seconds:.1} s, {rate:.0} documents/s, slowest {slowest:?}"
    );
}

fn timed<T>(name: &str, runs: usize, mut run: impl FnMut(usize) -> T) {
    let mut times: Vec<Duration> = (0..runs)
        .map(|i| {
            let begun = Instant::now();
            std::hint::black_box(run(i));
            begun.elapsed()
        })
        .collect();
    let first = times[0];
    times.sort();
    let p = |share: usize| times[(runs * share / 100).min(runs - 1)];
    println!(
        "{name}: first {first:?} p50 {:?} p90 {:?} max {:?}",
        p(50),
        p(90),
        p(100)
    );
}

/// `FOLDER`, or one that stays for the next measurement.
fn measured_folder() -> std::path::PathBuf {
    std::env::var_os("FOLDER")
        .map_or_else(|| std::env::temp_dir().join("stockade-measure"), Into::into)
}

#[test]
#[ignore = "a measurement: minutes"]
fn measure() {
    let chunks: u64 = std::env::var("CHUNKS").map_or(100_000, |v| v.parse().unwrap());
    let cache_mib: usize = std::env::var("CACHE_MIB").map_or(256, |v| v.parse().unwrap());
    let folder = measured_folder();
    let folder = folder.join(chunks.to_string());
    std::fs::create_dir_all(&folder).unwrap();
    let cache = MatrixCache::new(cache_mib << 20);
    let never = Interrupt::never();
    let begun = Instant::now();
    let index = open_with(&folder, "a", "model", &cache);
    println!("open {:?}", begun.elapsed());
    if index.counts().unwrap().chunks == 0 {
        fill(&index, chunks / 10, 10);
    }
    println!(
        "{:?}, rss {} MiB",
        index.counts().unwrap(),
        resident() >> 20
    );
    let mut random = Random(9);
    let ids: Vec<ChunkId> = (0..10).map(|_| ChunkId(1 + random.below(chunks))).collect();
    let queries: Vec<String> = (0..100).map(|_| text(&mut random, 12)).collect();
    let vector = unit_vector(3);
    timed("vector", 20, |_| {
        index.search_vector(&vector, 10, None, &never).unwrap()
    });
    timed("text, 12 words", 100, |i| {
        index.search_text(&queries[i], 10, None, &never).unwrap()
    });
    timed("text, again", 100, |i| {
        index.search_text(&queries[i], 10, None, &never).unwrap()
    });
    timed("hybrid", 100, |i| {
        index
            .search_hybrid(&queries[i], &vector, 10, None, &never)
            .unwrap()
    });
    let filter = crate::corpus::Filter::parse(r#"{"year": {"gte": 2010}}"#).unwrap();
    timed("hybrid, filter", 20, |i| {
        index
            .search_hybrid(&queries[i], &vector, 10, Some(&filter), &never)
            .unwrap()
    });
    for kind in [
        NeighbourKind::Next,
        NeighbourKind::Mention,
        NeighbourKind::MentionedBy,
        NeighbourKind::Similar,
    ] {
        timed(&format!("{kind:?}"), 10, |i| {
            index.neighbours(ids[i], kind, 10, None, &never).unwrap()
        });
    }
    timed("read 10", 20, |_| index.read(&ids, &never).unwrap());
    timed("similarities 10", 20, |_| {
        index.similarities(&vector, &ids, &never).unwrap()
    });
    timed("stored", 10_000, |i| {
        index.stored(&format!("d{i}")).unwrap()
    });
    println!(
        "cache {} MiB, rss {} MiB",
        cache.bytes() >> 20,
        resident() >> 20
    );
}

/// The longest that any call goes without asking whether its task is over.
#[test]
#[ignore = "a measurement, on what measure() wrote"]
fn gaps() {
    let chunks = std::env::var("CHUNKS").unwrap_or("100000".to_owned());
    let folder = measured_folder();
    let cache = MatrixCache::new(256 << 20);
    let index = open_with(&folder.join(chunks), "a", "model", &cache);
    let vector = unit_vector(3);
    let filter = crate::corpus::Filter::parse(r#"{"year": {"gte": 2010}}"#).unwrap();
    let ids: Vec<ChunkId> = (1..=1_000).map(ChunkId).collect();
    type Call<'a> = (&'a str, &'a dyn Fn(&Interrupt));
    let calls: [Call<'_>; 9] = [
        ("cold vector", &|i| {
            drop(index.search_vector(&vector, 10, None, i).unwrap());
        }),
        ("warm vector", &|i| {
            drop(index.search_vector(&vector, 10, None, i).unwrap());
        }),
        ("cold frequent words", &|i| {
            drop(index.search_text("w1x w2x w3x w9x", 10, None, i).unwrap());
        }),
        ("warm frequent words", &|i| {
            drop(index.search_text("w1x w2x w3x w9x", 10, None, i).unwrap());
        }),
        ("new filter", &|i| {
            drop(index.search_text("w77x", 10, Some(&filter), i).unwrap());
        }),
        ("mention", &|i| {
            drop(
                index
                    .neighbours(ids[7], NeighbourKind::Mention, 10, None, i)
                    .unwrap(),
            );
        }),
        ("mentioned by", &|i| {
            drop(
                index
                    .neighbours(ids[9], NeighbourKind::MentionedBy, 10, None, i)
                    .unwrap(),
            );
        }),
        ("read", &|i| drop(index.read(&ids, i).unwrap())),
        ("similarities", &|i| {
            drop(index.similarities(&vector, &ids, i).unwrap());
        }),
    ];
    for (name, call) in calls {
        let seen = std::sync::Arc::new(std::sync::Mutex::new((Instant::now(), Duration::ZERO, 0)));
        let shared = std::sync::Arc::clone(&seen);
        let asked = move || {
            let mut seen = shared.lock().unwrap();
            let gap = seen.0.elapsed();
            *seen = (Instant::now(), seen.1.max(gap), seen.2 + 1);
            false
        };
        let begun = Instant::now();
        call(&Interrupt::new(asked));
        let seen = seen.lock().unwrap();
        let gap = seen.1.max(seen.0.elapsed());
        println!(
            "{name}: {:?}, asked {} times, longest gap {gap:?}",
            begun.elapsed(),
            seen.2
        );
    }
}

/// Text search, and what title mentions add to it, on a set of questions: `EVAL=folder/name` of
/// `name.docs.jsonl` and `name.queries.jsonl`.
#[test]
#[ignore = "needs an evaluation set"]
fn quality() {
    let set = std::env::var("EVAL").unwrap();
    let lines = |kind: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(format!("{set}.{kind}.jsonl")).unwrap();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    let folder = tempfile::tempdir().unwrap();
    let index = open_with(folder.path(), "a", "model", &MatrixCache::new(64 << 20));
    fill_with(&index, lines("docs"));
    let never = Interrupt::never();
    let (mut ndcg, mut mention5, mut both, mut neighbours, mut count) = (0.0, 0.0, 0.0, 0, 0.0);
    for line in lines("queries") {
        let relevant: Vec<&str> = line["relevant"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|v| v.as_str())
            .collect();
        let query = line["query"].as_str().unwrap();
        let hits = index.search_text(query, 10, None, &never).unwrap().hits;
        let name = |chunk: ChunkId| index.read(&[chunk], &never).unwrap()[0].document.clone();
        let gain = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
        let found: Vec<bool> = hits
            .iter()
            .map(|h| relevant.contains(&name(h.chunk).as_str()))
            .collect();
        let dcg: f64 = found
            .iter()
            .enumerate()
            .filter(|(_, f)| **f)
            .map(|(r, _)| gain(r))
            .sum();
        ndcg += dcg / (0..relevant.len().min(10)).map(gain).sum::<f64>();
        let mut reached: Vec<String> = hits.iter().take(5).map(|h| name(h.chunk)).collect();
        for hit in hits.iter().take(5) {
            let mentioned = index
                .neighbours(hit.chunk, NeighbourKind::Mention, 10, None, &never)
                .unwrap();
            neighbours += mentioned.len();
            reached.extend(mentioned.iter().map(|h| name(h.chunk)));
        }
        let gold = relevant
            .iter()
            .filter(|r| reached.iter().any(|x| x == *r))
            .count();
        mention5 += gold as f64 / relevant.len() as f64;
        both += f64::from(gold == relevant.len());
        count += 1.0;
    }
    println!("text nDCG@10 {:.3}", ndcg / count);
    println!(
        "top 5 and mentions: recall {:.3}, all {:.3}, {:.1} neighbours a question",
        mention5 / count,
        both / count,
        neighbours as f64 / count
    );
}

/// Every line as a document of one chunk, with a generated vector.
fn fill_with(index: &Index, lines: Vec<serde_json::Value>) {
    for line in lines {
        let field = |name: &str| line[name].as_str().unwrap_or_default();
        let document = document(field("id"), field("title"), field("text"), "{}");
        let end = document.text.len() as u32;
        let chunk = Chunk {
            start: 0,
            end,
            labels: vec![],
        };
        let embedding = super::support::vector_for(&document.text);
        let chunks = [NewChunk {
            chunk,
            hash: TextHash::of(&document.text),
            embedding,
        }];
        let version = NewVersion {
            document: &document,
            hash: [0; 32],
            chunker: "",
            chunks: &chunks,
        };
        index.put(&version).unwrap();
    }
}
