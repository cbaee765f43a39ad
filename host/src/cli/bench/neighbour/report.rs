//! What was measured, for machines, for people and as comma-separated values.

use super::judge::{self, Block, Ratio};
use super::load::Tally;
use crate::api::{
    BenchNeighbourJson, NeighbourArmJson, NeighbourClassJson, NeighbourLatencyJson,
    NeighbourRatioJson, NeighbourRatiosJson, NeighbourTargetJson, round,
};
use crate::attack::Class;
use crate::cli::output::{Output, plural, table, thousands};
use std::fmt::Write;
use std::time::Duration;

/// What is asked of every class.
pub(super) const TARGET: NeighbourTargetJson = NeighbourTargetJson {
    requests_min: 1_000,
    isolation_p99_max: 1.25,
};

/// Whom the victim has beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arm {
    Alone,
    Honest,
    Hostile,
}

impl Arm {
    pub(super) const ALL: [Self; 3] = [Self::Alone, Self::Honest, Self::Hostile];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Honest => "honest",
            Self::Hostile => "hostile",
        }
    }

    /// For people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Alone => "A alone",
            Self::Honest => "B beside honest work",
            Self::Hostile => "C beside an attack",
        }
    }
}

/// One arm's blocks, in their order.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) blocks: Vec<Block>,
    pub(super) neighbour: Tally,
    /// CPU of the process during the blocks, and how long they took.
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
}

/// One class's arms.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) class: Class,
    pub(super) alone: Measured,
    pub(super) honest: Measured,
    pub(super) hostile: Measured,
}

impl Measurement {
    pub(super) fn new(class: Class) -> Self {
        let (alone, honest, hostile) = Default::default();
        Self {
            class,
            alone,
            honest,
            hostile,
        }
    }

    pub(super) fn arm(&self, arm: Arm) -> &Measured {
        match arm {
            Arm::Alone => &self.alone,
            Arm::Honest => &self.honest,
            Arm::Hostile => &self.hostile,
        }
    }

    pub(super) fn arm_mut(&mut self, arm: Arm) -> &mut Measured {
        match arm {
            Arm::Alone => &mut self.alone,
            Arm::Honest => &mut self.honest,
            Arm::Hostile => &mut self.hostile,
        }
    }

    pub(super) fn json(&self, cores: usize) -> NeighbourClassJson {
        let arm = |arm| self.arm(arm).json(&self.alone, cores);
        let (alone, honest, hostile) = (arm(Arm::Alone), arm(Arm::Honest), arm(Arm::Hostile));
        let arms = [&alone, &honest, &hostile];
        let isolation = ratios(&self.hostile, &self.honest);
        let unharmed = arms.iter().all(|arm| arm.failed == 0);
        let same_answers = arms.iter().all(|arm| arm.different == 0);
        let within = |ratio: NeighbourRatioJson| ratio.ratio <= TARGET.isolation_p99_max;
        let isolated = isolation.p99.is_some_and(within);
        let enough = arms.iter().all(|arm| arm.requests >= TARGET.requests_min);
        NeighbourClassJson {
            class: self.class.as_str(),
            alone,
            honest,
            hostile,
            isolation,
            sharing: ratios(&self.honest, &self.alone),
            unharmed,
            same_answers,
            isolated,
            ok: unharmed && same_answers && isolated && enough,
        }
    }
}

impl Measured {
    /// Milliseconds, block by block.
    fn latencies(&self) -> Vec<Vec<f64>> {
        self.blocks.iter().map(judge::latencies).collect()
    }

    /// Milliseconds of all blocks.
    pub(super) fn all_latencies(&self) -> Vec<f64> {
        self.latencies().concat()
    }

    fn json(&self, alone: &Self, cores: usize) -> NeighbourArmJson {
        let asked = || self.blocks.iter().flatten();
        let failures = || asked().filter_map(|asked| asked.outcome.as_ref().err());
        let mut latencies = self.all_latencies();
        let mut at = |share| round(judge::percentile(&mut latencies, share).unwrap_or(0.0), 3);
        let capacity = self.wall.as_secs_f64() * cores as f64;
        NeighbourArmJson {
            requests: asked().count(),
            failed: failures().count(),
            stopped: failures().filter(|failed| failed.stopped).count(),
            first_failure: failures().next().map(|failed| failed.message.clone()),
            different: judge::different(&alone.blocks, &self.blocks),
            latency_ms: NeighbourLatencyJson {
                p50: at(0.5),
                p99: at(0.99),
                p99_9: at(0.999),
                max: at(1.0),
            },
            busy: round(self.cpu.as_secs_f64() / capacity.max(1e-9), 3),
            neighbour_tasks: self.neighbour.ended,
            neighbour_failures: self.neighbour.failures.clone(),
        }
    }
}

fn ratios(one: &Measured, other: &Measured) -> NeighbourRatiosJson {
    let (one, other) = (one.latencies(), other.latencies());
    let json = |Ratio { ratio, low, high }| NeighbourRatioJson {
        ratio: round(ratio, 3),
        low: round(low, 3),
        high: round(high, 3),
    };
    NeighbourRatiosJson {
        p50: judge::ratio(&one, &other, 0.5).map(json),
        p99: judge::ratio(&one, &other, 0.99).map(json),
    }
}

/// A line a question.
pub(super) fn csv(results: &[Measurement]) -> String {
    let mut text = "class,arm,block,intended_ms,latency_ms,ok\n".to_owned();
    for result in results {
        for arm in Arm::ALL {
            for (number, block) in (1..).zip(&result.arm(arm).blocks) {
                for asked in block {
                    let (class, arm) = (result.class.as_str(), arm.name());
                    let due = asked.due.as_secs_f64() * 1e3;
                    let latency = asked.latency.as_secs_f64() * 1e3;
                    let ok = asked.outcome.is_ok();
                    // Writing to a string cannot fail.
                    let _ = writeln!(text, "{class},{arm},{number},{due:.3},{latency:.3},{ok}");
                }
            }
        }
    }
    text
}

pub(super) fn show(out: &Output, said: &BenchNeighbourJson) {
    let workload = &said.workload;
    out.line(format!(
        "{} questions an arm, {} a second, in {} on {} cores; a neighbour has {} tasks at once.",
        thousands(workload.requests as u64),
        workload.rate_per_s,
        plural(workload.blocks as u64, "block"),
        workload.cores,
        workload.tasks_running
    ));
    out.line("Milliseconds from when a question was due to its answer:");
    out.line(latency_table(said));
    out.line("Ratios (95 % of the bootstrap's draws):");
    out.line(ratio_table(said));
    for class in &said.classes {
        out.line(out.bold(&verdict(class)));
    }
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

fn latency_table(said: &BenchNeighbourJson) -> comfy_table::Table {
    let header = [
        "class",
        "victim",
        "p50",
        "p99",
        "p99.9",
        "max",
        "failed",
        "stopped",
        "different",
        "busy",
        "neighbour's tasks",
    ];
    let mut rows = vec![];
    for class in &said.classes {
        let arms = [&class.alone, &class.honest, &class.hostile];
        for (place, (arm, words)) in arms.into_iter().zip(Arm::ALL).enumerate() {
            let name = if place == 0 { class.class } else { "" };
            let latency = arm.latency_ms;
            let ms = |value: f64| format!("{value:.1}");
            rows.push(vec![
                name.to_owned(),
                words.words().to_owned(),
                ms(latency.p50),
                ms(latency.p99),
                ms(latency.p99_9),
                ms(latency.max),
                thousands(arm.failed as u64),
                thousands(arm.stopped as u64),
                thousands(arm.different as u64),
                format!("{:.0} %", arm.busy * 100.0),
                neighbours(arm),
            ]);
        }
    }
    table(&header, &[2, 3, 4, 5, 6, 7, 8, 9], rows)
}

/// `312, of them stopped: fuel 312`.
fn neighbours(arm: &NeighbourArmJson) -> String {
    let ended = thousands(arm.neighbour_tasks);
    let failures = arm.neighbour_failures.iter();
    let failures = failures.map(|(reason, count)| format!("{reason} {}", thousands(*count)));
    let failures = failures.collect::<Vec<_>>().join(", ");
    match (arm.neighbour_tasks, failures.is_empty()) {
        (0, true) => String::new(),
        (_, true) => ended,
        (_, false) => format!("{ended}, of them ended by {failures}"),
    }
}

fn ratio_table(said: &BenchNeighbourJson) -> comfy_table::Table {
    let header = ["class", "C/B p50", "C/B p99", "B/A p50", "B/A p99"];
    let text = |ratio: Option<NeighbourRatioJson>| match ratio {
        Some(NeighbourRatioJson { ratio, low, high }) => {
            format!("{ratio:.2} ({low:.2}-{high:.2})")
        }
        None => "-".to_owned(),
    };
    let row = |class: &NeighbourClassJson| {
        let (isolation, sharing) = (class.isolation, class.sharing);
        let ratios = [isolation.p50, isolation.p99, sharing.p50, sharing.p99];
        let mut row = vec![class.class.to_owned()];
        row.extend(ratios.map(text));
        row
    };
    table(
        &header,
        &[1, 2, 3, 4],
        said.classes.iter().map(row).collect(),
    )
}

/// One line for a class: what it reached and what it missed.
fn verdict(class: &NeighbourClassJson) -> String {
    let requests = class.hostile.requests;
    let mut missed = vec![];
    let failed = class.alone.failed + class.honest.failed + class.hostile.failed;
    if failed > 0 {
        let first = [&class.alone, &class.honest, &class.hostile];
        let first = first.iter().find_map(|arm| arm.first_failure.clone());
        let first = first.unwrap_or_default();
        missed.push(format!(
            "{} failed ({first})",
            plural(failed as u64, "question")
        ));
    }
    let different = class.honest.different + class.hostile.different;
    if different > 0 {
        missed.push(format!(
            "{} had another answer",
            plural(different as u64, "question")
        ));
    }
    let most = TARGET.isolation_p99_max;
    if !class.isolated {
        missed.push(format!(
            "p99 beside an attack is more than {most} times that beside honest work"
        ));
    }
    let name = class.class;
    if !missed.is_empty() {
        return format!("{name}: MISSED: {}.", missed.join("; "));
    }
    let held = format!(
        "{name}: held: 0 of {} questions failed beside an attack, same answers, p99 within {most}",
        thousands(requests as u64)
    );
    match class.ok {
        true => format!("{held}."),
        false => {
            let least = thousands(TARGET.requests_min as u64);
            format!("{held}; fewer than {least} questions prove little.")
        }
    }
}
