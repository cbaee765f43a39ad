//! The shipped program has no switch for its guards: what takes one away in a test build means nothing
//! to it.

use crate::support::guests::{self, WHOLE_TEXT};
use crate::support::{Bench, arg};

/// The variables of the test builds: guards taken away, a law broken, an end at a point.
const SWITCHES: [&str; 3] = [SWITCH, "STOCKADE_BREAKS", "STOCKADE_ENDS_AT"];

const SWITCH: &str = "STOCKADE_WITHOUT";

#[test]
fn the_program_does_not_know_the_switch_of_test_builds() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_stockade")).unwrap();
    let text = String::from_utf8_lossy(&program);
    assert!(text.contains("STOCKADE_DATA"), "it knows its own variables");
    for switch in SWITCHES {
        assert!(!text.contains(switch), "it knows {switch}");
    }
}

#[test]
fn a_guard_that_the_environment_would_take_away_still_stands() {
    let bench = Bench::with_tenants(&["acme"]);
    // It behaves until a document has this length.
    let spin =
        format!("(if (i32.eq (local.get 7) (i32.const 4242)) (then (loop (br 0)))) {WHOLE_TEXT}");
    let plugin = bench.file("spin.wasm", guests::chunker(&spin));
    bench
        .run(&["plugin", "install", "acme", arg(&plugin), "--as", "spin"])
        .ok();
    bench.run(&["plugin", "use", "acme", "spin"]).ok();
    // On a slow machine CPU time would end first.
    let policy = bench.file("little.toml", "[chunker]\nfuel_max = 20_000_000\n");
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    let document = bench.file("attack.txt", "x".repeat(4_242));
    let output = bench
        .command(&["ingest", "acme", arg(&document)])
        .env(SWITCH, "fuel,guest-cpu,wall-tick,wall-timer")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("fuel"), "{said}");
}
