//! The keys that only `[agent]` has: budgets of native work, and the size of an answer.

use super::call::{pair, times};
use super::{expect, guests, of_kind};
use crate::attack::Guest;
use crate::attack::imports::{EMBED, READ, SEARCH_TEXT, SEARCH_VECTOR, VECTOR_OF};
use crate::error::Blame;
use crate::plugin::PluginKind::Agent;
use crate::prove::attack::{Attack, Expected, Pair, Target};
use crate::task::Reason;

/// What a call gave is not needed: the next one may use its memory.
const FORGET: &str = "(global.set $heap (i32.const 8192))";

pub(super) fn attacks() -> Vec<Attack> {
    let denied = Expected::Denied;
    vec![
        guests(
            "agent.embed_tokens_max",
            "has one text after another embedded",
            denied,
            4_096,
            embed_tokens,
        ),
        guests(
            "agent.searches_max",
            "searches again and again",
            denied,
            1_024,
            searches,
        ),
        guests(
            "agent.vectors_scanned_max",
            "has every vector compared, again and again (generated corpus)",
            denied,
            20_000,
            vectors_scanned,
        ),
        guests(
            "agent.read_kib_max",
            "reads the same 1 KiB again and again",
            denied,
            4_096,
            read,
        ),
        guests(
            "agent.passages_max",
            "cites more passages than allowed",
            expect(Reason::Passages, Blame::Guest),
            1_000,
            passages,
        ),
    ]
}

/// As many calls as the budget covers, and three more than that.
fn calls(imports: &str, covered: u64, call: &str) -> Pair {
    let call = format!("{FORGET} {call}");
    pair(
        Agent,
        imports,
        &times(covered + 3, &call),
        &times(covered, &call),
    )
}

/// Texts of 256 tokens, or of fewer where the budget is small: words of one token and two special ones.
fn embed_tokens(target: &Target) -> Pair {
    let tokens = (target.limit() / 8).clamp(3, 256);
    let words = "a ".repeat(usize::try_from(tokens - 2).unwrap_or(0));
    let call = format!(
        "(call $embed (i32.const 4096) (i32.const {}) (i32.const 256))",
        words.len()
    );
    let mut pair = calls(EMBED, target.limit() / tokens, &call);
    for guest in [&mut pair.over, &mut pair.under] {
        guest.fields = format!(r#"(data (i32.const 4096) "{words}")"#);
    }
    pair
}

fn searches(target: &Target) -> Pair {
    let call = "(call $search_text (i32.const 4096) (i32.const 5) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))";
    let mut pair = calls(SEARCH_TEXT, target.limit(), call);
    for guest in [&mut pair.over, &mut pair.under] {
        guest.fields = r#"(data (i32.const 4096) "apple")"#.to_owned();
    }
    pair
}

/// Each search compares every vector of the corpus.
fn vectors_scanned(target: &Target) -> Pair {
    let imports = format!("{VECTOR_OF}{SEARCH_VECTOR}");
    let search = "(call $search_vector (i32.load (i32.const 260)) (i32.const 5)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 512))";
    let mut pair = calls(&imports, target.limit() / target.corpus, search);
    for guest in [&mut pair.over, &mut pair.under] {
        *guest = guest
            .clone()
            .first("(call $vector_of (i64.const 1) (i32.const 256))");
    }
    pair
}

/// Chunk 1 has 1 KiB of text.
fn read(target: &Target) -> Pair {
    let call = "(i64.store (i32.const 200) (i64.const 1))
        (call $read (i32.const 200) (i32.const 1) (i32.const 256))";
    calls(READ, target.limit(), call)
}

fn passages(target: &Target) -> Pair {
    Pair {
        over: citing(target.limit() + 1),
        under: citing(target.limit()),
        text: String::new(),
    }
}

/// Reads chunks 1 to `count`, and cites each.
fn citing(count: u64) -> Guest {
    let body = format!(
        "(loop
            {FORGET}
            (global.set $chunk (i64.extend_i32_u (i32.add (local.get $i) (i32.const 1))))
            (i64.store (i32.const 200) (global.get $chunk))
            (call $read (i32.const 200) (i32.const 1) (i32.const 256))
            (local.set $n (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 24))))
            (i64.store (local.get $n) (global.get $chunk))
            (f32.store offset=8 (local.get $n) (f32.const 0.5))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const {count}))))
        (i32.store (i32.const 36) (i32.const 65536))
        (i32.store (i32.const 40) (i32.const {count}))
        (i32.const 32)"
    );
    let mut guest = of_kind(Agent, READ, &body).with("(global $chunk (mut i64) (i64.const 0))");
    guest.pages = u32::try_from(count * 24 / 65_536 + 2).unwrap_or(u32::MAX);
    guest
}
