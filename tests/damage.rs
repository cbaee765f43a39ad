//! Damaged files: only what needs them is refused, with what to do; doctor finds them, and repairs what can be.

use crate::support::guests::{WHOLE_TEXT, chunker};
use crate::support::{Bench, Ran, arg};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

const DOCUMENTS: usize = 40;

/// `acme` with documents and a chunker of its own; `globex`, which must not notice anything.
fn two() -> Bench {
    let bench = Bench::with_tenants(&["acme", "globex"]);
    let cuts = bench.file("cuts.wasm", chunker(WHOLE_TEXT));
    bench
        .run(&["plugin", "install", "acme", arg(&cuts), "--as", "cuts"])
        .ok();
    bench.run(&["plugin", "use", "acme", "cuts"]).ok();
    let words = [
        "heron", "tide", "anchor", "lantern", "harbour", "reed", "gull", "mast",
    ];
    for number in 0..DOCUMENTS {
        let (one, two) = (words[number % 8], words[number / 8 % 8]);
        let text = format!("Page {number} tells of the {one} and of the {two}. ").repeat(8);
        bench.file(&format!("docs/{number}.txt"), text);
    }
    bench
        .run(&["ingest", "acme", arg(&bench.path("docs"))])
        .ok();
    let heron = bench.file("heron.txt", "The heron stands in the reeds.");
    bench.run(&["ingest", "globex", arg(&heron)]).ok();
    bench
}

fn index(bench: &Bench) -> PathBuf {
    bench.data().join("tenants/acme/index.db")
}

fn failure(ran: &Ran) -> Value {
    serde_json::from_str(ran.err.lines().last().unwrap_or_default())
        .unwrap_or_else(|_| panic!("not a typed error: {ran:?}"))
}

fn ask(bench: &Bench, agent: &str, question: &str) -> Ran {
    bench.run(&[
        "--json", "query", "acme", question, "--agent", agent, "--k", "10",
    ])
}

/// What a query says without what differs from run to run.
fn answer(ran: &Ran) -> Vec<(String, String)> {
    let said = ran.json();
    let passages = said["passages"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    passages
        .map(|p| (text(&p["document"]), text(&p["text"])))
        .collect()
}

/// A change to bytes, the same for the same numbers.
fn damage(bytes: &mut Vec<u8>, random: &mut Random, kind: usize) {
    let at = random.below(bytes.len());
    match kind % 3 {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => {
            let end = (at + 4_096).min(bytes.len());
            bytes[at..end].fill(0);
        }
        _ => bytes.truncate(at),
    }
}

const QUESTIONS: [(&str, &str); 3] = [
    ("vector", "the heron"),
    ("text", "anchor lantern"),
    ("hybrid", "a gull on the mast"),
];

#[test]
fn d_05_a_damaged_index_answers_rightly_or_is_refused_and_nobody_else_notices() {
    let bench = two();
    let file = index(&bench);
    let whole = std::fs::read(&file).unwrap();
    let right: Vec<_> = QUESTIONS
        .iter()
        .map(|(agent, question)| answer(&ask(&bench, agent, question).ok()))
        .collect();
    let mut random = Random(5);
    let (mut refused, mut found) = (0, 0);
    for trial in 0..18 {
        let mut bytes = whole.clone();
        damage(&mut bytes, &mut random, trial);
        std::fs::write(&file, &bytes).unwrap();
        for ((agent, question), right) in QUESTIONS.iter().zip(&right) {
            let ran = ask(&bench, agent, question);
            match ran.code {
                // Posting lists have no seal of their own: what they miss, doctor finds.
                0 if *agent != "vector" => {
                    let texts: Vec<_> = answer(&ran).into_iter().map(|(_, text)| text).collect();
                    assert!(
                        texts.iter().all(|text| text.starts_with("Page ")),
                        "{ran:?}"
                    );
                }
                0 => assert_eq!(&answer(&ran), right, "trial {trial}"),
                1 => {
                    let error = failure(&ran);
                    assert_eq!(error["error"]["code"], "storage-corrupt", "{ran:?}");
                    assert!(error["error"]["hint"].is_string(), "{ran:?}");
                    refused += 1;
                }
                _ => panic!("trial {trial}: {ran:?}"),
            }
        }
        assert_eq!(bench.found("globex", "text", "heron"), ["heron.txt"]);
        let listed = bench.json(&["tenant", "list"]);
        assert_eq!(listed["tenants"].as_array().unwrap().len(), 2);
        if bytes != whole {
            let ran = bench.run(&["--json", "doctor"]);
            assert!(!ran.out.is_empty(), "{ran:?}");
            found += usize::from(ran.code == 1);
        }
        let _ = std::fs::remove_file(file.with_file_name("index.db-wal"));
        let _ = std::fs::remove_file(file.with_file_name("index.db-shm"));
    }
    assert!(
        refused > 0 && found >= 12,
        "{refused} refused, {found} found"
    );
    std::fs::write(&file, whole).unwrap();
    assert_eq!(bench.json(&["doctor"])["ok"], true);
}

#[test]
fn doctor_makes_a_damaged_index_anew_of_what_is_whole() {
    let bench = two();
    let file = index(&bench);
    let mut bytes = std::fs::read(&file).unwrap();
    // Two pages in the middle of what documents are made of.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16_384].fill(0);
    std::fs::write(&file, &bytes).unwrap();
    let before = bench.run(&["doctor"]);
    assert_eq!(before.code, 1, "{before:?}");
    assert!(before.out.contains("WRONG  index of acme"), "{before:?}");
    assert!(before.out.contains("--repair"), "{before:?}");
    assert_eq!(
        std::fs::read(&file).unwrap(),
        bytes,
        "doctor alone changes nothing"
    );
    let repaired = bench.run(&["--json", "doctor", "--repair"]).json();
    let findings = repaired["findings"].as_array().unwrap();
    let of_index = findings
        .iter()
        .find(|f| f["subject"] == "index of acme")
        .unwrap();
    assert!(
        of_index["repaired"].as_str().unwrap().contains("made anew"),
        "{of_index}"
    );
    let after = bench.json(&["doctor"]);
    assert_eq!(after["ok"], true, "{after}");
    let kept = bench.json(&["tenant", "show", "acme"])["documents"]
        .as_u64()
        .unwrap();
    let again = bench.json(&["ingest", "acme", arg(&bench.path("docs"))]);
    let counts = &again["documents"];
    assert_eq!(
        counts["unchanged"], kept,
        "what was kept is as it was: {counts}"
    );
    assert_eq!(counts["added"], DOCUMENTS as u64 - kept, "{counts}");
    let aside = file.with_file_name("index.db.damaged-1");
    assert_eq!(
        std::fs::read(aside).unwrap(),
        bytes,
        "the damaged file is kept"
    );
}

#[test]
fn an_index_that_is_gone_or_empty_is_not_begun_anew_in_silence() {
    let bench = two();
    let file = index(&bench);
    let whole = std::fs::read(&file).unwrap();
    for empty in [true, false] {
        match empty {
            true => std::fs::write(&file, b"").unwrap(),
            false => std::fs::remove_file(&file).unwrap(),
        }
        let ran = ask(&bench, "text", "heron");
        assert_eq!(failure(&ran)["error"]["code"], "storage-corrupt", "{ran:?}");
        let ran = bench.run(&["--json", "ingest", "acme", arg(&bench.path("docs"))]);
        assert_eq!(failure(&ran)["error"]["code"], "storage-corrupt", "{ran:?}");
        let doctor = bench.run(&["doctor", "--repair"]);
        assert!(
            doctor.code == 1 && doctor.out.contains("stockade restore acme"),
            "{doctor:?}"
        );
    }
    std::fs::write(&file, whole).unwrap();
    ask(&bench, "text", "heron").ok();
}

#[test]
fn damaged_plugins_keys_and_compiled_files_cost_their_own_tenant_at_most() {
    let bench = two();
    let only = |folder: &Path, ending: &str| -> Vec<PathBuf> {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.to_str().unwrap().ends_with(ending))
            .collect()
    };
    let mut random = Random(11);
    for file in only(&bench.data().join("cache"), ".cwasm") {
        let mut bytes = std::fs::read(&file).unwrap();
        damage(&mut bytes, &mut random, 0);
        std::fs::write(&file, bytes).unwrap();
    }
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.out.contains("do not verify"), "{doctor:?}");
    ask(&bench, "text", "heron").ok();
    std::fs::write(bench.data().join("cache/key"), b"torn").unwrap();
    ask(&bench, "text", "heron").ok();
    let [plugin] = &only(&bench.data().join("plugins"), ".wasm")[..] else {
        panic!("one plugin is installed");
    };
    let whole = std::fs::read(plugin).unwrap();
    for kind in 0..4 {
        let mut bytes = whole.clone();
        match kind {
            3 => std::fs::remove_file(plugin).unwrap(),
            kind => {
                damage(&mut bytes, &mut random, kind);
                std::fs::write(plugin, bytes).unwrap();
            }
        }
        let new = bench.file("new.txt", format!("A new page {kind}."));
        let ran = bench.run(&["--json", "ingest", "acme", arg(&new)]);
        assert_eq!(failure(&ran)["error"]["code"], "plugin-damaged", "{ran:?}");
        ask(&bench, "text", "heron").ok();
        bench.run(&["ingest", "globex", arg(&new)]).ok();
        let doctor = bench.run(&["doctor"]);
        assert!(
            doctor.code == 1 && doctor.out.contains("WRONG  plugin"),
            "{doctor:?}"
        );
    }
    std::fs::write(plugin, whole).unwrap();
    assert_eq!(bench.json(&["doctor"])["ok"], true);
}

#[test]
fn a_damaged_policy_is_refused_for_its_tenant_alone() {
    let bench = two();
    let file = bench.data().join("catalog.db");
    let mut bytes = std::fs::read(&file).unwrap();
    // A stored limit with another digit parses well, and is not what the operator wrote. Find it in acme's row.
    let policy = bench.file("mine.toml", "[agent]\npassages_max = 77\n");
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    bytes.clear();
    bytes.extend(std::fs::read(&file).unwrap());
    let needle = b"passages_max = 77";
    let at = bytes
        .windows(needle.len())
        .rposition(|window| window == needle)
        .unwrap();
    bytes[at + needle.len() - 1] = b'9';
    std::fs::write(&file, bytes).unwrap();
    let ran = ask(&bench, "text", "heron");
    assert_eq!(failure(&ran)["error"]["code"], "policy-damaged", "{ran:?}");
    let listed = bench.json(&["tenant", "list"]);
    assert!(listed["tenants"][0]["problem"].is_string(), "{listed}");
    assert!(listed["tenants"][1]["problem"].is_null(), "{listed}");
    assert_eq!(bench.found("globex", "text", "heron"), ["heron.txt"]);
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.out.contains("WRONG  policy of acme"), "{doctor:?}");
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    ask(&bench, "text", "heron").ok();
}

#[test]
fn a_catalog_that_is_damaged_or_gone_is_made_anew_and_no_document_is_lost() {
    let bench = two();
    let file = bench.data().join("catalog.db");
    let right = answer(&ask(&bench, "text", "anchor lantern").ok());
    std::fs::remove_file(&file).unwrap();
    let ran = bench.run(&["--json", "tenant", "list"]);
    assert_eq!(failure(&ran)["error"]["code"], "catalog-damaged", "{ran:?}");
    let doctor = bench.run(&["doctor"]);
    assert!(
        doctor.code == 1 && doctor.out.contains("--repair"),
        "{doctor:?}"
    );
    assert!(!file.exists(), "doctor alone changes nothing");
    bench.run(&["doctor", "--repair"]).ok();
    let listed = bench.json(&["tenant", "list"]);
    assert_eq!(listed["tenants"][0]["suspended"], true, "{listed}");
    bench.run(&["tenant", "policy", "acme", "default"]).ok();
    bench.run(&["tenant", "resume", "acme"]).ok();
    assert_eq!(answer(&ask(&bench, "text", "anchor lantern").ok()), right);
    let whole = std::fs::read(&file).unwrap();
    for kind in 0..2 {
        let mut bytes = whole.clone();
        match kind {
            0 => bytes[..4_096].fill(0x5a),
            _ => bytes.truncate(6_000),
        }
        std::fs::write(&file, bytes).unwrap();
        let ran = bench.run(&["--json", "tenant", "list"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        bench.run(&["doctor", "--repair"]).ok();
        bench.run(&["tenant", "policy", "acme", "default"]).ok();
        bench.run(&["tenant", "resume", "acme"]).ok();
        assert_eq!(answer(&ask(&bench, "text", "anchor lantern").ok()), right);
    }
}

#[test]
fn a_folder_that_no_tenant_has_is_neither_taken_over_nor_lost() {
    let bench = two();
    let folder = bench.data().join("tenants/acme");
    let aside = bench.path("acme-folder");
    std::fs::rename(&folder, &aside).unwrap();
    bench.run(&["tenant", "remove", "acme"]).ok();
    std::fs::rename(&aside, &folder).unwrap();
    bench
        .run(&["tenant", "add", "acme"])
        .fails(2, &["earlier tenant", "doctor --repair"]);
    let doctor = bench.run(&["doctor"]);
    assert!(doctor.out.contains("WRONG  folder of acme"), "{doctor:?}");
    bench.run(&["doctor", "--repair"]).ok();
    bench.run(&["tenant", "resume", "acme"]).ok();
    assert!(!answer(&ask(&bench, "text", "heron").ok()).is_empty());
}

#[test]
fn a_model_that_is_not_the_one_expected_is_never_used() {
    let bench = two();
    let model = stockade::config::Config::default().model_dir;
    let copy = bench.path("model");
    std::fs::create_dir_all(&copy).unwrap();
    for name in [
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "stockade-model.json",
    ] {
        std::fs::copy(model.join(name), copy.join(name)).unwrap();
    }
    let config = format!("model_dir = \"{}\"\n", copy.display());
    std::fs::write(bench.data().join("stockade.toml"), config).unwrap();
    ask(&bench, "vector", "heron").ok();
    let mut random = Random(3);
    for name in [
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "stockade-model.json",
    ] {
        let whole = std::fs::read(copy.join(name)).unwrap();
        for kind in 0..3 {
            let mut bytes = whole.clone();
            damage(&mut bytes, &mut random, kind);
            if bytes == whole {
                continue;
            }
            std::fs::write(copy.join(name), bytes).unwrap();
            let ran = ask(&bench, "vector", "heron");
            assert_ne!(ran.code, 0, "{name} {kind}: {ran:?}");
            let error = failure(&ran);
            assert!(error["error"]["hint"].is_string(), "{name} {kind}: {ran:?}");
        }
        std::fs::write(copy.join(name), whole).unwrap();
    }
    ask(&bench, "vector", "heron").ok();
}

#[test]
fn a_damaged_configuration_is_refused_and_explained() {
    let bench = two();
    let file = bench.data().join("stockade.toml");
    std::fs::write(&file, b"embed_workers = \xff\xfe").unwrap();
    bench.run(&["tenant", "list"]).fails(2, &["stockade.toml"]);
    let doctor = bench.run(&["doctor"]);
    assert!(
        doctor.code == 1 && doctor.out.contains("WRONG  stockade.toml"),
        "{doctor:?}"
    );
    std::fs::remove_file(&file).unwrap();
    bench.run(&["tenant", "list"]).ok();
}

#[test]
fn d_17_few_open_files_are_enough_for_many_tenants() {
    let limited = |files: u32, arguments: &str| {
        let program = env!("CARGO_BIN_EXE_stockade");
        let script = format!("ulimit -n {files}; exec {program} --json {arguments}");
        let mut bash = std::process::Command::new("bash");
        bash.args(["-c", &script]).output().unwrap()
    };
    let ran = limited(300, "bench tenants --tenants 40");
    let said: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(said["tenants"], 40);
    assert!(said["open_indexes"].as_u64().unwrap() <= 6, "{said}");
    assert!(said["open_files_peak"].as_u64().unwrap() < 300, "{said}");
    let folder = tempfile::tempdir().unwrap();
    let refused = limited(100, &format!("--data {} tenant list", arg(folder.path())));
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        said.contains("open-files") && said.contains("ulimit -n"),
        "{said}"
    );
}
