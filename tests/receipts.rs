//! Receipts: what they say, what asking them again finds out, and what is known of answers that were less than they
//! could be.

mod cited;
mod degraded;
mod evaluated;

use crate::support::guests::{self, Guest};
use crate::support::running::ingest_lines;
use crate::support::{Bench, Ran, arg};
use serde_json::{Value, json};

/// An agent that finds five chunks by the question's words and gives each the score `score`, which may use the
/// address `(local.get $i)` of a hit: its chunk, then its score at 8.
pub fn finder(score: &str) -> Vec<u8> {
    let mut guest = Guest::agent(&format!(
        "(call $search (local.get 0) (local.get 1) (i32.const 5)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))
        (if (i32.load8_u (i32.const 256)) (then (return (i32.const 32))))
        (local.set $n (i32.load (i32.const 264)))
        (local.set $i (i32.load (i32.const 260)))
        (local.set 2 (i32.const 16384))
        (block (loop
            (br_if 1 (i32.eqz (local.get $n)))
            (i64.store (local.get 2) (i64.load (local.get $i)))
            (f32.store offset=8 (local.get 2) {score})
            (i32.store (i32.const 40) (i32.add (i32.load (i32.const 40)) (i32.const 1)))
            (local.set 2 (i32.add (local.get 2) (i32.const 24)))
            (local.set $i (i32.add (local.get $i) (i32.const 16)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br 0)))
        (i32.store (i32.const 36) (i32.const 16384))
        (i32.const 32)"
    ));
    guest.imports = r#"(import "stockade:plugin/retrieval" "search-text"
        (func $search (param i32 i32 i32 i32 i32 i32 i32)))"#
        .to_owned();
    guest.build().unwrap()
}

/// By the search's own scores.
pub const AS_FOUND: &str = "(f32.load offset=8 (local.get $i))";
/// The worst first.
pub const REVERSED: &str = "(f32.neg (f32.load offset=8 (local.get $i)))";
const DOUBLED: &str = "(f32.mul (f32.const 2) (f32.load offset=8 (local.get $i)))";

/// Tenant `acme` with birds.
pub fn birds() -> Bench {
    let bench = Bench::with_tenants(&["acme"]);
    let birds = [
        (
            "heron",
            "The grey heron stands in the reeds and waits for fish.",
        ),
        (
            "stork",
            "The stork builds its nest on the chimney, far from the reeds.",
        ),
        ("swift", "The swift sleeps on the wing and eats what flies."),
        (
            "eider",
            "The eider dives for mussels and lines its nest with down.",
        ),
    ];
    for (name, text) in birds {
        bench.file(&format!("birds/{name}.txt"), text);
    }
    let folder = bench.path("birds");
    bench.run(&["ingest", "acme", arg(&folder)]).ok();
    bench
}

const QUESTION: &str = "which bird waits in the reeds near its nest";

fn install(bench: &Bench, label: &str, score: &str) {
    let file = bench.file("finder.wasm", finder(score));
    bench
        .run(&["plugin", "install", "acme", arg(&file), "--as", label])
        .ok();
}

/// An answer to [`QUESTION`], in a file.
fn answered(bench: &Bench, more: &[&str]) -> (Value, String) {
    let answer = bench.json(&[&["query", "acme", QUESTION], more].concat());
    let file = bench.file("answer.json", answer.to_string());
    (answer, arg(&file).to_owned())
}

/// What `replay` says of a file, and its exit code.
fn replay(bench: &Bench, file: &str) -> (i32, Value) {
    let ran = bench.run(&["--json", "replay", file]);
    assert!(matches!(ran.code, 0 | 3), "{ran:?}");
    (ran.code, ran.json())
}

fn what(said: &Value) -> Vec<&str> {
    let changes = said["changes"].as_array().unwrap().iter();
    changes
        .map(|change| change["what"].as_str().unwrap())
        .collect()
}

/// A replay that must find the same answer and fuel, and these changes.
#[track_caller]
fn same(bench: &Bench, file: &str, changes: &[&str]) -> Value {
    let (code, said) = replay(bench, file);
    assert_eq!((code, what(&said)), (0, changes.to_vec()), "{said:#}");
    assert_eq!(said["same"], true, "{said:#}");
    said
}

#[test]
fn a_receipt_asked_again_gives_the_same_answer_for_the_same_fuel() {
    let bench = birds();
    install(&bench, "mine", AS_FOUND);
    for agent in ["hybrid", "vector", "text", "mine"] {
        let filter = r#"{"not": {"document": "swift.txt"}}"#;
        let more = ["--agent", agent, "--k", "3", "--filter", filter];
        let (answer, file) = answered(&bench, &more);
        for _ in 0..3 {
            let said = same(&bench, &file, &[]);
            assert_eq!(said["version"]["state"], "in-use");
            assert_eq!(said["now"]["passages"], answer["passages"]);
            let fuel = |answer: &Value| answer["receipt"]["usage"]["fuel"].clone();
            assert_eq!(fuel(&said["now"]), fuel(&answer));
        }
        let alone = bench.file("receipt.json", answer["receipt"].to_string());
        same(&bench, arg(&alone), &[]);
    }
    let (answer, file) = answered(&bench, &[]);
    let piped = bench.run_with_input(&["--json", "replay", "-"], answer.to_string());
    assert_eq!(piped.ok().json()["same"], true);
    let told = bench.run(&["replay", &file]).ok().out;
    assert!(
        told.starts_with("The same answer for the same fuel.\n"),
        "{told}"
    );
    assert!(
        told.contains(QUESTION) && told.contains("in use now"),
        "{told}"
    );
}

#[test]
fn a_receipt_has_all_that_is_needed_to_ask_again() {
    let bench = birds();
    let more = ["--agent", "hybrid", "--option", "filter="];
    let (answer, _) = answered(&bench, &more);
    let receipt = &answer["receipt"];
    assert_eq!(receipt["usage"], answer["usage"]);
    assert_eq!(receipt["options_given"], json!({ "filter": "" }));
    assert_eq!(receipt["options"]["k"], "5");
    assert_eq!(receipt["hops"][0]["denied"], Value::Null);
    let cited = receipt["answer"]["passages"].as_array().unwrap();
    let passages = answer["passages"].as_array().unwrap();
    assert_eq!(cited.len(), passages.len());
    for (cited, passage) in cited.iter().zip(passages) {
        for field in ["chunk", "document", "score"] {
            assert_eq!(cited[field], passage[field]);
        }
    }
    assert_eq!(receipt["answer"]["digest"].as_str().unwrap().len(), 64);
}

#[test]
fn a_replaced_plugin_is_said_and_its_version_asked_while_the_history_has_it() {
    let bench = birds();
    install(&bench, "mine", AS_FOUND);
    let (first, file) = answered(&bench, &["--agent", "mine"]);
    install(&bench, "mine", DOUBLED);
    let said = same(&bench, &file, &["plugin"]);
    assert_eq!(said["version"]["state"], "kept");
    assert_eq!(said["version"]["replayed"], first["receipt"]["plugin"]);
    assert_ne!(said["version"]["in_use"], first["receipt"]["plugin"]);
    let told = bench.run(&["replay", &file]).ok().out;
    assert!(told.contains("although something changed"), "{told}");
    assert!(told.contains("is in the history and was asked"), "{told}");
    bench.run(&["plugin", "rollback", "acme", "mine"]).ok();
    same(&bench, &file, &[]);
    bench.run(&["plugin", "remove", "acme", "mine"]).ok();
    let gone = bench.run(&["--json", "replay", &file]);
    let gone = gone.fails(2, &["version-gone", "is gone"]);
    assert!(gone.out.is_empty(), "{gone:?}");
    install(&bench, "mine", DOUBLED);
    let (code, said) = replay(&bench, &file);
    assert_eq!((code, what(&said)), (3, vec!["plugin", "scores", "fuel"]));
    assert_eq!(said["version"]["state"], "gone");
    assert_eq!(said["same_answer"], false);
    install(&bench, "mine", REVERSED);
    let (code, said) = replay(&bench, &file);
    assert_eq!(code, 3);
    assert!(what(&said).contains(&"order"), "{said:#}");
    install(&bench, "other", AS_FOUND);
    let said = same(&bench, &file, &["plugin"]);
    assert_eq!(said["version"]["state"], "kept", "under another label");
}

#[test]
fn a_changed_policy_and_changed_options_are_said() {
    let bench = birds();
    let (_, file) = answered(&bench, &["--agent", "hybrid"]);
    bench.run(&["tenant", "policy", "acme", "strict"]).ok();
    same(&bench, &file, &["policy"]);
    let chosen = r#"filter={"document": "heron.txt"}"#;
    bench
        .run(&["plugin", "use", "acme", "hybrid", "--option", chosen])
        .ok();
    let said = same(&bench, &file, &["policy", "options"]);
    assert_eq!(said["changes"][1]["was"]["filter"], "");
    assert!(
        said["changes"][1]["now"]["filter"]
            .to_string()
            .contains("heron")
    );
    // The caller's own options hold, whatever the tenant uses.
    let (_, file) = answered(&bench, &["--agent", "hybrid", "--option", "filter="]);
    same(&bench, &file, &[]);
}

#[test]
fn changed_documents_are_said_and_what_they_do_to_the_answer() {
    let bench = birds();
    let (_, file) = answered(&bench, &["--agent", "vector", "--k", "1"]);
    let (_, all) = {
        let answer = bench.json(&["query", "acme", QUESTION, "--agent", "text"]);
        let file = bench.file("all.json", answer.to_string());
        (answer, arg(&file).to_owned())
    };
    let lorry = bench.file("more/lorry.txt", "A lorry carries gravel.");
    bench.run(&["ingest", "acme", arg(&lorry)]).ok();
    let said = same(&bench, &file, &["index"]);
    let change = &said["changes"][0];
    assert!(change["now"].as_u64() > change["was"].as_u64(), "{change}");
    // Words are rarer among more documents: the same passages, with other scores, which the reasons spell out.
    let (code, said) = replay(&bench, &all);
    assert_eq!(
        (code, what(&said)),
        (3, vec!["index", "scores", "fuel"]),
        "{said:#}"
    );
    let told = bench.run(&["replay", &all]).fails(3, &[]).out;
    assert!(told.starts_with("Another answer.\n"), "{told}");
    // The same text again, as another version: the same documents under other numbers.
    let heron = bench.path("birds/heron.txt");
    let text = std::fs::read_to_string(&heron).unwrap();
    std::fs::write(&heron, "Nothing.").unwrap();
    bench.run(&["ingest", "acme", arg(&heron)]).ok();
    let (code, said) = replay(&bench, &file);
    assert_eq!(code, 3);
    assert_eq!(what(&said)[..2], ["index", "passages"], "{said:#}");
    std::fs::write(&heron, text).unwrap();
    bench.run(&["ingest", "acme", arg(&heron)]).ok();
    let (_, said) = replay(&bench, &file);
    let detail = said["changes"][1]["detail"].as_str().unwrap();
    assert!(detail.contains("ingested again"), "{said:#}");
}

#[test]
fn a_score_counts_from_a_millionth_on_and_fuel_from_one() {
    let bench = birds();
    let (answer, _) = answered(&bench, &["--agent", "vector"]);
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut receipt = answer["receipt"].clone();
        edit(&mut receipt);
        let file = bench.file("edited.json", receipt.to_string());
        let (code, said) = replay(&bench, arg(&file));
        let changes: Vec<String> = what(&said).into_iter().map(str::to_owned).collect();
        (code, changes.join(" "))
    };
    let score = |by: f64| {
        move |receipt: &mut Value| {
            let score = &mut receipt["answer"]["passages"][0]["score"];
            *score = json!(score.as_f64().unwrap() + by);
        }
    };
    assert_eq!(edited(&score(5e-7)), (0, String::new()));
    assert_eq!(edited(&score(3e-6)), (3, "scores".to_owned()));
    let fuel = |receipt: &mut Value| {
        let fuel = receipt["usage"]["fuel"].as_u64().unwrap();
        receipt["usage"]["fuel"] = json!(fuel + 1);
    };
    assert_eq!(edited(&fuel), (3, "fuel".to_owned()));
    let order = |receipt: &mut Value| {
        let passages = receipt["answer"]["passages"].as_array_mut().unwrap();
        passages.swap(0, 1);
    };
    assert_eq!(edited(&order), (3, "order".to_owned()));
    let fewer = |receipt: &mut Value| {
        receipt["answer"]["passages"].as_array_mut().unwrap().pop();
    };
    assert_eq!(edited(&fewer), (3, "passages".to_owned()));
    let model = |receipt: &mut Value| receipt["model"] = json!("another");
    assert_eq!(edited(&model), (0, "model".to_owned()));
    let degraded = |receipt: &mut Value| receipt["degraded"] = json!(["something"]);
    assert_eq!(edited(&degraded), (0, "degraded".to_owned()));
    let hops = |receipt: &mut Value| receipt["hops"] = json!([]);
    assert_eq!(edited(&hops), (0, "hops".to_owned()));
}

/// Receipts that nobody made: refused with an error, whatever is in them.
#[test]
fn a_hostile_receipt_is_refused_with_an_error() {
    let bench = birds();
    let (answer, _) = answered(&bench, &[]);
    let refused = |contents: &[u8], words: &[&str]| {
        let file = bench.file("hostile.json", contents);
        let ran = bench.run(&["replay", arg(&file)]).fails(2, words);
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        assert!(!ran.err.contains('\u{1b}'), "{ran:?}");
    };
    for contents in [&b""[..], b"\x00\xff", b"[]", b"{}", b"{\"receipt\": 7}"] {
        refused(contents, &["no receipt"]);
    }
    refused("[".repeat(1 << 20).as_bytes(), &["no receipt"]);
    let edits = [
        ("tenant", json!("../../etc"), "tenant"),
        ("tenant", json!("nobody"), "no tenant"),
        ("tenant", json!("\u{1b}[2J"), "tenant"),
        ("plugin", json!("\u{1b}[2J"), "no digest"),
        ("plugin", json!("é".repeat(32)), "no digest"),
        ("agent", json!("../../x\u{1b}[2J"), "version"),
        ("k", json!(0), "--k"),
        ("k", json!(u64::MAX), "--k"),
        ("k", json!(-1), "no receipt"),
        ("question", json!(" "), "empty"),
        ("question", json!("x".repeat(100_000)), "65536"),
        ("filter", json!("{"), "filter"),
        ("options", json!({ "no-such": "1" }), "no-such"),
        ("options", json!({ "k": "1e9" }), "k"),
        ("answer", json!(null), "no receipt"),
        ("usage", json!({ "fuel": -1 }), "no receipt"),
        ("hops", json!([{ "call": 7 }]), "no receipt"),
    ];
    let mut receipt = answer["receipt"].clone();
    receipt["answer"]["passages"][0]["score"] = json!(1e300);
    refused(receipt.to_string().as_bytes(), &["not finite"]);
    for (field, value, word) in edits {
        let mut receipt = answer["receipt"].clone();
        receipt[field] = value;
        refused(receipt.to_string().as_bytes(), &[word]);
    }
    let file = bench.file("large.json", "");
    let large = std::fs::File::options().write(true).open(&file).unwrap();
    large.set_len(1 << 33).unwrap();
    bench.run(&["replay", arg(&file)]).fails(2, &["64 MiB"]);
    bench
        .run(&["replay", arg(&bench.data())])
        .fails(2, &["read"]);
    bench
        .run(&["replay", "no-such-file"])
        .fails(2, &["no-such-file"]);
}

#[test]
fn whoever_holds_the_data_folder_replays_too() {
    let bench = birds();
    let (_, file) = answered(&bench, &[]);
    let (holder, input) = ingest_lines(&bench);
    let forwarded = bench.run(&["--json", "replay", &file]);
    let suspended = {
        bench.run(&["tenant", "suspend", "acme"]).ok();
        bench.run(&["replay", &file])
    };
    drop(input);
    holder.end();
    let said: Ran = forwarded.ok();
    assert_eq!(said.json()["same"], true, "{said:?}");
    suspended.fails(4, &["suspended"]);
}

/// The counts of one agent's version, by `tenant show`.
fn counts(bench: &Bench, label: &str) -> Value {
    let tenant = bench.json(&["tenant", "show", "acme"]);
    let answers = tenant["answers"].as_array().unwrap();
    let mut own = answers.iter().filter(|one| one["label"] == label);
    own.next().cloned().unwrap_or_default()
}

#[test]
fn a_tenant_is_shown_how_often_its_answers_were_less_than_they_could_be() {
    let bench = birds();
    let ask = |question: &str, more: &[&str]| {
        let ran = bench.run(&[&["query", "acme", question], more].concat());
        ran.code
    };
    assert_eq!(counts(&bench, "text"), Value::Null);
    assert_eq!(ask("reeds", &["--agent", "text"]), 0);
    assert_eq!(ask("zeppelin", &["--agent", "text"]), 0);
    let text = counts(&bench, "text");
    assert_eq!((&text["answers"], &text["empty"]), (&json!(2), &json!(1)));
    assert_eq!(text["empty_share"], 0.5);
    assert_eq!(
        (&text["in_use"], &text["degraded"]),
        (&json!(true), &json!(0))
    );
    // Too few tokens for the question: hybrid answers by words alone, and says so.
    let tight = bench.file("tight.toml", "[agent]\nembed_tokens_max = 2\n");
    bench.run(&["tenant", "policy", "acme", arg(&tight)]).ok();
    let degraded = bench.json(&["query", "acme", "reeds", "--agent", "hybrid"]);
    let said = degraded["receipt"]["degraded"].to_string();
    assert!(said.contains("search-hybrid was denied"), "{said}");
    assert!(said.contains("words alone"), "{said}");
    let hybrid = counts(&bench, "hybrid");
    for share in ["degraded_share", "denied_share"] {
        assert_eq!(hybrid[share], 1.0, "{hybrid}");
    }
    // An agent that traps on a question has no answer to count, but is counted.
    let trap = guests::agent(
        "(if (i32.eq (i32.load8_u (local.get 0)) (i32.const 33)) (then unreachable)) (i32.const 32)",
    );
    let file = bench.file("traps.wasm", trap);
    bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    assert_eq!(ask("!", &["--agent", "traps"]), 3);
    assert_eq!(ask("?", &["--agent", "traps"]), 0);
    let traps = counts(&bench, "traps");
    let expected = json!([1, 1, 0, 1]);
    let found = ["answers", "empty", "degraded", "stopped"].map(|field| traps[field].clone());
    assert_eq!(json!(found), expected, "{traps}");
    let shown = bench.run(&["tenant", "show", "acme"]).ok().out;
    assert!(
        shown.contains("2 answers, 50.0 % empty, 0.0 % degraded"),
        "{shown}"
    );
    assert!(shown.contains("1 question without an answer"), "{shown}");
    // A new version has its own counts; the old ones stay beside them.
    install(&bench, "traps", AS_FOUND);
    assert_eq!(ask("reeds", &["--agent", "traps"]), 0);
    let tenant = bench.json(&["tenant", "show", "acme"]);
    let versions = tenant["answers"].as_array().unwrap().iter();
    let versions: Vec<_> = versions.filter(|one| one["label"] == "traps").collect();
    assert_eq!(versions.len(), 2, "{tenant}");
    assert_eq!(
        (&versions[0]["in_use"], &versions[0]["empty"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(
        (&versions[1]["in_use"], &versions[1]["empty"]),
        (&json!(false), &json!(1))
    );
    // To find something out about an agent is no question of the tenant's.
    let (_, receipt) = answered(&bench, &["--agent", "text"]);
    let before = counts(&bench, "text");
    same(&bench, &receipt, &[]);
    assert_eq!(counts(&bench, "text"), before);
    bench.run(&["plugin", "remove", "acme", "traps"]).ok();
    assert_eq!(counts(&bench, "traps"), Value::Null);
}
