//! What a store carries: the task, its memory limiter, its handles, and the host's side `T`.
//!
//! Every host call passes here, whatever its interface: it is counted, timed and placed in its phase.
//! The engine also leaves the guest for work of its own (growing memory, yielding): that is no host call,
//! and is neither counted nor taken for waiting. What a call does is not known here.

use super::clock::GuestClock;
use super::limiter::Limiter;
use crate::bindings::chunker::stockade::plugin::{host, options};
use crate::guard::{self, Guard};
use crate::task::{Meter, Phase, Task};
use std::sync::Arc;
use std::time::Instant;
use wasmtime::component::{Resource, ResourceTable};

/// A guest was stopped; the task says why.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the task was stopped")]
pub struct Halted;

/// The data of one store.
pub struct Context<T> {
    /// The task that the call belongs to.
    pub task: Arc<Task>,
    /// The host's side of the world's own imports.
    pub host: T,
    /// Resources that the guest holds handles of.
    pub table: ResourceTable,
    pub(super) wasi: Option<wasmtime_wasi::WasiCtx>,
    limiter: Limiter,
    clock: Arc<GuestClock>,
    running: Phase,
    /// How deep the engine is in leaving the guest: a call may make the guest allocate, which may grow its
    /// memory.
    depth: u32,
    host_call: Option<HostCall>,
    last_return: Option<Return>,
    ended_within: Option<Phase>,
}

/// The engine's last way back into the guest.
#[derive(Debug, Clone, Copy)]
struct Return {
    from: Phase,
    /// The guest's fuel then.
    fuel: u64,
}

/// A host call that is under way.
#[derive(Debug, Clone, Copy)]
struct HostCall {
    began: Instant,
    depth: u32,
    phase: Phase,
}

impl<T> Context<T> {
    pub(super) fn new(task: Arc<Task>, host: T) -> Self {
        let mut table = ResourceTable::new();
        let handles = guard::limit(Guard::HandleTable, task.limits.handles);
        table.set_max_capacity(usize::try_from(handles).unwrap_or(usize::MAX));
        Self {
            limiter: Limiter::new(task.clone()),
            clock: GuestClock::new(task.clone()),
            task,
            host,
            table,
            wasi: None,
            running: Phase::Instantiate,
            depth: 0,
            host_call: None,
            last_return: None,
            ended_within: None,
        }
    }

    /// From here on guest code that runs is the call itself, no longer the instantiation.
    pub fn instantiated(&mut self) {
        self.running = Phase::Call;
        self.task.enter(Phase::Call);
    }

    /// Charges bytes that crossed the boundary; beyond the limit the guest is halted.
    pub fn cross(&self, bytes: usize) -> Result<(), Halted> {
        let charged = self.task.charge_or_end(Meter::Boundary, bytes as u64);
        charged.map_err(|_| Halted)
    }

    /// Gives the guest a handle of `resource`; beyond the limit the guest is halted.
    pub fn hand_out<R: Send + 'static>(&mut self, resource: R) -> Result<Resource<R>, Halted> {
        self.table.push(resource).map_err(|_| {
            let stop = super::verdict::handles(&self.task, self.task.phase());
            self.task.end(stop);
            Halted
        })
    }

    /// Begins a host call, before anything of it is done: refused calls count too.
    pub fn enter(&mut self, phase: Phase) -> Result<(), Halted> {
        self.task.enter(phase);
        self.host_call = Some(HostCall {
            began: Instant::now(),
            depth: self.depth,
            phase,
        });
        let counted = self.task.charge_or_end(Meter::HostCalls, 1);
        counted.map_err(|_| Halted)
    }

    /// As [`Context::enter`], for the system interface, which asks for its state several times in one call
    /// and cannot be told no: the task ends when the call returns.
    pub(super) fn enter_wasi(&mut self) {
        if self.host_call.is_none() {
            let _ = self.enter(Phase::HostWasi);
        }
    }

    pub(super) fn limiter(&mut self) -> &mut Limiter {
        &mut self.limiter
    }

    pub(super) fn clock(&self) -> Arc<GuestClock> {
        self.clock.clone()
    }

    /// Takes time that the host spent on the guest's thread out of the guest's meter.
    pub fn exclude_host_cpu<R>(&self, work: impl FnOnce() -> R) -> R {
        let began = super::clock::thread_cpu_ns();
        let result = work();
        let spent = super::clock::thread_cpu_ns().saturating_sub(began);
        self.clock.exclude(std::time::Duration::from_nanos(spent));
        result
    }

    /// Once a tick, on the guest's thread: whether it may go on.
    pub(super) fn tick(&self) -> Result<(), Halted> {
        let task = &self.task;
        task.check().map_err(|_| Halted)?;
        let used = self.clock.guest_cpu();
        if used > task.limits.cpu && guard::stands(Guard::GuestCpu) {
            task.end(super::verdict::cpu(task, used));
        } else if task.wall_left().is_zero() && guard::stands(Guard::WallTick) {
            task.end(super::verdict::wall(task));
        }
        task.check().map_err(|_| Halted)
    }

    /// Bytes that the guest may hand over where it is now: its result, or the arguments of a call.
    pub(super) fn acceptable_bytes(&self) -> u64 {
        let limits = &self.task.limits;
        let crossed = self.task.meters.charged(Meter::Boundary);
        let left = limits.boundary_bytes.saturating_sub(crossed);
        match self.task.phase() {
            Phase::Result => left.min(limits.output_bytes),
            _ => left,
        }
    }

    /// What the engine did for the guest when it ended, if the guest has run nothing since: an error is most
    /// likely that one's. A guest that returns at once, at no cost, looks the same.
    pub(super) fn ended_within(&self) -> Option<Phase> {
        self.ended_within
    }

    pub(super) fn enter_guest(&mut self) {
        (self.last_return, self.ended_within) = (None, None);
        let phase = match self.host_call {
            Some(_) => Phase::Realloc,
            None => self.running,
        };
        self.task.enter(phase);
    }

    pub(super) fn leave_guest(&mut self, fuel: u64) {
        match self.host_call {
            Some(call) => {
                // It ran dry while it made room for a result: by the time that the engine says so, the call is over.
                if fuel == 0 {
                    self.task.end(super::verdict::fuel(&self.task));
                }
                self.task.enter(call.phase);
            }
            None => {
                let at_once = self.last_return.filter(|last| last.fuel == fuel);
                self.ended_within = at_once.map(|last| last.from);
                // Also where it may have failed: what is not known to be a failure may be a result.
                if self.running == Phase::Call {
                    self.task.enter(Phase::Result);
                }
            }
        }
    }

    pub(super) fn enter_host(&mut self) {
        self.depth += 1;
    }

    /// A host call that is under way is over, for whoever was stopped in it too: its wait counts.
    pub(super) fn abandon(&mut self) {
        if let Some(call) = self.host_call.take() {
            self.task.meters.add_host_wait(call.began.elapsed());
        }
    }

    pub(super) fn leave_host(&mut self, fuel: u64) -> Result<(), Halted> {
        let from = self.host_call.map_or(self.running, |call| call.phase);
        self.last_return = Some(Return { from, fuel });
        let over = self.host_call.filter(|call| call.depth == self.depth);
        self.depth = self.depth.saturating_sub(1);
        if over.is_some() {
            self.abandon();
            self.task.enter(self.running);
            self.task.check().map_err(|_| Halted)?;
        }
        Ok(())
    }
}

impl<T> std::fmt::Debug for Context<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("task", &self.task.id)
            .finish_non_exhaustive()
    }
}

/// Types alone.
impl<T> options::Host for Context<T> {}

/// The imports that both worlds share.
impl<T> host::Host for Context<T> {
    fn log(&mut self, level: host::Level, message: String) -> wasmtime::Result<()> {
        self.enter(Phase::HostLog)?;
        self.cross(message.len())?;
        let limit = self.task.limits.log_bytes;
        let meters = &self.task.meters;
        meters.add_log(message.len() as u64);
        let room = limit.saturating_sub(meters.log_kept());
        if room > 0 {
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            // Escaping makes control characters longer, and what is written is what fills a disk.
            let escaped = crate::corpus::shorten(&message, room.min(4_096));
            let text = crate::corpus::shorten(&escaped, room);
            meters.keep_log(text.len().min(room) as u64);
            tracing::debug!(target: "guest", task = %self.task.id, tenant = %self.task.tenant, ?level, "{text}");
        }
        Ok(())
    }

    fn budget(&mut self) -> wasmtime::Result<host::Remaining> {
        self.enter(Phase::HostBudget)?;
        self.cross(size_of::<host::Remaining>())?;
        let (task, limits) = (&self.task, &self.task.limits);
        let left = |meter: Meter| limits.of(meter).saturating_sub(task.meters.charged(meter));
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Ok(host::Remaining {
            fuel: limits.fuel.saturating_sub(task.meters.fuel()),
            cpu_ms: millis(limits.cpu.saturating_sub(self.clock.guest_cpu())),
            wall_ms: millis(task.wall_left()),
            memory_bytes: limits.memory_bytes.saturating_sub(self.limiter.bytes()),
            host_calls: left(Meter::HostCalls),
            boundary_bytes: left(Meter::Boundary),
            log_bytes: limits.log_bytes.saturating_sub(task.meters.log_kept()),
            embed_tokens: left(Meter::EmbedTokens),
            searches: left(Meter::Searches),
            vectors_scanned: left(Meter::VectorsScanned),
            read_bytes: left(Meter::Read),
            results: limits.results,
        })
    }
}
