//! The benchmark: it measures what it says, leaves nothing behind, and says what it lacks.

use crate::support::{Bench, arg};

const COLUMNS: &str = "scenario,num_docs,chunk_size,num_workers,duration_s,docs_per_s,cpu_mean,cpu_max,\
                       mem_peak_mb,round,chunks,tokens_per_s,startup_s,guest_share";

#[test]
fn a_small_round_measures_everything_and_leaves_nothing() {
    let bench = Bench::new();
    let temporary = bench.path("temporary");
    std::fs::create_dir_all(&temporary).unwrap();
    let csv = bench.path("rows.csv");
    let arguments = [
        "--json",
        "bench",
        "ingest",
        "--documents",
        "20",
        "--rounds",
        "1",
        "--csv",
        arg(&csv),
    ];
    let output = bench
        .command(&arguments)
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
    assert!(said["workload"]["chunks"].as_u64() >= Some(20), "{said}");
    let scenario = &said["scenarios"][0];
    assert_eq!(scenario["scenario"], "sandboxed");
    for column in [
        "docs_per_s",
        "tokens_per_s",
        "cpu_mean",
        "mem_peak_mb",
        "startup_s",
        "guest_share",
    ] {
        assert!(
            scenario[column]["median"].as_f64() > Some(0.0),
            "{column}: {said}"
        );
    }
    assert!(
        said["vectors"].is_null() && said["ratios"].as_array().unwrap().is_empty(),
        "{said}"
    );
    let rows = std::fs::read_to_string(csv).unwrap();
    assert_eq!(rows.lines().next(), Some(COLUMNS));
    assert_eq!(rows.lines().count(), 2);
    assert_eq!(
        std::fs::read_dir(&temporary).unwrap().count(),
        0,
        "temporary files are left"
    );
    assert!(
        !bench.data().exists(),
        "the user's data folder is not touched"
    );
}

#[test]
fn a_corpus_of_ones_own_can_be_measured() {
    let bench = Bench::new();
    let corpus = bench.file(
        "corpus.jsonl",
        "{\"id\":\"a\",\"text\":\"one\"}\nnot json\n",
    );
    let said = bench.json(&["bench", "ingest", "--corpus", arg(&corpus), "--rounds", "1"]);
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
