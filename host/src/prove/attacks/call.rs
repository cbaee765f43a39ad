//! The keys that every guest call has: `[chunker]` and `[agent]` alike.

use super::{both, expect, of_kind};
use crate::attack::Guest;
use crate::attack::imports::{BUDGET, EMBED, ENDS, LOG, VECTOR_OF};
use crate::error::Blame::{Guest as Guilty, Limit};
use crate::plugin::PluginKind;
use crate::prove::attack::{Attack, Expected, Pair, Target};
use crate::task::Reason;

const STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))"#;

/// A record of `budget` at 512: what is left of guest CPU and of wall time, in ms.
const CPU_LEFT: &str = "(i64.load offset=8 (i32.const 512))";
const WALL_LEFT: &str = "(i64.load offset=16 (i32.const 512))";

pub(super) fn attacks() -> Vec<Attack> {
    let stop = |reason| expect(reason, Guilty);
    let (fuels, cpus) = (stop(Reason::Fuel), stop(Reason::Cpu));
    let walls = Expected::Stop(Reason::Wall, Limit);
    let (memories, handful) = (stop(Reason::Memory), stop(Reason::Handles));
    let (crossed, answered) = (stop(Reason::Boundary), stop(Reason::Output));
    let called = stop(Reason::HostCalls);
    [
        both("fuel_max", "counts without end", fuels, 2_000_000_000, fuel),
        both(
            "cpu_ms_max",
            "spins, with fuel for an hour",
            cpus,
            10_000,
            cpu,
        ),
        both(
            "wall_ms_max",
            "waits in one host call after another",
            walls,
            10_000,
            wall,
        ),
        both(
            "memory_mib_max",
            "grows its memory page by page",
            memories,
            512,
            memory,
        ),
        both(
            "handles_max",
            "takes handles and drops none",
            handful,
            10_000,
            handles,
        ),
        both(
            "boundary_kib_max",
            "hands over large strings",
            crossed,
            65_536,
            boundary,
        ),
        both(
            "output_kib_max",
            "answers with one huge string",
            answered,
            16_384,
            output,
        ),
        both(
            "log_kib_max",
            "logs four times what is kept",
            Expected::Cut,
            65_536,
            log,
        ),
        both(
            "host_calls_max",
            "calls the host without end",
            called,
            1_000_000,
            host_calls,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Each turn costs five instructions, so a fifth of the limit is just obeyed.
fn fuel(target: &Target) -> Pair {
    let turns = (target.limit() / 5).saturating_sub(1_000).max(1);
    pair(
        target.kind,
        "",
        "(loop (br 0)) (i32.const 32)",
        &turning(turns),
    )
}

/// Turns of five instructions each.
fn turning(turns: u64) -> String {
    // A loop counts to 2^31 at most: two nested ones reach every limit.
    let (outer, inner) = (turns / 1_000_000, turns % 1_000_000);
    let mut body = String::new();
    if inner > 0 {
        body.push_str(&format!(
            "(local.set $i (i32.const {inner}))
            (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
        ));
    }
    if outer > 0 {
        body.push_str(&format!(
            "(local.set $n (i32.const {outer}))
            (loop
                (local.set $i (i32.const 999990))
                (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
                (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))"
        ));
    }
    body.push_str("(i32.const 32)");
    body
}

/// Spins for ever, or until three tenths of its CPU time are left.
fn cpu(target: &Target) -> Pair {
    let left = target.limit() * 3 / 10;
    let obeying = format!(
        "(loop
            (local.set $i (i32.const 100000))
            (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
            (call $budget (i32.const 512))
            (br_if 0 (i64.gt_u {CPU_LEFT} (i64.const {left}))))
        (i32.const 32)"
    );
    pair(
        target.kind,
        BUDGET,
        "(loop (br 0)) (i32.const 32)",
        &obeying,
    )
}

/// Waits for ever, or until three tenths of its time are left: a chunker for tokens, an agent for vectors.
fn wall(target: &Target) -> Pair {
    let (import, call) = match target.kind {
        PluginKind::Chunker => (
            ENDS,
            "(call $ends (local.get 6) (local.get 7) (i32.const 256))",
        ),
        PluginKind::Agent => (
            EMBED,
            "(call $embed (i32.const 700) (i32.const 16) (i32.const 256))",
        ),
    };
    let left = target.limit() * 3 / 10;
    let body = |again: &str| {
        format!(
            "(local.set $n (global.get $heap))
            (loop
                (global.set $heap (local.get $n))       ;; what the last call gave is not needed
                {call}
                (call $budget (i32.const 512))
                {again})
            (i32.const 32)"
        )
    };
    let until = format!("(br_if 0 (i64.gt_u {WALL_LEFT} (i64.const {left})))");
    let imports = format!("{import}{BUDGET}");
    let mut pair = pair(target.kind, &imports, &body("(br 0)"), &body(&until));
    pair.text = "word ".repeat(13_000);
    pair
}

/// One page after another, each touched; or exactly as many as there may be.
fn memory(target: &Target) -> Pair {
    let touch = "(i32.store
        (i32.mul (i32.sub (memory.size) (i32.const 1)) (i32.const 65536)) (i32.const 1))";
    let grabbing =
        format!("(loop (drop (memory.grow (i32.const 1))) {touch} (br 0)) (i32.const 32)");
    let pages = target.limit() * 16;
    let obeying = format!(
        "(drop (memory.grow (i32.sub (i32.const {pages}) (memory.size)))) {touch} (i32.const 32)"
    );
    pair(target.kind, "", &grabbing, &obeying)
}

/// An agent's handles are vectors. A chunker has none of its own; those of the system interface count too.
fn handles(target: &Target) -> Pair {
    let (imports, take) = match target.kind {
        PluginKind::Agent => (VECTOR_OF, "(call $vector_of (i64.const 1) (i32.const 256))"),
        PluginKind::Chunker => (STDOUT, "(drop (call $stdout))"),
    };
    let taking = format!("(loop {take} (br 0)) (i32.const 32)");
    let mut pair = pair(target.kind, imports, &taking, &times(target.limit(), take));
    for guest in [&mut pair.over, &mut pair.under] {
        guest.wasi = target.kind == PluginKind::Chunker;
    }
    pair
}

/// Sixteen strings fill the limit: fifteen obey it.
fn boundary(target: &Target) -> Pair {
    let bytes = target.limit() * 1024 / 16;
    let say = format!("(call $log (i32.const 1) (i32.const 0) (i32.const {bytes}))");
    let saying = format!("(loop {say} (br 0)) (i32.const 32)");
    let pair = pair(target.kind, LOG, &saying, &times(15, &say));
    with_room(pair, bytes)
}

/// A chunk with one long label, or a long sentence of what is missing.
fn output(target: &Target) -> Pair {
    let limit = target.limit() * 1024;
    let body = |bytes: u64| {
        match target.kind {
        PluginKind::Chunker => format!(
            "(i32.store (i32.const 36) (i32.const 64)) (i32.store (i32.const 40) (i32.const 1))
            (i32.store offset=4 (i32.const 64) (local.get 7))           ;; all of the text
            (i32.store offset=8 (i32.const 64) (i32.const 96))          ;; the labels' address
            (i32.store offset=12 (i32.const 64) (i32.const 1))
            (i32.store offset=8 (i32.const 96) (i32.const 65536))       ;; the value
            (i32.store offset=12 (i32.const 96) (i32.const {bytes}))
            (i32.const 32)"
        ),
        PluginKind::Agent => format!(
            "(i32.store (i32.const 44) (i32.const 64)) (i32.store (i32.const 48) (i32.const 1))
            (i32.store (i32.const 64) (i32.const 65536)) (i32.store (i32.const 68) (i32.const {bytes}))
            (i32.const 32)"
        ),
    }
    };
    let pair = pair(target.kind, "", &body(limit), &body(limit - 1024));
    with_room(pair, limit)
}

/// Records of 1 KiB: of control characters, which grow when they are written down, and of plain ones.
fn log(target: &Target) -> Pair {
    let say = |from: u32| format!("(call $log (i32.const 1) (i32.const {from}) (i32.const 1024))");
    let over = times(target.limit() * 4, &say(0));
    let mut pair = pair(target.kind, LOG, &over, &times(target.limit(), &say(8_192)));
    pair.under.fields = format!(r#"(data (i32.const 8192) "{}")"#, "x".repeat(1_024));
    pair
}

fn host_calls(target: &Target) -> Pair {
    let call = "(call $log (i32.const 0) (i32.const 0) (i32.const 0))";
    let calling = format!("(loop {call} (br 0)) (i32.const 32)");
    pair(target.kind, LOG, &calling, &times(target.limit(), call))
}

/// The same call so many times.
pub(super) fn times(count: u64, call: &str) -> String {
    if count == 0 {
        return "(i32.const 32)".to_owned();
    }
    format!(
        "(local.set $i (i32.const {count}))
        (loop
            {call}
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)"
    )
}

/// Two guests of these bodies, on a short text.
pub(super) fn pair(kind: PluginKind, imports: &str, over: &str, under: &str) -> Pair {
    Pair {
        over: of_kind(kind, imports, over),
        under: of_kind(kind, imports, under),
        text: "Some text.".to_owned(),
    }
}

/// With memory for a string of so many bytes.
fn with_room(mut pair: Pair, bytes: u64) -> Pair {
    let grow = |guest: &mut Guest| {
        guest.pages = u32::try_from(bytes / 65_536 + 3).unwrap_or(u32::MAX);
    };
    grow(&mut pair.over);
    grow(&mut pair.under);
    pair
}
