//! What tenants of different shares get of the embedder while all of them wait for it: tokens embedded for each
//! within one window of time.

use crate::api::{FairnessShareJson, round};
use crate::cli::bench::workload::Words;
use crate::corpus::TenantId;
use crate::embedder::{Embedder, Lane, Priority, Tokens};
use crate::error::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The tenants' shares.
const SHARES: [u32; 3] = [1, 2, 4];

/// Texts of each tenant that wait at any time: far more than a batch takes, so that nobody's turn ever finds
/// nothing.
const WAITING: usize = 400;

/// Different texts, and words of each: about a chunk.
const TEXTS: usize = 64;
const WORDS: usize = 90;

/// Before the window begins: everybody waits by then, and the first texts of an empty queue are through.
const SETTLE: Duration = Duration::from_secs(2);

/// Serves three tenants for `wanted`; nothing where it is interrupted before.
pub(super) async fn measure(
    embedder: &Embedder,
    wanted: Duration,
    interrupt: &CancellationToken,
) -> Result<Vec<FairnessShareJson>, Failure> {
    let texts = Words::new(7).texts(TEXTS, WORDS);
    let texts: Arc<Vec<Tokens>> =
        Arc::new(texts.iter().map(|text| embedder.tokenize(text)).collect());
    let end = CancellationToken::new();
    let mut running = JoinSet::new();
    let mut served = vec![];
    for share in SHARES {
        let count = Arc::new(AtomicU64::new(0));
        let lane = Lane {
            tenant: TenantId::new(&format!("share-{share}"))?,
            share,
            priority: Priority::Bulk,
            cancel: end.clone(),
        };
        for number in 0..WAITING {
            let (embedder, lane) = (embedder.clone(), lane.clone());
            let (texts, count) = (texts.clone(), count.clone());
            running.spawn(async move {
                for turn in 0.. {
                    let text = texts[(number + turn) % texts.len()].clone();
                    let tokens = text.len() as u64;
                    if embedder.embed(&lane, vec![text]).await.is_err() {
                        return;
                    }
                    count.fetch_add(tokens, Relaxed);
                }
            });
        }
        served.push((share, count));
    }
    let read = || -> Vec<u64> {
        served
            .iter()
            .map(|(_, count)| count.load(Relaxed))
            .collect()
    };
    let whole = tokio::select! {
        () = interrupt.cancelled() => None,
        between = window(wanted, &read) => Some(between),
    };
    end.cancel();
    while running.join_next().await.is_some() {}
    Ok(whole.map_or_else(Vec::new, |tokens| parts(&tokens)))
}

async fn window(wanted: Duration, read: &impl Fn() -> Vec<u64>) -> Vec<u64> {
    tokio::time::sleep(SETTLE).await;
    let before = read();
    tokio::time::sleep(wanted).await;
    let after = read().into_iter();
    after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect()
}

fn parts(tokens: &[u64]) -> Vec<FairnessShareJson> {
    let all = tokens.iter().sum::<u64>().max(1) as f64;
    let shares = f64::from(SHARES.iter().sum::<u32>());
    let part = |(&share, &tokens): (&u32, &u64)| {
        let (part, promised) = (tokens as f64 / all, f64::from(share) / shares);
        FairnessShareJson {
            share,
            tokens,
            part: round(part, 4),
            promised: round(promised, 4),
            deviation: round(part / promised - 1.0, 4),
        }
    };
    SHARES.iter().zip(tokens).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_compared_with_what_shares_promise() {
        let parts = parts(&[1_000, 2_000, 4_000]);
        assert!(parts.iter().all(|part| part.deviation.abs() < 1e-3));
        let parts = super::parts(&[2_000, 2_000, 3_000]);
        assert_eq!((parts[0].deviation, parts[2].deviation), (1.0, -0.25));
    }
}
