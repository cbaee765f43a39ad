//! The latencies as a picture: a panel a class, a line an arm, from the median to the slowest of a thousand.

use super::judge::percentile;
use super::report::{Arm, Measured, Measurement};
use crate::plot::{Axis, Figure, Panel};

/// Shares on the horizontal axis, by how many nines they have.
const NINES: [(f64, &str); 6] = [
    (0.0, "0"),
    (std::f64::consts::LOG10_2, "50"),
    (1.0, "90"),
    (1.0 + std::f64::consts::LOG10_2, "95"),
    (2.0, "99"),
    (3.0, "99.9"),
];

/// Points of a line between two nines.
const STEPS: usize = 40;

pub(super) fn figure(results: &[Measurement], rate: f64, requests: usize, cores: usize) -> Figure {
    let lines = |result: &Measurement| -> Vec<Vec<(f64, f64)>> {
        Arm::ALL.iter().map(|arm| line(result.arm(*arm))).collect()
    };
    let panels: Vec<Panel> = results
        .iter()
        .map(|result| Panel {
            title: result.class.as_str().to_owned(),
            lines: lines(result),
        })
        .collect();
    let heights = || panels.iter().flat_map(|panel| panel.lines.iter().flatten());
    let heights = || heights().map(|(_, logarithm)| 10f64.powf(*logarithm));
    let least = heights().fold(f64::INFINITY, f64::min);
    let most = heights().fold(0.0, f64::max);
    let least = if least.is_finite() { least } else { 1.0 };
    Figure {
        title: "Latency of a tenant's questions, beside each kind of neighbour".to_owned(),
        subtitle: format!(
            "{requests} questions a line, {rate} a second whatever becomes of them, timed from when \
             each was due; {cores} cores"
        ),
        x: Axis {
            label: "% of the questions answered within".to_owned(),
            marks: NINES.map(|(at, text)| (at, text.to_owned())).to_vec(),
        },
        y: Axis::logarithmic("milliseconds", least, most),
        legend: Arm::ALL.map(|arm| arm.words().to_owned()).to_vec(),
        panels,
    }
}

/// Latency by share, as far as there are enough questions to speak of it.
fn line(arm: &Measured) -> Vec<(f64, f64)> {
    let mut latencies = arm.all_latencies();
    let most = (latencies.len().max(1) as f64).log10().min(3.0);
    let last = (most * STEPS as f64) as usize;
    let points = (0..=last).filter_map(|step| {
        let nines = step as f64 / STEPS as f64;
        let share = 1.0 - 10f64.powf(-nines);
        Some((nines, percentile(&mut latencies, share)?.max(1e-3).log10()))
    });
    points.collect()
}
