//! A guest that sleeps: it waits in the system interface for a timer an hour away.
//!
//! Under `wasi = "sandboxed"` alone: other policies refuse its imports.

use super::Guest;

const TIMERS: &str = r#"
    (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration"
        (func $subscribe (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;

/// A chunker that sleeps for an hour and then answers emptily.
pub fn sleeper() -> Guest {
    let body = "
        (call $block (call $subscribe (i64.const 3600000000000)))    ;; nanoseconds
        (i32.const 32)";
    let mut guest = Guest::chunker(body).importing(TIMERS);
    guest.wasi = true;
    guest
}
