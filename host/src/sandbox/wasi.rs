//! The system interface for guests whose language needs one: it is there, and it is empty.
//!
//! No files, no sockets, no environment, no arguments; output is discarded and counted as log; clocks stand
//! still and random numbers repeat, so that the same input gives the same output.

use super::context::Context;
use crate::task::Task;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWrite;
use wasmtime::component::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

/// Adds the system interface (preview 2) to a linker.
pub fn link_wasi<T: Send + 'static>(linker: &mut Linker<Context<T>>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

impl<T: Send> WasiView for Context<T> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.enter_wasi();
        let task = &self.task;
        WasiCtxView {
            ctx: self.wasi.get_or_insert_with(|| empty(task)),
            table: &mut self.table,
        }
    }
}

fn empty(task: &Arc<Task>) -> WasiCtx {
    let seed = b"stockade".to_vec();
    WasiCtx::builder()
        .stdout(Discard(task.clone()))
        .stderr(Discard(task.clone()))
        .secure_random(Deterministic::new(seed.clone()))
        .insecure_random(Deterministic::new(seed))
        .insecure_random_seed(0)
        .max_random_size(64 << 10)
        .wall_clock(Still)
        .monotonic_clock(Still)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// A clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }
    fn now(&self) -> u64 {
        0
    }
}

/// Output that is counted and forgotten.
struct Discard(Arc<Task>);

impl IsTerminal for Discard {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Discard {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self(self.0.clone()))
    }
}

impl AsyncWrite for Discard {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.0.meters.add_log(bytes.len() as u64);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
