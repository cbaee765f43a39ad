//! G: policies that are broken, hostile or too generous. What holds is the last good one.

use crate::support::{Bench, arg};
use std::os::unix::fs::PermissionsExt as _;

/// G-02, G-03: values that another program would take for a number or for "no limit", through the command line.
#[test]
fn g_02_g_03_no_spelling_of_a_number_means_no_limit() {
    let bench = Bench::new();
    for value in [
        "0",
        "-1",
        "1.5",
        "18_446_744_073_709_551_616",
        "9e99",
        "nan",
        "inf",
        "-0",
        "\"64 MB\"",
        "false",
        "[]",
        "{}",
    ] {
        let file = bench.file("p.toml", format!("[chunker]\nmemory_mib_max = {value}\n"));
        bench
            .run(&["policy", "check", arg(&file)])
            .fails(2, &["p.toml:2:", "memory_mib_max", "1 to 4,096"]);
    }
    let empty = bench.file("empty.toml", "");
    bench.run(&["policy", "check", arg(&empty)]).ok();
    bench
        .run(&["tenant", "add", "acme", "--policy", arg(&empty)])
        .ok();
    let shown = bench.run(&["policy", "show", "acme"]).ok().out;
    assert!(
        shown.contains("400,000,000"),
        "absent is inherited: {shown}"
    );
}

/// G-05: tenants whose tasks together may take more memory than the machine has: `doctor` warns and says what to
/// do; one modest tenant is no reason to.
#[test]
fn g_05_a_sum_beyond_the_machine_is_a_warning() {
    let bench = Bench::with_tenants(&["modest"]);
    let memory = |bench: &Bench| {
        let report = bench.json(&["doctor"]);
        assert_eq!(report["ok"], true, "a warning is no fault: {report}");
        let findings = report["findings"].as_array().unwrap().clone();
        let found = findings
            .into_iter()
            .find(|f| f["subject"] == "guest memory");
        found.unwrap()
    };
    assert!(memory(&bench)["fix"].is_null(), "{}", memory(&bench));
    let generous = bench.file(
        "generous.toml",
        "[chunker]\nmemory_mib_max = 4_096\n[tenant]\ntasks_running_max = 256\n",
    );
    bench
        .run(&["tenant", "policy", "modest", arg(&generous)])
        .ok();
    let warned = memory(&bench);
    assert!(
        warned["fix"]
            .as_str()
            .unwrap()
            .contains("tasks_running_max"),
        "{warned}"
    );
    let said = bench.run(&["doctor"]).ok().out;
    assert!(said.contains("warn"), "{said}");
}

/// G-06: a file of ten mebibytes, one of ten thousand brackets, and one of a hundred thousand wrong keys: refused
/// in bounded words.
#[test]
fn g_06_toml_bombs_are_refused() {
    let bench = Bench::new();
    let wrong: String = (0..3_000).map(|n| format!("key{n} = 1\n")).collect();
    let bombs = [
        ("large", "x = 1\n".repeat(1_700_000), "larger than"),
        ("deep", format!("x = {}", "[".repeat(10_000)), "deep.toml"),
        (
            "dotted",
            format!("{}x = 1", "a.".repeat(10_000)),
            "dotted.toml",
        ),
        ("many", wrong, "more problems"),
    ];
    for (name, text, word) in bombs {
        let file = bench.file(&format!("{name}.toml"), text);
        let ran = bench
            .run(&["policy", "check", arg(&file)])
            .fails(2, &[word]);
        assert!(ran.err.len() < 32 << 10, "{name}: {} bytes", ran.err.len());
    }
}

/// G-07, G-09: a broken, half-written, deleted or unreadable file changes nothing: the stored policy stays in force,
/// and the error says what is wrong.
#[test]
fn g_07_g_09_a_broken_file_leaves_the_old_policy_in_force() {
    let bench = Bench::new();
    let file = bench.file("own.toml", "[chunker]\nchunks_max = 777\n");
    bench
        .run(&["tenant", "add", "acme", "--policy", arg(&file)])
        .ok();
    let shown = || bench.run(&["policy", "show", "acme"]).ok().out;
    let before = shown();
    assert!(before.contains("777"), "{before}");
    for broken in [
        "[chunker]\nchunks_max = 0\n",
        "[chunker]\nchunks_m",
        "[chunker\n",
    ] {
        bench.file("own.toml", broken);
        bench
            .run(&["tenant", "policy", "acme", arg(&file)])
            .fails(2, &["own.toml:"]);
        assert_eq!(shown(), before);
    }
    std::fs::remove_file(&file).unwrap();
    bench
        .run(&["tenant", "policy", "acme", arg(&file)])
        .fails(2, &["own.toml"]);
    std::fs::create_dir(&file).unwrap();
    bench
        .run(&["tenant", "policy", "acme", arg(&file)])
        .fails(2, &["regular file"]);
    assert_eq!(shown(), before);
}

/// G-09: a file that everybody may write is nobody's policy, nor one that such a file is extended by.
#[test]
fn g_09_a_world_writable_file_is_refused() {
    let bench = Bench::new();
    let base = bench.file("base.toml", "[chunker]\nchunks_max = 777\n");
    let top = bench.file("top.toml", "extends = \"base.toml\"\n");
    bench.run(&["policy", "check", arg(&top)]).ok();
    for file in [&base, &top] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).unwrap();
        bench
            .run(&["policy", "check", arg(&top)])
            .fails(2, &["everybody may write", "chmod o-w"]);
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    bench.run(&["policy", "check", arg(&top)]).ok();
}
