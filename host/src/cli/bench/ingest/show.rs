//! What was measured, for people at a terminal, and as comma-separated values.

use super::published;
use crate::api::{
    BenchIngestJson, BenchRatioJson, BenchRowJson, BenchScenarioJson, BenchTargetJson,
    BenchVectorsJson, SpreadJson,
};
use crate::cli::output::{Output, plural, table, thousands};
use serde_json::Value;

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
    out.line(workload(said));
    if said.workload.failed > 0 {
        let failed = plural(said.workload.failed, "document");
        out.remark(format!("{failed} did not get in and took part in nothing."));
    }
    out.line(format!("{}, start-up apart:", medians(said)));
    out.line(scenarios(said));
    for product in &said.products {
        let rate = spread(&product.gflops, 0);
        let workers = plural(product.num_workers as u64, "worker");
        out.line(format!("Matrix product, {workers}: {rate} GFLOP/s."));
    }
    for ratio in &said.ratios {
        out.line(out.bold(&ratio_line(ratio)));
    }
    for target in &said.targets {
        if target.measured.is_some() {
            out.line(target_line(target));
        }
    }
    if let Some(vectors) = &said.vectors {
        out.line(vectors_line(vectors));
    }
    out.line(out.dim(&published_line(said)));
    if said.interrupted {
        out.line("Interrupted: what is shown is whole, the rest was not run.");
    }
}

/// `300 documents (generated, seed 42), 331 chunks, 40,265 tokens.`
pub(super) fn workload(said: &BenchIngestJson) -> String {
    let workload = &said.workload;
    let from = match (&workload.corpus, workload.seed) {
        (Some(corpus), _) => format!(" of {corpus}"),
        (None, Some(seed)) => format!(" (generated, seed {seed})"),
        (None, None) => String::new(),
    };
    format!(
        "{}{from}, {}, {} tokens.",
        plural(workload.documents, "document"),
        plural(workload.chunks, "chunk"),
        thousands(workload.tokens)
    )
}

pub(super) fn medians(said: &BenchIngestJson) -> String {
    let ran = said.rows.iter().map(|row| row.round).max().unwrap_or(0);
    match (ran, said.scenarios.len()) {
        (1, _) => "One round".to_owned(),
        (rounds, 1) => format!("Medians (least to most) of {rounds} rounds"),
        (rounds, _) => format!("Medians (least to most) of up to {rounds} interleaved rounds"),
    }
}

fn scenarios(said: &BenchIngestJson) -> comfy_table::Table {
    let header = [
        "scenario",
        "docs",
        "workers",
        "docs/s",
        "tokens/s",
        "CPU %",
        "CPU max %",
        "memory MB",
        "start-up s",
        "guests %",
        "of hardware",
    ];
    let none = || "-".to_owned();
    let row = |one: &BenchScenarioJson| {
        let share = |share: Option<SpreadJson>, decimals| {
            share.map_or_else(none, |share| spread(&percent(&share), decimals))
        };
        vec![
            one.scenario.to_owned(),
            thousands(one.num_docs),
            one.num_workers.to_string(),
            spread(&one.docs_per_s, 1),
            spread(&one.tokens_per_s, 0),
            spread(&one.cpu_mean, 0),
            spread(&one.cpu_max, 0),
            spread(&one.mem_peak_mb, 0),
            spread(&one.startup_s, 1),
            share(one.guest_share, 2),
            share(one.hardware_share, 0),
        ]
    };
    let right: Vec<usize> = (1..header.len()).collect();
    table(&header, &right, said.scenarios.iter().map(row).collect())
}

pub(super) fn percent(share: &SpreadJson) -> SpreadJson {
    SpreadJson {
        median: share.median * 100.0,
        min: share.min * 100.0,
        max: share.max * 100.0,
    }
}

/// `43.1 (42.0-44.2)`, or the number alone where all are alike.
pub(super) fn spread(spread: &SpreadJson, decimals: usize) -> String {
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
        "{} / {} = {median:.2}x documents per second ({}, {}, {rounds})",
        ratio.scenario,
        ratio.over,
        plural(ratio.num_docs, "document"),
        plural(ratio.num_workers as u64, "worker")
    )
}

fn target_line(target: &BenchTargetJson) -> String {
    let name = target.target;
    format!("{}: {name}: {}", met(target), against(target))
}

/// `met`, `missed`, or `not measured`.
pub(super) fn met(target: &BenchTargetJson) -> &'static str {
    match target.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "not measured",
    }
}

/// `2.1 (2.0-2.3 in 3 rounds), at least 1.9`.
pub(super) fn against(target: &BenchTargetJson) -> String {
    let bound = target.bound.replace('-', " ");
    let Some(measured) = target.measured else {
        return format!("{bound} {}", target.limit);
    };
    let among = match (target.spread, target.rounds) {
        (Some(SpreadJson { min, max, .. }), Some(rounds)) if rounds > 1 => {
            format!(" ({min}-{max} in {rounds} rounds)")
        }
        _ => String::new(),
    };
    format!("{measured}{among}, {bound} {}", target.limit)
}

pub(super) fn vectors_line(vectors: &BenchVectorsJson) -> String {
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

/// What others published, in a line: on another machine, so only its own numbers compare with each other.
fn published_line(said: &BenchIngestJson) -> String {
    let row = |row: &crate::api::BenchPublishedJson| {
        let (build, scenario) = (row.build, row.scenario);
        match row.docs_per_s {
            Some(rate) => format!("{build} {scenario} {rate}"),
            None => format!("{build} {scenario} {}", row.reason),
        }
    };
    let rows: Vec<String> = said.published.iter().map(row).collect();
    let machine = published::MACHINE;
    format!(
        "Published elsewhere ({machine}), docs/s: {}.",
        rows.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, said};
    use super::*;

    #[test]
    fn a_row_of_values_has_the_studys_columns_first() {
        let text = csv(&said(&report()).rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "scenario,num_docs,chunk_size,num_workers,duration_s,docs_per_s,cpu_mean,cpu_max,mem_peak_mb,\
             round,chunks,tokens_per_s,startup_s,guest_share,product_gflops,hardware_share"
        );
        assert_eq!(lines.len(), 7);
        assert!(
            lines[1].starts_with("sandboxed,300,1000,2,7.0,42.86,"),
            "{}",
            lines[1]
        );
        assert!(
            lines[1].ends_with(",200.0,1,331,5714.3,0.4,0.001,,"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn ratios_and_targets_are_said_in_words() {
        let said = said(&report());
        let line = ratio_line(&said.ratios[0]);
        assert!(
            line.starts_with("sandboxed / python-threads = 2.00x"),
            "{line}"
        );
        let line = target_line(&said.targets[0]);
        assert!(
            line.starts_with("met: ") && line.contains("at least 1.9"),
            "{line}"
        );
    }

    #[test]
    fn differing_vectors_are_said_aloud() {
        let vectors = BenchVectorsJson {
            compared: 64,
            max_abs_diff: 0.1,
            limit: 1e-5,
            ok: false,
        };
        assert!(vectors_line(&vectors).contains("DIFFER"));
    }
}
