//! Memory of one store: the sum over all its memories and tables against one limit.
//!
//! wasmtime asks for each memory alone; the sum is kept here. A refusal ends the task with `memory`, so
//! that the reason is not lost in whatever the guest does about a failed growth.

use crate::guard::{self, Guard};
use crate::task::{Phase, Reason, Stop, Task};
use std::sync::Arc;
use wasmtime::ResourceLimiter;

/// Bytes that one table element takes in the host.
const TABLE_ELEMENT: u64 = 8;

/// Instances, memories and tables of one store. A component of many small modules (componentize-py: 64
/// definitions) fits; counts beyond are an attack on the host's bookkeeping.
const INSTANCES: usize = 256;

#[derive(Debug)]
pub(super) struct Limiter {
    task: Arc<Task>,
    bytes: u64,
    pending: u64,
}

impl Limiter {
    pub(super) fn new(task: Arc<Task>) -> Self {
        Self {
            task,
            bytes: 0,
            pending: 0,
        }
    }

    /// Bytes of memories and tables now.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn grow(&mut self, current: u64, desired: u64) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let sum = self.bytes.saturating_add(more);
        let limit = self.task.limits.memory_bytes;
        if sum > limit && guard::stands(Guard::MemorySum) {
            self.task.end(over(limit, sum, self.task.phase()));
            return Err(super::Halted.into());
        }
        self.bytes = sum;
        self.pending = more;
        self.task.meters.memory_at(sum);
        Ok(true)
    }

    fn give_back(&mut self) {
        self.bytes -= self.pending;
        self.pending = 0;
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for people; 2^53 bytes are enough"
)]
fn over(limit: u64, asked: u64, phase: Phase) -> Stop {
    let mib = |bytes: u64| (bytes as f64 / f64::from(1 << 20) * 100.0).round() / 100.0;
    let detail = "memories and tables together would pass the limit";
    Stop::new(Reason::Memory, phase, mib(limit), mib(asked), detail)
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grow(current as u64, desired as u64)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT);
        self.grow(bytes(current), bytes(desired))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.give_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn memories(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        INSTANCES
    }
}
