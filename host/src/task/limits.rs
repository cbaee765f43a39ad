//! A task's limits in base units: bytes, durations, counts.
//!
//! Made from a policy when the task is admitted; nothing here is optional, so nothing is unlimited.

use super::meters::Meter;
use crate::policy::{CallLimits, Policy};
use std::time::Duration;

/// The limits of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Instructions, as the engine counts.
    pub fuel: u64,
    /// CPU time of guest code.
    pub cpu: Duration,
    /// The guest call and its host calls.
    pub wall: Duration,
    /// Memories and tables together.
    pub memory_bytes: u64,
    /// Handles of resources.
    pub handles: u64,
    /// Across the boundary, both ways.
    pub boundary_bytes: u64,
    /// The guest's result.
    pub output_bytes: u64,
    /// Log that is kept.
    pub log_bytes: u64,
    /// Host calls, refused ones included.
    pub host_calls: u64,
    /// Chunks or passages in the result.
    pub results: u64,
    /// Sum of chunk bytes over document bytes.
    pub overlap_ratio: f64,
    /// Tokens embedded for the task.
    pub embed_tokens: u64,
    /// Searches.
    pub searches: u64,
    /// Vectors scanned.
    pub vectors_scanned: u64,
    /// Passage text read.
    pub read_bytes: u64,
}

impl Limits {
    /// For one document.
    pub fn ingest(policy: &Policy) -> Self {
        let mut limits = Self::call(&policy.chunker.call);
        limits.results = policy.chunker.chunks_max;
        limits.overlap_ratio = policy.chunker.overlap_ratio_max;
        limits.embed_tokens = policy.ingest.embed_tokens_max;
        limits
    }

    /// For one question.
    pub fn query(policy: &Policy) -> Self {
        let mut limits = Self::call(&policy.agent.call);
        limits.results = policy.agent.passages_max;
        limits.embed_tokens = policy.agent.embed_tokens_max;
        limits.searches = policy.agent.searches_max;
        limits.vectors_scanned = policy.agent.vectors_scanned_max;
        limits.read_bytes = kib(policy.agent.read_kib_max);
        limits
    }

    fn call(call: &CallLimits) -> Self {
        Self {
            fuel: call.fuel_max,
            cpu: Duration::from_millis(call.cpu_ms_max),
            wall: Duration::from_millis(call.wall_ms_max),
            memory_bytes: kib(call.memory_mib_max).saturating_mul(1024),
            handles: call.handles_max,
            boundary_bytes: kib(call.boundary_kib_max),
            output_bytes: kib(call.output_kib_max),
            log_bytes: kib(call.log_kib_max),
            host_calls: call.host_calls_max,
            results: 0,
            overlap_ratio: 0.0,
            embed_tokens: 0,
            searches: 0,
            vectors_scanned: 0,
            read_bytes: 0,
        }
    }

    /// The limit of a meter, in its base unit.
    pub fn of(&self, meter: Meter) -> u64 {
        match meter {
            Meter::HostCalls => self.host_calls,
            Meter::Boundary => self.boundary_bytes,
            Meter::Output => self.output_bytes,
            Meter::EmbedTokens => self.embed_tokens,
            Meter::Searches => self.searches,
            Meter::VectorsScanned => self.vectors_scanned,
            Meter::Read => self.read_bytes,
        }
    }
}

fn kib(amount: u64) -> u64 {
    amount.saturating_mul(1024)
}
