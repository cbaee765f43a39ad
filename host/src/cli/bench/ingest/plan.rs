//! Which runs a measurement consists of, in which order: rounds in which everything that is compared takes its
//! turn, so that what disturbs the machine disturbs all alike. It runs nothing.

use super::arguments::{BenchIngestArguments, Own};
use super::scenario::Scenario;
use clap::ValueEnum;

/// Rounds where none are asked for.
const ROUNDS: u32 = 3;
const STUDY_ROUNDS: u32 = 5;

/// Documents of the study.
const STUDY: [u32; 3] = [1_000, 5_000, 10_000];

/// Rounds of the study in which a peer runs: the slow ones would take most of the time.
const STUDY_PEER_ROUNDS: u32 = 3;
const STUDY_SLOW_ROUNDS: u32 = 2;

/// One run of one scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Generated documents; nothing where a corpus is ingested.
    pub(super) documents: Option<u32>,
    pub(super) workers: usize,
    /// From 1, for these documents and workers.
    pub(super) round: u32,
    pub(super) scenario: Scenario,
}

/// The runs, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) runs: Vec<Run>,
    /// Rounds of the first number of documents.
    pub(super) rounds: u32,
}

impl Plan {
    /// What is asked for, in a host that is configured for so many workers.
    pub(super) fn of(arguments: &BenchIngestArguments, configured: usize) -> Self {
        match arguments.study {
            true => Self::study(arguments, configured),
            false => Self::free(arguments, configured),
        }
    }

    fn free(arguments: &BenchIngestArguments, configured: usize) -> Self {
        let rounds = arguments.rounds.unwrap_or(ROUNDS);
        let mut workers: Vec<usize> = arguments.workers.iter().map(|&w| w as usize).collect();
        if workers.is_empty() {
            workers.push(configured);
        }
        let workers = distinct(workers);
        let sizes: Vec<Option<u32>> = match &arguments.corpus {
            Some(_) => vec![None],
            None => arguments.documents.iter().copied().map(Some).collect(),
        };
        let scenarios = [own(arguments), peers(arguments)].concat();
        let mut runs = vec![];
        for (place, documents) in distinct(sizes).into_iter().enumerate() {
            let rounds = if place == 0 { rounds } else { 1 };
            for round in 1..=rounds {
                for &workers in &workers {
                    runs.extend(Group::new(documents, workers, round).runs(&scenarios));
                }
            }
        }
        Self { runs, rounds }
    }

    fn study(arguments: &BenchIngestArguments, configured: usize) -> Self {
        let rounds = arguments.rounds.unwrap_or(STUDY_ROUNDS);
        let (ours, peers) = (own(arguments), peers(arguments));
        let mut runs = vec![];
        for round in 1..=rounds {
            let with = |peer: &&Scenario| round <= study_rounds(**peer);
            let peers = peers.iter().filter(with).copied().collect();
            let scenarios = [ours.clone(), peers].concat();
            runs.extend(Group::new(Some(STUDY[0]), configured, round).runs(&scenarios));
        }
        let few = [Scenario::Sandboxed, Scenario::Matmul];
        if configured > 1 {
            runs.extend(Group::new(Some(STUDY[0]), 1, 1).runs(&few));
        }
        // The smallest before and after the largest, which it is compared with.
        let [smallest, middle, largest] = STUDY.map(Some);
        let once = [Scenario::Sandboxed, Scenario::Threads, Scenario::Matmul];
        runs.extend(Group::new(middle, configured, 1).runs(&once));
        let alone = |documents, round| Group::new(documents, configured, round).runs(&few[..1]);
        runs.extend(alone(smallest, rounds + 1));
        runs.extend(Group::new(largest, configured, 1).runs(&few));
        runs.extend(alone(smallest, rounds + 2));
        Self { runs, rounds }
    }
}

fn study_rounds(peer: Scenario) -> u32 {
    match peer {
        Scenario::PythonProcesses
        | Scenario::PythonProcessesPinned
        | Scenario::PythonThreadsPinned => STUDY_SLOW_ROUNDS,
        _ => STUDY_PEER_ROUNDS,
    }
}

/// Runs that are compared with each other.
struct Group {
    documents: Option<u32>,
    workers: usize,
    round: u32,
}

impl Group {
    fn new(documents: Option<u32>, workers: usize, round: u32) -> Self {
        Self {
            documents,
            workers,
            round,
        }
    }

    /// In the first round as given, in every later one beginning one further on: nobody always comes after the
    /// same other.
    fn runs(&self, scenarios: &[Scenario]) -> Vec<Run> {
        let mut order = scenarios.to_vec();
        let turn = (self.round as usize - 1) % order.len().max(1);
        order.rotate_left(turn);
        let run = |scenario| Run {
            documents: self.documents,
            workers: self.workers,
            round: self.round,
            scenario,
        };
        order.into_iter().map(run).collect()
    }
}

/// Ours, `sandboxed` first, whose chunks the others get.
fn own(arguments: &BenchIngestArguments) -> Vec<Scenario> {
    let all = Own::value_variants().to_vec();
    let chosen = arguments.scenarios.clone().unwrap_or(all);
    let mut scenarios = vec![Scenario::Sandboxed];
    scenarios.extend(chosen.iter().map(|own| own.scenario()));
    distinct(scenarios)
}

fn peers(arguments: &BenchIngestArguments) -> Vec<Scenario> {
    let peers = arguments.peers.iter().flat_map(|peer| peer.scenarios());
    distinct(peers.collect())
}

/// Each once, in the order given.
fn distinct<T: PartialEq>(many: Vec<T>) -> Vec<T> {
    let mut distinct = vec![];
    for one in many {
        if !distinct.contains(&one) {
            distinct.push(one);
        }
    }
    distinct
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::arguments::Peer;
    use super::*;

    pub(in crate::cli::bench::ingest) fn nothing_asked_for() -> BenchIngestArguments {
        BenchIngestArguments {
            documents: vec![300],
            corpus: None,
            rounds: None,
            workers: vec![],
            scenarios: None,
            peers: vec![],
            study: false,
            seed: 42,
            csv: None,
            plot: None,
            report: None,
        }
    }

    fn of(runs: &[Run], documents: u32, scenario: Scenario) -> usize {
        let that = |run: &&Run| run.documents == Some(documents) && run.scenario == scenario;
        runs.iter().filter(that).count()
    }

    #[test]
    fn the_first_documents_run_in_every_round_and_the_others_once() {
        let arguments = BenchIngestArguments {
            documents: vec![100, 200],
            rounds: Some(4),
            ..nothing_asked_for()
        };
        let Plan { runs, rounds } = Plan::of(&arguments, 2);
        assert_eq!(rounds, 4);
        assert_eq!(of(&runs, 100, Scenario::Threads), 4);
        assert_eq!(of(&runs, 200, Scenario::Threads), 1);
        assert!(runs.iter().all(|run| run.workers == 2));
    }

    #[test]
    fn chunks_are_there_before_anybody_needs_them_and_turns_change() {
        let arguments = BenchIngestArguments {
            scenarios: Some(vec![Own::Loop, Own::Matmul]),
            peers: vec![Peer::Fastembed, Peer::All],
            workers: vec![1, 2, 1],
            rounds: Some(2),
            ..nothing_asked_for()
        };
        let runs = Plan::of(&arguments, 8).runs;
        let order = |round: u32, workers: usize| -> Vec<Scenario> {
            let that = |run: &&Run| run.round == round && run.workers == workers;
            runs.iter().filter(that).map(|run| run.scenario).collect()
        };
        let first = order(1, 1);
        assert_eq!(
            &first[..4],
            [
                Scenario::Sandboxed,
                Scenario::Loop,
                Scenario::Matmul,
                Scenario::Fastembed
            ]
        );
        assert_eq!(first.len(), 9, "nothing runs twice in a round: {first:?}");
        assert_eq!(order(2, 2)[0], Scenario::Loop);
        assert_eq!(runs.len(), 36);
    }

    #[test]
    fn the_study_runs_slow_peers_less_often() {
        let arguments = BenchIngestArguments {
            study: true,
            peers: vec![Peer::All],
            ..nothing_asked_for()
        };
        let runs = Plan::of(&arguments, 2).runs;
        assert_eq!(
            of(&runs, 1_000, Scenario::Sandboxed),
            8,
            "once with one worker, and twice around the largest"
        );
        assert_eq!(of(&runs, 1_000, Scenario::PythonThreads), 3);
        assert_eq!(of(&runs, 1_000, Scenario::PythonProcesses), 2);
        assert_eq!(of(&runs, 10_000, Scenario::Sandboxed), 1);
        assert_eq!(of(&runs, 10_000, Scenario::PythonThreads), 0);
    }
}
