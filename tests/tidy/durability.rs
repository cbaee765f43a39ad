//! What is acknowledged is on disk: the one way around it is for a measurement, and nobody else takes it.

use super::none;
use super::source::{Source, sources};

#[test]
fn only_the_benchmark_of_durability_writes_without_waiting_for_the_disk() {
    let passed_on = [
        "host/src/db.rs",
        "host/src/index.rs",
        "host/src/runtime.rs",
        "host/src/cli/bench/durability.rs",
    ];
    let calls = |source: &Source| source.code.matches("open_without_sync_for_bench").count();
    let (known, others): (Vec<Source>, Vec<Source>) = sources()
        .into_iter()
        .partition(|source| passed_on.contains(&source.path.as_str()));
    let strangers = others.into_iter().filter(|source| calls(source) > 0);
    let strangers: Vec<String> = strangers.map(|source| source.path).collect();
    none(
        &strangers,
        "what is acknowledged is on disk, but for one measurement",
    );
    assert_eq!(known.len(), passed_on.len());
    for source in &known {
        let calls = calls(source);
        assert!((1..=2).contains(&calls), "{}: {calls}", source.path);
    }
}
