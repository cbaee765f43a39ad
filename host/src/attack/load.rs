//! Load beside what is measured: guests of another tenant or threads of the host that never rest.
//!
//! It does not know what is measured.

use super::{Guest, Stage, document};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::{Policy, Wasi};
use crate::task::{Kind, Limits, Reason, Task};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// What keeps the cores busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Nothing.
    Idle,
    /// A spinning guest of another tenant for each core: they share the guests' threads.
    Guests,
    /// A spinning thread of the host for each core: the operating system shares the cores.
    Threads,
}

impl Load {
    /// All of them, the quiet one first.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Guests, Self::Threads];

    /// Its name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Guests => "guests",
            Self::Threads => "threads",
        }
    }
}

/// Load that lasts until this is dropped.
#[derive(Debug, Default)]
pub struct Busy {
    guests: Vec<(Arc<Task>, JoinHandle<()>)>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

/// As far as a policy goes: 600 s of CPU for each spinning guest.
const FOR_LONG: &str = "[chunker]
    fuel_max = 1_000_000_000_000
    cpu_ms_max = 600_000
    wall_ms_max = 3_600_000";

impl Busy {
    /// Begins to keep every core busy, and returns once it does.
    pub async fn begin(stage: &Stage, load: Load) -> Result<Self, Failure> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut busy = Self::default();
        match load {
            Load::Idle => {}
            Load::Guests => busy.spin_guests(stage, cores).await?,
            Load::Threads => busy.spin_threads(cores),
        }
        Ok(busy)
    }

    /// What the spinning guests' tasks are.
    pub fn tasks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.guests.iter().map(|(task, _)| task)
    }

    async fn spin_guests(&mut self, stage: &Stage, count: usize) -> Result<(), Failure> {
        let spinner = Guest::chunker("(loop (br 0)) (i32.const 32)").build()?;
        let spinner = stage.chunker(&spinner, Wasi::None)?;
        let limits = Limits::ingest(&Policy::from_toml("load", FOR_LONG)?);
        let tenant = TenantId::new("load")?;
        for _ in 0..count {
            let task = Task::new(tenant.clone(), Kind::Ingest, "load", limits.clone());
            let (spinner, spinning) = (spinner.clone(), task.clone());
            let (sandbox, embedder) = (stage.guests.sandbox.clone(), stage.embedder.clone());
            let guest = tokio::spawn(async move {
                let text = document("load", "x");
                let options = vec![];
                let call = spinner.chunk(&sandbox, &embedder, &spinning, &text, &options);
                // It never answers: it is stopped.
                drop(call.await);
            });
            self.guests.push((task, guest));
        }
        for (task, guest) in &self.guests {
            let spins = || !task.meters.guest_cpu().is_zero() || guest.is_finished();
            super::kill::until(spins).await;
        }
        Ok(())
    }

    fn spin_threads(&mut self, count: usize) {
        for _ in 0..count {
            let stop = self.stop.clone();
            let spin = move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            };
            self.threads.push(std::thread::spawn(spin));
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for (task, _) in &self.guests {
            task.end_with(Reason::Killed, "the load is over");
        }
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}
