//! Many hostile tasks in a row, and what they leave behind: memory, files, threads, mappings.

use super::Bench;
use super::process::{METERS, Sample};
use crate::api::{BenchSoakJson, BenchSoakMeterJson, round};
use crate::attack::{Hostile, Stage, hostile_guests};
use crate::cli::bench::statistics::slope;
use crate::error::Failure;
use crate::ingest::Chunker;
use crate::policy::Policy;
use crate::task::{Kind, Reason, Stop};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Samples are taken after so many tasks, when none runs; more often in a short soak.
const SAMPLED_EVERY: u64 = 1_000;

/// Samples of a short soak.
const SAMPLES: u64 = 20;

/// Fewer tasks than that show nothing: the allocator keeps what four tasks at once ever needed, and which four
/// meet is chance.
const JUDGED_FROM: u64 = 50_000;

/// Growth that is none, in 1,000 tasks: 32 KiB of memory, a tenth of anything else.
const GROWTH_MAX: [f64; 5] = [32.0, 32.0, 0.1, 0.1, 0.1];

/// A hostile guest, ready to run.
struct Ready {
    guest: Hostile,
    chunker: Chunker,
    policy: Policy,
}

/// What became of the tasks so far.
#[derive(Default)]
struct Tally {
    not_stopped: u64,
    stops: BTreeMap<String, u64>,
}

pub(super) async fn measure(bench: &mut Bench, tasks: u64) -> Result<(), Failure> {
    let stage = bench.stage.clone();
    bench.say("soaking".to_owned());
    let ready = hostile_guests()?
        .into_iter()
        .map(|guest| prepare(&stage, guest))
        .collect::<Result<Vec<Ready>, Failure>>()?;
    let every = (tasks / SAMPLES).clamp(1, SAMPLED_EVERY);
    let began = Instant::now();
    let (mut done, mut tally) = (0, Tally::default());
    bench.samples.push(Sample::take(0)?);
    while done < tasks && !bench.interrupted() {
        let wave = done..tasks.min(done + every);
        done = run_some(bench, &ready, wave, &mut tally).await;
        bench.samples.push(Sample::take(done)?);
    }
    let meters = METERS.iter().enumerate();
    bench.said.soak = Some(BenchSoakJson {
        tasks: done,
        not_stopped: tally.not_stopped,
        stops: tally.stops,
        seconds: round(began.elapsed().as_secs_f64(), 1),
        sampled_every: every,
        meters: meters
            .filter_map(|(at, name)| meter(name, at, &bench.samples))
            .collect(),
    });
    Ok(())
}

fn prepare(stage: &Stage, guest: Hostile) -> Result<Ready, Failure> {
    let policy = Policy::from_toml(guest.name, guest.policy)?;
    let chunker = stage.chunker(&guest.component, policy.wasi)?;
    Ok(Ready {
        guest,
        chunker,
        policy,
    })
}

/// Runs tasks with these numbers, four at a time, until the user interrupts; how many were run in all. None runs
/// when this returns.
async fn run_some(bench: &Bench, ready: &[Ready], wave: Range<u64>, tally: &mut Tally) -> u64 {
    let stage = &bench.stage;
    let one = |number: u64| async move {
        match ready.get(number as usize % ready.len()) {
            Some(ready) if number < wave.end => Some(run(stage, ready).await),
            _ => None,
        }
    };
    let mut done = wave.start;
    while done < wave.end && !bench.interrupted() {
        let (a, b, c, d) = tokio::join!(one(done), one(done + 1), one(done + 2), one(done + 3));
        let ends = [a, b, c, d].into_iter().flatten();
        for end in ends {
            tally.add(end);
            done += 1;
            bench.progress.inc(1);
        }
    }
    done
}

async fn run(stage: &Stage, ready: &Ready) -> Result<(), Stop> {
    let task = stage.task(Kind::Ingest, &ready.policy);
    let options = vec![];
    let call = stage.chunk(&ready.chunker, &task, "x", &options);
    let killing = async {
        if ready.guest.endless {
            tokio::time::sleep(Duration::from_millis(1)).await;
            task.end_with(Reason::Killed, "killed by the soak");
        }
    };
    let (outcome, ()) = tokio::join!(call, killing);
    outcome.map(drop)
}

impl Tally {
    fn add(&mut self, end: Result<(), Stop>) {
        match end {
            Ok(()) => self.not_stopped += 1,
            Err(stop) => {
                *self
                    .stops
                    .entry(stop.reason.as_str().to_owned())
                    .or_default() += 1;
            }
        }
    }
}

fn meter(name: &'static str, at: usize, samples: &[Sample]) -> Option<BenchSoakMeterJson> {
    let (first, last) = (samples.first()?, samples.last()?);
    let settled = samples
        .iter()
        .filter(|sample| sample.tasks * 5 >= last.tasks);
    let points: Vec<(f64, f64)> = settled
        .map(|sample| (sample.tasks as f64 / 1e3, sample.counts[at] as f64))
        .collect();
    let growth = slope(&points).filter(|_| last.tasks >= JUDGED_FROM);
    Some(BenchSoakMeterJson {
        meter: name,
        first: first.counts[at],
        last: last.counts[at],
        max: samples.iter().map(|sample| sample.counts[at]).max()?,
        per_1000_tasks: growth.map(|growth| round(growth, 4)),
        flat: growth.map(|growth| growth <= GROWTH_MAX[at]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(tasks: u64, memory: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |tasks| Sample {
            tasks,
            counts: [memory(tasks), 0, 9, 9, 9],
        };
        (0..=tasks).step_by(1_000).map(sample).collect()
    }

    #[test]
    fn memory_that_settles_is_flat_and_memory_that_leaks_is_not() {
        let settles = samples(100_000, |tasks| 200_000 + tasks.min(5_000));
        let settled = meter("rss_kib", 0, &settles).unwrap();
        assert_eq!(settled.flat, Some(true), "{settled:?}");
        let leaks = samples(100_000, |tasks| 200_000 + tasks / 10);
        let leaked = meter("rss_kib", 0, &leaks).unwrap();
        assert_eq!(leaked.flat, Some(false), "{leaked:?}");
        assert_eq!(leaked.per_1000_tasks, Some(100.0));
        let short = samples(5_000, |tasks| 200_000 + tasks);
        assert_eq!(meter("rss_kib", 0, &short).unwrap().flat, None);
    }
}
