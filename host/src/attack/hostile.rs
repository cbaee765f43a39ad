//! A good dozen hostile guests, each over within milliseconds: for many in a row.
//!
//! Each has the policy under which it is stopped at once. Who runs how many of them is not known here.

use super::imports::LOG;
use super::{Guest, GuestError, sleeper};

/// A guest that is up to no good.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What it does.
    pub name: &'static str,
    /// The component.
    pub component: Vec<u8>,
    /// The policy that stops it, in TOML.
    pub policy: &'static str,
    /// Nothing stops it but a kill.
    pub endless: bool,
}

const LOOP: &str = "(loop (br 0)) (i32.const 32)";

const LOGS_FOR_EVER: &str = "
    (loop
        (call $log (i32.const 1) (i32.const 2048) (i32.const 1024))
        (br 0))
    (i32.const 32)";

/// All of them.
pub fn hostile_guests() -> Result<Vec<Hostile>, GuestError> {
    let cpu_bound = "[chunker]\nfuel_max = 1_000_000_000_000\ncpu_ms_max = 2";
    let little_fuel = "[chunker]\nfuel_max = 500_000";
    let little_memory = "[chunker]\nmemory_mib_max = 4\nfuel_max = 4_000_000";
    let starts = "(func $begin (loop (br 0))) (start $begin)";
    let deep = "(func $deep (param i32) (result i32)
        (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))";
    let mut realloc = Guest::chunker("(i32.const 32)");
    realloc.realloc = "(loop (br 0)) unreachable".to_owned();
    let mut fill = Guest::chunker(
        "(loop (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x200000)) (br 0))
        (i32.const 32)",
    );
    fill.pages = 32;
    let grow = Guest::chunker("(loop (drop (memory.grow (i32.const 1))) (br 0)) (i32.const 32)");
    let tables = Guest::chunker(
        "(loop (drop (table.grow $t (ref.null func) (i32.const 100000))) (br 0)) (i32.const 32)",
    )
    .with("(table $t 1 funcref)");
    let lies = "(i32.store (i32.const 36) (i32.const 0xffff0000))
        (i32.store (i32.const 40) (i32.const 4)) (i32.const 32)";
    let logs = Guest::chunker(LOGS_FOR_EVER).importing(LOG);
    let recursion = Guest::chunker("(call $deep (i32.const 1))").with(deep);
    let few_bytes = "[ingest]\ndocument_kib_max = 64\n[chunker]\noutput_kib_max = 32\n\
                     boundary_kib_max = 64";
    Ok(vec![
        stopped("loop-fuel", &Guest::chunker(LOOP), little_fuel)?,
        stopped("loop-cpu", &Guest::chunker(LOOP), cpu_bound)?,
        stopped(
            "start-function",
            &Guest::chunker("(i32.const 32)").with(starts),
            little_fuel,
        )?,
        stopped("realloc", &realloc, little_fuel)?,
        stopped("recursion", &recursion, "")?,
        stopped("memory-grow", &grow, little_memory)?,
        stopped("memory-fill", &fill, little_memory)?,
        stopped("table-grow", &tables, little_memory)?,
        stopped("trap", &Guest::chunker("unreachable"), "")?,
        stopped("lying-result", &Guest::chunker(lies), "")?,
        stopped("host-calls", &logs, "[chunker]\nhost_calls_max = 100")?,
        stopped("boundary", &logs, few_bytes)?,
        stopped(
            "sleep",
            &sleeper(),
            "wasi = \"sandboxed\"\n[chunker]\ncpu_ms_max = 2\nwall_ms_max = 2",
        )?,
        Hostile {
            endless: true,
            ..stopped(
                "killed",
                &Guest::chunker(LOOP),
                "[chunker]\nfuel_max = 1_000_000_000_000",
            )?
        },
    ])
}

fn stopped(name: &'static str, guest: &Guest, policy: &'static str) -> Result<Hostile, GuestError> {
    Ok(Hostile {
        name,
        component: guest.build()?,
        policy,
        endless: false,
    })
}
