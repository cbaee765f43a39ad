//! Attacks by a chunker: on time, memory, the boundary, and by what it returns.

use super::{Arena, Attack, Outcome, ended};
use crate::attack::Guest;
use crate::attack::imports::LOG;
use crate::guard::Guard;
use crate::task::{Phase, Reason};
use std::time::Duration;

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = running();
    all.extend(boundary());
    all.extend(results());
    all
}

fn running() -> Vec<Attack> {
    vec![
        Attack {
            name: "instructions",
            what: "a loop of a hundred times the instructions allowed",
            against: &[Guard::Fuel],
            run: |arena| ended(arena.chunk(&turning(1_000_000), "[chunker]\nfuel_max = 100_000")),
        },
        Attack {
            name: "start-function",
            what: "the same in a start function, before the call",
            against: &[Guard::Fuel],
            run: |arena| {
                let turns = "(func $begin (local $i i32) (local.set $i (i32.const 1000000))
                    (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1))))))
                    (start $begin)";
                let guest = Guest::chunker("(i32.const 32)").with(turns);
                ended(arena.chunk(&guest, "[chunker]\nfuel_max = 100_000"))
            },
        },
        Attack {
            name: "processor",
            what: "a loop of many times the CPU time allowed, within its instructions",
            against: &[Guard::GuestCpu],
            run: |arena| {
                let lines = "[chunker]\ncpu_ms_max = 1\nwall_ms_max = 600_000\nfuel_max = 1_000_000_000_000";
                ended(arena.chunk(&turning(100_000_000), lines))
            },
        },
        Attack {
            name: "unkillable",
            what: "a loop that goes on after its task was killed, until its instructions end",
            against: &[Guard::Epoch, Guard::FuelYield],
            run: unkillable,
        },
        Attack {
            name: "recursion",
            what: "recursion without end, in order to overflow the host's stack and end the process",
            against: &[Guard::Stack],
            run: |arena| {
                let deep = "(func $deep (param i32) (result i32) (i32.add (local.get 0)
                    (call $deep (i32.add (local.get 0) (i32.const 1)))))";
                let guest = Guest::chunker("(call $deep (i32.const 1)) drop (i32.const 32)");
                ended(arena.chunk(&guest.with(deep), ""))
            },
        },
        Attack {
            name: "memory",
            what: "a memory that grows beyond the limit",
            against: &[Guard::MemorySum],
            run: |arena| {
                let grow = "(if (i32.eq (memory.grow (i32.const 200)) (i32.const -1))
                    (then unreachable)) (i32.const 32)";
                ended(arena.chunk(&Guest::chunker(grow), "[chunker]\nmemory_mib_max = 4"))
            },
        },
        Attack {
            name: "tables",
            what: "a table that grows beyond the limit of memory",
            against: &[Guard::MemorySum],
            run: |arena| {
                let grow = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 1000000))
                    (i32.const -1)) (then unreachable)) (i32.const 32)";
                let guest = Guest::chunker(grow).with("(table $t 1 funcref)");
                ended(arena.chunk(&guest, "[chunker]\nmemory_mib_max = 4"))
            },
        },
    ]
}

fn boundary() -> Vec<Attack> {
    vec![
        Attack {
            name: "host-calls",
            what: "ten times the host calls allowed",
            against: &[Guard::HostCalls],
            run: |arena| ended(arena.chunk(&logging(100, 16), "[chunker]\nhost_calls_max = 10")),
        },
        Attack {
            name: "large-argument",
            what: "one argument of ten times the bytes that may cross the boundary",
            against: &[Guard::HostcallFuel, Guard::Boundary],
            run: |arena| ended(arena.chunk(&logging(1, 640 << 10), NARROW)),
        },
        Attack {
            name: "many-arguments",
            what: "small arguments, together ten times the bytes that may cross the boundary",
            against: &[Guard::HostcallFuel, Guard::Boundary],
            run: |arena| ended(arena.chunk(&logging(640, 1 << 10), NARROW)),
        },
        Attack {
            name: "large-result",
            what: "a result larger than allowed",
            against: &[Guard::HostcallFuel, Guard::Output],
            run: |arena| {
                let labelled = format!(
                    "{ONE_BYTE_EACH}
                    (i32.store offset=8 (local.get $i) (i32.const 512))
                    (i32.store offset=12 (local.get $i) (i32.const 1))
                    (i32.store (i32.const 520) (i32.const 4096))
                    (i32.store (i32.const 524) (i32.const 4096))"
                );
                let lines = "[chunker]\noutput_kib_max = 32";
                ended(arena.chunk(&listing(50, &labelled), lines))
            },
        },
    ]
}

fn results() -> Vec<Attack> {
    vec![
        Attack {
            name: "chunks",
            what: "more chunks than allowed",
            against: &[Guard::Chunks],
            run: |arena| {
                ended(arena.chunk(&listing(50, ONE_BYTE_EACH), "[chunker]\nchunks_max = 10"))
            },
        },
        Attack {
            name: "overlap",
            what: "chunks that repeat the document 25 times",
            against: &[Guard::OverlapRatio],
            run: |arena| {
                let growing = "(i32.store (local.get $i) (i32.const 0))
                    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";
                let lines = "[chunker]\noverlap_ratio_max = 4.0";
                ended(arena.chunk(&listing(50, growing), lines))
            },
        },
        Attack {
            name: "span",
            what: "a span that ends beyond the document",
            against: &[Guard::Spans],
            run: |arena| {
                let beyond = "(i32.store (local.get $i) (i32.const 0))
                    (i32.store offset=4 (local.get $i) (i32.const 99))";
                ended(arena.chunk(&listing(1, beyond), ""))
            },
        },
        Attack {
            name: "escape-sequences",
            what: "a refusal whose words would command the reader's terminal",
            against: &[Guard::ControlCharacters],
            run: |arena| {
                let refusing = r"(i32.store8 (i32.const 32) (i32.const 1))
                    (i32.store (i32.const 36) (i32.const 512)) (i32.store (i32.const 40) (i32.const 4))
                    (i32.const 32)";
                let guest = Guest::chunker(refusing).with(r#"(data (i32.const 512) "\1b[2J")"#);
                let stop = arena.chunk(&guest, "").unwrap_err();
                Outcome::of(stop.detail.contains('\u{1b}'), "escaped")
            },
        },
    ]
}

/// A kill that comes while the guest spins. Its instructions last for seconds; whoever used them all lived
/// on after the kill.
fn unkillable(arena: &Arena) -> Outcome {
    const FUEL: u64 = 3_000_000_000;
    let lines = format!("[chunker]\nfuel_max = {FUEL}\ncpu_ms_max = 60_000\nwall_ms_max = 60_000");
    let component = Guest::chunker("(loop (br 0)) unreachable").build().unwrap();
    let chunker = arena
        .stage
        .chunker(&component, crate::policy::Wasi::None)
        .unwrap();
    let task = arena
        .stage
        .task(crate::task::Kind::Ingest, &super::policy(&lines));
    let options = vec![];
    let killed = task.clone();
    let outcome = arena.executor.block_on(async {
        let kill = tokio::spawn(async move {
            while killed.phase() != Phase::Call {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            killed.end_with(Reason::Killed, "killed");
        });
        let outcome = arena.stage.chunk(&chunker, &task, "x", &options).await;
        kill.await.unwrap();
        outcome
    });
    match task.meters.fuel() >= FUEL {
        true => Outcome::Succeeds,
        false => ended(outcome),
    }
}

/// Room for 64 KiB to cross the boundary.
const NARROW: &str = "[ingest]\ndocument_kib_max = 64\n[chunker]\noutput_kib_max = 32\n\
                      log_kib_max = 16\nboundary_kib_max = 64";

const ONE_BYTE_EACH: &str = "(i32.store (local.get $i) (local.get $n))
    (i32.store offset=4 (local.get $i) (i32.add (local.get $n) (i32.const 1)))";

/// Turns a loop so many times and answers without chunks.
fn turning(turns: u32) -> Guest {
    Guest::chunker(&format!(
        "(local.set $i (i32.const {turns}))
        (loop (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)"
    ))
}

/// Writes `count` log records of so many bytes.
fn logging(count: u32, bytes: u32) -> Guest {
    let mut guest = Guest::chunker(&format!(
        "(local.set $i (i32.const {count}))
        (loop
            (call $log (i32.const 1) (i32.const 2048) (i32.const {bytes}))
            (br_if 0 (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
        (i32.const 32)"
    ));
    guest.pages = 12;
    guest.importing(LOG)
}

/// A result of `count` chunks whose fields are written by `write`, with `$i` as the chunk's address.
fn listing(count: u32, write: &str) -> Guest {
    let mut guest = Guest::chunker(&format!(
        "(local.set $i (i32.const 65536))
        (loop
            {write}
            (local.set $i (i32.add (local.get $i) (i32.const 16)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $n) (i32.const {count}))))
        (i32.store (i32.const 36) (i32.const 65536))
        (i32.store (i32.const 40) (i32.const {count}))
        (i32.const 32)"
    ));
    guest.pages = 2;
    guest
}
