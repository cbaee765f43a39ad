//! What was measured, as a Markdown report. Its tables stand between marks, so that other documents can take them
//! over: `<!-- table:NAME -->` to `<!-- /table -->`.

use super::show::{against, medians, met, percent, spread, vectors_line, workload};
use super::{published, scenario::Scenario};
use crate::api::{BenchIngestJson, BenchScenarioJson, SpreadJson};
use crate::cli::bench::machine;
use crate::cli::output::{plural, thousands};

/// The whole report.
pub(super) fn report(said: &BenchIngestJson) -> String {
    let mut text = String::from("# Ingest\n\n");
    if said.interrupted {
        text.push_str("Interrupted: what is shown is whole, the rest was not run.\n\n");
    }
    for (title, name, table) in [
        ("Runs", "ingest", runs(said)),
        ("Ratios", "ingest-ratios", ratios(said)),
        ("Targets", "ingest-targets", targets(said)),
        ("Cost", "ingest-costs", costs(said)),
        ("Published", "ingest-published", published_rows(said)),
        ("Summary", "ingest-summary", summary(said)),
    ] {
        text.push_str(&format!(
            "## {title}\n\n<!-- table:{name} -->\n{table}<!-- /table -->\n\n"
        ));
    }
    text.push_str(CHARTS);
    text
}

const CHARTS: &str = "## Pictures\n\n\
    ![Documents a second](throughput.png)\n\n\
    ![CPU](cpu.png)\n\n\
    ![Memory](memory.png)\n\n\
    ![Throughput against memory](efficiency.png)\n\n\
    ![Scaling with documents](scaling.png)\n";

/// A table of Markdown: the first column left, the others right.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = line(&head);
    text.push_str(&format!("|---{}|\n", "|---:".repeat(header.len() - 1)));
    for row in rows {
        text.push_str(&line(&row));
    }
    text
}

fn or_none(share: Option<SpreadJson>, decimals: usize) -> String {
    share.map_or_else(String::new, |share| {
        format!("{} %", spread(&percent(&share), decimals))
    })
}

fn runs(said: &BenchIngestJson) -> String {
    let header = [
        "scenario",
        "documents",
        "workers",
        "rounds",
        "documents/s",
        "tokens/s",
        "CPU %",
        "CPU max %",
        "memory MB",
        "start-up s",
        "guests' share of CPU",
        "share of the hardware's rate",
    ];
    let row = |one: &BenchScenarioJson| {
        vec![
            format!("`{}`", one.scenario),
            thousands(one.num_docs),
            one.num_workers.to_string(),
            one.rounds.to_string(),
            spread(&one.docs_per_s, 1),
            spread(&one.tokens_per_s, 0),
            spread(&one.cpu_mean, 0),
            spread(&one.cpu_max, 0),
            spread(&one.mem_peak_mb, 0),
            spread(&one.startup_s, 1),
            or_none(one.guest_share, 2),
            or_none(one.hardware_share, 0),
        ]
    };
    let mut text = table(&header, said.scenarios.iter().map(row));
    text.push_str(&format!(
        "\nMeasured on {}. {} {}, start-up apart; memory in 10^6 bytes over the whole process tree.\n",
        machine::words(&said.machine),
        workload(said),
        medians(said)
    ));
    if let Some(vectors) = &said.vectors {
        text.push_str(&format!("\n{}\n", vectors_line(vectors)));
    }
    for product in &said.products {
        text.push_str(&format!(
            "\nONNX Runtime's own matrix product with {}: {} GFLOP/s in {}.\n",
            plural(product.num_workers as u64, "worker"),
            spread(&product.gflops, 0),
            plural(product.rounds as u64, "run")
        ));
    }
    text
}

fn ratios(said: &BenchIngestJson) -> String {
    let header = [
        "documents a second of",
        "documents",
        "workers",
        "rounds",
        "ratio",
    ];
    let rows = said.ratios.iter().map(|ratio| {
        vec![
            format!("`{}` / `{}`", ratio.scenario, ratio.over),
            thousands(ratio.num_docs),
            ratio.num_workers.to_string(),
            ratio.rounds.to_string(),
            spread(&ratio.docs_per_s, 2),
        ]
    });
    table(&header, rows)
}

fn targets(said: &BenchIngestJson) -> String {
    let rows = said.targets.iter().map(|target| {
        vec![
            target.target.to_owned(),
            against(target),
            met(target).to_owned(),
        ]
    });
    table(&["target", "measured", ""], rows)
}

fn costs(said: &BenchIngestJson) -> String {
    let header = [
        "scenario",
        "documents/s of one machine",
        "machines for 100 documents/s",
        "memory of each, MB",
        "relative cost",
    ];
    let rows = said.costs.iter().map(|cost| {
        let name = match cost.published {
            true => format!("{} (published)", cost.scenario),
            false => format!("`{}`", cost.scenario),
        };
        let relative = cost.relative_cost;
        vec![
            name,
            format!("{:.1}", cost.docs_per_s),
            cost.instances.to_string(),
            format!("{:.0}", cost.mem_each_mb),
            relative.map_or_else(String::new, |cost| format!("{cost:.2}")),
        ]
    });
    table(&header, rows)
}

fn published_rows(said: &BenchIngestJson) -> String {
    let rows = said.published.iter().map(|row| {
        let number = |number: Option<f64>, decimals: usize| {
            number.map_or_else(|| "–".to_owned(), |number| format!("{number:.decimals$}"))
        };
        vec![
            format!("{} (published)", row.build),
            row.scenario.to_owned(),
            number(row.docs_per_s, 1),
            number(row.mem_peak_mb, 0),
            row.reason.to_owned(),
        ]
    });
    let header = ["build", "scenario", "documents/s", "memory MB", ""];
    let table = table(&header, rows);
    format!("{table}\nPublished for {}.\n", published::MACHINE)
}

/// The few rows that a reader who has a minute wants: ours and its peers on the first number of documents.
fn summary(said: &BenchIngestJson) -> String {
    let first = said.scenarios.first();
    let first = first.map(|one| (one.num_docs, one.num_workers));
    let wanted = [
        Scenario::Sandboxed,
        Scenario::PythonThreads,
        Scenario::PythonThreadsPinned,
        Scenario::PythonProcesses,
        Scenario::PythonProcessesPinned,
        Scenario::PythonOnnxruntime,
        Scenario::Fastembed,
    ];
    let wanted = |one: &&BenchScenarioJson| {
        let named = wanted
            .iter()
            .any(|scenario| scenario.name() == one.scenario);
        named && Some((one.num_docs, one.num_workers)) == first
    };
    let ratio = |over: &str| {
        let mut ratios = said.ratios.iter();
        let found = ratios
            .find(|ratio| ratio.over == over && Some((ratio.num_docs, ratio.num_workers)) == first);
        found.map_or_else(String::new, |ratio| spread(&ratio.docs_per_s, 2))
    };
    let rows = said.scenarios.iter().filter(wanted).map(|one| {
        vec![
            format!("`{}`", one.scenario),
            spread(&one.docs_per_s, 1),
            spread(&one.mem_peak_mb, 0),
            ratio(one.scenario),
        ]
    });
    let header = [
        "ingest",
        "documents/s",
        "memory MB",
        "`sandboxed` is faster, times",
    ];
    table(&header, rows)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{report, said};

    #[test]
    fn every_table_stands_between_its_marks() {
        let text = super::report(&said(&report()));
        let opened = text.matches("<!-- table:").count();
        assert_eq!(opened, text.matches("<!-- /table -->").count());
        for words in [
            "| `sandboxed` / `python-threads` | 300 | 2 | 3 | 2.00 (1.50-3.00) |",
            "| `sandboxed` | 42.9 | 3 | 200 | 1.00 |",
            "Python 3.14t (published)",
            "InterpreterPoolExecutor | – | – | does not run",
            "| `python-threads` | 21.4 (14.3-25.0) | 200 | 2.00 (1.50-3.00) |",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
    }
}
