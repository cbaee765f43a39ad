//! A flood of one tenant's texts, and what becomes of another's: attacks for the run without guards.

use super::super::tokens::Tokens;
use super::*;
use tokio_util::sync::CancellationToken;

/// What a turn in the queue is measured in.
const BATCH: usize = 256;

/// Offers texts of 32 tokens each; how many there was room for. The answers' ends are kept in `waiting`.
fn offer(
    queue: &mut Queue,
    lane: &Lane,
    texts: usize,
    waiting: &mut Vec<tokio::sync::oneshot::Receiver<batch::Answer>>,
) -> usize {
    let call = waiting.len() as u64;
    let mut items = VecDeque::new();
    for _ in 0..texts {
        let (item, answer) = Item::new(call, Tokens::fake(32), lane.cancel.clone());
        items.push_back(item);
        waiting.push(answer);
    }
    queue.offer(lane, call, &mut items);
    texts - items.len()
}

fn lane(tenant: &str) -> Lane {
    Lane {
        tenant: TenantId::new(tenant).unwrap(),
        share: 1,
        priority: Priority::Bulk,
        cancel: CancellationToken::new(),
    }
}

/// Whether a text that came after a flood leaves before half of the flood did.
pub(crate) fn a_late_text_goes_early() -> bool {
    let mut queue = Queue::new(BATCH, 1_000_000);
    let mut waiting = vec![];
    let flood = offer(&mut queue, &lane("flood"), 2_000, &mut waiting);
    let late = waiting.len() as u64;
    offer(&mut queue, &lane("late"), 1, &mut waiting);
    let mut gone = 0;
    while let Some(batch) = queue.take(Draw::Any) {
        if batch.iter().any(|item| item.call() == late) {
            return gone < flood / 2;
        }
        gone += batch.len();
    }
    false
}

/// Whether there is room for a text after one tenant has offered more than the queue holds.
pub(crate) fn a_late_text_finds_room() -> bool {
    let mut queue = Queue::new(BATCH, 100_000);
    let mut waiting = vec![];
    offer(&mut queue, &lane("flood"), 10_000, &mut waiting);
    offer(&mut queue, &lane("late"), 1, &mut waiting) == 1
}
