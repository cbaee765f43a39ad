//! What is acknowledged is on disk: the one way around it is for a measurement, and nobody else takes it.

use super::none;
use super::source::sources;

#[test]
fn only_the_benchmark_of_durability_writes_without_waiting_for_the_disk() {
    let passed_on = [
        "host/src/db.rs",
        "host/src/index.rs",
        "host/src/runtime.rs",
        "host/src/cli/bench/durability.rs",
    ];
    let sources = sources();
    let names = |path: &str| {
        let source = sources.iter().find(|source| source.path == path);
        let code = &source.unwrap().code;
        code.matches("open_without_sync_for_bench").count()
    };
    let strangers = sources.iter().map(|source| source.path.clone());
    let strangers: Vec<String> = strangers
        .filter(|path| !passed_on.contains(&path.as_str()) && names(path) > 0)
        .collect();
    none(
        &strangers,
        "what is acknowledged is on disk, but for one measurement",
    );
    for path in passed_on {
        let calls = names(path);
        assert!((1..=2).contains(&calls), "{path}: {calls}");
    }
}
