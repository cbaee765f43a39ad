//! `loop` and `matmul`: what the embedder, and what the hardware, can do when nothing else is done.

use super::{Done, lane};
use crate::api::BenchPartJson;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::{Embedder, Tokens, product_rate};
use crate::error::Failure;
use crate::runtime::RuntimeError;
use serde::Deserialize;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long matrices are multiplied.
const PRODUCTS: Duration = Duration::from_secs(6);

#[derive(Deserialize)]
struct Line {
    chunks: Vec<String>,
}

/// Embeds every chunk through the embedder's own queue and batches. Texts are tokenised before the clock runs.
pub(super) async fn embed(config: &Config, chunks: &Path) -> Result<BenchPartJson, Failure> {
    let embedder = Embedder::start(config)?;
    embedder.prepare()?;
    let mut done = Done::default();
    let mut texts: Vec<Tokens> = vec![];
    for line in lines(chunks)? {
        let before = texts.len();
        texts.extend(line.chunks.iter().map(|text| embedder.tokenize(text)));
        let own = &texts[before..];
        let tokens = own.iter().map(|text| text.len() as u64).sum();
        done.document(own.len() as u64, tokens);
    }
    let lane = lane(&TenantId::new("loop")?);
    let began = Instant::now();
    for vector in embedder.embed(&lane, texts).await? {
        vector?;
    }
    done.said.seconds = began.elapsed().as_secs_f64();
    Ok(done.said)
}

fn lines(path: &Path) -> Result<Vec<Line>, RuntimeError> {
    let wrong = |source| RuntimeError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(wrong)?;
    let line = |line: std::io::Result<String>| Ok(serde_json::from_str(&line?)?);
    let lines = BufReader::new(file).lines().map(line);
    lines.collect::<std::io::Result<_>>().map_err(wrong)
}

/// ONNX Runtime's own product on the model's shapes, by every worker at once.
pub(super) fn multiply(config: &Config) -> Result<BenchPartJson, Failure> {
    let began = Instant::now();
    let rate = product_rate(config, PRODUCTS)?;
    Ok(BenchPartJson {
        seconds: began.elapsed().as_secs_f64(),
        gflops: Some(rate / 1e9),
        ..BenchPartJson::default()
    })
}
