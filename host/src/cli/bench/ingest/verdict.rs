//! What the numbers mean: whether targets are reached, and what it would cost to do the same with each.

use crate::api::{
    BenchCostJson, BenchPublishedJson, BenchRatioJson, BenchRowJson, BenchScenarioJson,
    BenchTargetJson, SpreadJson, round,
};

/// What costs are compared for.
const DOCUMENTS_PER_S: f64 = 100.0;

/// Workers in the memory target.
const WORKERS: usize = 2;

/// Targets that are a ratio of documents a second: what it is, the one, the other, at least.
const RATIOS: [(&str, &str, &str, f64); 4] = [
    (
        "sandboxed / python-threads, documents a second",
        "sandboxed",
        "python-threads",
        1.9,
    ),
    (
        "sandboxed / python-processes, documents a second",
        "sandboxed",
        "python-processes",
        2.5,
    ),
    (
        "sandboxed / threads, documents a second",
        "sandboxed",
        "threads",
        0.98,
    ),
    (
        "threads / loop, documents a second",
        "threads",
        "loop",
        0.97,
    ),
];

/// Each target with what was measured. Ratios are those with most workers, of the first number of documents.
pub(super) fn targets(
    scenarios: &[BenchScenarioJson],
    ratios: &[BenchRatioJson],
    rows: &[BenchRowJson],
) -> Vec<BenchTargetJson> {
    let mut targets: Vec<BenchTargetJson> = RATIOS
        .iter()
        .map(|&(target, one, over, least)| {
            let that = |ratio: &&BenchRatioJson| ratio.scenario == one && ratio.over == over;
            let found = ratios.iter().filter(that);
            // Of equal ones the last is taken: from behind, that is the first.
            let found = found.rev().max_by_key(|ratio| ratio.num_workers);
            at_least(target, least).of(found.map(|one| (one.docs_per_s, one.rounds)))
        })
        .collect();
    let bare = scenarios.iter().filter(|one| one.scenario == "loop");
    let bare = bare.rev().max_by_key(|one| one.num_workers);
    let share = bare.and_then(|bare| Some((bare.hardware_share?, bare.rounds)));
    targets.push(at_least("loop, share of the hardware's rate", 0.88).of(share));
    let memory = memory(scenarios);
    let two = memory.iter().find(|one| one.num_workers == WORKERS);
    let two = two.map(|one| (one.mem_peak_mb, one.rounds));
    let target = "sandboxed with 2 workers, peak memory in MB";
    targets.push(at_most(target, 240.0).of(two));
    let target = "sandboxed, peak memory of each further worker in MB";
    targets.push(at_most(target, 30.0).with(each_further(&memory)));
    let target =
        "sandboxed, documents a second with most documents / with fewest, before and after";
    targets.push(at_least(target, 0.97).with(scaling(rows)));
    targets
}

/// Not measured.
fn at_least(target: &'static str, limit: f64) -> BenchTargetJson {
    BenchTargetJson {
        target,
        bound: AT_LEAST,
        limit,
        measured: None,
        spread: None,
        rounds: None,
        met: None,
    }
}

fn at_most(target: &'static str, limit: f64) -> BenchTargetJson {
    BenchTargetJson {
        bound: "at-most",
        ..at_least(target, limit)
    }
}

const AT_LEAST: &str = "at-least";

impl BenchTargetJson {
    fn with(self, measured: Option<f64>) -> Self {
        let met = |measured: f64| match self.bound {
            AT_LEAST => measured >= self.limit,
            _ => measured <= self.limit,
        };
        Self {
            measured,
            met: measured.map(met),
            ..self
        }
    }

    /// As the median of so many rounds, where there are any.
    fn of(self, measured: Option<(SpreadJson, usize)>) -> Self {
        let target = self.with(measured.map(|(spread, _)| spread.median));
        Self {
            spread: measured.map(|(spread, _)| spread),
            rounds: measured.map(|(_, rounds)| rounds),
            ..target
        }
    }
}

fn sandboxed(
    scenarios: &[BenchScenarioJson],
) -> impl DoubleEndedIterator<Item = &BenchScenarioJson> {
    scenarios.iter().filter(|one| one.scenario == "sandboxed")
}

/// `sandboxed` with the first number of documents, fewest workers first.
fn memory(scenarios: &[BenchScenarioJson]) -> Vec<&BenchScenarioJson> {
    let first = sandboxed(scenarios).next().map(|one| one.num_docs);
    let same = sandboxed(scenarios).filter(|one| Some(one.num_docs) == first);
    let mut memory: Vec<&BenchScenarioJson> = same.collect();
    memory.sort_by_key(|one| one.num_workers);
    memory
}

fn each_further(memory: &[&BenchScenarioJson]) -> Option<f64> {
    let (fewest, most) = (memory.first()?, memory.last()?);
    let further = most.num_workers.checked_sub(fewest.num_workers);
    let further = further.filter(|further| *further > 0)?;
    let more = most.mem_peak_mb.median - fewest.mem_peak_mb.median;
    Some(round(more / further as f64, 1))
}

/// The run with most documents by those with fewest that came next before and after it, with as many workers: a shared
/// machine is another one after some minutes.
fn scaling(rows: &[BenchRowJson]) -> Option<f64> {
    let rows: Vec<&BenchRowJson> = rows
        .iter()
        .filter(|row| row.scenario == "sandboxed")
        .collect();
    let most = rows.iter().map(|row| row.num_docs).max()?;
    let at = rows.iter().position(|row| row.num_docs == most)?;
    let workers = rows[at].num_workers;
    let same = |row: &&&BenchRowJson| row.num_workers == workers;
    let fewest = rows.iter().filter(same).map(|row| row.num_docs).min()?;
    let that = |row: &&&BenchRowJson| row.num_docs == fewest && row.num_workers == workers;
    let (before, after) = (rows[..at].iter().rfind(that), rows[at..].iter().find(that));
    let rates = [before, after].into_iter().flatten();
    let rates: Vec<f64> = rates.map(|row| row.docs_per_s).collect();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    (most > fewest).then(|| round(rows[at].docs_per_s / mean, 3))
}

/// What 100 documents a second take, of what was measured with most workers and of what was published.
pub(super) fn costs(
    scenarios: &[BenchScenarioJson],
    published: &[BenchPublishedJson],
) -> Vec<BenchCostJson> {
    let Some(first) = sandboxed(scenarios).rev().max_by_key(|one| one.num_workers) else {
        return vec![];
    };
    let comparable = |one: &&BenchScenarioJson| {
        let same = one.num_docs == first.num_docs && one.num_workers == first.num_workers;
        same && one.scenario != "loop"
    };
    let measured = scenarios.iter().filter(comparable);
    let own = first.docs_per_s.median;
    let mut costs: Vec<BenchCostJson> = measured
        .map(|one| {
            let docs_per_s = one.docs_per_s.median;
            let relative = round(own / docs_per_s, 2);
            let name = one.scenario.to_owned();
            cost(name, docs_per_s, one.mem_peak_mb.median, Some(relative))
        })
        .collect();
    for one in published {
        if let (Some(docs_per_s), Some(memory)) = (one.docs_per_s, one.mem_peak_mb) {
            let name = format!("{}, {}", one.build, one.scenario);
            costs.push(cost(name, docs_per_s, memory, None));
        }
    }
    costs
}

fn cost(scenario: String, docs_per_s: f64, memory: f64, relative: Option<f64>) -> BenchCostJson {
    BenchCostJson {
        scenario,
        published: relative.is_none(),
        docs_per_s,
        instances: (DOCUMENTS_PER_S / docs_per_s.max(1e-3)).ceil() as u64,
        mem_each_mb: memory,
        relative_cost: relative,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::Run;
    use super::super::report::tests::{measure, report, run, said};
    use super::super::scenario::{Measure, Scenario};

    #[test]
    fn what_was_not_run_is_neither_met_nor_missed() {
        let said = said(&report());
        let met = |word: &str| {
            let mut targets = said.targets.iter();
            targets.find(|one| one.target.contains(word)).unwrap().met
        };
        assert_eq!(met("python-threads"), Some(true));
        assert_eq!(met("python-processes"), None);
        assert_eq!(met("peak memory in MB"), Some(true));
        assert_eq!(met("each further"), None);
        assert_eq!(met("most documents"), None);
    }

    #[test]
    fn a_further_worker_and_more_documents_are_judged() {
        let mut report = report();
        let scenario = Scenario::Sandboxed;
        let one_worker = Run {
            workers: 1,
            ..run(scenario, 1)
        };
        let little = Measure {
            memory_peak: 160_000_000,
            ..measure(scenario, 15)
        };
        report.add(one_worker, little);
        let many = Run {
            documents: Some(3_000),
            ..run(scenario, 1)
        };
        let slow = Measure {
            documents: 3_000,
            ..measure(scenario, 100)
        };
        report.add(many, slow);
        let said = said(&report);
        let target = |word: &str| {
            let mut targets = said.targets.iter();
            targets.find(|one| one.target.contains(word)).unwrap()
        };
        let further = target("each further");
        assert_eq!((further.measured, further.met), (Some(40.0), Some(false)));
        let scaling = target("most documents");
        assert_eq!((scaling.measured, scaling.met), (Some(0.7), Some(false)));
    }

    #[test]
    fn a_hundred_documents_a_second_take_whole_machines() {
        let said = said(&report());
        let cost = |name: &str| {
            let mut costs = said.costs.iter();
            costs.find(|cost| cost.scenario == name).unwrap()
        };
        // 42.86 and 21.43 documents a second.
        let (ours, theirs) = (cost("sandboxed"), cost("python-threads"));
        assert_eq!((ours.instances, ours.relative_cost), (3, Some(1.0)));
        assert_eq!((theirs.instances, theirs.relative_cost), (5, Some(2.0)));
        let published = cost("Python 3.14, processes");
        assert_eq!((published.instances, published.relative_cost), (8, None));
    }
}
