//! The keys of `[ingest]`: what one document may be.

use super::flood;
use crate::attack::Guest;
use crate::attack::WHOLE_TEXT;
use crate::error::Failure;
use crate::prove::attack::{Attack, Sides, Target, side};
use crate::prove::ground::{Ground, PIECES, filler};
use crate::runtime::IngestReport;
use std::time::Instant;

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        flood(
            "ingest.document_kib_max",
            "brings a document larger than allowed",
            "refused: document-too-large",
            4_096,
            |ground, target| Box::pin(document(ground, target)),
        ),
        flood(
            "ingest.embed_tokens_max",
            "brings a document with more tokens than allowed (generated)",
            "stop embed-tokens (limit)",
            2_048,
            |ground, target| Box::pin(embed_tokens(ground, target)),
        ),
    ]
}

/// The document becomes one chunk, so that only its size counts.
async fn document(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("large", &target.alone(&[])?)?;
    ground
        .use_chunker(&tenant, &Guest::chunker(WHOLE_TEXT))
        .await?;
    let bytes = usize::try_from(target.limit()).unwrap_or(usize::MAX) * 1024;
    let began = Instant::now();
    let large = ground
        .ingest(&tenant, "large", &[filler(0, bytes + 1024)])
        .await?;
    let free = Some(began.elapsed());
    let fits = ground
        .ingest(&tenant, "fits", &[filler(0, bytes - 512)])
        .await?;
    let over = one_failed(&large, "document-too-large");
    Ok(Sides {
        over,
        under: one_added(&fits),
        free,
    })
}

/// Pieces of 2 KiB: each has more than 256 tokens, of which the model reads 256.
async fn embed_tokens(ground: &Ground, target: &Target) -> Result<Sides, Failure> {
    let tenant = ground.tenant("tokens", &target.alone(&[])?)?;
    ground.use_chunker(&tenant, &Guest::chunker(PIECES)).await?;
    let pieces = usize::try_from(target.limit() / 256).unwrap_or(usize::MAX);
    let began = Instant::now();
    let many = ground
        .ingest(&tenant, "many", &[filler(0, (pieces + 1) * 2048)])
        .await?;
    let free = Some(began.elapsed());
    let text = match pieces {
        0 => "a".to_owned(),
        pieces => filler(1, pieces * 2048),
    };
    let few = ground.ingest(&tenant, "few", &[text]).await?;
    let over = one_failed(&many, "embed-tokens");
    let mut under = one_added(&few);
    under.used = Some(crate::task::count(few.tokens));
    Ok(Sides { over, under, free })
}

/// The one document failed, with this code or for this reason of a stop.
fn one_failed(report: &IngestReport, word: &str) -> crate::prove::attack::Side {
    let Some(failed) = report.failures.first() else {
        return side(false, "it got in".to_owned(), None);
    };
    let failure = &failed.failure;
    let stop = failure.stop.as_deref();
    let reason = stop.and_then(|stop| stop["reason"].as_str());
    let used = stop.and_then(|stop| stop["used"].as_f64());
    match reason {
        Some(reason) if reason == word => {
            let got = format!("stop {reason} ({})", failure.blame);
            side(report.added == 0, got, used)
        }
        None if failure.code == word => side(report.added == 0, format!("refused: {word}"), None),
        _ => side(false, failure.message.clone(), used),
    }
}

fn one_added(report: &IngestReport) -> crate::prove::attack::Side {
    let failed = report.failures.first();
    let got = failed.map_or_else(|| "got in".to_owned(), |f| f.failure.message.clone());
    side(report.added == 1 && report.failed == 0, got, None)
}
