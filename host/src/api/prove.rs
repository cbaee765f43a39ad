//! What `prove` says.

use super::round;
use crate::policy::Value;
use crate::prove as pr;
use serde::Serialize;

/// What `prove` says.
#[derive(Debug, Serialize)]
pub struct ProveJson {
    /// The policy's name.
    pub policy: String,
    /// A row a key, in the order of the policy's file.
    pub rows: Vec<ProveRowJson>,
    /// The well-behaved tenant, before anything was done.
    pub victim: VictimJson,
    /// It was interrupted before the last key.
    pub interrupted: bool,
    /// Every key held.
    pub ok: bool,
}

/// The well-behaved tenant in some time.
#[derive(Debug, Serialize)]
pub struct VictimJson {
    /// Rounds: a document brought in, a question answered.
    pub rounds: usize,
    /// The 99th percentile of a round; of few rounds it is the longest.
    pub p99_ms: f64,
    /// Rounds that failed or gave something else.
    pub wrong: usize,
}

/// What came of one key.
#[derive(Debug, Serialize)]
pub struct ProveRowJson {
    /// The key's path.
    pub key: String,
    /// What the attack does.
    pub attack: &'static str,
    /// What must come of it.
    pub expected: String,
    /// What came of it.
    pub got: String,
    /// Both sides held, and the victim noticed nothing but time.
    pub ok: bool,
    /// The attack got what was expected.
    pub violated_ok: bool,
    /// What stayed just under the limit was left alone.
    pub obeyed_ok: bool,
    /// What became of that.
    pub obeyed: String,
    /// The policy's value, in the key's unit.
    pub limit: Value,
    /// The value at which it was tried; null where that is the policy's.
    pub lowered_to: Option<Value>,
    /// What the attack used, in the key's unit; null where there is nothing to count.
    pub used: Option<f64>,
    /// From the limit, or where it is none of time from the attack's begin, until its place was free; null
    /// where nothing is stopped.
    pub limit_to_free_ms: Option<f64>,
    /// Resident memory of the process after the attack.
    pub rss_after_mb: f64,
    /// The victim's p99 during the attack by that before; null where it finished no round.
    pub victim_p99_ratio: Option<f64>,
    /// Rounds of the victim during the attack.
    pub victim_rounds: usize,
    /// What was wrong with the victim's rounds first; null where nothing was.
    pub victim_wrong: Option<String>,
}

impl From<&pr::Report> for ProveJson {
    fn from(report: &pr::Report) -> Self {
        let alone = &report.alone;
        Self {
            policy: report.policy.clone(),
            rows: (report.rows.iter().map(|row| row_json(row, alone.p99_ms))).collect(),
            victim: VictimJson {
                rounds: alone.rounds,
                p99_ms: round(alone.p99_ms, 2),
                wrong: alone.wrong,
            },
            interrupted: report.interrupted,
            ok: report.ok(),
        }
    }
}

fn row_json(row: &pr::Row, alone_ms: f64) -> ProveRowJson {
    let measured = row.victim.rounds > 0 && alone_ms > 0.0;
    ProveRowJson {
        key: row.key.clone(),
        attack: row.attack,
        expected: row.expected.clone(),
        got: row.got.clone(),
        ok: row.ok,
        violated_ok: row.violated_ok,
        obeyed_ok: row.obeyed_ok,
        obeyed: row.obeyed.clone(),
        limit: row.limit,
        lowered_to: row.lowered_to,
        used: row.used.map(|used| round(used, 3)),
        limit_to_free_ms: row
            .limit_to_free
            .map(|free| round(free.as_secs_f64() * 1e3, 3)),
        rss_after_mb: round(row.rss_after_mb, 1),
        victim_p99_ratio: measured.then(|| round(row.victim.p99_ms / alone_ms, 2)),
        victim_rounds: row.victim.rounds,
        victim_wrong: row.victim.first_wrong.clone(),
    }
}
