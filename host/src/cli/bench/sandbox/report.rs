//! What was measured, for people and as comma-separated values.

use super::kills::Row;
use super::process::{METERS, Sample};
use crate::api::{BenchKillsJson, BenchSandboxJson, BenchSoakJson, BenchStartJson};
use crate::cli::output::{Output, plural, table, thousands};
use std::time::Duration;

pub(super) fn show(out: &Output, said: &BenchSandboxJson) {
    if !said.kills.is_empty() {
        out.line(out.bold("From a kill to the place being free"));
        out.line(kills("killed while", &said.kills));
        out.line("");
    }
    if !said.limits.is_empty() {
        out.line(out.bold("From a limit being passed to the place being free"));
        out.line(kills("limit", &said.limits));
        out.line("");
    }
    if !said.starts.is_empty() {
        out.line(out.bold("Beginning"));
        out.line(starts(&said.starts));
        out.line("");
    }
    for same in &said.determinism {
        let found = match same.differences {
            0 => "no difference".to_owned(),
            some => plural(some as u64, "DIFFERENCE"),
        };
        out.line(format!(
            "The same call {} times ({}): {found}, {} chunks, {} fuel.",
            same.runs,
            same.load,
            same.chunks,
            thousands(same.fuel)
        ));
    }
    if let Some(one) = &said.soak {
        out.line("");
        soak(out, one);
    }
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

fn kills(what: &'static str, rows: &[BenchKillsJson]) -> comfy_table::Table {
    let header = [
        what, "load", "tasks", "failed", "p50 ms", "p90 ms", "p99 ms", "max ms", "ms/MiB", "target",
    ];
    let row = |one: &BenchKillsJson| {
        let per_mib = one.max_ms_per_mib.map(|per| format!("{per:.2}"));
        vec![
            one.kind.to_owned(),
            one.load.to_owned(),
            one.count.to_string(),
            one.failed.to_string(),
            format!("{:.2}", one.p50_ms),
            format!("{:.2}", one.p90_ms),
            format!("{:.2}", one.p99_ms),
            format!("{:.2}", one.max_ms),
            per_mib.unwrap_or_default(),
            met(one.within).to_owned(),
        ]
    };
    let right: Vec<usize> = (2..header.len() - 1).collect();
    table(&header, &right, rows.iter().map(row).collect())
}

fn met(within: Option<bool>) -> &'static str {
    match within {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "-",
    }
}

fn starts(rows: &[BenchStartJson]) -> comfy_table::Table {
    let header = ["what", "times", "p50 us", "p99 us", "target us"];
    let row = |one: &BenchStartJson| {
        let target = one.target_us.map(|target| {
            let met = met(Some(one.p50_us <= target));
            format!("{target:.0} {met}")
        });
        vec![
            one.what.clone(),
            one.count.to_string(),
            format!("{:.0}", one.p50_us),
            format!("{:.0}", one.p99_us),
            target.unwrap_or_else(|| "-".to_owned()),
        ]
    };
    table(&header, &[1, 2, 3], rows.iter().map(row).collect())
}

fn soak(out: &Output, said: &BenchSoakJson) {
    let stops = said.stops.iter();
    let stops: Vec<String> = stops
        .map(|(reason, count)| format!("{reason} {}", thousands(*count)))
        .collect();
    out.line(out.bold(&format!(
        "{} in {:.0} s",
        plural(said.tasks, "hostile task"),
        said.seconds
    )));
    out.line(format!("Stopped by: {}.", stops.join(", ")));
    if said.not_stopped > 0 {
        out.line(format!("NOT STOPPED: {}.", thousands(said.not_stopped)));
    }
    let header = ["meter", "first", "last", "max", "in 1,000 tasks", "flat"];
    let row = |one: &crate::api::BenchSoakMeterJson| {
        let growth = one.per_1000_tasks.map(|growth| format!("{growth:+.3}"));
        let flat = match one.flat {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "-",
        };
        vec![
            one.meter.to_owned(),
            thousands(one.first),
            thousands(one.last),
            thousands(one.max),
            growth.unwrap_or_else(|| "-".to_owned()),
            flat.to_owned(),
        ]
    };
    let rows = said.meters.iter().map(row).collect();
    out.line(table(&header, &[1, 2, 3, 4], rows));
}

/// Every kill.
pub(super) fn kills_csv(rows: &[Row]) -> String {
    let header = "kind,load,took_ms,fuel,guest_cpu_ms,host_wait_ms\n".to_owned();
    let line = |row: &Row| {
        let took = row.took.as_secs_f64() * 1e3;
        let Row {
            kind,
            load,
            fuel,
            guest_cpu_ms,
            host_wait_ms,
            ..
        } = row;
        format!("{kind},{load},{took:.4},{fuel},{guest_cpu_ms},{host_wait_ms}\n")
    };
    rows.iter().map(line).fold(header, |all, line| all + &line)
}

/// Every call and every load.
pub(super) fn starts_csv(rows: &[(String, Duration)]) -> String {
    let header = "what,took_us\n".to_owned();
    let line = |(what, took): &(String, Duration)| {
        // What was done is said with commas.
        format!("\"{what}\",{:.2}\n", took.as_secs_f64() * 1e6)
    };
    rows.iter().map(line).fold(header, |all, line| all + &line)
}

/// Every sample of the soak.
pub(super) fn soak_csv(samples: &[Sample]) -> String {
    let header = format!("tasks,{}\n", METERS.join(","));
    let line = |sample: &Sample| {
        let counts = sample.counts.map(|count| count.to_string()).join(",");
        format!("{},{counts}\n", sample.tasks)
    };
    samples
        .iter()
        .map(line)
        .fold(header, |all, line| all + &line)
}
