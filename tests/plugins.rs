//! Plugins of strangers: what loads, what is refused and why, what is used for what.

use crate::support::guests::{self, Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::support::{Bench, arg};

#[test]
fn any_component_of_the_right_world_loads_and_is_used() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("whole.wasm", guests::chunker(WHOLE_TEXT));
    let check = bench.json(&["plugin", "check", arg(&file)]);
    assert_eq!(check["kind"], "chunker");
    assert_eq!(check["trial"]["results"], 1);
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    bench
        .run(&["plugin", "use", "acme", "whole", "--for", "txt"])
        .ok();
    let text = "A sentence. ".repeat(200);
    let document = bench.file("long.txt", &text);
    let report = bench.json(&["ingest", "acme", arg(&document)]);
    assert_eq!(
        report["chunks"], 1,
        "the built-in chunker would have cut it: {report}"
    );
}

#[test]
fn an_agent_of_a_stranger_answers() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("mute.wasm", guests::agent(NO_PASSAGES));
    bench
        .run(&["plugin", "install", "acme", arg(&file), "--as", "silent"])
        .ok();
    let answer = bench.json(&["query", "acme", "Anything?", "--agent", "silent"]);
    assert_eq!(answer["passages"].as_array().unwrap().len(), 0);
    assert_eq!(answer["receipt"]["agent"], "silent");
}

#[test]
fn malformed_and_foreign_files_are_refused_by_name() {
    let bench = Bench::new();
    let good = guests::chunker(WHOLE_TEXT);
    let core = wat::parse_str("(module)").unwrap();
    let neither = wat::parse_str("(component)").unwrap();
    let mut broken = good.clone();
    broken.truncate(good.len() / 2);
    let cases: [(&str, &[u8], &str); 8] = [
        ("empty", b"", "empty"),
        ("text", b"(component)", "text format"),
        ("random", b"hello, I am no plugin at all", "magic number"),
        ("gzip", &[0x1f, 0x8b, 8, 0], "gzip"),
        ("native", b"\x7fELF\x02\x01\x01", "never accepted"),
        ("core", &core, "core module"),
        ("world", &neither, "neither world"),
        ("half", &broken, "malformed"),
    ];
    for (name, bytes, word) in cases {
        let file = bench.file(&format!("{name}.wasm"), bytes);
        bench
            .run(&["plugin", "check", arg(&file)])
            .fails(2, &[word]);
    }
}

#[test]
fn an_import_that_no_plugin_may_have_is_named() {
    let bench = Bench::new();
    let mut component = Guest::chunker(WHOLE_TEXT).build().unwrap();
    let import =
        wat::parse_str(r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)))"#).unwrap();
    // Sections of a component may follow in any order: the import is added behind the rest.
    component.extend_from_slice(&import[8..]);
    let file = bench.file("sockets.wasm", component);
    bench
        .run(&["plugin", "check", arg(&file)])
        .fails(2, &["wasi:sockets/tcp@0.2.0", "none"]);
}

#[test]
fn a_component_with_the_worlds_names_and_other_types_is_refused() {
    let bench = Bench::new();
    let text = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func $f (canon lift (core func $i "f")))
        (instance $chunking (export "chunk" (func $f)))
        (export "stockade:plugin/chunking" (instance $chunking))
        (export "describe" (func $f)))"#;
    let file = bench.file("types.wasm", wat::parse_str(text).unwrap());
    bench
        .run(&["plugin", "check", arg(&file)])
        .fails(2, &["does not fit the world `chunker`"]);
}

#[test]
fn unknown_and_wrong_options_are_refused_by_name() {
    let bench = Bench::with_tenants(&["acme"]);
    let using =
        |option: &str| bench.run(&["plugin", "use", "acme", "recursive", "--option", option]);
    using("sise=10").fails(2, &["no option 'sise'", "size"]);
    using("size=ten").fails(2, &["'size'", "whole number"]);
    using("size=0").fails(2, &["'size'", "from 1 to"]);
    using("size=10").ok();
    bench
        .run(&["query", "acme", "x", "--option", "depth=3"])
        .fails(2, &["no option 'depth'"]);
}

#[test]
fn built_in_labels_belong_to_nobody() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("p.wasm", guests::chunker(WHOLE_TEXT));
    for label in ["recursive", "hybrid", "multihop"] {
        let install = ["plugin", "install", "acme", arg(&file), "--as", label];
        bench.run(&install).fails(2, &["built-in"]);
    }
    bench
        .run(&["plugin", "install", "acme", arg(&file), "--as", "Bad Label"])
        .fails(2, &["label"]);
}

#[test]
fn a_chunker_is_no_agent_and_an_agent_no_chunker() {
    let bench = Bench::with_tenants(&["acme"]);
    bench
        .run(&["query", "acme", "x", "--agent", "recursive"])
        .fails(2, &["'recursive' is no agent"]);
    bench
        .run(&["plugin", "use", "acme", "hybrid", "--for", "md"])
        .fails(2, &["media types"]);
}

#[test]
fn an_earlier_version_comes_back() {
    let bench = Bench::with_tenants(&["acme"]);
    let first = bench.file("v1.wasm", guests::agent(NO_PASSAGES));
    let second = bench.file("v2.wasm", guests::agent("(nop) (i32.const 32)"));
    let install = |file| bench.json(&["plugin", "install", "acme", arg(file), "--as", "bot"]);
    let one = install(&first)["check"]["digest"].clone();
    let two = install(&second)["check"]["digest"].clone();
    assert_ne!(one, two);
    let digest = || {
        let answer = bench.json(&["query", "acme", "x", "--agent", "bot"]);
        answer["receipt"]["plugin"].clone()
    };
    assert_eq!(digest(), two);
    bench.run(&["plugin", "rollback", "acme", "bot"]).ok();
    assert_eq!(digest(), one);
    bench
        .run(&["plugin", "rollback", "acme", "bot"])
        .fails(2, &["no earlier version"]);
}

#[test]
fn an_artefact_that_somebody_touched_is_compiled_again() {
    let bench = Bench::with_tenants(&["acme"]);
    bench.run(&["query", "acme", "x", "--agent", "text"]).ok();
    let cache = bench.data().join("cache");
    let artefacts: Vec<_> = std::fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "cwasm"))
        .collect();
    assert!(!artefacts.is_empty());
    for artefact in &artefacts {
        let mut bytes = std::fs::read(artefact).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(artefact, bytes).unwrap();
    }
    let ran = bench.run(&["query", "acme", "x", "--agent", "text"]).ok();
    assert!(ran.err.contains("did not verify"), "{ran:?}");
}
