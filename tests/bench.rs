//! The benchmark: it measures what it says, leaves nothing behind, and says what it lacks.

use crate::support::{Bench, arg, interrupt, wait_until};
use std::path::Path;

const COLUMNS: &str = "scenario,num_docs,chunk_size,num_workers,duration_s,docs_per_s,cpu_mean,cpu_max,\
                       mem_peak_mb,round,chunks,tokens_per_s,startup_s,guest_share,product_gflops,hardware_share";

/// What of ours runs where nothing is left out, in the order of the rows.
const OURS: [&str; 5] = [
    "sandboxed",
    "threads",
    "loop",
    "processes",
    "sandboxed-reuse",
];

#[test]
fn a_small_round_measures_everything_and_leaves_nothing() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let (csv, plots, report) = (
        bench.path("rows.csv"),
        bench.path("plots"),
        bench.path("report.md"),
    );
    let arguments = [
        "--json",
        "bench",
        "ingest",
        "--documents",
        "20",
        "--rounds",
        "1",
    ];
    let output = bench
        .command(&arguments)
        .args(["--csv", arg(&csv), "--plot", arg(&plots)])
        .args(["--report", arg(&report)])
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["workload"]["documents"], 20, "{said}");
    every_scenario_did_the_same_work(&said);
    let rows = std::fs::read_to_string(csv).unwrap();
    assert_eq!(rows.lines().next(), Some(COLUMNS));
    assert_eq!(rows.lines().count(), 1 + OURS.len());
    for name in ["throughput", "cpu", "memory", "efficiency", "scaling"] {
        for end in ["svg", "png"] {
            let picture = plots.join(format!("{name}.{end}"));
            assert!(picture.metadata().unwrap().len() > 1_000, "{picture:?}");
        }
    }
    let report = std::fs::read_to_string(report).unwrap();
    for word in ["table:ingest ", "`processes`", "Python 3.14t (published)"] {
        assert!(report.contains(word), "{word}: {report}");
    }
    nothing_is_left(&temporary, &bench);
}

fn nothing_is_left(temporary: &Path, bench: &Bench) {
    let left = std::fs::read_dir(temporary).unwrap().count();
    assert_eq!(left, 0, "temporary files are left");
    assert!(
        !bench.data().exists(),
        "the user's data folder is not touched"
    );
}

fn every_scenario_did_the_same_work(said: &serde_json::Value) {
    let names: Vec<&str> = said["scenarios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["scenario"].as_str().unwrap())
        .collect();
    assert_eq!(names, OURS);
    for one in said["scenarios"].as_array().unwrap() {
        for column in ["docs_per_s", "tokens_per_s", "mem_peak_mb", "startup_s"] {
            assert!(
                one[column]["median"].as_f64() > Some(0.0),
                "{column}: {one}"
            );
        }
        let (guests, reused) = (
            one["scenario"].as_str().unwrap().starts_with("sandboxed"),
            one["scenario"] == "sandboxed-reuse",
        );
        assert_eq!(one["guest_share"].is_null(), !guests, "{one}");
        assert_eq!(one["hardware_share"].is_null(), reused, "{one}");
    }
    let rows = said["rows"].as_array().unwrap();
    let chunks = &rows[0]["chunks"];
    assert!(chunks.as_u64() >= Some(20), "{said}");
    assert!(rows.iter().all(|row| &row["chunks"] == chunks), "{said}");
    let product = &said["products"][0];
    assert!(product["gflops"]["median"].as_f64() > Some(0.0), "{said}");
    let over: Vec<&str> = said["ratios"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ratio| ratio["over"].as_str().unwrap())
        .collect();
    assert_eq!(over, ["threads", "loop", "processes", "sandboxed-reuse"]);
    let target = |word: &str| {
        let mut targets = said["targets"].as_array().unwrap().iter();
        let found = targets.find(|one| one["target"].as_str().unwrap().contains(word));
        found.unwrap()["met"].clone()
    };
    assert!(target("python-threads").is_null());
    assert!(target("threads / loop").is_boolean());
    assert!(said["vectors"].is_null(), "{said}");
}

#[test]
fn documents_workers_and_scenarios_can_be_chosen() {
    let bench = Bench::new();
    let said = bench.json(&[
        "bench",
        "ingest",
        "--documents",
        "6,12",
        "--rounds",
        "2",
        "--workers",
        "1,2",
        "--scenarios",
        "threads",
    ]);
    let rows: Vec<(&str, u64, u64, u64)> = said["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let number = |column: &str| row[column].as_u64().unwrap();
            (
                row["scenario"].as_str().unwrap(),
                number("num_docs"),
                number("num_workers"),
                number("round"),
            )
        })
        .collect();
    assert_eq!(rows.len(), 2 * 2 * 2 + 2 * 2, "{rows:?}");
    assert!(rows.contains(&("threads", 6, 1, 2)), "{rows:?}");
    assert!(rows.contains(&("sandboxed", 12, 2, 1)), "{rows:?}");
    assert!(said["products"].as_array().unwrap().is_empty(), "{said}");
}

#[test]
fn an_interrupted_ingest_run_says_what_it_has_and_leaves_nothing() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let child = bench
        .command(&["--json", "bench", "ingest", "--documents", "4,100000"])
        .args(["--rounds", "1", "--scenarios", "processes"])
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The large corpus is written when the small one is through.
    wait_until(|| has_file(&temporary, "corpus-100000.jsonl"));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["interrupted"], true, "{said}");
    assert_eq!(said["rows"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn a_small_fairness_run_measures_questions_and_shares() {
    let bench = Bench::new();
    let report = bench.path("fairness.md");
    std::fs::create_dir_all(report.parent().unwrap()).unwrap();
    let said = bench.json(&[
        "bench",
        "fairness",
        "--requests",
        "10",
        "--blocks",
        "2",
        "--seconds",
        "2",
        "--report",
        arg(&report),
    ]);
    for arm in ["idle", "ingest"] {
        assert_eq!(said[arm]["requests"], 10, "{said}");
        assert_eq!(said[arm]["failed"], 0, "{said}");
        assert!(said[arm]["p99_ms"].as_f64() > Some(0.0), "{said}");
    }
    assert!(said["met"].is_boolean() && said["shares_met"].is_boolean());
    assert!(said["batch_ms"].as_f64() > Some(0.0), "{said}");
    let shares = said["shares"].as_array().unwrap();
    let tokens: Vec<u64> = shares
        .iter()
        .map(|one| one["tokens"].as_u64().unwrap())
        .collect();
    // Wide of the target: the window is short, and batches are whole.
    assert!(tokens[0] < tokens[1] && tokens[1] < tokens[2], "{said}");
    let report = std::fs::read_to_string(report).unwrap();
    assert!(report.contains("<!-- table:fairness -->"), "{report}");
}

#[test]
fn starts_of_commands_are_measured() {
    let bench = Bench::new();
    let said = bench.json(&["bench", "starts", "--runs", "2", "--documents", "3"]);
    let commands = said["commands"].as_array().unwrap();
    assert_eq!(commands[0]["command"], "query");
    assert!(commands[0]["met"].is_boolean(), "{said}");
    for one in commands {
        assert_eq!(one["runs"], 2, "{said}");
        assert!(one["seconds"]["median"].as_f64() > Some(0.0), "{said}");
    }
}

#[test]
fn a_corpus_of_ones_own_can_be_measured() {
    let bench = Bench::new();
    let corpus = bench.file(
        "corpus.jsonl",
        "{\"id\":\"a\",\"text\":\"one\"}\nnot json\n",
    );
    let said = bench.json(&["bench", "ingest", "--corpus", arg(&corpus), "--rounds", "1"]);
    let rows = said["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["num_docs"] == 1), "{said}");
    let workload = &said["workload"];
    assert_eq!(
        (&workload["documents"], &workload["failed"]),
        (&1.into(), &1.into()),
        "{said}"
    );
}

#[test]
fn what_is_missing_is_said_before_anything_runs() {
    let bench = Bench::new();
    let empty = bench.path("empty-cache");
    let mut command = bench.command(&["bench", "ingest", "--peers", "threads"]);
    let output = command.env("STOCKADE_CACHE", &empty).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cargo xtask peers"));
    bench
        .run(&["bench", "ingest", "--corpus", "/no/such.jsonl"])
        .fails(2, &["/no/such.jsonl"]);
    bench
        .run(&["bench", "ingest", "--documents", "0"])
        .fails(2, &["--documents"]);
    bench
        .run(&["bench", "ingest", "--csv", "/no/such/folder/rows.csv"])
        .fails(2, &["/no/such"]);
}

#[test]
fn a_small_sandbox_run_measures_everything_and_leaves_nothing() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let csv = bench.path("csv");
    let arguments = [
        "--json",
        "bench",
        "sandbox",
        "--kills",
        "2",
        "--soak",
        "28",
        "--csv",
        arg(&csv),
    ];
    let output = bench
        .command(&arguments)
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    everything_was_measured(&serde_json::from_slice(&output.stdout).unwrap());
    let lines = |name: &str| {
        std::fs::read_to_string(csv.join(name))
            .unwrap()
            .lines()
            .count()
    };
    assert_eq!(lines("kills.csv"), 1 + 2 * 24);
    assert_eq!(lines("soak.csv"), 1 + 29);
    assert!(lines("starts.csv") > 1_000);
    nothing_is_left(&temporary, &bench);
}

/// What two kills of each kind and 28 hostile tasks say.
fn everything_was_measured(said: &serde_json::Value) {
    let list = |name: &str| said[name].as_array().unwrap().clone();
    assert_eq!(
        (list("kills").len(), list("limits").len()),
        (18, 6),
        "{said}"
    );
    for one in list("kills").iter().chain(&list("limits")) {
        assert_eq!(
            (&one["count"], &one["failed"]),
            (&2.into(), &0.into()),
            "{one}"
        );
        assert!(one["max_ms"].as_f64() > Some(0.0), "{one}");
    }
    assert!(
        list("starts")
            .iter()
            .all(|one| one["p50_us"].as_f64() > Some(0.0))
    );
    for same in list("determinism") {
        assert_eq!(
            (&same["runs"], &same["differences"]),
            (&100.into(), &0.into())
        );
    }
    let soak = &said["soak"];
    assert_eq!(
        (&soak["tasks"], &soak["not_stopped"]),
        (&28.into(), &0.into())
    );
    assert_eq!(said["ok"], true, "{said}");
}

#[test]
fn parts_of_the_sandbox_run_can_be_chosen() {
    let bench = Bench::new();
    let said = bench.json(&["bench", "sandbox", "--only", "soak", "--soak", "14"]);
    assert!(said["kills"].as_array().unwrap().is_empty(), "{said}");
    assert_eq!(said["soak"]["tasks"], 14, "{said}");
    bench
        .run(&["bench", "sandbox", "--only", "everything"])
        .fails(2, &["--only"]);
}

#[test]
fn an_interrupted_sandbox_run_says_what_it_has_and_cleans_up() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let child = bench
        .command(&[
            "--json", "bench", "sandbox", "--only", "soak", "--soak", "1000000",
        ])
        .env("TMPDIR", &temporary)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(|| has_compiled(&temporary));
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["interrupted"], true, "{said}");
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

/// Whether a run whose folders are in `temporary` has written a file of this name.
fn has_file(temporary: &Path, name: &str) -> bool {
    let folders = std::fs::read_dir(temporary).unwrap().flatten();
    folders
        .into_iter()
        .any(|folder| folder.path().join(name).exists())
}

/// Whether a run whose folders are in `temporary` has got as far as compiling a guest.
fn has_compiled(temporary: &Path) -> bool {
    let folders = std::fs::read_dir(temporary).unwrap().flatten();
    let mut files =
        folders.flat_map(|folder| std::fs::read_dir(folder.path()).into_iter().flatten());
    files.any(|file| file.is_ok_and(|file| file.path().extension().is_some_and(|e| e == "cwasm")))
}

#[test]
fn durability_is_measured_in_pairs_beside_the_data_folder() {
    let bench = Bench::with_tenants(&["acme"]);
    let csv = bench.path("rows.csv");
    std::fs::create_dir_all(csv.parent().unwrap()).unwrap();
    let arguments = ["--documents", "6", "--rounds", "2", "--csv", arg(&csv)];
    let said = bench.json(&[&["bench", "durability"][..], &arguments].concat());
    let arms: Vec<&str> = said["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["synchronous"].as_str().unwrap())
        .collect();
    assert_eq!(arms, ["full", "off", "off", "full"], "{said}");
    assert!(said["ratio"]["median"].as_f64() > Some(0.0), "{said}");
    assert!(said["fsync_us"]["median"].as_f64() > Some(0.0), "{said}");
    assert_eq!(said["disk"], bench.data().display().to_string(), "{said}");
    assert_eq!(std::fs::read_to_string(csv).unwrap().lines().count(), 5);
    let left: Vec<_> = std::fs::read_dir(bench.data())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("stockade-bench-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn all_documents_again_are_all_unchanged() {
    let bench = Bench::new();
    let said = bench.json(&["bench", "reingest", "--documents", "40", "--rounds", "2"]);
    let phase = |row: &serde_json::Value| row["phase"].as_str().unwrap().to_owned();
    let rows = said["rows"].as_array().unwrap();
    let phases: Vec<String> = rows.iter().map(phase).collect();
    assert_eq!(phases, ["tenth", "whole", "again", "again"], "{said}");
    assert_eq!(
        (&rows[1]["documents"], &rows[1]["unchanged"]),
        (&40.into(), &0.into())
    );
    assert_eq!(
        (&rows[3]["documents"], &rows[3]["unchanged"]),
        (&40.into(), &40.into())
    );
    assert!(
        rows.iter()
            .all(|row| row["mem_peak_mb"].as_f64() > Some(1.0)),
        "{said}"
    );
    assert!(said["memory_growth"].as_f64() > Some(0.0), "{said}");
}
