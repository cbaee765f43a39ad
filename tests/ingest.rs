//! Ingest: everything seen is accounted for, unchanged costs nothing, bad input loses nothing.

use crate::support::{Bench, arg, interrupt, wait_until};
use serde_json::json;

#[test]
fn the_same_folder_again_changes_and_embeds_nothing() {
    let bench = Bench::with_tenants(&["acme"]);
    bench.file(
        "docs/a.md",
        "# Apples\n\nApples are red.\n\n## Storage\n\nKeep them cool.",
    );
    bench.file("docs/b.txt", "Bananas are yellow.");
    bench.file(
        "docs/deep/c.html",
        "<title>Cherries</title><p>Cherries are dark.</p>",
    );
    let docs = bench.path("docs");
    let first = bench.json(&["ingest", "acme", arg(&docs)]);
    assert_eq!(first["documents"]["added"], 3, "{first}");
    let again = bench.json(&["ingest", "acme", arg(&docs)]);
    assert_eq!(again["documents"]["unchanged"], 3, "{again}");
    assert_eq!((&again["tokens"], &again["chunks"]), (&json!(0), &json!(0)));
    bench.file("docs/b.txt", "Bananas are green at first.");
    let edited = bench.json(&["ingest", "acme", arg(&docs)]);
    assert_eq!(edited["documents"]["replaced"], 1, "{edited}");
    assert_eq!(edited["documents"]["unchanged"], 2, "{edited}");
    let text = bench.json(&["query", "acme", "yellow", "--agent", "text"]);
    assert_eq!(
        text["passages"].as_array().unwrap().len(),
        0,
        "the old version is gone: {text}"
    );
}

#[test]
fn a_text_in_another_encoding_is_refused_until_somebody_says_which() {
    let bench = Bench::with_tenants(&["acme"]);
    let old = bench.path("docs/old.txt");
    std::fs::create_dir_all(bench.path("docs")).unwrap();
    std::fs::write(&old, b"Das Caf\xe9 am H\xfcgel schlie\xdft um sieben.").unwrap();
    let page =
        b"<meta charset=shift_jis><title>\x93\xfa\x96\x7b</title><p>\x93\xfa\x96\x7b\x8c\xea</p>";
    std::fs::write(bench.path("docs/page.html"), page).unwrap();
    bench.file("docs/new.txt", "Der Gärtner öffnet um acht.");
    let docs = bench.path("docs");
    let refused = bench.run(&["ingest", "acme", arg(&docs)]);
    assert_eq!(refused.code, 3, "{refused:?}");
    for words in ["--encoding windows-1252", "is not valid UTF-8: see byte 7"] {
        assert!(refused.out.contains(words), "{refused:?}");
    }
    let again = ["ingest", "acme", arg(&docs), "--encoding", "latin1"];
    let told = bench.json(&again);
    assert_eq!(told["documents"]["added"], 1, "{told}");
    assert_eq!(told["documents"]["unchanged"], 2, "{told}");
    for (words, document) in [
        ("Café Hügel", "old.txt"),
        ("Gärtner öffnet", "new.txt"),
        ("日本語", "page.html"),
    ] {
        let found = bench.found("acme", "text", words);
        assert_eq!(
            found.first().map(String::as_str),
            Some(document),
            "{words}: {found:?}"
        );
    }
    let unknown = ["ingest", "acme", arg(&docs), "--encoding", "ebcdic"];
    bench.run(&unknown).fails(2, &["windows-1252"]);
}

#[test]
fn a_deleted_document_is_gone_from_both_searches() {
    let bench = Bench::with_tenants(&["acme"]);
    let a = bench.file("a.txt", "The heron stands in the reeds.");
    let b = bench.file("b.txt", "A kettle whistles on the stove.");
    bench.run(&["ingest", "acme", arg(&a), arg(&b)]).ok();
    for agent in ["text", "vector"] {
        assert!(
            bench
                .found("acme", agent, "heron reeds")
                .contains(&"a.txt".to_owned())
        );
    }
    bench.run(&["delete", "acme", "a.txt"]).ok();
    for agent in ["text", "vector", "hybrid"] {
        assert!(
            !bench
                .found("acme", agent, "heron reeds")
                .contains(&"a.txt".to_owned())
        );
    }
    bench.run(&["delete", "acme", "a.txt"]).fails(3, &[]);
}

#[test]
fn another_chunker_option_ingests_again_and_another_title_too() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("a.txt", "One sentence here. ".repeat(100));
    let first = bench.json(&["ingest", "acme", arg(&file)]);
    bench
        .run(&[
            "plugin",
            "use",
            "acme",
            "recursive",
            "--option",
            "size=300",
            "--option",
            "overlap=0",
        ])
        .ok();
    let second = bench.json(&["ingest", "acme", arg(&file)]);
    assert_eq!(second["documents"]["replaced"], 1, "{second}");
    assert!(second["chunks"].as_u64() > first["chunks"].as_u64());
}

#[test]
fn bad_documents_fail_by_name_and_the_rest_goes_on() {
    let bench = Bench::with_tenants(&["acme"]);
    bench.file("docs/good.txt", "This one is fine.");
    bench.file("docs/binary.txt", [0u8, 1, 2, 3, 0, 0, 0, 9]);
    bench.file("docs/latin.txt", b"caf\xe9 is not UTF-8");
    bench.file(
        "docs/lines.jsonl",
        "{\"id\":\"one\",\"text\":\"first\"}\nnot json\n{\"id\":\"two\",\"text\":\"second\"}\n",
    );
    bench.file(
        "docs/nested.html",
        format!("{}deep text", "<div>".repeat(100_000)),
    );
    bench.file("docs/picture.png", b"\x89PNG");
    let huge = bench.file("docs/huge.txt", "");
    std::fs::File::options()
        .write(true)
        .open(&huge)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    let docs = bench.path("docs");
    let ran = bench.run(&["--json", "ingest", "acme", arg(&docs)]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let report = ran.json();
    let counts = &report["documents"];
    assert_eq!(
        (&counts["added"], &counts["failed"], &counts["skipped"]),
        (&json!(4), &json!(4), &json!(1)),
        "{report}"
    );
    let failures = report["failures"].to_string();
    for name in ["binary.txt", "latin.txt", "lines.jsonl:2", "huge.txt"] {
        assert!(failures.contains(name), "{name}: {failures}");
    }
    assert!(
        bench
            .found("acme", "text", "deep text")
            .contains(&"nested.html".to_owned())
    );
}

#[test]
fn a_missing_folder_is_a_usage_error() {
    let bench = Bench::with_tenants(&["acme"]);
    bench
        .run(&["ingest", "acme", "/no/such/folder"])
        .fails(2, &["/no/such/folder"]);
    bench
        .run(&["ingest", "nobody", "/tmp"])
        .fails(2, &["no tenant 'nobody'"]);
}

#[test]
fn an_interrupt_keeps_what_was_whole_and_says_so() {
    let bench = Bench::with_tenants(&["acme"]);
    let paragraph = "A sentence that differs a little in every document, such as number";
    let line = |n: u32| {
        let text = format!("{paragraph} {n}. ").repeat(30);
        json!({ "id": format!("d{n}"), "text": text }).to_string()
    };
    let lines: Vec<String> = (0..3_000).map(line).collect();
    let file = bench.file("many.jsonl", lines.join("\n"));
    let child = bench
        .command(&["--json", "ingest", "acme", arg(&file)])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let index = bench.data().join("tenants/acme/index.db-wal");
    // An empty index writes about 0.1 MiB of log: beyond one, documents were committed.
    wait_until(|| std::fs::metadata(&index).is_ok_and(|log| log.len() > 1 << 20));
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["interrupted"], true);
    assert_eq!(report["documents"]["failed"], 0, "{report}");
    let added = &report["documents"]["added"];
    assert!(
        added.as_u64() > Some(0) && added.as_u64() < Some(3_000),
        "{report}"
    );
    assert_eq!(&bench.json(&["tenant", "show", "acme"])["documents"], added);
}

#[test]
fn standard_input_brings_lines_and_text() {
    let bench = Bench::with_tenants(&["acme"]);
    let lines = "{\"id\":\"x\",\"title\":\"X\",\"text\":\"ex marks the spot\",\"metadata\":{\"year\":2020}}\n\
                 {\"id\":\"y\",\"text\":\"why not the spot\",\"metadata\":{\"year\":1990}}\n";
    bench.run_with_input(&["ingest", "acme", "-"], lines).ok();
    let filter = r#"{"year": {"gte": 2000}}"#;
    let answer = bench.json(&[
        "query", "acme", "spot", "--filter", filter, "--agent", "text",
    ]);
    let passages = answer["passages"].as_array().unwrap();
    assert_eq!(passages.len(), 1, "{answer}");
    assert_eq!(passages[0]["document"], "x");
    bench
        .run(&[
            "query",
            "acme",
            "spot",
            "--filter",
            "{\"year\": {\"near\": 3}}",
        ])
        .fails(2, &["filter"]);
}

#[test]
fn sync_deletes_what_has_gone_from_its_source_and_nothing_else() {
    let bench = Bench::with_tenants(&["acme"]);
    bench.file("one/a.txt", "alpha text");
    bench.file("one/b.txt", "beta text");
    bench.file("two/a.txt", "gamma text");
    let (one, two) = (bench.path("one"), bench.path("two"));
    let sync = |path, source| bench.json(&["ingest", "acme", path, "--source", source, "--sync"]);
    sync(arg(&one), "one");
    sync(arg(&two), "two");
    std::fs::remove_file(bench.path("one/b.txt")).unwrap();
    let report = sync(arg(&one), "one");
    assert_eq!(report["documents"]["deleted"], 1, "{report}");
    let mut left = bench.found("acme", "text", "alpha beta gamma text");
    left.sort();
    assert_eq!(left, ["one/a.txt", "two/a.txt"]);
}

#[test]
fn the_citation_is_where_the_text_is() {
    let bench = Bench::with_tenants(&["acme"]);
    let text = "Préface à propos. ".repeat(60) + "The answer is forty-two elephants.";
    let file = bench.file("a.txt", &text);
    bench.run(&["ingest", "acme", arg(&file)]).ok();
    let answer = bench.json(&["query", "acme", "forty-two elephants", "--agent", "text"]);
    let passage = &answer["passages"][0];
    let end = |at: usize| usize::try_from(passage["span"][at].as_u64().unwrap()).unwrap();
    assert_eq!(passage["text"].as_str(), text.get(end(0)..end(1)));
    let receipt = &answer["receipt"];
    assert_eq!(receipt["hops"][0]["call"], "search-text", "{receipt}");
    for field in [
        "task",
        "plugin",
        "policy",
        "model",
        "index_generation",
        "options",
        "degraded",
    ] {
        assert!(!receipt[field].is_null(), "{field}");
    }
}

#[test]
fn nothing_is_left_in_the_temporary_folder_and_nobody_is_told() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let lines = bench.file("lines.jsonl", "{\"text\": \"one line\"}\n");
    let status = bench
        .command(&["embed", arg(&lines)])
        .env("TMPDIR", folder.path())
        .env_remove("ORT_DISABLE_TELEMETRY")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .collect();
    // ONNX Runtime's telemetry begins with a file that names the session.
    assert!(left.is_empty(), "{left:?}");
}
