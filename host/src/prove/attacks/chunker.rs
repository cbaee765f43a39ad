//! The keys that only `[chunker]` has: what a list of chunks may be.

use super::{ANY, expect, guests};
use crate::attack::Guest;
use crate::error::Blame;
use crate::prove::attack::{Attack, Pair, Target};
use crate::task::Reason;

pub(super) fn attacks() -> Vec<Attack> {
    let stop = |reason| expect(reason, Blame::Guest);
    vec![
        guests(
            "chunker.chunks_max",
            "cuts a text into more chunks than allowed, one byte each",
            stop(Reason::Chunks),
            ANY,
            chunks,
        ),
        guests(
            "chunker.overlap_ratio_max",
            "gives the whole text again and again",
            stop(Reason::OverlapRatio),
            ANY,
            overlap_ratio,
        ),
    ]
}

fn chunks(target: &Target) -> Pair {
    let limit = target.limit();
    let text = "x".repeat(usize::try_from(limit + 1).unwrap_or(usize::MAX));
    Pair {
        over: covering(text.len(), limit + 1, 1),
        under: covering(text.len(), limit, 1),
        text,
    }
}

/// Chunks that begin one byte after another and all reach to the text's end, as long as bytes are left.
fn overlap_ratio(target: &Target) -> Pair {
    let text = "x".repeat(100_000);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a ratio is positive and at most 100"
    )]
    let bytes = (target.ratio() * 1e5).floor() as u64;
    Pair {
        over: covering(text.len(), bytes + 1, text.len()),
        under: covering(text.len(), bytes, text.len()),
        text,
    }
}

/// Chunks that begin at byte 0, 1, 2 and so on, each as long as it can be but at most `longest`, until they
/// have covered `bytes` together.
fn covering(text: usize, bytes: u64, longest: usize) -> Guest {
    // The list stands behind the text, which the host puts where the heap begins.
    let list = (text + 8_192).next_multiple_of(65_536);
    let chunks = if longest == 1 { bytes } else { 128 };
    let body = format!(
        "(local.set $n (i32.const {bytes}))                     ;; bytes still to cover
        (loop
            (global.set $size (i32.sub (local.get 7) (local.get $i)))
            (if (i32.gt_u (global.get $size) (i32.const {longest}))
                (then (global.set $size (i32.const {longest}))))
            (if (i32.gt_u (global.get $size) (local.get $n))
                (then (global.set $size (local.get $n))))
            (global.set $at (i32.add (i32.const {list}) (i32.mul (local.get $i) (i32.const 16))))
            (i32.store (global.get $at) (local.get $i))
            (i32.store offset=4 (global.get $at) (i32.add (local.get $i) (global.get $size)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (global.get $size)))))
        (i32.store (i32.const 36) (i32.const {list}))
        (i32.store (i32.const 40) (local.get $i))
        (i32.const 32)"
    );
    let mut guest = Guest::chunker(&body)
        .with("(global $size (mut i32) (i32.const 0)) (global $at (mut i32) (i32.const 0))");
    let end = list as u64 + chunks * 16;
    guest.pages = u32::try_from(end / 65_536 + 2).unwrap_or(u32::MAX);
    guest
}
