//! What is acknowledged is on disk: the one way around it is for a measurement, and nobody else takes it.

use super::source::sources;
use super::{everywhere_but, none};

#[test]
fn only_the_benchmark_of_durability_writes_without_waiting_for_the_disk() {
    let passed_on = [
        "host/src/db.rs",
        "host/src/index.rs",
        "host/src/runtime.rs",
        "host/src/cli/bench/durability.rs",
    ];
    let found = everywhere_but("open_without_sync_for_bench", &passed_on);
    none(
        &found,
        "what is acknowledged is on disk, but for one measurement",
    );
    for path in passed_on {
        let source = sources().into_iter().find(|source| source.path == path);
        let text = source.unwrap().text;
        let calls = text.matches("open_without_sync_for_bench").count();
        assert!((1..=2).contains(&calls), "{path}: {calls}");
    }
}
