//! What was measured, as pictures: throughput, CPU, memory, throughput against CPU, and scaling with documents.

use super::show::workload;
use crate::api::{BenchIngestJson, BenchScenarioJson, SpreadJson};
use crate::cli::bench::machine;
use crate::cli::output::plural;
use crate::plot::{Axis, Bar, Bubble, Chart, Line, PlotError};
use std::path::Path;

/// Ours and the others' colours.
const OURS: usize = 0;
const THEIRS: usize = 1;

/// Writes every picture into `folder`, as SVG and PNG.
pub(super) fn save(said: &BenchIngestJson, folder: &Path) -> Result<(), PlotError> {
    for (name, chart) in charts(said) {
        chart.save(folder, name)?;
    }
    Ok(())
}

fn charts(said: &BenchIngestJson) -> Vec<(&'static str, Chart)> {
    let bars = |title: &str, label: &str, column: fn(&BenchScenarioJson) -> SpreadJson| {
        bars(said, title, label, column)
    };
    vec![
        (
            "throughput",
            bars("Throughput", "documents a second", |one| one.docs_per_s),
        ),
        (
            "cpu",
            bars("CPU of the process tree", "percent of all cores", |one| {
                one.cpu_mean
            }),
        ),
        (
            "memory",
            bars("Peak memory of the process tree", "MB", |one| {
                one.mem_peak_mb
            }),
        ),
        ("efficiency", efficiency(said)),
        ("scaling", scaling(said)),
    ]
}

fn subtitle(said: &BenchIngestJson) -> String {
    format!("{} {}", workload(said), machine::words(&said.machine))
}

/// As [`subtitle`], of bars.
fn bars_subtitle(said: &BenchIngestJson) -> String {
    let workers = said.scenarios.first().map_or(0, |one| one.num_workers);
    format!(
        "{}, {}. Blue: ours; thin line: least to most. {}",
        plural(said.workload.documents, "document"),
        plural(workers as u64, "worker"),
        machine::words(&said.machine)
    )
}

/// What ran with the documents and workers of the first row, in the order of the rows.
fn first(said: &BenchIngestJson) -> Vec<&BenchScenarioJson> {
    let of = |one: &BenchScenarioJson| (one.num_docs, one.num_workers);
    let first = said.scenarios.first().map(of);
    let scenarios = said.scenarios.iter();
    scenarios.filter(|one| Some(of(one)) == first).collect()
}

fn colour(one: &BenchScenarioJson) -> usize {
    match one.scenario.starts_with("python-") || one.scenario == "fastembed" {
        true => THEIRS,
        false => OURS,
    }
}

fn bars(
    said: &BenchIngestJson,
    title: &str,
    label: &str,
    column: fn(&BenchScenarioJson) -> SpreadJson,
) -> Chart {
    // The vertical axis grows upwards; the first row is wanted on top.
    let mut shown = first(said);
    shown.reverse();
    let most = shown.iter().map(|one| column(one).max);
    let bar = |(place, one): (usize, &&BenchScenarioJson)| {
        let SpreadJson { median, min, max } = column(one);
        Bar {
            at: place as f64,
            to: median,
            spread: (min, max),
            colour: colour(one),
        }
    };
    let names: Vec<String> = shown.iter().map(|one| one.scenario.to_owned()).collect();
    Chart {
        title: title.to_owned(),
        subtitle: bars_subtitle(said),
        x: Axis::linear(label, most.fold(0.0, f64::max)),
        y: Axis::names(&names),
        bars: shown.iter().enumerate().map(bar).collect(),
        ..Chart::default()
    }
}

/// The study's map: throughput against CPU, and memory as the circle's area.
fn efficiency(said: &BenchIngestJson) -> Chart {
    let shown = first(said);
    let bubbles = shown.iter().map(|one| Bubble {
        at: (one.cpu_mean.median, one.docs_per_s.median),
        radius: (one.mem_peak_mb.median / MB_PER_SQUARE_PIXEL).sqrt(),
        name: format!("{}, {:.0} MB", one.scenario, one.mem_peak_mb.median),
        colour: colour(one),
    });
    let cpu = shown.iter().map(|one| one.cpu_mean.median);
    let least = cpu.fold(99.0, f64::min);
    let most = shown.iter().map(|one| one.docs_per_s.median);
    Chart {
        title: "Throughput against CPU; area: peak memory".to_owned(),
        subtitle: subtitle(said),
        x: Axis::between(
            "CPU of the process tree, percent of all cores",
            least,
            100.0,
        )
        .with_room(0.35),
        y: Axis::linear("documents a second", most.fold(0.0, f64::max)),
        bubbles: bubbles.collect(),
        ..Chart::default()
    }
}

/// A gigabyte has a radius of 22 pixels.
const MB_PER_SQUARE_PIXEL: f64 = 2.0;

/// A line for each scenario that ran with several numbers of documents, with most workers; where none did, a point for
/// each.
fn scaling(said: &BenchIngestJson) -> Chart {
    let workers = said.scenarios.iter().map(|one| one.num_workers).max();
    let same = |one: &&BenchScenarioJson| Some(one.num_workers) == workers;
    let mut lines: Vec<Line> = vec![];
    for one in said.scenarios.iter().filter(same) {
        let point = (one.num_docs as f64, one.docs_per_s.median);
        match lines.iter_mut().find(|line| line.name == one.scenario) {
            Some(line) => line.points.push(point),
            None => lines.push(Line {
                name: one.scenario.to_owned(),
                points: vec![point],
                colour: lines.len(),
            }),
        }
    }
    if lines.iter().any(|line| line.points.len() > 1) {
        lines.retain(|line| line.points.len() > 1);
    }
    let mut points = lines.iter().flat_map(|line| &line.points);
    let most = points.clone().map(|point| point.1).fold(0.0, f64::max);
    let documents = points.by_ref().map(|point| point.0).fold(0.0, f64::max);
    Chart {
        title: "Throughput by number of documents".to_owned(),
        subtitle: machine::words(&said.machine),
        x: Axis::linear("documents", documents).with_room(0.2),
        y: Axis::linear("documents a second", most),
        lines,
        ..Chart::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, said};
    use super::*;

    #[test]
    fn every_picture_is_drawn_in_both_formats() {
        let folder = tempfile::tempdir().unwrap();
        save(&said(&report()), folder.path()).unwrap();
        for name in ["throughput", "cpu", "memory", "efficiency", "scaling"] {
            let svg = folder.path().join(format!("{name}.svg"));
            let svg = std::fs::read_to_string(svg).unwrap();
            assert!(svg.contains("python-threads"), "{name}");
            let png = std::fs::read(folder.path().join(format!("{name}.png"))).unwrap();
            assert!(png.starts_with(b"\x89PNG"), "{name}");
        }
    }
}
