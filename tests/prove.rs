//! The proof of a policy, by the real program: every key has an attack, and both of its sides come out as promised.

use crate::support::{Bench, interrupt, wait_until};
use serde_json::Value;
use std::process::Stdio;
use stockade::policy::keys;

/// The proof's JSON, whatever it says.
fn prove(arguments: &[&str]) -> (i32, Value) {
    let bench = Bench::new();
    let ran = bench.run(&[&["--json", "prove"], arguments].concat());
    (ran.code, ran.json())
}

/// Every key has a row, in the order of the policy's file, and every row holds on both sides.
fn all_hold(policy: &str) {
    let (code, said) = prove(&["--policy", policy]);
    let rows = said["rows"].as_array().unwrap();
    let proven: Vec<&str> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    let paths: Vec<String> = keys().iter().map(|key| key.path()).collect();
    assert_eq!(proven, paths, "a key without an attack");
    for row in rows {
        for side in ["violated_ok", "obeyed_ok", "ok"] {
            assert_eq!(row[side], true, "{side}: {row:#}");
        }
        assert!(row["rss_after_mb"].as_f64().unwrap() > 0.0, "{row:#}");
    }
    assert_eq!((code, &said["ok"]), (0, &Value::Bool(true)));
}

#[test]
fn every_key_of_the_default_policy_is_broken_in_vain_and_obeyed_in_peace() {
    all_hold("default");
}

#[test]
fn the_strict_policy_holds_too() {
    all_hold("strict");
}

#[test]
fn a_limit_that_leaves_no_room_for_any_work_is_named() {
    let bench = Bench::new();
    let tiny = "[chunker]\nfuel_max = 1\n";
    let file = bench.file("tiny.toml", tiny);
    let ran = bench.run(&[
        "prove",
        "--policy",
        file.to_str().unwrap(),
        "--key",
        "chunker.fuel_max",
    ]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.out.contains("chunker.fuel_max did not hold"), "{ran:?}");
    assert!(ran.out.contains("What obeys the limit"), "{ran:?}");
}

#[test]
fn a_key_that_is_none_is_refused() {
    let bench = Bench::new();
    bench
        .run(&["prove", "--key", "chunker.fule_max"])
        .fails(2, &["chunker.fule_max"]);
}

#[test]
fn an_interrupted_proof_leaves_nothing_behind() {
    let bench = Bench::new();
    let scratch = bench.file("scratch/here", "");
    let scratch = scratch.parent().unwrap();
    let mut command = bench.command(&["--json", "prove", "--key", "agent.wall_ms_max"]);
    command.env("TMPDIR", scratch).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let folders = || {
        let entries = std::fs::read_dir(scratch).unwrap().flatten();
        let named = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("stockade-prove-");
        entries.filter(|entry| named(&entry.file_name())).count()
    };
    wait_until(|| folders() == 1);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        (&said["interrupted"], &said["ok"]),
        (&Value::Bool(true), &Value::Bool(false))
    );
    assert_eq!(folders(), 0);
}
