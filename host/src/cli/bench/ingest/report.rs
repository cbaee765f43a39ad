//! From runs to what is said of them: rows, medians, ratios. It knows nothing of how they are shown.

use super::arguments::BenchIngestArguments;
use super::plan::Run;
use super::scenario::{Measure, Scenario};
use super::{published, verdict};
use crate::api::{
    BenchIngestJson, BenchProductJson, BenchRatioJson, BenchRowJson, BenchScenarioJson,
    BenchVectorsJson, BenchWorkloadJson, SpreadJson, round,
};
use crate::cli::bench::machine;
use crate::cli::bench::statistics::Spread;
use crate::embedder::MFLOP_PER_TOKEN;

/// Characters of a chunk of the default chunker.
const CHUNK_SIZE: u32 = 1_000;

/// How far a peer's vectors may lie from ours.
const DIFFERENCE_MAX: f64 = 1e-5;

/// Whose ratio to `sandboxed` is the sandbox's or the peer's, and two that show where time goes.
const INNER_RATIOS: [(Scenario, Scenario); 1] = [(Scenario::Threads, Scenario::Loop)];

/// The runs, in order.
#[derive(Debug)]
pub(super) struct Report {
    runs: Vec<(Run, Measure)>,
    rounds: u32,
    /// Chunks that each run of a peer is compared by.
    pub(super) compared: usize,
}

/// Runs that differ in their round alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    documents: Option<u32>,
    workers: usize,
    scenario: Scenario,
}

impl From<&Run> for Kind {
    fn from(run: &Run) -> Self {
        Self {
            documents: run.documents,
            workers: run.workers,
            scenario: run.scenario,
        }
    }
}

impl Report {
    pub(super) fn new(rounds: u32) -> Self {
        Self {
            runs: vec![],
            rounds,
            compared: 0,
        }
    }

    pub(super) fn add(&mut self, run: Run, measure: Measure) {
        self.runs.push((run, measure));
    }

    /// Whether nothing that has documents was run.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds().is_empty()
    }

    /// Everything that was measured.
    pub(super) fn json(
        &self,
        arguments: &BenchIngestArguments,
        interrupted: bool,
    ) -> BenchIngestJson {
        let scenarios: Vec<BenchScenarioJson> = self
            .kinds()
            .into_iter()
            .filter_map(|kind| self.scenario(kind))
            .collect();
        let ratios = self.ratios();
        let rows: Vec<BenchRowJson> = self.with_documents().map(|run| self.row(run)).collect();
        let published = published::rows();
        BenchIngestJson {
            machine: machine::this(),
            workload: self.workload(arguments),
            rounds: self.rounds,
            interrupted,
            targets: verdict::targets(&scenarios, &ratios, &rows),
            costs: verdict::costs(&scenarios, &published),
            scenarios,
            products: self.products(),
            ratios,
            published,
            vectors: self.vectors(),
            rows,
        }
    }

    fn workload(&self, arguments: &BenchIngestArguments) -> BenchWorkloadJson {
        let ours = self
            .runs
            .iter()
            .find(|(run, _)| run.scenario == Scenario::Sandboxed);
        let ours = ours.map(|(_, measure)| measure);
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

    fn with_documents(&self) -> impl Iterator<Item = &(Run, Measure)> {
        self.runs
            .iter()
            .filter(|(run, _)| run.scenario != Scenario::Matmul)
    }

    /// In the order in which they first ran.
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = vec![];
        for kind in self.with_documents().map(|(run, _)| Kind::from(run)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &(Run, Measure)> {
        self.runs
            .iter()
            .filter(move |(run, _)| Kind::from(run) == kind)
    }

    fn scenario(&self, kind: Kind) -> Option<BenchScenarioJson> {
        let rows: Vec<BenchRowJson> = self.of(kind).map(|run| self.row(run)).collect();
        let spread = |column: fn(&BenchRowJson) -> f64| Spread::of(rows.iter().map(column));
        let guests = Spread::of(rows.iter().filter_map(|row| row.guest_share));
        let hardware = Spread::of(rows.iter().filter_map(|row| row.hardware_share));
        let differ = self.of(kind).filter_map(|(_, run)| run.vectors_differ);
        Some(BenchScenarioJson {
            scenario: kind.scenario.name(),
            num_docs: rows.first()?.num_docs,
            num_workers: kind.workers,
            rounds: rows.len(),
            duration_s: json(spread(|row| row.duration_s)?, 3),
            docs_per_s: json(spread(|row| row.docs_per_s)?, 2),
            tokens_per_s: json(spread(|row| row.tokens_per_s)?, 1),
            cpu_mean: json(spread(|row| row.cpu_mean)?, 1),
            cpu_max: json(spread(|row| row.cpu_max)?, 1),
            mem_peak_mb: json(spread(|row| row.mem_peak_mb)?, 1),
            startup_s: json(spread(|row| row.startup_s)?, 3),
            guest_share: guests.map(|spread| json(spread, 6)),
            hardware_share: hardware.map(|spread| json(spread, 4)),
            vectors_max_abs_diff: differ.max_by(f64::total_cmp),
        })
    }

    fn products(&self) -> Vec<BenchProductJson> {
        let products = |workers: usize| {
            let those = move |(run, _): &&(Run, Measure)| run.workers == workers;
            let those = self.runs.iter().filter(those);
            let rates: Vec<f64> = those.filter_map(|(_, measure)| measure.gflops).collect();
            Some(BenchProductJson {
                num_workers: workers,
                rounds: rates.len(),
                gflops: json(Spread::of(rates)?, 1),
            })
        };
        let mut workers: Vec<usize> = self.runs.iter().map(|(run, _)| run.workers).collect();
        workers.sort_unstable();
        workers.dedup();
        workers.into_iter().filter_map(products).collect()
    }

    /// The product that was measured nearest to a run: in its round, else with its documents, else any with as
    /// many workers.
    fn product(&self, of: &Run) -> Option<f64> {
        let rate = |near: &dyn Fn(&Run) -> bool| {
            let mut runs = self.runs.iter();
            runs.find_map(|(run, measure)| {
                let that = run.workers == of.workers && near(run);
                measure.gflops.filter(|_| that)
            })
        };
        let same = |run: &Run| run.documents == of.documents;
        rate(&|run| same(run) && run.round == of.round)
            .or_else(|| rate(&same))
            .or_else(|| rate(&|_| true))
    }

    fn row(&self, (run, measure): &(Run, Measure)) -> BenchRowJson {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let percent = |busy: f64| round(busy / cores as f64 * 100.0, 1);
        let product = self.product(run);
        // Whoever embeds equal chunks once has tokens that no model read.
        let embeds_all = run.scenario != Scenario::SandboxedReuse;
        let share = |rate: f64| measure.tokens_per_s() * MFLOP_PER_TOKEN / 1e3 / rate;
        BenchRowJson {
            scenario: run.scenario.name(),
            num_docs: measure.documents,
            chunk_size: CHUNK_SIZE,
            num_workers: run.workers,
            duration_s: round(measure.took.as_secs_f64(), 3),
            docs_per_s: round(measure.documents_per_s(), 2),
            cpu_mean: percent(measure.cores_mean()),
            cpu_max: percent(measure.cores_max),
            mem_peak_mb: round(measure.memory_peak as f64 / 1e6, 1),
            round: run.round,
            chunks: measure.chunks,
            tokens_per_s: round(measure.tokens_per_s(), 1),
            startup_s: round(measure.startup.as_secs_f64(), 3),
            guest_share: measure.guest_share().map(|share| round(share, 6)),
            product_gflops: product.map(|rate| round(rate, 1)),
            hardware_share: product
                .filter(|_| embeds_all)
                .map(|rate| round(share(rate), 4)),
        }
    }

    /// Ours by every other, and what lies between the parts of ours.
    fn ratios(&self) -> Vec<BenchRatioJson> {
        let mut ratios = vec![];
        for kind in self.kinds() {
            if kind.scenario != Scenario::Sandboxed && kind.scenario != Scenario::Loop {
                ratios.extend(self.ratio(Scenario::Sandboxed, kind));
            }
            for (one, over) in INNER_RATIOS {
                if kind.scenario == over {
                    ratios.extend(self.ratio(one, kind));
                }
            }
        }
        ratios
    }

    /// Round by round, so that what slowed a whole round down counts in neither.
    fn ratio(&self, one: Scenario, over: Kind) -> Option<BenchRatioJson> {
        let ones = Kind {
            scenario: one,
            ..over
        };
        let in_round = |round: u32| self.of(ones).find(|(run, _)| run.round == round);
        let ratios = self.of(over).filter_map(|(run, theirs)| {
            let (_, ours) = in_round(run.round)?;
            Some(ours.documents_per_s() / theirs.documents_per_s())
        });
        let ratios: Vec<f64> = ratios.collect();
        let (_, first) = self.of(over).next()?;
        Some(BenchRatioJson {
            scenario: one.name(),
            over: over.scenario.name(),
            num_docs: first.documents,
            num_workers: over.workers,
            rounds: ratios.len(),
            docs_per_s: json(Spread::of(ratios)?, 3),
        })
    }

    fn vectors(&self) -> Option<BenchVectorsJson> {
        let differences = self.runs.iter().filter_map(|(_, run)| run.vectors_differ);
        let largest = differences.max_by(f64::total_cmp)?;
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

#[cfg(test)]
pub(super) mod tests {
    use super::super::plan::tests::nothing_asked_for;
    use super::*;
    use std::time::Duration;

    pub(in crate::cli::bench::ingest) fn measure(scenario: Scenario, seconds: u64) -> Measure {
        let ours = scenario.peer().is_none();
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
            vectors_differ: (!ours).then_some(2e-7),
            gflops: (scenario == Scenario::Matmul).then_some(150.0),
        }
    }

    pub(in crate::cli::bench::ingest) fn run(scenario: Scenario, round: u32) -> Run {
        Run {
            documents: Some(300),
            workers: 2,
            round,
            scenario,
        }
    }

    pub(in crate::cli::bench::ingest) fn report() -> Report {
        let mut report = Report::new(3);
        report.compared = 64;
        for (round, ours, theirs) in [(1, 7, 14), (2, 8, 12), (3, 7, 21)] {
            for (scenario, seconds) in [
                (Scenario::Sandboxed, ours),
                (Scenario::PythonThreads, theirs),
            ] {
                report.add(run(scenario, round), measure(scenario, seconds));
            }
        }
        report
    }

    pub(in crate::cli::bench::ingest) fn said(report: &Report) -> BenchIngestJson {
        report.json(&nothing_asked_for(), false)
    }

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_ratios() {
        let said = said(&report());
        let ratio = &said.ratios[0];
        let SpreadJson { median, min, max } = ratio.docs_per_s;
        assert_eq!((min, median, max), (1.5, 2.0, 3.0));
        assert_eq!((ratio.over, ratio.rounds), ("python-threads", 3));
        assert_eq!(said.scenarios[0].duration_s.median, 7.0);
        let guests = said.scenarios[0].guest_share;
        assert_eq!(guests.map(|share| share.median), Some(0.001));
    }

    #[test]
    fn the_hardwares_rate_is_the_product_of_the_same_round() {
        let mut report = report();
        assert!(said(&report).rows[0].hardware_share.is_none());
        for (round, gflops) in [(1, 160.0), (2, 80.0)] {
            let scenario = Scenario::Matmul;
            let product = Measure {
                gflops: Some(gflops),
                ..measure(scenario, 2)
            };
            report.add(run(scenario, round), product);
        }
        let said = said(&report);
        // 40,000 tokens in 7 s at 23 MFLOP are 131.4 GFLOP/s; in 8 s 115.
        assert_eq!(said.rows[0].hardware_share, Some(0.8214));
        assert_eq!(said.rows[2].hardware_share, Some(1.4375));
        assert_eq!(said.rows[4].product_gflops, Some(160.0), "the next best");
        assert_eq!(said.rows.len(), 6, "a product is no row");
        assert_eq!(said.products[0].rounds, 2);
    }

    #[test]
    fn numbers_of_documents_and_workers_are_kept_apart() {
        let mut report = report();
        let scenario = Scenario::Sandboxed;
        let other = Run {
            workers: 1,
            ..run(scenario, 1)
        };
        report.add(other, measure(scenario, 15));
        let said = said(&report);
        assert_eq!(said.scenarios.len(), 3);
        assert_eq!(said.scenarios[0].rounds, 3);
        assert_eq!(said.scenarios[2].docs_per_s.median, 20.0);
        assert_eq!(said.ratios.len(), 1);
    }

    #[test]
    fn differing_vectors_are_said() {
        let mut report = report();
        assert!(said(&report).vectors.is_some_and(|vectors| vectors.ok));
        let scenario = Scenario::PythonThreads;
        let differing = Measure {
            vectors_differ: Some(f64::INFINITY),
            ..measure(scenario, 9)
        };
        report.add(run(scenario, 4), differing);
        assert!(!said(&report).vectors.unwrap().ok);
    }
}
