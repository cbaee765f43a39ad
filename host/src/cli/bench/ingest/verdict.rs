//! What the numbers mean: whether targets are reached, and what it would cost to do the same with each.

use crate::api::{
    BenchCostJson, BenchPublishedJson, BenchRatioJson, BenchScenarioJson, BenchTargetJson, round,
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
) -> Vec<BenchTargetJson> {
    let mut targets: Vec<BenchTargetJson> = RATIOS
        .iter()
        .map(|&(target, one, over, least)| {
            let that = |ratio: &&BenchRatioJson| ratio.scenario == one && ratio.over == over;
            let found = ratios.iter().filter(that);
            // Of equal ones the last is taken: from behind, that is the first.
            let found = found.rev().max_by_key(|ratio| ratio.num_workers);
            at_least(target, least, found.map(|ratio| ratio.docs_per_s.median))
        })
        .collect();
    let bare = scenarios.iter().filter(|one| one.scenario == "loop");
    let bare = bare.rev().max_by_key(|one| one.num_workers);
    let share = bare.and_then(|bare| bare.hardware_share);
    targets.push(at_least(
        "loop, share of the hardware's rate",
        0.88,
        share.map(|share| share.median),
    ));
    let memory = memory(scenarios);
    let two = memory.iter().find(|(workers, _)| *workers == WORKERS);
    targets.push(at_most(
        "sandboxed with 2 workers, peak memory in MB",
        240.0,
        two.map(|(_, memory)| *memory),
    ));
    targets.push(at_most(
        "sandboxed, peak memory of each further worker in MB",
        30.0,
        each_further(&memory),
    ));
    targets.push(at_least(
        "sandboxed, documents a second with most documents / with fewest",
        0.97,
        scaling(scenarios),
    ));
    targets
}

fn at_least(target: &'static str, limit: f64, measured: Option<f64>) -> BenchTargetJson {
    BenchTargetJson {
        target,
        bound: "at-least",
        limit,
        measured,
        met: measured.map(|measured| measured >= limit),
    }
}

fn at_most(target: &'static str, limit: f64, measured: Option<f64>) -> BenchTargetJson {
    BenchTargetJson {
        bound: "at-most",
        met: measured.map(|measured| measured <= limit),
        ..at_least(target, limit, measured)
    }
}

fn sandboxed(
    scenarios: &[BenchScenarioJson],
) -> impl DoubleEndedIterator<Item = &BenchScenarioJson> {
    scenarios.iter().filter(|one| one.scenario == "sandboxed")
}

/// Peak memory of the first number of documents by workers, fewest first.
fn memory(scenarios: &[BenchScenarioJson]) -> Vec<(usize, f64)> {
    let first = sandboxed(scenarios).next().map(|one| one.num_docs);
    let same = sandboxed(scenarios).filter(|one| Some(one.num_docs) == first);
    let mut memory: Vec<(usize, f64)> = same
        .map(|one| (one.num_workers, one.mem_peak_mb.median))
        .collect();
    memory.sort_by_key(|(workers, _)| *workers);
    memory
}

fn each_further(memory: &[(usize, f64)]) -> Option<f64> {
    let ((fewest, least), (most, largest)) = (memory.first()?, memory.last()?);
    let further = most.checked_sub(*fewest).filter(|further| *further > 0)?;
    Some(round((largest - least) / further as f64, 1))
}

/// With the workers that most documents were run with.
fn scaling(scenarios: &[BenchScenarioJson]) -> Option<f64> {
    let most = sandboxed(scenarios).max_by_key(|one| one.num_docs)?;
    let same = sandboxed(scenarios).filter(|one| one.num_workers == most.num_workers);
    let fewest = same.min_by_key(|one| one.num_docs)?;
    let differ = most.num_docs > fewest.num_docs;
    differ.then(|| round(most.docs_per_s.median / fewest.docs_per_s.median, 3))
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
