//! Tenants see nothing of each other, by id, title, word or meaning.

use crate::support::guests::Guest;
use crate::support::{Bench, arg, wait_until};
use serde_json::Value;
use stockade::attack::imports::{NEIGHBOURS, READ, VECTOR_OF};

#[test]
fn another_tenants_words_titles_and_meanings_find_nothing() {
    let bench = Bench::with_tenants(&["alpha", "beta"]);
    let secret = "The zanzibar kestrel code is quorble-77, kept in the violet drawer.";
    let beta = bench.file("b/canary.txt", format!("Zanzibar Kestrel\n\n{secret}"));
    let alpha = bench.file("a/plain.txt", "Ordinary Notes\n\nThe office opens at nine.");
    bench.run(&["ingest", "beta", arg(&beta)]).ok();
    bench.run(&["ingest", "alpha", arg(&alpha)]).ok();
    for agent in ["vector", "text", "hybrid"] {
        for question in [secret, "quorble-77", "Zanzibar Kestrel", "canary.txt"] {
            let answer = bench.json(&["query", "alpha", question, "--agent", agent]);
            let text = answer["passages"].to_string().to_lowercase();
            assert!(
                !text.contains("quorble") && !text.contains("kestrel"),
                "{agent}: {text}"
            );
        }
        assert!(!bench.found("beta", agent, secret).is_empty());
    }
}

/// Asks `read`, `vector-of`, `similarities` and `neighbours` for every id up to 200, and says in its reason
/// which of them answered.
fn prober() -> Vec<u8> {
    let mut guest = Guest::agent(
        r#"
        (local.set $i (i32.const 0))
        (loop
            (i64.store (i32.const 200) (i64.extend_i32_u (local.get $i)))
            (call $read (i32.const 200) (i32.const 1) (i32.const 256))
            (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))
            (call $vector_of (i64.extend_i32_u (local.get $i)) (i32.const 256))
            (if (i32.eqz (i32.load8_u (i32.const 256))) (then unreachable))
            (local.set $n (i32.const 0))
            (loop
                (call $neighbours (i64.extend_i32_u (local.get $i)) (local.get $n)
                    (i32.const 5) (i32.const 256))
                (if (i32.eqz (i32.load8_u (i32.const 256)))
                    (then (if (i32.load (i32.const 264)) (then unreachable))))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $n) (i32.const 5))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if 0 (i32.lt_u (local.get $i) (i32.const 200))))
        (i32.const 32)"#,
    );
    guest.imports = format!("{READ} {VECTOR_OF} {NEIGHBOURS}");
    guest.build().unwrap()
}

#[test]
fn another_tenants_chunk_ids_do_not_exist() {
    let bench = Bench::with_tenants(&["alpha", "beta"]);
    let text = "Zanzibar Kestrel\n\nThe kestrel of Zanzibar is a small falcon.";
    let beta = bench.file("b/canary.txt", text);
    bench.run(&["ingest", "beta", arg(&beta)]).ok();
    let file = bench.file("prober.wasm", prober());
    for tenant in ["alpha", "beta"] {
        bench.run(&["plugin", "install", tenant, arg(&file)]).ok();
    }
    // On the tenant's own chunk the prober traps: it did find something.
    bench
        .run(&["query", "beta", "x", "--agent", "prober"])
        .fails(3, &["trap"]);
    let answer = bench.json(&["query", "alpha", "x", "--agent", "prober"]);
    let calls = answer["usage"]["host_calls"].as_u64().unwrap();
    assert_eq!(calls, 200 * 7, "every id was asked for: {answer}");
}

#[test]
fn a_removed_tenant_leaves_nothing_behind() {
    let bench = Bench::with_tenants(&["alpha"]);
    let file = bench.file("a.txt", "Some text.");
    bench.run(&["ingest", "alpha", arg(&file)]).ok();
    bench.run(&["tenant", "remove", "alpha"]).ok();
    assert!(!bench.data().join("tenants/alpha").exists());
    bench
        .run(&["query", "alpha", "text"])
        .fails(2, &["no tenant 'alpha'"]);
    bench.run(&["tenant", "add", "alpha"]).ok();
    assert!(bench.found("alpha", "text", "text").is_empty());
}

#[test]
fn a_suspended_tenant_is_refused_and_a_resumed_one_is_not() {
    let bench = Bench::with_tenants(&["alpha"]);
    let file = bench.file("a.txt", "Some text.");
    bench.run(&["tenant", "suspend", "alpha"]).ok();
    bench
        .run(&["ingest", "alpha", arg(&file)])
        .fails(4, &["suspended"]);
    let refused = bench
        .run(&["--json", "query", "alpha", "text"])
        .fails(4, &[]);
    let error: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(error["error"]["stop"]["reason"], "suspended");
    bench.run(&["tenant", "resume", "alpha"]).ok();
    bench.run(&["ingest", "alpha", arg(&file)]).ok();
}

#[test]
fn a_second_process_is_refused_and_told_who_holds_the_folder() {
    let bench = Bench::with_tenants(&["alpha"]);
    let mut holder = bench
        .command(&["ingest", "alpha", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let name = format!("process {}", holder.id());
    let signed = || {
        std::fs::read_to_string(bench.data().join("lock"))
            .unwrap()
            .contains(&name)
    };
    wait_until(signed);
    bench.run(&["tenant", "add", "beta"]).fails(4, &[&name]);
    drop(holder.stdin.take());
    holder.wait().unwrap();
    bench.run(&["tenant", "list"]).ok();
}
