//! From an engine's error to a stop: which limit it was, and whose fault.
//!
//! A stop that the task already has always counts first; what is left are the errors that only the
//! engine can see.

use crate::error::Blame;
use crate::task::{Phase, Reason, Stop, Task, count};
use std::time::Duration;
use wasmtime::Trap;
use wasmtime::component::ResourceTableError;

/// The stop that `error` means for `task`, whose guest ended within what the engine did for it, if it did.
pub(super) fn of(task: &Task, error: &wasmtime::Error, within: Option<Phase>) -> Stop {
    if let Some(stop) = task.stop() {
        return stop.clone();
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        return trapped(task, task.phase(), *trap);
    }
    let phase = within.unwrap_or(task.phase());
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return handles(task, phase);
    }
    if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        let detail = format!("the guest ended itself with exit status {}", exit.0);
        return Stop::new(Reason::Trap, phase, 0.0, 0.0, &detail);
    }
    by_text(task, phase, &format!("{:#}", error))
}

/// wasmtime keeps these errors' types to itself; their texts are held by tests.
fn by_text(task: &Task, phase: Phase, text: &str) -> Stop {
    if text.contains("fuel allocated for hostcalls has been exhausted") {
        // Arguments are measured before their call begins: where one has been, it is the result.
        let phase = if phase.in_host() {
            Phase::Result
        } else {
            phase
        };
        return oversized(task, phase);
    }
    if text.contains("store handle limit exceeded") {
        return handles(task, phase);
    }
    if text.contains("Cannot allocate memory") || text.contains("failed to allocate") {
        return Stop::host(phase, "no address space for another guest");
    }
    let reason = match phase {
        Phase::Result => Reason::InvalidOutput,
        _ => Reason::Trap,
    };
    Stop::new(reason, phase, 0.0, 0.0, &crate::corpus::shorten(text, 300))
}

fn trapped(task: &Task, phase: Phase, trap: Trap) -> Stop {
    // A trap of the guest's code ends the call, and the engine says so only after it has left.
    let phase = if phase == Phase::Result {
        Phase::Call
    } else {
        phase
    };
    match trap {
        Trap::OutOfFuel => out_of_fuel(task, phase),
        Trap::StackOverflow => {
            let limit = count(crate::engine::GUEST_STACK as u64 / 1024);
            let detail = "the guest's call stack overflowed (limit in KiB)";
            Stop::new(Reason::Stack, phase, limit, limit, detail)
        }
        other => Stop::new(Reason::Trap, phase, 0.0, 0.0, &other.to_string()),
    }
}

/// Data that would not fit the boundary's limit was refused before it was copied.
fn oversized(task: &Task, phase: Phase) -> Stop {
    let used = task.meters.charged(crate::task::Meter::Boundary) / 1024;
    let (reason, bytes) = match phase {
        Phase::Result => (Reason::Output, task.limits.output_bytes),
        _ => (Reason::Boundary, task.limits.boundary_bytes),
    };
    let detail = "more data than the limit in one call; nothing of it was copied";
    let limit = count(bytes / 1024);
    Stop::new(reason, phase, limit, count(used).max(limit), detail)
}

pub(super) fn handles(task: &Task, phase: Phase) -> Stop {
    let limit = count(task.limits.handles);
    let detail = "the guest holds too many handles";
    Stop::new(Reason::Handles, phase, limit, limit + 1.0, detail)
}

fn out_of_fuel(task: &Task, phase: Phase) -> Stop {
    let limit = count(task.limits.fuel);
    let detail = "the guest used all its instructions";
    Stop::new(Reason::Fuel, phase, limit, limit, detail)
}

/// The guest's instructions ran out where it is now.
pub(super) fn fuel(task: &Task) -> Stop {
    out_of_fuel(task, task.phase())
}

/// The guest's CPU ran out.
pub(super) fn cpu(task: &Task, used: Duration) -> Stop {
    let detail = "the guest used all its CPU time";
    Stop::new(
        Reason::Cpu,
        task.phase(),
        millis(task.limits.cpu),
        millis(used),
        detail,
    )
}

/// The wall clock ran out. The guest is to blame only where it was running and had had at least half of the
/// time: what passed while it waited in the host, or was ready while others had the core, is not its own.
pub(super) fn wall(task: &Task) -> Stop {
    let phase = task.phase();
    let wall = task.limits.wall;
    let had_it = !phase.in_host() && task.meters.guest_cpu() >= wall / 2;
    let (blame, detail) = if had_it {
        (Blame::Guest, "the guest ran until its wall time was over")
    } else {
        (
            Blame::Limit,
            "the wall time passed while the guest was waiting",
        )
    };
    Stop::new(Reason::Wall, phase, millis(wall), millis(wall), detail).blaming(blame)
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}
