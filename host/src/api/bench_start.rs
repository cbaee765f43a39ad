//! What `bench starts` says.

use super::SpreadJson;
use serde::Serialize;

/// What `bench starts` says.
#[derive(Debug, Serialize)]
pub struct BenchStartsJson {
    /// What it was measured on.
    pub machine: super::BenchMachineJson,
    /// Documents of the tenant that is asked.
    pub documents: u32,
    /// Each command over its runs.
    pub commands: Vec<BenchProgramStartJson>,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
}

/// From the start of a process to its end.
#[derive(Debug, Serialize)]
pub struct BenchProgramStartJson {
    /// What was typed after `stockade`.
    pub command: &'static str,
    /// Runs; a first one is not counted.
    pub runs: usize,
    /// Seconds.
    pub seconds: SpreadJson,
    /// The largest median that is wanted; null where nothing is.
    pub target_s: Option<f64>,
    /// Whether it was reached; null where there is no target.
    pub met: Option<bool>,
}
