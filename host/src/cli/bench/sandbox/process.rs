//! What this process has: memory, files, threads, mappings, as the operating system counts them.

use crate::cli::bench::error::BenchError;

/// Names of what is counted, in the order of [`Sample::counts`].
pub(super) const METERS: [&str; 5] = ["rss_kib", "anonymous_kib", "files", "threads", "mappings"];

/// What the process had after so many tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) tasks: u64,
    pub(super) counts: [u64; 5],
}

impl Sample {
    pub(super) fn take(tasks: u64) -> Result<Self, BenchError> {
        let status = read("/proc/self/status")?;
        let field = |name: &str| {
            let found = status.lines().find_map(|line| line.strip_prefix(name));
            let number = found.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.ok_or_else(|| BenchError::Sampling(format!("no {name} in its status")))
        };
        let mappings = read("/proc/self/maps")?.lines().count() as u64;
        let counts = [
            field("VmRSS:")?,
            field("RssAnon:")?,
            entries("/proc/self/fd")?,
            entries("/proc/self/task")?,
            mappings,
        ];
        Ok(Self { tasks, counts })
    }
}

fn read(path: &str) -> Result<String, BenchError> {
    std::fs::read_to_string(path).map_err(|error| BenchError::Sampling(format!("{path}: {error}")))
}

fn entries(path: &str) -> Result<u64, BenchError> {
    let listed = std::fs::read_dir(path);
    let listed = listed.map_err(|error| BenchError::Sampling(format!("{path}: {error}")))?;
    Ok(listed.count() as u64)
}
