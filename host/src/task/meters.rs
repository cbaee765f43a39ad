//! What a task has used, meter by meter.
//!
//! Guest CPU, host wait and native work are separate: guest CPU is the thread's clock around each poll
//! of the guest, less what host functions took; host wait is the wall time inside host calls; native work
//! is charged by amount before it runs. A meter does not know its limit; the caller brings it.

use super::stop::Reason;
use crate::guard::Guard;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A meter that is charged by amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Host calls, refused ones included.
    HostCalls,
    /// Bytes across the boundary, both ways.
    Boundary,
    /// Bytes of the result.
    Output,
    /// Tokens embedded.
    EmbedTokens,
    /// Searches.
    Searches,
    /// Vectors scanned.
    VectorsScanned,
    /// Bytes of passages read.
    Read,
}

impl Meter {
    /// The reason of a stop by this meter.
    pub fn reason(self) -> Reason {
        match self {
            Self::HostCalls | Self::Searches | Self::VectorsScanned => Reason::HostCalls,
            Self::Boundary | Self::Read => Reason::Boundary,
            Self::Output => Reason::Output,
            Self::EmbedTokens => Reason::EmbedTokens,
        }
    }

    /// The guard that refuses what is beyond the limit.
    pub(super) fn guard(self) -> Guard {
        match self {
            Self::HostCalls => Guard::HostCalls,
            Self::Boundary => Guard::Boundary,
            Self::Output => Guard::Output,
            Self::EmbedTokens => Guard::EmbedTokens,
            Self::Searches => Guard::Searches,
            Self::VectorsScanned => Guard::VectorsScanned,
            Self::Read => Guard::Read,
        }
    }

    /// How many base units the policy key's unit has.
    fn unit(self) -> f64 {
        match self {
            Self::Boundary | Self::Output | Self::Read => 1024.0,
            _ => 1.0,
        }
    }

    /// What a stop says.
    fn excess(self) -> &'static str {
        match self {
            Self::HostCalls => "more host calls than allowed",
            Self::Boundary => "more data across the boundary than allowed",
            Self::Output => "a larger result than allowed",
            Self::EmbedTokens => "more tokens to embed than allowed",
            Self::Searches => "more searches than allowed",
            Self::VectorsScanned => "more vectors to scan than allowed",
            Self::Read => "more text to read than allowed",
        }
    }
}

/// A limit did not cover an amount; `used` includes what was asked for. In the unit of the policy's key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    /// What the policy allows.
    pub limit: f64,
    /// What would have been used.
    pub used: f64,
    /// What there is too much of, for people.
    pub excess: &'static str,
}

/// The meters of one task. All counts only grow.
#[derive(Debug, Default)]
pub struct Meters {
    fuel: AtomicU64,
    guest_cpu_ns: AtomicU64,
    host_wait_ns: AtomicU64,
    memory_peak: AtomicU64,
    log_bytes: AtomicU64,
    log_kept: AtomicU64,
    charged: [AtomicU64; 7],
}

impl Meters {
    /// Adds `amount` unless that passes `limit`.
    pub fn charge(&self, meter: Meter, amount: u64, limit: u64) -> Result<(), Spent> {
        let cell = &self.charged[meter as usize];
        let add = |used: u64| used.checked_add(amount).filter(|&sum| sum <= limit);
        match cell.fetch_update(Relaxed, Relaxed, add) {
            Ok(_) => Ok(()),
            Err(used) => Err(spent(meter, limit, used.saturating_add(amount))),
        }
    }

    /// What was charged to a meter so far.
    pub fn charged(&self, meter: Meter) -> u64 {
        self.charged[meter as usize].load(Relaxed)
    }

    /// Counts bytes of log, kept or cut.
    pub fn add_log(&self, bytes: u64) -> u64 {
        self.log_bytes.fetch_add(bytes, Relaxed)
    }

    /// Counts bytes of log that were kept.
    pub fn keep_log(&self, bytes: u64) {
        self.log_kept.fetch_add(bytes, Relaxed);
    }

    /// Bytes of log that were kept, in all; the rest was cut.
    pub fn log_kept(&self) -> u64 {
        self.log_kept.load(Relaxed)
    }

    /// Sets the fuel that the guest has used.
    pub fn set_fuel(&self, fuel: u64) {
        self.fuel.fetch_max(fuel, Relaxed);
    }

    /// The fuel that the guest has used, as last seen.
    pub fn fuel(&self) -> u64 {
        self.fuel.load(Relaxed)
    }

    /// Adds guest CPU.
    pub fn add_guest_cpu(&self, spent: Duration) {
        self.guest_cpu_ns.fetch_add(super::nanos(spent), Relaxed);
    }

    /// Guest CPU so far.
    pub fn guest_cpu(&self) -> Duration {
        Duration::from_nanos(self.guest_cpu_ns.load(Relaxed))
    }

    /// Adds time that the guest spent waiting inside host calls.
    pub fn add_host_wait(&self, waited: Duration) {
        self.host_wait_ns.fetch_add(super::nanos(waited), Relaxed);
    }

    /// Host wait so far.
    pub fn host_wait(&self) -> Duration {
        Duration::from_nanos(self.host_wait_ns.load(Relaxed))
    }

    /// Raises the peak of memories and tables.
    pub fn memory_at(&self, bytes: u64) {
        self.memory_peak.fetch_max(bytes, Relaxed);
    }

    /// The usage as it leaves the process, for a task of this age.
    pub fn usage(&self, age: Duration) -> Usage {
        Usage {
            fuel: self.fuel(),
            guest_cpu_ms: millis(self.guest_cpu()),
            host_wait_ms: millis(self.host_wait()),
            wall_ms: millis(age),
            memory_peak_bytes: self.memory_peak.load(Relaxed),
            host_calls: self.charged(Meter::HostCalls),
            embed_tokens: self.charged(Meter::EmbedTokens),
            searches: self.charged(Meter::Searches),
            vectors_scanned: self.charged(Meter::VectorsScanned),
            read_bytes: self.charged(Meter::Read),
            boundary_bytes: self.charged(Meter::Boundary),
            output_bytes: self.charged(Meter::Output),
            log_bytes: self.log_bytes.load(Relaxed),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for people; 2^53 bytes are enough"
)]
fn spent(meter: Meter, limit: u64, used: u64) -> Spent {
    let base = meter.unit();
    Spent {
        limit: limit as f64 / base,
        used: used as f64 / base,
        excess: meter.excess(),
    }
}

/// Milliseconds with microsecond steps.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// What a task used. Sizes in the unit of the name; `memory_peak_bytes` counts memories and tables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Instructions, as the engine counts.
    pub fuel: u64,
    /// CPU time of guest code alone.
    pub guest_cpu_ms: f64,
    /// Wall time inside host calls.
    pub host_wait_ms: f64,
    /// Wall time of the whole task, waiting for a place included.
    pub wall_ms: f64,
    /// Largest sum of memories and tables.
    pub memory_peak_bytes: u64,
    /// Host calls, refused ones included.
    pub host_calls: u64,
    /// Tokens embedded for it.
    pub embed_tokens: u64,
    /// Searches.
    pub searches: u64,
    /// Vectors scanned.
    pub vectors_scanned: u64,
    /// Bytes of passages read.
    pub read_bytes: u64,
    /// Bytes across the boundary, both ways.
    pub boundary_bytes: u64,
    /// Bytes of the result.
    pub output_bytes: u64,
    /// Bytes of log written, cut ones included.
    pub log_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_charge_is_not_counted() {
        let meters = Meters::default();
        assert!(meters.charge(Meter::Searches, 2, 3).is_ok());
        let refused = meters.charge(Meter::Searches, 2, 3);
        assert_eq!(refused.map_err(|s| s.used), Err(4.0));
        assert_eq!(meters.charged(Meter::Searches), 2);
        assert!(meters.charge(Meter::Searches, 1, 3).is_ok());
        assert!(meters.charge(Meter::Searches, u64::MAX, 3).is_err());
    }
}
