//! Group T: tenants among themselves. Most rows are held where tenants are: tests/tenancy.rs and the modules' own tests.

use crate::support::{Bench, arg};

/// Names that are paths, devices, look-alikes, or none: refused before anything is made of them.
#[test]
fn t_06_names_that_are_no_names_are_refused_and_leave_nothing() {
    let bench = Bench::with_tenants(&["acme"]);
    let long = "a".repeat(4_096);
    let names = [
        "../../x",
        "..",
        ".",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "Acme",
        "ACME",
        "аcme",
        "acme ",
        "-rf",
        "",
        "con.",
        "a\nb",
        "café",
        "a_b",
        &long,
    ];
    for name in names {
        let ran = bench.run(&["tenant", "add", "--", name]);
        assert_eq!(ran.code, 2, "{name:?}: {ran:?}");
    }
    let file = bench.file("p.wasm", crate::support::guests::chunker("(i32.const 32)"));
    for label in ["../x", "A", "a/b"] {
        let install = ["plugin", "install", "acme", arg(&file), "--as", label];
        bench.run(&install).fails(2, &["label"]);
    }
    let listed = bench.json(&["tenant", "list"]);
    assert!(listed.to_string().contains("acme"));
    let above = bench.data().join("../..");
    assert!(!above.join("x").exists());
    let folders = std::fs::read_dir(bench.data().join("tenants"));
    assert!(folders.map_or(0, Iterator::count) <= 1);
}

/// Ids, titles, questions, filters, labels and options with SQL and text-search syntax are data: each finds or changes
/// what it says and nothing else.
#[test]
fn t_07_sql_in_names_filters_and_questions_is_text() {
    let bench = Bench::with_tenants(&["acme"]);
    let nasty = "x'); DROP TABLE documents; --";
    let line = |id: &str| {
        serde_json::json!({
            "id": id, "title": nasty, "text": format!("kestrel {nasty} NEAR(a b) \"c\" *"),
            "metadata": { nasty: nasty, "plain": 1 }
        })
    };
    let lines = format!("{}\n{}\n", line(nasty), line("other"));
    bench.run_with_input(&["ingest", "acme", "-"], lines).ok();
    let filter = serde_json::json!({ nasty: nasty, "document": nasty }).to_string();
    let questions = [nasty, "\"", "kestrel OR", "NEAR(", "* AND ("];
    for (question, agent) in questions
        .map(|q| (q, "text"))
        .into_iter()
        .chain([(nasty, "hybrid")])
    {
        let query = [
            "query", "acme", question, "--agent", agent, "--filter", &filter,
        ];
        let answer = bench.json(&query);
        for passage in answer["passages"].as_array().unwrap() {
            assert_eq!(passage["document"], nasty, "{question}");
        }
    }
    assert_eq!(bench.found("acme", "text", "kestrel").len(), 2);
    bench.run(&["delete", "acme", "' OR '1'='1"]).fails(3, &[]);
    bench
        .run(&["plugin", "use", "acme", "' OR ''='"])
        .fails(2, &[]);
    assert_eq!(bench.found("acme", "text", "kestrel").len(), 2);
}

/// What one tenant is told of its errors names no other tenant, none of its documents and no SQL.
#[test]
fn t_13_errors_of_one_tenant_say_nothing_of_another() {
    let bench = Bench::with_tenants(&["acme", "zanzibar"]);
    let secret = bench.file("quorble.txt", "The violet drawer.");
    bench.run(&["ingest", "zanzibar", arg(&secret)]).ok();
    let bad = bench.file("bad.wasm", "no component");
    let attempts: [&[&str]; 7] = [
        &["query", "acme", "x", "--agent", "nobody"],
        &["query", "acme", "x", "--filter", "{\"a\":"],
        &["query", "acme", "x", "--k", "100000"],
        &["query", "acme", "x", "--option", "no=1"],
        &["plugin", "install", "acme", arg(&bad)],
        &["plugin", "rollback", "acme", "nothing"],
        &["delete", "acme", "quorble.txt"],
    ];
    for attempt in attempts {
        let mut all = vec!["--json"];
        all.extend(attempt);
        let ran = bench.run(&all);
        assert_ne!(ran.code, 0, "{ran:?}");
        let said = format!("{}{}", ran.out, ran.err).replace("quorble.txt", "what was asked for");
        for word in ["zanzibar", "violet", "SELECT", "sqlite", "panicked"] {
            assert!(!said.contains(word), "{attempt:?}: {said}");
        }
    }
}
