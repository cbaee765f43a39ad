//! What the embedder is measured against: ONNX Runtime's own product on the model's shapes, and batches formed
//! without a model. For benchmarks; nothing that serves anybody runs it.

use super::batch::Item;
use super::error::EmbedderError;
use super::onnx;
use super::product::Product;
use super::queue::{Draw, Queue};
use super::runtime;
use super::{Lane, Tokens};
use crate::config::Config;
use std::collections::VecDeque;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Floating-point operations of the model for one token of a text of ordinary length, in millions.
pub const MFLOP_PER_TOKEN: f64 = 23.0;

/// Rows, inner dimension and columns of the product that is measured: a batch of 256 tokens by the model's
/// largest weights.
pub const PRODUCT: [usize; 3] = [256, 384, 1_536];

/// The rate of ONNX Runtime's own matrix product of [`PRODUCT`], in floating-point operations a second, by
/// `config.embed_workers` threads at once for about `duration`, with a session each as the embedder has.
/// Fails where the library cannot be loaded.
pub fn product_rate(config: &Config, duration: Duration) -> Result<f64, EmbedderError> {
    let environment = runtime::load(&config.onnxruntime)?;
    let graph = onnx::product(PRODUCT);
    let workers = config.embed_workers;
    let products = (0..workers).map(|_| Product::new(&environment, &graph, PRODUCT));
    let mut products = products.collect::<Result<Vec<_>, _>>()?;
    // The first of each is not measured, and fails where others would.
    products.iter_mut().try_for_each(Product::run)?;
    let start = Arc::new(Barrier::new(workers));
    let rates = std::thread::scope(|scope| {
        let threads = products.into_iter().map(|product| {
            let start = Arc::clone(&start);
            scope.spawn(move || rate(product, &start, duration))
        });
        let threads: Vec<_> = threads.collect();
        let rates = threads.into_iter().map(super::joined);
        rates.collect::<Result<Vec<f64>, EmbedderError>>()
    })?;
    Ok(rates.into_iter().sum())
}

/// One thread's rate.
fn rate(mut product: Product, start: &Barrier, duration: Duration) -> Result<f64, EmbedderError> {
    start.wait();
    let (began, mut products) = (Instant::now(), 0u32);
    while began.elapsed() < duration {
        product.run()?;
        products += 1;
    }
    let operations = 2.0 * PRODUCT.iter().map(|&n| n as f64).product::<f64>();
    Ok(f64::from(products) * operations / began.elapsed().as_secs_f64())
}

/// Queues these calls and takes batches of about `batch_tokens` tokens until nothing waits: how many batches it
/// were. What is formed is thrown away.
pub fn form_batches(calls: Vec<(Lane, Vec<Tokens>)>, batch_tokens: usize) -> usize {
    let tokens = |(_, texts): &(Lane, Vec<Tokens>)| texts.iter().map(Tokens::len).sum::<usize>();
    let all: usize = calls.iter().map(tokens).sum();
    // A class's part and a tenant's part of it must both hold everything.
    let mut queue = Queue::new(batch_tokens, 16 * all.max(batch_tokens));
    let mut answers = Vec::new();
    for (number, (lane, texts)) in (0u64..).zip(calls) {
        let items = texts
            .into_iter()
            .map(|text| Item::new(number, text, lane.cancel.clone()));
        let (mut items, wait): (VecDeque<Item>, Vec<_>) = items.unzip();
        // An item that nobody waits for would be dropped.
        answers.push(wait);
        queue.offer(&lane, number, &mut items);
    }
    std::iter::from_fn(|| queue.take(Draw::Any)).count()
}
