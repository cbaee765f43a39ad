//! The same plugin, input and policy, again and again: the same chunks and the same fuel.

use super::Bench;
use super::starts::{Builtin, text};
use crate::api::BenchDeterminismJson;
use crate::attack::{Busy, Load};
use crate::corpus::Chunk;
use crate::error::Failure;
use crate::task::Kind;

const RUNS: usize = 100;

/// Characters of the document: some dozens of chunks.
const DOCUMENT: usize = 50_000;

pub(super) async fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let stage = bench.stage.clone();
    let builtin = Builtin::recursive(&stage).await?;
    let text = text(DOCUMENT);
    let mut first: Option<(Vec<Chunk>, u64)> = None;
    for load in Load::ALL {
        bench.say(format!("the same call again ({})", load.as_str()));
        let _busy = Busy::begin(&stage, load).await?;
        let (mut runs, mut differences) = (0, 0);
        while runs < RUNS && !bench.interrupted() {
            let task = stage.task(Kind::Ingest, &builtin.policy);
            let call = stage.chunk(&builtin.chunker, &task, &text, &builtin.options);
            let run = (call.await?, task.meters.fuel());
            differences += usize::from(first.as_ref().is_some_and(|first| *first != run));
            first.get_or_insert(run);
            runs += 1;
        }
        let Some((chunks, fuel)) = &first else {
            return Ok(());
        };
        bench.progress.inc(1);
        bench.said.determinism.push(BenchDeterminismJson {
            load: load.as_str(),
            runs,
            differences,
            fuel: *fuel,
            chunks: chunks.len(),
        });
    }
    Ok(())
}
