//! Group M: memory.

use crate::support::guests::{self, Guest, WHOLE_TEXT};
use crate::support::process::{Held, alone};
use crate::support::stage::*;
use crate::support::{Bench, arg};
use stockade::attack::imports::{LOG, VECTOR_OF};
use stockade::task::Reason;

/// Sections of a component may follow in any order: `section` is added behind the rest.
pub fn with_section(component: &[u8], id: u8, contents: &[u8]) -> Vec<u8> {
    let mut all = component.to_vec();
    all.push(id);
    leb(&mut all, contents.len());
    all.extend_from_slice(contents);
    all
}

/// An unsigned number as WebAssembly writes it.
pub fn leb(out: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap();
        number >>= 7;
        if number == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// A chunker with `count` instances more of a module that has nothing but a memory of `pages`.
fn with_memories(pages: u32, count: usize) -> Vec<u8> {
    let plain = guests::chunker(WHOLE_TEXT);
    let module = wat::parse_str(format!("(module (memory {pages}))")).unwrap();
    let all = with_section(&plain, 1, &module);
    let mut instances = vec![];
    leb(&mut instances, count);
    for _ in 0..count {
        // Instantiate module 1: the chunker's own, which imports nothing, is module 0.
        instances.extend([0, 1, 0]);
    }
    with_section(&all, 2, &instances)
}

/// Grows until it is refused, then uses everything. Stop: `memory` in phase `call`; the host's memory is as before.
#[test]
fn m_01_the_hosts_memory_is_as_before_after_a_growth_bomb() {
    alone(
        "attacks::m_memory::m_01_the_hosts_memory_is_as_before_after_a_growth_bomb",
        || {
            let bomb = chunker_that(
                "(drop (memory.grow (i32.const 700)))
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 45000000))
                (loop (drop (memory.grow (i32.const 16))) (br 0))",
            );
            let explode = |times| {
                for _ in 0..times {
                    let (reason, _, phase) = stopped(chunk(&bomb, "", "x").0);
                    assert_eq!((reason, phase.as_str()), (Reason::Memory, "call"));
                }
            };
            explode(3);
            let before = Held::now();
            explode(10);
            let after = Held::now();
            let more = after.resident_kib.saturating_sub(before.resident_kib);
            assert!(more < 8 << 10, "{before:?} {after:?}");
        },
    );
}

/// Several memories, each under the limit, together over it. Stop: `memory` in phase `instantiate`. More instances than
/// an honest plugin has: refused unread.
#[test]
fn m_02_memories_under_the_limit_each_are_summed() {
    let four = with_memories(16, 4);
    assert!(chunk(&four, "[chunker]\nmemory_mib_max = 5", "x").0.is_ok());
    let (outcome, _) = chunk(&four, "[chunker]\nmemory_mib_max = 4", "x");
    let (reason, _, phase) = stopped(outcome);
    assert_eq!((reason, phase.as_str()), (Reason::Memory, "instantiate"));
    let refused = stage().chunker(&with_memories(1, 8), policy("").wasi);
    let message = refused.unwrap_err().message;
    assert!(message.contains("9; the limit is 8"), "{message}");
}

/// Declares 4 GiB of memory, or ten million table elements. At the upload check: the memory is stopped by `memory` in
/// phase `instantiate`, the table is refused unread, since compiling it would cost more than running it.
#[test]
fn m_03_a_huge_declared_minimum_is_stopped_at_the_upload_check() {
    let bench = Bench::new();
    let mut memory = Guest::chunker("(i32.const 32)");
    memory.pages = 65_536;
    let table = Guest::chunker("(i32.const 32)").with("(table 10000000 funcref)");
    let cases = [
        (
            "memory",
            memory,
            ["memory in instantiate", "memory_mib_max 64"],
        ),
        ("table", table, ["10000000", "table places"]),
    ];
    for (name, guest, words) in cases {
        let file = bench.file(&format!("{name}.wasm"), guest.build().unwrap());
        bench.run(&["plugin", "check", arg(&file)]).fails(2, &words);
    }
}

/// Grows a table for ever. Stop: `memory` in phase `call`, since tables count as memory.
#[test]
fn m_04_a_table_bomb_is_stopped() {
    let guest = Guest::chunker(
        "(loop (drop (table.grow $t (ref.null func) (i32.const 1000))) (br 0)) unreachable",
    )
    .with("(table $t 1 funcref)");
    let (reason, _, phase) = stopped(chunk(&guest.build().unwrap(), "", "x").0);
    assert_eq!((reason, phase.as_str()), (Reason::Memory, "call"));
}

/// Collects vectors without letting one go. Stop: `handles` in the host call that would give one too many.
#[test]
fn m_09_a_handle_bomb_is_stopped() {
    let small = index(&["One text."]);
    let imports = VECTOR_OF;
    let bomb = agent_that(
        imports,
        "(loop (call $vector_of (i64.const 1) (i32.const 256)) (br 0))",
    );
    let (outcome, usage) = ask(&bomb, "[agent]\nhandles_max = 50", &small.index);
    let (reason, _, phase) = stopped(outcome);
    assert_eq!(
        (reason, phase.as_str()),
        (Reason::Handles, "host:vector-of")
    );
    assert!(usage.host_calls <= 51, "{usage:?}");
}

/// Hands over texts that are not in its memory, or no texts. Stop: `trap` in phase `call`, before the host function begins.
#[test]
fn m_10_pointers_out_of_bounds_and_invalid_text_are_traps() {
    let calls = [
        // Behind the memory; across its end; around the end of the address space; beyond any memory.
        "(call $log (i32.const 1) (i32.const 0x7fff0000) (i32.const 1))",
        "(call $log (i32.const 1) (i32.const 65530) (i32.const 7))",
        "(call $log (i32.const 1) (i32.const 0xfffffff0) (i32.const 32))",
        "(call $log (i32.const 1) (i32.const 0) (i32.const 0x7fffffff))",
        // Not UTF-8: a lone byte, an encoded surrogate, an overlong zero.
        "(i32.store (i32.const 512) (i32.const 0xff)) (call $log (i32.const 1) (i32.const 512) (i32.const 1))",
        "(i32.store (i32.const 512) (i32.const 0x80a0ed)) (call $log (i32.const 1) (i32.const 512) (i32.const 3))",
        "(i32.store (i32.const 512) (i32.const 0x80c0)) (call $log (i32.const 1) (i32.const 512) (i32.const 2))",
        // No such level.
        "(call $log (i32.const 4) (i32.const 0) (i32.const 1))",
        "(call $log (i32.const -1) (i32.const 0) (i32.const 1))",
    ];
    for call in calls {
        let guest = Guest::chunker(&format!("{call} (i32.const 32)")).importing(LOG);
        let (outcome, usage) = chunk(&guest.build().unwrap(), "", "x");
        let (reason, _, phase) = stopped(outcome);
        assert_eq!((reason, phase.as_str()), (Reason::Trap, "call"), "{call}");
        assert_eq!(usage.host_calls, 0, "{call}");
    }
}

/// Answers with values of no type: an unknown case, a label that is no text, an odd address, a list that wraps. Stop:
/// `invalid-output` or `trap` in phase `result`.
#[test]
fn m_11_results_that_are_no_values_are_refused() {
    let results = [
        "(i32.store8 (i32.const 32) (i32.const 2)) (i32.const 32)",
        "(i32.store8 (i32.const 32) (i32.const 255)) (i32.const 32)",
        // One chunk at 64 with one label at 128, whose name is the byte 0xff at 256.
        "(i32.store (i32.const 36) (i32.const 64)) (i32.store (i32.const 40) (i32.const 1))
         (i32.store (i32.const 68) (i32.const 1))
         (i32.store (i32.const 72) (i32.const 128)) (i32.store (i32.const 76) (i32.const 1))
         (i32.store (i32.const 128) (i32.const 256)) (i32.store (i32.const 132) (i32.const 1))
         (i32.store8 (i32.const 256) (i32.const 255)) (i32.const 32)",
        "(i32.const 33)",
        "(i32.store (i32.const 36) (i32.const 0xfffffffc)) (i32.store (i32.const 40) (i32.const 1)) (i32.const 32)",
        "(i32.store (i32.const 36) (i32.const 66)) (i32.store (i32.const 40) (i32.const 1)) (i32.const 32)",
        "(i32.const -4)",
    ];
    for result in results {
        let (reason, _, phase) = stopped(chunk(&guests::chunker(result), "", "x").0);
        assert!(
            matches!(reason, Reason::InvalidOutput | Reason::Trap),
            "{result}: {reason:?}"
        );
        assert_eq!(phase, "result", "{result}");
    }
    assert!(chunk(&guests::chunker(WHOLE_TEXT), "", "x").0.is_ok());
}

/// No address space for another guest: only the call that finds none fails, typed, as the host's fault.
#[test]
fn m_12_a_call_that_finds_no_address_space_fails_alone() {
    let bench = Bench::with_tenants(&["acme"]);
    bench
        .run(&["query", "acme", "warm", "--agent", "text"])
        .ok();
    let command = bench.command(&["query", "acme", "anything", "--agent", "text"]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -v 3500000; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let ran = limited.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("address space"), "{said}");
    bench
        .run(&["query", "acme", "after", "--agent", "text"])
        .ok();
}

/// One guest writes a pattern over all its memory, the next one looks for anything but zeros in its own. It finds none.
#[test]
fn m_14_a_guest_finds_nothing_of_the_one_before() {
    let writer = chunker_that(
        "(drop (memory.grow (i32.const 200)))
        (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 13000000))",
    );
    let mut reader = Guest::chunker(
        "(drop (memory.grow (i32.const 200)))
        (local.set $i (i32.const 65536))
        (loop
            (if (i64.ne (i64.load (local.get $i)) (i64.const 0)) (then unreachable))
            (local.set $i (i32.add (local.get $i) (i32.const 8)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 13000000))))
        (i32.const 32)",
    );
    reader.pages = 1;
    let reader = reader.build().unwrap();
    for _ in 0..10 {
        // The writer overwrites where the result is read from: it is stopped for that, or not; no matter.
        let _ = chunk(&writer, "", "x");
        let (outcome, _) = chunk(&reader, "", "x");
        assert_eq!(outcome.map(|chunks| chunks.len()), Ok(0));
    }
}

/// Counts its calls in a global and in its memory. Every call is the first: a store is used once.
#[test]
fn every_call_gets_a_fresh_store() {
    let guest = Guest::chunker(
        "(if (global.get $calls) (then unreachable))
        (if (i32.load (i32.const 512)) (then unreachable))
        (global.set $calls (i32.const 1))
        (i32.store (i32.const 512) (i32.const 1))
        (i32.const 32)",
    )
    .with("(global $calls (mut i32) (i32.const 0))");
    let component = guest.build().unwrap();
    for _ in 0..5 {
        assert!(chunk(&component, "", "x").0.is_ok());
    }
}
