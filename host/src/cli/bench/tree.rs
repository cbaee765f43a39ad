//! What a process and its descendants use: resident memory and CPU time, sampled.
//!
//! The only user of `sysinfo`. It knows nothing of what the processes do.

use super::error::BenchError;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System};

/// New descendants are looked for at every so many samples: that reads every process of the machine.
const SAMPLES_PER_SEARCH: usize = 4;

/// CPU is counted in ticks of 10 ms: a shorter window would be noise.
const CPU_WINDOW: Duration = Duration::from_millis(500);

/// A process and its descendants.
pub(super) struct Tree {
    system: System,
    root: Pid,
    members: Vec<Pid>,
    /// CPU of each process that was ever seen: what has ended still counts.
    cpu: HashMap<Pid, Duration>,
    samples: usize,
}

/// What the tree used at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    at: Instant,
    /// Since the root began.
    cpu: Duration,
    /// Resident, summed over the processes: pages that they share count in each.
    memory: u64,
}

impl Tree {
    pub(super) fn new(root: u32) -> Result<Self, BenchError> {
        let system = System::new().map_err(|error| BenchError::Sampling(error.to_string()))?;
        let root = Pid::from_u32(root);
        Ok(Self {
            system,
            root,
            members: vec![root],
            cpu: HashMap::new(),
            samples: 0,
        })
    }

    pub(super) fn sample(&mut self) -> Sample {
        let kind = ProcessRefreshKind::nothing()
            .without_tasks()
            .with_cpu()
            .with_memory();
        if self.samples.is_multiple_of(SAMPLES_PER_SEARCH) {
            let all = ProcessesToUpdate::All;
            self.system.refresh_processes_specifics(all, true, kind);
            self.search();
        } else {
            let known = ProcessesToUpdate::Some(&self.members);
            self.system.refresh_processes_specifics(known, true, kind);
        }
        self.samples += 1;
        let alive = self
            .members
            .iter()
            .filter_map(|pid| self.system.process(*pid));
        let mut memory = 0;
        for process in alive {
            memory += process.memory();
            let spent = Duration::from_millis(process.accumulated_cpu_time());
            self.cpu.insert(process.pid(), spent);
        }
        Sample {
            at: Instant::now(),
            cpu: self.cpu.values().sum(),
            memory,
        }
    }

    fn search(&mut self) {
        let processes = self.system.processes();
        let below = |process: &&Process| {
            let mut above = Some(*process);
            // Parents are older than their children, so this ends; a bound costs nothing.
            for _ in 0..64 {
                match above {
                    Some(process) if process.pid() == self.root => return true,
                    Some(process) => above = process.parent().and_then(|pid| processes.get(&pid)),
                    None => return false,
                }
            }
            false
        };
        self.members = processes.values().filter(below).map(Process::pid).collect();
    }
}

/// The samples of one run, oldest first.
#[derive(Debug, Default)]
pub(super) struct Samples(pub(super) Vec<Sample>);

impl Samples {
    /// The largest sum of resident memory, in bytes.
    pub(super) fn memory_peak(&self) -> u64 {
        self.0.iter().map(|sample| sample.memory).max().unwrap_or(0)
    }

    /// Every sample's resident memory, in bytes.
    pub(super) fn memory(&self) -> Vec<u64> {
        self.0.iter().map(|sample| sample.memory).collect()
    }

    /// CPU used between two moments.
    pub(super) fn cpu_between(&self, from: Instant, to: Instant) -> Duration {
        self.cpu_at(to).saturating_sub(self.cpu_at(from))
    }

    /// The largest CPU per wall time between two moments, over half a second or more: 2 is two cores.
    pub(super) fn cpu_rate_max(&self, from: Instant, to: Instant) -> f64 {
        let inside = |sample: &&Sample| (from..=to).contains(&sample.at);
        let inside: Vec<&Sample> = self.0.iter().filter(inside).collect();
        let mut best = 0.0_f64;
        for (index, first) in inside.iter().enumerate() {
            let window = |last: &&&Sample| last.at - first.at >= CPU_WINDOW;
            if let Some(last) = inside[index..].iter().find(window) {
                best = best.max(rate(last.cpu.saturating_sub(first.cpu), last.at - first.at));
            }
        }
        best.max(rate(self.cpu_between(from, to), to - from))
    }

    /// CPU at a moment, on the straight line between the samples around it.
    fn cpu_at(&self, at: Instant) -> Duration {
        let after = self.0.partition_point(|sample| sample.at <= at);
        let next = self.0.get(after);
        let before = after.checked_sub(1).and_then(|index| self.0.get(index));
        match (before, next) {
            (Some(a), Some(b)) => {
                let part = (at - a.at).as_secs_f64() / (b.at - a.at).as_secs_f64();
                a.cpu + b.cpu.saturating_sub(a.cpu).mul_f64(part)
            }
            (Some(a), None) => a.cpu,
            (None, _) => Duration::ZERO,
        }
    }
}

/// CPU per wall time.
pub(super) fn rate(cpu: Duration, wall: Duration) -> f64 {
    match wall.is_zero() {
        true => 0.0,
        false => cpu.as_secs_f64() / wall.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample every 100 ms; CPU in milliseconds, memory in bytes.
    fn samples(began: Instant, seen: &[(u64, u64)]) -> Samples {
        let sample = |(index, &(cpu, memory)): (usize, &(u64, u64))| Sample {
            at: began + Duration::from_millis(100 * index as u64),
            cpu: Duration::from_millis(cpu),
            memory,
        };
        Samples(seen.iter().enumerate().map(sample).collect())
    }

    #[test]
    fn cpu_is_read_between_samples() {
        let began = Instant::now();
        let samples = samples(began, &[(0, 5), (100, 9), (300, 7)]);
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(
            samples.cpu_between(at(50), at(150)),
            Duration::from_millis(150)
        );
        assert_eq!(
            samples.cpu_between(at(0), at(900)),
            Duration::from_millis(300)
        );
        assert_eq!(samples.memory_peak(), 9);
    }

    #[test]
    fn the_busiest_half_second_counts() {
        let began = Instant::now();
        let seen: Vec<(u64, u64)> = (0..20)
            .map(|i| (if i < 10 { i * 50 } else { 450 + (i - 9) * 200 }, 0))
            .collect();
        let samples = samples(began, &seen);
        let busiest = samples.cpu_rate_max(began, began + Duration::from_millis(1_900));
        assert!((busiest - 2.0).abs() < 1e-9, "{busiest}");
    }

    #[test]
    fn a_child_is_part_of_the_tree() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let mut tree = Tree::new(std::process::id()).unwrap();
        let sample = tree.sample();
        let found = tree.members.contains(&Pid::from_u32(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found && sample.memory > 1_000_000 && tree.members.len() >= 2);
    }
}
