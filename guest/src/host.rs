//! What every plugin may ask of its host: log records and what is left of its budgets. In a native
//! test records go to standard error, and what is left is what the test's host says.

pub use crate::bindings::chunker::stockade::plugin::host::{Level, Remaining};

/// Writes one log record. Records beyond the policy's `log_kib_max` are cut; the call never fails.
pub fn log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::chunker::stockade::plugin::host::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// What is left of each meter, now.
#[cfg(target_arch = "wasm32")]
pub fn budget() -> Remaining {
    crate::bindings::chunker::stockade::plugin::host::budget()
}

/// What is left of each meter: natively, what [`crate::testing::Memory`] has left on this thread, and without one
/// all there can be.
#[cfg(not(target_arch = "wasm32"))]
pub fn budget() -> Remaining {
    native::LEFT.get()
}

/// What stands in for the host's meters in a test.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native {
    use super::Remaining;
    use std::cell::Cell;

    /// Nothing runs out.
    pub(crate) const ENDLESS: Remaining = Remaining {
        fuel: u64::MAX,
        cpu_ms: u64::MAX,
        wall_ms: u64::MAX,
        memory_bytes: u64::MAX,
        host_calls: u64::MAX,
        boundary_bytes: u64::MAX,
        log_bytes: u64::MAX,
        embed_tokens: u64::MAX,
        searches: u64::MAX,
        vectors_scanned: u64::MAX,
        read_bytes: u64::MAX,
        results: u64::MAX,
    };

    thread_local! {
        /// What is left on this thread: tests run on threads of their own.
        pub(crate) static LEFT: Cell<Remaining> = const { Cell::new(ENDLESS) };
    }
}
