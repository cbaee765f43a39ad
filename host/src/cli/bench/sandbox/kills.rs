//! Kills and limits, by where the task was and by what else kept the cores busy.

use super::Bench;
use crate::api::{BenchKillsJson, round};
use crate::attack::{Busy, FILLED_MIB, Freed, KillKind, Kills, Load, Overrun, Try};
use crate::cli::bench::statistics::Times;
use crate::error::Failure;
use crate::task::Reason;
use std::time::Duration;

/// Targets of the time from a kill to a free place.
const P99_MAX: Duration = Duration::from_millis(10);
const MAX: Duration = Duration::from_millis(60);
/// Of guests in bulk-memory instructions, for each MiB and without load.
const BULK_MS_PER_MIB_MAX: f64 = 2.0;

/// Tasks that failed in this way before it is given up: each may have taken half a minute.
const FAILED_MAX: usize = 3;

/// One kill: a line of the comma-separated values.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) kind: &'static str,
    pub(super) load: &'static str,
    pub(super) took: Duration,
    pub(super) fuel: u64,
    pub(super) guest_cpu_ms: f64,
    pub(super) host_wait_ms: f64,
}

/// Many kills of one kind under one load.
#[derive(Debug)]
struct Round {
    kind: &'static str,
    load: Load,
    times: Vec<Duration>,
    failed: usize,
    missed: usize,
}

/// Every kind under every load. A load begins anew with each kind: a spinning guest's CPU is bounded too.
pub(super) async fn measure(bench: &mut Bench, count: usize) -> Result<(), Failure> {
    let stage = bench.stage.clone();
    let kills = Kills::prepare(&stage).await?;
    for kind in KillKind::ALL {
        for load in Load::ALL {
            bench.say(format!("killing, {} ({})", kind.as_str(), load.as_str()));
            let _busy = Busy::begin(&stage, load).await?;
            let round = kill_all(bench, &kills, kind, load, count).await?;
            bench.said.kills.extend(round.json());
            if bench.interrupted() {
                return Ok(());
            }
        }
    }
    for limit in Overrun::ALL {
        for load in Load::ALL {
            bench.say(format!("passing {} ({})", limit.as_str(), load.as_str()));
            let _busy = Busy::begin(&stage, load).await?;
            let round = overrun_all(bench, &kills, limit, load, count).await?;
            bench.said.limits.extend(round.json());
            if bench.interrupted() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn kill_all(
    bench: &mut Bench,
    kills: &Kills<'_>,
    kind: KillKind,
    load: Load,
    count: usize,
) -> Result<Round, Failure> {
    let mut round = Round::new(kind.as_str(), load);
    let mut number = 0;
    let missed_max = 3 * count + 20;
    while round.times.len() < count && round.missed < missed_max && !bench.interrupted() {
        number += 1;
        match kills.kill(kind, number).await {
            Ok(Try::Missed) => round.missed += 1,
            Ok(Try::Freed(freed)) => {
                let stop = &freed.stop;
                let there = stop.phase == kind.phase().as_str();
                if !there || stop.reason != Reason::Killed {
                    tracing::warn!(kind = kind.as_str(), "killed, but: {stop}");
                    round.failed += 1;
                }
                round.add(bench, &freed);
            }
            Err(failure) if failure.code == "kill" && round.failed < FAILED_MAX => {
                tracing::warn!("{failure}");
                round.failed += 1;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(round)
}

async fn overrun_all(
    bench: &mut Bench,
    kills: &Kills<'_>,
    limit: Overrun,
    load: Load,
    count: usize,
) -> Result<Round, Failure> {
    let mut round = Round::new(limit.as_str(), load);
    while round.times.len() < count && !bench.interrupted() {
        let freed = kills.overrun(limit).await?;
        if freed.stop.reason.as_str() != limit.as_str() {
            tracing::warn!(limit = limit.as_str(), "stopped, but: {}", freed.stop);
            round.failed += 1;
        }
        round.add(bench, &freed);
    }
    Ok(round)
}

impl Round {
    fn new(kind: &'static str, load: Load) -> Self {
        Self {
            kind,
            load,
            times: vec![],
            failed: 0,
            missed: 0,
        }
    }

    fn add(&mut self, bench: &mut Bench, freed: &Freed) {
        let usage = freed.task.usage();
        self.times.push(freed.took);
        bench.progress.inc(1);
        bench.rows.push(Row {
            kind: self.kind,
            load: self.load.as_str(),
            took: freed.took,
            fuel: usage.fuel,
            guest_cpu_ms: usage.guest_cpu_ms,
            host_wait_ms: usage.host_wait_ms,
        });
    }

    /// Nothing where nothing was killed.
    fn json(self) -> Option<BenchKillsJson> {
        let bulk = self.kind == KillKind::BulkMemory.as_str();
        let times = Times::of(self.times);
        if times.len() + self.failed + self.missed == 0 {
            return None;
        }
        let per_mib = ms(times.max()) / f64::from(FILLED_MIB);
        let within = match bulk {
            false => Some(times.percentile(99) <= P99_MAX && times.max() <= MAX),
            true => (self.load == Load::Idle).then_some(per_mib <= BULK_MS_PER_MIB_MAX),
        };
        Some(BenchKillsJson {
            kind: self.kind,
            load: self.load.as_str(),
            count: times.len(),
            failed: self.failed,
            missed: self.missed,
            p50_ms: round(ms(times.percentile(50)), 3),
            p90_ms: round(ms(times.percentile(90)), 3),
            p99_ms: round(ms(times.percentile(99)), 3),
            max_ms: round(ms(times.max()), 3),
            max_ms_per_mib: bulk.then(|| round(per_mib, 3)),
            within,
        })
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
