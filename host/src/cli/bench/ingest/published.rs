//! The rows of the published study, as they were published: nothing here was measured by this program.

use crate::api::BenchPublishedJson;

/// What the study was measured on.
pub(super) const MACHINE: &str = "4 virtual CPUs, 16 GB";

const SUBINTERPRETERS: &str = "does not run: numpy, torch and most C extensions cannot load in sub-interpreters, \
                               and arguments cannot be arrays or dicts";

/// Build, documents a second with threads and processes, memory in MB with threads and processes.
const ROWS: [(&str, [f64; 2], [f64; 2]); 3] = [
    ("Python 3.13", [21.8, 16.2], [941.0, 3_515.0]),
    ("Python 3.14", [22.0, 13.1], [962.0, 4_233.0]),
    ("Python 3.14t", [20.5, 13.5], [1_060.0, 4_551.0]),
];

/// Threads and processes of each build, and what does not run.
pub(super) fn rows() -> Vec<BenchPublishedJson> {
    let mut rows = vec![];
    for (build, docs_per_s, mem_peak_mb) in ROWS {
        for (place, scenario) in ["threads", "processes"].into_iter().enumerate() {
            rows.push(BenchPublishedJson {
                build,
                scenario,
                docs_per_s: Some(docs_per_s[place]),
                mem_peak_mb: Some(mem_peak_mb[place]),
                reason: "",
            });
        }
    }
    rows.push(BenchPublishedJson {
        build: "Python 3.14",
        scenario: "InterpreterPoolExecutor",
        docs_per_s: None,
        mem_peak_mb: None,
        reason: SUBINTERPRETERS,
    });
    rows
}
