//! From runs to what is said of them: rows, medians, ratios; for machines, for people, and as
//! comma-separated values.

use super::scenario::{Measure, Scenario};
use super::statistics::Spread;
use crate::api::{
    BenchIngestJson, BenchRatioJson, BenchRowJson, BenchScenarioJson, BenchVectorsJson,
    BenchWorkloadJson, SpreadJson, round,
};
use crate::cli::args::BenchIngestArguments;
use crate::cli::output::{Output, plural, table, thousands};
use serde_json::Value;

/// Characters of a chunk of the default chunker.
const CHUNK_SIZE: u32 = 1_000;

/// How far a peer's vectors may lie from ours.
const DIFFERENCE_MAX: f64 = 1e-5;

/// The runs, in order, each with its round.
#[derive(Debug, Default)]
pub(super) struct Report {
    runs: Vec<(u32, Measure)>,
    /// Chunks that each run of a peer is compared by.
    pub(super) compared: usize,
}

impl Report {
    pub(super) fn add(&mut self, round: u32, measure: Measure) {
        self.runs.push((round, measure));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Everything that was measured, for this many workers.
    pub(super) fn json(
        &self,
        arguments: &BenchIngestArguments,
        workers: usize,
        interrupted: bool,
    ) -> BenchIngestJson {
        let mut scenarios: Vec<Scenario> = vec![];
        for (_, run) in &self.runs {
            if !scenarios.contains(&run.scenario) {
                scenarios.push(run.scenario);
            }
        }
        let one = |scenario: &Scenario| self.scenario(*scenario, workers);
        let peers = scenarios.iter().filter(|one| **one != Scenario::Sandboxed);
        BenchIngestJson {
            workload: self.workload(arguments),
            rounds: arguments.rounds,
            interrupted,
            scenarios: scenarios.iter().filter_map(one).collect(),
            ratios: peers.filter_map(|peer| self.ratio(*peer)).collect(),
            vectors: self.vectors(),
            rows: self
                .runs
                .iter()
                .map(|(round, run)| row(*round, run, workers))
                .collect(),
        }
    }

    fn workload(&self, arguments: &BenchIngestArguments) -> BenchWorkloadJson {
        let ours = self.of(Scenario::Sandboxed).next().map(|(_, run)| run);
        BenchWorkloadJson {
            corpus: arguments
                .corpus
                .as_ref()
                .map(|path| path.display().to_string()),
            seed: arguments.corpus.is_none().then_some(arguments.seed),
            documents: ours.map_or(0, |run| run.documents),
            failed: ours.map_or(0, |run| run.failed),
            chunks: ours.map_or(0, |run| run.chunks),
            tokens: ours.map_or(0, |run| run.tokens),
        }
    }

    fn of(&self, scenario: Scenario) -> impl Iterator<Item = &(u32, Measure)> {
        self.runs
            .iter()
            .filter(move |(_, run)| run.scenario == scenario)
    }

    fn scenario(&self, scenario: Scenario, workers: usize) -> Option<BenchScenarioJson> {
        let rows: Vec<BenchRowJson> = self
            .of(scenario)
            .map(|(round, run)| row(*round, run, workers))
            .collect();
        let spread = |column: fn(&BenchRowJson) -> f64| Spread::of(rows.iter().map(column));
        let shares = Spread::of(rows.iter().filter_map(|row| row.guest_share));
        Some(BenchScenarioJson {
            scenario: scenario.name(),
            rounds: rows.len(),
            num_workers: workers,
            duration_s: json(spread(|row| row.duration_s)?, 3),
            docs_per_s: json(spread(|row| row.docs_per_s)?, 2),
            tokens_per_s: json(spread(|row| row.tokens_per_s)?, 1),
            cpu_mean: json(spread(|row| row.cpu_mean)?, 1),
            cpu_max: json(spread(|row| row.cpu_max)?, 1),
            mem_peak_mb: json(spread(|row| row.mem_peak_mb)?, 1),
            startup_s: json(spread(|row| row.startup_s)?, 3),
            guest_share: shares.map(|spread| json(spread, 6)),
        })
    }

    /// Round by round, so that what slowed a whole round down counts in neither.
    fn ratio(&self, peer: Scenario) -> Option<BenchRatioJson> {
        let ours = |round: u32| self.of(Scenario::Sandboxed).find(|(of, _)| *of == round);
        let ratios = self.of(peer).filter_map(|(round, theirs)| {
            let (_, ours) = ours(*round)?;
            Some(ours.documents_per_s() / theirs.documents_per_s())
        });
        let ratios: Vec<f64> = ratios.collect();
        Some(BenchRatioJson {
            scenario: Scenario::Sandboxed.name(),
            over: peer.name(),
            rounds: ratios.len(),
            docs_per_s: json(Spread::of(ratios)?, 3),
        })
    }

    fn vectors(&self) -> Option<BenchVectorsJson> {
        let differences = self.runs.iter().filter_map(|(_, run)| run.vectors_differ);
        let differences: Vec<f64> = differences.collect();
        let largest = differences.iter().copied().max_by(f64::total_cmp)?;
        Some(BenchVectorsJson {
            compared: self.compared,
            max_abs_diff: largest,
            limit: DIFFERENCE_MAX,
            ok: largest <= DIFFERENCE_MAX,
        })
    }
}

fn json(spread: Spread, decimals: i32) -> SpreadJson {
    SpreadJson {
        median: round(spread.median, decimals),
        min: round(spread.min, decimals),
        max: round(spread.max, decimals),
    }
}

fn row(number: u32, run: &Measure, workers: usize) -> BenchRowJson {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let percent = |busy: f64| round(busy / cores as f64 * 100.0, 1);
    BenchRowJson {
        scenario: run.scenario.name(),
        num_docs: run.documents,
        chunk_size: CHUNK_SIZE,
        num_workers: workers,
        duration_s: round(run.took.as_secs_f64(), 3),
        docs_per_s: round(run.documents_per_s(), 2),
        cpu_mean: percent(run.cores_mean()),
        cpu_max: percent(run.cores_max),
        mem_peak_mb: round(run.memory_peak as f64 / 1e6, 1),
        round: number,
        chunks: run.chunks,
        tokens_per_s: round(run.tokens_per_s(), 1),
        startup_s: round(run.startup.as_secs_f64(), 3),
        guest_share: run.guest_share().map(|share| round(share, 6)),
    }
}

/// The rows with a header; an empty field is what a row does not have.
pub(super) fn csv(rows: &[BenchRowJson]) -> String {
    let mut lines = vec![];
    for row in rows {
        let Ok(Value::Object(columns)) = serde_json::to_value(row) else {
            continue;
        };
        if lines.is_empty() {
            lines.push(columns.keys().cloned().collect::<Vec<_>>().join(","));
        }
        lines.push(columns.values().map(field).collect::<Vec<_>>().join(","));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Names of scenarios and numbers: nothing that needs quotes.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn show(out: &Output, said: &BenchIngestJson) {
    let workload = &said.workload;
    if workload.failed > 0 {
        let failed = plural(workload.failed, "document");
        out.remark(format!("{failed} did not get in and took part in nothing."));
    }
    let from = match (&workload.corpus, workload.seed) {
        (Some(corpus), _) => format!(" of {corpus}"),
        (None, Some(seed)) => format!(" (generated, seed {seed})"),
        (None, None) => String::new(),
    };
    out.line(format!(
        "{}{from}, {}, {} tokens.",
        plural(workload.documents, "document"),
        plural(workload.chunks, "chunk"),
        thousands(workload.tokens)
    ));
    out.line(format!("{}, start-up apart:", medians(said)));
    out.line(scenarios(said));
    for ratio in &said.ratios {
        out.line(out.bold(&ratio_line(ratio)));
    }
    if let Some(vectors) = &said.vectors {
        out.line(vectors_line(vectors));
    }
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

fn medians(said: &BenchIngestJson) -> String {
    let ran = said.rows.iter().map(|row| row.round).max().unwrap_or(0);
    match (ran, said.scenarios.len()) {
        (1, _) => "One round".to_owned(),
        (rounds, 1) => format!("Medians (least to most) of {rounds} rounds"),
        (rounds, _) => format!("Medians (least to most) of {rounds} interleaved rounds"),
    }
}

fn scenarios(said: &BenchIngestJson) -> comfy_table::Table {
    let header = [
        "scenario",
        "workers",
        "docs/s",
        "tokens/s",
        "seconds",
        "CPU %",
        "CPU max %",
        "memory MB",
        "start-up s",
        "guests %",
    ];
    let row = |one: &BenchScenarioJson| {
        let share = one.guest_share.map(|share| percent(&share));
        vec![
            one.scenario.to_owned(),
            one.num_workers.to_string(),
            spread(&one.docs_per_s, 1),
            spread(&one.tokens_per_s, 0),
            spread(&one.duration_s, 1),
            spread(&one.cpu_mean, 0),
            spread(&one.cpu_max, 0),
            spread(&one.mem_peak_mb, 0),
            spread(&one.startup_s, 1),
            share.unwrap_or_else(|| "-".to_owned()),
        ]
    };
    let right: Vec<usize> = (1..header.len()).collect();
    table(&header, &right, said.scenarios.iter().map(row).collect())
}

fn percent(share: &SpreadJson) -> String {
    let SpreadJson { median, min, max } = *share;
    let times = |share: f64| share * 100.0;
    spread(
        &SpreadJson {
            median: times(median),
            min: times(min),
            max: times(max),
        },
        2,
    )
}

/// `43.1 (42.0-44.2)`, or the number alone where all are alike.
fn spread(spread: &SpreadJson, decimals: usize) -> String {
    let text = |number: f64| format!("{number:.decimals$}");
    let (median, min, max) = (text(spread.median), text(spread.min), text(spread.max));
    match min == max {
        true => median,
        false => format!("{median} ({min}-{max})"),
    }
}

fn ratio_line(ratio: &BenchRatioJson) -> String {
    let SpreadJson { median, min, max } = ratio.docs_per_s;
    let rounds = match ratio.rounds {
        1 => "one round".to_owned(),
        rounds => format!("median of {rounds} interleaved rounds, {min:.2}x to {max:.2}x"),
    };
    format!(
        "{} / {} = {median:.2}x documents per second ({rounds})",
        ratio.scenario, ratio.over
    )
}

fn vectors_line(vectors: &BenchVectorsJson) -> String {
    let BenchVectorsJson {
        compared,
        max_abs_diff,
        limit,
        ok,
    } = vectors;
    let compared = plural(*compared as u64, "chunk");
    match ok {
        true => format!(
            "Equal vectors: {compared} compared, largest difference {max_abs_diff:.1e} (at most {limit:.0e})."
        ),
        false => format!(
            "The vectors DIFFER: {compared} compared, largest difference {max_abs_diff:.1e}, more than {limit:.0e}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(scenario: Scenario, seconds: u64) -> Measure {
        Measure {
            scenario,
            documents: 300,
            failed: 0,
            chunks: 331,
            tokens: 40_000,
            took: Duration::from_secs(seconds),
            startup: Duration::from_millis(400),
            cpu: Duration::from_secs(2 * seconds),
            cores_max: 2.0,
            memory_peak: 200_000_000,
            guest_cpu: (scenario == Scenario::Sandboxed).then(|| Duration::from_millis(14)),
            vectors_differ: (scenario != Scenario::Sandboxed).then_some(2e-7),
        }
    }

    fn report() -> Report {
        let mut report = Report {
            compared: 64,
            ..Report::default()
        };
        for (round, ours, theirs) in [(1, 7, 14), (2, 8, 12), (3, 7, 21)] {
            report.add(round, run(Scenario::Sandboxed, ours));
            report.add(round, run(Scenario::PythonThreads, theirs));
        }
        report
    }

    fn said(report: &Report) -> BenchIngestJson {
        let arguments = BenchIngestArguments {
            documents: 300,
            corpus: None,
            rounds: 3,
            peers: vec![],
            seed: 42,
            csv: None,
        };
        report.json(&arguments, 2, false)
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let said = said(&report());
        let ratio = &said.ratios[0];
        assert_eq!(
            (
                ratio.docs_per_s.min,
                ratio.docs_per_s.median,
                ratio.docs_per_s.max
            ),
            (1.5, 2.0, 3.0)
        );
        assert!(ratio_line(ratio).starts_with("sandboxed / python-threads = 2.00x"));
        assert_eq!(said.scenarios[0].duration_s.median, 7.0);
        assert_eq!(
            said.scenarios[0].guest_share.map(|share| share.median),
            Some(0.001)
        );
    }

    #[test]
    fn a_row_of_values_has_the_studys_columns_first() {
        let text = csv(&said(&report()).rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "scenario,num_docs,chunk_size,num_workers,duration_s,docs_per_s,cpu_mean,cpu_max,mem_peak_mb,\
             round,chunks,tokens_per_s,startup_s,guest_share"
        );
        assert_eq!(lines.len(), 7);
        assert!(
            lines[1].starts_with("sandboxed,300,1000,2,7.0,42.86,"),
            "{}",
            lines[1]
        );
        assert!(
            lines[1].ends_with(",200.0,1,331,5714.3,0.4,0.001"),
            "{}",
            lines[1]
        );
        assert!(
            lines[2].ends_with(",0.4,"),
            "no guests, no share: {}",
            lines[2]
        );
    }

    #[test]
    fn differing_vectors_are_said() {
        let mut report = report();
        assert!(said(&report).vectors.is_some_and(|vectors| vectors.ok));
        report.add(
            4,
            Measure {
                vectors_differ: Some(f64::INFINITY),
                ..run(Scenario::PythonThreads, 9)
            },
        );
        let vectors = said(&report).vectors.unwrap();
        assert!(!vectors.ok && vectors_line(&vectors).contains("DIFFER"));
    }
}
