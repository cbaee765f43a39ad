//! When a breaker opens and what closes it: one plugin's recent tasks and stops, and nothing else.
//!
//! Time is handed in, in milliseconds since 1970, because what is remembered outlives the process. It
//! reads no clock, writes nothing down and knows no plugin.

use crate::policy::Breaker as Limits;
use crate::task::count;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Tasks that `stops_ratio_max` is a share of. Where a plugin has had fewer, those that are known to come, the
/// rest of an ingest, count as done: five poison documents that happen to come first say nothing of it.
pub(in crate::runtime) const TASKS: usize = 20;

/// What a task was about: the same document or question has the same number.
pub(in crate::runtime) type Input = u64;

/// One plugin's breaker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::runtime) struct Breaker {
    /// The last tasks on distinct inputs, oldest first: which input, and whether it was stopped.
    tasks: VecDeque<(Input, bool)>,
    /// The last stops on distinct inputs, oldest first: when, and which input.
    stops: VecDeque<(u64, Input)>,
    open: Option<Open>,
}

/// Why and since when a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::runtime) struct Open {
    /// When it opened.
    pub(in crate::runtime) since_ms: u64,
    /// Stops on distinct inputs that opened it, failed trials included.
    pub(in crate::runtime) stops: u64,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Phase {
    /// Everything.
    Closed,
    /// Nothing, for so many milliseconds more.
    Open(Open, u64),
    /// One task, which decides.
    HalfOpen(Open),
}

/// What an outcome did to the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Change {
    /// It lets through what it did before.
    None,
    /// It is open from now on.
    Opened(Open),
    /// It is closed from now on.
    Closed,
}

impl Breaker {
    /// What it lets through at `now`. A clock that was set back does not keep it open.
    pub(in crate::runtime) fn phase(&self, now_ms: u64, limits: &Limits) -> Phase {
        let Some(open) = self.open else {
            return Phase::Closed;
        };
        let cooldown = limits.cooldown_s.saturating_mul(1_000);
        match now_ms.checked_sub(open.since_ms) {
            Some(passed) if passed < cooldown => Phase::Open(open, cooldown - passed),
            _ => Phase::HalfOpen(open),
        }
    }

    /// A task completed. `trial`: it was the one that a half-open breaker let through.
    pub(in crate::runtime) fn done(&mut self, input: Input, trial: bool) -> Change {
        match (self.open, trial) {
            (None, _) => {
                self.remember(input, false);
                Change::None
            }
            (Some(_), true) => {
                *self = Self::default();
                Change::Closed
            }
            // It began before the breaker opened.
            (Some(_), false) => Change::None,
        }
    }

    /// A task was stopped by the plugin's fault, with so many more known to come.
    pub(in crate::runtime) fn stopped(
        &mut self,
        now_ms: u64,
        input: Input,
        trial: bool,
        to_come: u64,
        limits: &Limits,
    ) -> Change {
        match (self.open, trial) {
            (None, _) => {
                self.remember(input, true);
                self.count(now_ms, input, limits);
                self.judge(now_ms, to_come, limits)
            }
            (Some(open), true) => self.open_now(now_ms, open.stops.saturating_add(1)),
            (Some(_), false) => Change::None,
        }
    }

    /// Whether it is open, or half-open.
    pub(in crate::runtime) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether a stop is among what it remembers: only then a completed task is worth writing down.
    pub(in crate::runtime) fn remembers_stops(&self) -> bool {
        self.open.is_some() || self.tasks.iter().any(|(_, stopped)| *stopped)
    }

    fn remember(&mut self, input: Input, stopped: bool) {
        self.tasks.retain(|(known, _)| *known != input);
        self.tasks.push_back((input, stopped));
        if self.tasks.len() > TASKS {
            self.tasks.pop_front();
        }
    }

    fn count(&mut self, now_ms: u64, input: Input, limits: &Limits) {
        let window = limits.window_s.saturating_mul(1_000);
        self.stops
            .retain(|(at, known)| *known != input && now_ms.saturating_sub(*at) <= window);
        self.stops.push_back((now_ms, input));
        while self.stops.len() as u64 > limits.stops_max {
            self.stops.pop_front();
        }
    }

    /// Opens it when both limits are reached. The stops that are left are those within the window.
    fn judge(&mut self, now_ms: u64, to_come: u64, limits: &Limits) -> Change {
        let stopped = self.tasks.iter().filter(|(_, stopped)| *stopped).count();
        let tasks = to_come.saturating_add(self.tasks.len() as u64);
        let ratio = count(stopped as u64) / count(tasks.min(TASKS as u64));
        let stops = self.stops.len() as u64;
        if stops < limits.stops_max || ratio < limits.stops_ratio_max {
            return Change::None;
        }
        self.open_now(now_ms, stops.max(stopped as u64))
    }

    fn open_now(&mut self, since_ms: u64, stops: u64) -> Change {
        let open = Open { since_ms, stops };
        self.open = Some(open);
        Change::Opened(open)
    }
}
