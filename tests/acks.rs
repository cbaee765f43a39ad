//! `ingest --acks` and what `--sync` may delete.

use crate::support::{Bench, arg};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What was said of each document, by its id.
fn said(lines: &str) -> BTreeMap<String, Value> {
    let acks = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    acks.map(|ack| (ack["document"].as_str().unwrap().to_owned(), ack))
        .collect()
}

#[test]
fn every_document_is_acknowledged_once_with_what_became_of_it() {
    let bench = Bench::with_tenants(&["acme"]);
    bench.file("docs/a.txt", "A heron stands in the reeds.");
    bench.file("docs/b.txt", "A kettle whistles on the stove.");
    bench.file("docs/c.txt", b"caf\xe9 is not UTF-8");
    let (docs, acks) = (bench.path("docs"), bench.path("acks.jsonl"));
    let ingest = |more: &[&str]| {
        let mut arguments = vec!["--json", "ingest", "acme", arg(&docs), "--source", "s"];
        arguments.extend(["--acks", arg(&acks)]);
        arguments.extend(more);
        let ran = bench.run(&arguments);
        let lines = std::fs::read_to_string(&acks).unwrap();
        std::fs::remove_file(&acks).unwrap();
        (ran, said(&lines))
    };
    let (ran, first) = ingest(&[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let added = json!({ "document": "s/a.txt", "outcome": "added", "chunks": 1, "error": null });
    assert_eq!(first["s/a.txt"], added);
    assert_eq!(first.len(), 3);
    let failed = &first["s/c.txt"];
    assert_eq!(
        (&failed["outcome"], &failed["chunks"]),
        (&json!("failed"), &json!(0))
    );
    assert!(
        failed["error"]["message"]
            .as_str()
            .unwrap()
            .contains("c.txt"),
        "{failed}"
    );
    bench.file("docs/a.txt", "A heron has left the reeds.");
    std::fs::remove_file(bench.path("docs/b.txt")).unwrap();
    bench.file("docs/d.txt", "A plough turns the field.");
    bench
        .run(&[
            "ingest",
            "acme",
            arg(&bench.path("docs/d.txt")),
            "--source",
            "s",
        ])
        .ok();
    let (_, second) = ingest(&["--sync"]);
    let outcomes: Vec<&str> = second
        .values()
        .map(|ack| ack["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(
        outcomes,
        ["replaced", "deleted", "failed", "unchanged"],
        "{second:?}"
    );
}

#[test]
fn acknowledgements_on_standard_output_come_before_the_answer() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("a.txt", "A heron stands in the reeds.");
    let ran = bench
        .run(&["--json", "ingest", "acme", arg(&file), "--acks", "-"])
        .ok();
    let lines: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert_eq!(lines[0]["outcome"], "added");
    assert_eq!(lines[1]["documents"]["added"], 1);
    let nowhere = bench.path("no/such/folder/acks");
    bench
        .run(&["ingest", "acme", arg(&file), "--acks", arg(&nowhere)])
        .fails(2, &["acks"]);
}

#[test]
fn sync_leaves_a_source_alone_whose_name_begins_alike() {
    let bench = Bench::with_tenants(&["acme"]);
    let wiki = bench.file("wiki/one.txt", "A heron stands in the reeds.");
    bench.file("wiki/two.txt", "A kettle whistles on the stove.");
    let english = bench.file("english/three.txt", "A plough turns the field.");
    let lines = bench.file(
        "lines.jsonl",
        r#"{"id": "four", "text": "Rain falls on the roofs."}"#,
    );
    let folder = wiki.parent().unwrap();
    bench
        .run(&["ingest", "acme", arg(folder), "--source", "wiki/"])
        .ok();
    bench
        .run(&["ingest", "acme", arg(&english), "--source", "wiki/en"])
        .ok();
    bench
        .run(&["ingest", "acme", arg(&lines), "--source", "wiki/fr"])
        .ok();
    std::fs::remove_file(bench.path("wiki/two.txt")).unwrap();
    let report = bench.json(&["ingest", "acme", arg(folder), "--source", "wiki/", "--sync"]);
    assert_eq!(report["documents"]["deleted"], 1, "{report}");
    let found = bench.found("acme", "vector", "heron kettle plough rain");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(!found.contains(&"wiki/two.txt".to_owned()));
}

#[test]
fn a_tenant_of_a_removed_one_s_name_begins_empty() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("a.txt", "A heron stands in the reeds.");
    bench.run(&["ingest", "acme", arg(&file)]).ok();
    let tenants = bench.data().join("tenants");
    bench.run(&["tenant", "remove", "acme"]).ok();
    assert_eq!(std::fs::read_dir(&tenants).unwrap().count(), 0);
    bench.run(&["tenant", "add", "acme"]).ok();
    let shown = bench.json(&["tenant", "show", "acme"]);
    assert_eq!(shown["documents"], 0, "{shown}");
}
