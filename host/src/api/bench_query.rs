//! What `bench query` says.

use serde::Serialize;

/// What `bench query` says: times of agents on a generated index, on one core.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BenchQueryJson {
    /// Chunks of the index.
    pub chunks: u64,
    /// Documents they belong to.
    pub documents: u64,
    /// Questions asked of each agent.
    pub questions: usize,
    /// What generated documents and questions.
    pub seed: u64,
    /// Seconds that writing the index took.
    pub fill_seconds: f64,
    /// One line for each agent, in the order in which they were asked.
    pub agents: Vec<BenchQueryAgentJson>,
    /// Questions that were not answered.
    pub failed: usize,
    /// The user ended it early: what is there is whole.
    pub interrupted: bool,
}

/// One agent. Milliseconds are from the question to the answer, less the time that embedding the question alone
/// takes, but for `whole_`.
#[derive(Debug, Clone, Serialize)]
pub struct BenchQueryAgentJson {
    /// Its label.
    pub agent: String,
    /// Questions answered.
    pub count: usize,
    /// Half of the answers took at most this.
    pub p50_ms: f64,
    /// Nine in ten.
    pub p90_ms: f64,
    /// 99 in a hundred.
    pub p99_ms: f64,
    /// Half of the answers took at most this, embedding included.
    pub whole_p50_ms: f64,
    /// Nine in ten.
    pub whole_p90_ms: f64,
    /// Searches of an answer, on average.
    pub searches: f64,
    /// Vectors scanned for an answer, on average.
    pub vectors_scanned: f64,
    /// What `p50_ms` should not pass; null where nothing is aimed at.
    pub target_p50_ms: Option<f64>,
    /// What `p90_ms` should not pass; null where nothing is aimed at.
    pub target_p90_ms: Option<f64>,
}
