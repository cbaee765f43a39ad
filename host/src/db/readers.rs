//! Who reads a database now, and when all of them pause for a moment so that the write-ahead log can begin anew.
//!
//! A log begins anew only while nobody reads from it. Readers that overlap without end would let it grow without end,
//! although each of them is short. It knows neither statements nor files.

use super::lock;
use rusqlite::Connection;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Idle readers that are kept for the next read.
const IDLE_MAX: usize = 2;

/// Connections for reading, and how many of them are in use.
#[derive(Debug, Default)]
pub(super) struct Readers {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    reading: usize,
    /// New ones wait.
    paused: bool,
}

impl Readers {
    /// One more reads: with a connection that is there, if there is one. Waits while readers pause.
    pub(super) fn begin(&self) -> Option<Connection> {
        let mut state = lock(&self.state);
        while state.paused {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.reading += 1;
        state.idle.pop()
    }

    /// One fewer reads; the connection is kept if it can be used again and few are.
    pub(super) fn end(&self, connection: Option<Connection>) {
        let mut state = lock(&self.state);
        state.reading -= 1;
        let surplus = match connection {
            Some(connection) if state.idle.len() < IDLE_MAX => {
                state.idle.push(connection);
                None
            }
            other => other,
        };
        drop(state);
        self.changed.notify_all();
        drop(surplus);
    }

    /// Waits until somebody ends to read, `patience` at most.
    pub(super) fn wait(&self, patience: Duration) {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout(state, patience);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Runs `work` while nobody reads: new readers wait, and those there are have `patience` to end. `None` where they
    /// did not.
    pub(super) fn without<T>(&self, patience: Duration, work: impl FnOnce() -> T) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.state);
        state.paused = true;
        while state.reading > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let alone = state.reading == 0;
        drop(state);
        let _paused = Paused(self);
        alone.then(work)
    }
}

/// Readers go on when this is dropped, also where the work panicked.
struct Paused<'a>(&'a Readers);

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).paused = false;
        self.0.changed.notify_all();
    }
}
