//! Guest CPU: the thread's clock around each poll of the guest's future, less what host functions took.
//!
//! Between two polls a guest waits: in a host call, which is its wall time, or for a thread that others have,
//! which is not. It measures and decides nothing.

use crate::task::Task;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

/// The clock of one guest call. A slice is one poll of the guest's future, on one thread.
#[derive(Debug)]
pub(super) struct GuestClock {
    task: Arc<Task>,
    slice_began_ns: AtomicU64,
    host_in_slice_ns: AtomicU64,
    /// The task's age when the last slice ended with the guest able to go on; 0 where it was not.
    ready_since_ns: AtomicU64,
}

impl GuestClock {
    pub(super) fn new(task: Arc<Task>) -> Arc<Self> {
        let slice_began_ns = AtomicU64::new(thread_cpu_ns());
        let host_in_slice_ns = AtomicU64::new(0);
        Arc::new(Self {
            task,
            slice_began_ns,
            host_in_slice_ns,
            ready_since_ns: AtomicU64::new(0),
        })
    }

    /// Guest CPU so far, the running slice included. Only on the thread that runs the slice.
    pub(super) fn guest_cpu(&self) -> Duration {
        self.task.meters.guest_cpu() + self.slice()
    }

    /// Takes host work out of the running slice.
    pub(super) fn exclude(&self, host: Duration) {
        self.host_in_slice_ns
            .fetch_add(crate::task::nanos(host), Relaxed);
    }

    fn slice(&self) -> Duration {
        let spent = thread_cpu_ns().saturating_sub(self.slice_began_ns.load(Relaxed));
        Duration::from_nanos(spent.saturating_sub(self.host_in_slice_ns.load(Relaxed)))
    }

    fn begin(&self) {
        let ready_since = Duration::from_nanos(self.ready_since_ns.swap(0, Relaxed));
        if !ready_since.is_zero() {
            self.task
                .excuse(self.task.age().saturating_sub(ready_since));
        }
        self.host_in_slice_ns.store(0, Relaxed);
        self.slice_began_ns.store(thread_cpu_ns(), Relaxed);
    }

    fn end(&self, goes_on: bool) {
        self.task.meters.add_guest_cpu(self.slice());
        // Outside of host calls nothing but a yield suspends a guest.
        if goes_on && !self.task.phase().in_host() {
            let now = crate::task::nanos(self.task.age());
            self.ready_since_ns.store(now, Relaxed);
        }
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub(super) fn thread_cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds * 1_000_000_000 + fraction
}

/// Polls `guest`, charging each poll to `clock`.
pub(super) fn metered<F: Future + Unpin>(clock: Arc<GuestClock>, guest: F) -> Metered<F> {
    Metered { clock, guest }
}

pub(super) struct Metered<F> {
    clock: Arc<GuestClock>,
    guest: F,
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.clock.begin();
        let polled = Pin::new(&mut self.guest).poll(cx);
        self.clock.end(polled.is_pending());
        polled
    }
}
