//! Group P, uploading and loading: bytes that are no plugin, files that were touched, versions that change.

use crate::support::guests::{self, Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::support::stage::*;
use crate::support::{Bench, arg, wait_until};
use std::path::PathBuf;
use std::sync::Arc;
use stockade::corpus::TenantId;
use stockade::plugin::{PluginKind, componentize, inspect};
use stockade::policy::Wasi;
use stockade::runtime::{QueryRequest, Runtime};
use stockade::task::{Phase, Reason};

/// Truncated at every length, with every byte flipped, and bytes of no pattern: an answer each, and no panic. What still
/// has a plugin's shape is compiled and run: it ends as a plugin or as an error.
#[test]
fn p_01_damaged_and_random_bytes_are_refused_or_run() {
    let good = guests::chunker(WHOLE_TEXT);
    let mut kept = vec![];
    // Between two sections a truncated component is a whole one of fewer.
    for length in 0..good.len() {
        let cut = &good[..length];
        kept.extend(inspect(cut, Wasi::None).is_ok().then(|| cut.to_vec()));
    }
    assert!(kept.len() < 10, "{}", kept.len());
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        kept.extend(inspect(&flipped, Wasi::None).is_ok().then_some(flipped));
    }
    let mut state = 7u64;
    for length in 0..2_000 {
        let mut random = good[..8].to_vec();
        random.extend((0..length).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        }));
        assert!(inspect(&random, Wasi::None).is_err());
    }
    assert!(kept.len() > 40, "the header and the sections are not all");
    for bytes in kept.iter().step_by(kept.len() / 40) {
        if let Ok(chunker) = stage().chunker(bytes, Wasi::None) {
            let task = stage().task(
                stockade::task::Kind::Ingest,
                &policy("[chunker]\nfuel_max = 1_000_000"),
            );
            let _ = wait(stage().chunk(&chunker, &task, "Some text.", &vec![]));
        }
    }
    assert!(chunk(&good, "", "x").0.is_ok());
}

/// A core module is no plugin. Made into a component by the author's tool it is, and goes through the same checks.
#[test]
fn p_02_a_core_module_is_accepted_only_as_a_component() {
    let module = wat::parse_str(Guest::chunker(WHOLE_TEXT).text()).unwrap();
    let refused = inspect(&module, Wasi::None).unwrap_err().to_string();
    assert!(refused.contains("core module"), "{refused}");
    let component = componentize(&module, PluginKind::Chunker).unwrap();
    assert!(chunk(&component, "", "x").0.is_ok());
    let foreign = wat::parse_str(r#"(module (import "env" "system" (func (param i32))))"#).unwrap();
    assert!(componentize(&foreign, PluginKind::Chunker).is_err());
}

/// A file of 100 MB, and one without end: refused by size, before more than the limit is read.
#[test]
fn p_04_a_file_beyond_the_limit_is_refused_unread() {
    let bench = Bench::new();
    let huge = bench.file("huge.wasm", "");
    let file = std::fs::File::options().write(true).open(&huge).unwrap();
    file.set_len(100 << 20).unwrap();
    for path in [arg(&huge), "/dev/zero"] {
        bench
            .run(&["plugin", "check", path])
            .fails(2, &["the limit is 33554432"]);
    }
}

/// Compiled artefacts in the data folder, without their MAC's file names' order.
fn artefacts(bench: &Bench) -> Vec<PathBuf> {
    let all = std::fs::read_dir(bench.data().join("cache")).unwrap();
    let mut all: Vec<PathBuf> = all.map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|e| e == "cwasm"));
    all.sort();
    all
}

/// A data folder in which `acme` has two agents, compiled: `mute`, which finds nothing, and `loud`, which traps.
fn with_two_agents() -> Bench {
    let bench = Bench::with_tenants(&["acme"]);
    let loud = "(if (i32.eq (i32.load8_u (local.get 0)) (i32.const 33)) (then unreachable)) (i32.const 32)";
    for (name, body) in [("mute", NO_PASSAGES), ("loud", loud)] {
        let file = bench.file(&format!("{name}.wasm"), guests::agent(body));
        bench.run(&["plugin", "install", "acme", arg(&file)]).ok();
    }
    bench
}

/// One plugin's genuine artefact under another's name, and a forged one: neither is loaded, both are compiled again.
#[test]
fn p_09_an_artefact_of_another_plugin_or_of_nobody_is_not_loaded() {
    let bench = with_two_agents();
    let all = artefacts(&bench);
    let genuine: Vec<Vec<u8>> = all
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let forged = [&[0; 32], b"\x7fELF forged machine code".as_slice()].concat();
    for bad in [None, Some(forged)] {
        for (at, path) in all.iter().enumerate() {
            let other = &genuine[(at + 1) % genuine.len()];
            std::fs::write(path, bad.as_ref().unwrap_or(other)).unwrap();
        }
        let ran = bench.run(&["query", "acme", "!", "--agent", "mute"]).ok();
        assert!(ran.err.contains("did not verify"), "{ran:?}");
        let ran = bench.run(&["query", "acme", "!", "--agent", "loud"]);
        ran.fails(3, &["did not verify", "trap"]);
    }
}

/// Artefacts of another engine: as if there were none. Everything is compiled again, silently.
#[test]
fn p_10_artefacts_of_another_engine_are_compiled_again() {
    let bench = with_two_agents();
    let count = artefacts(&bench).len();
    for path in artefacts(&bench) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let (digest, _) = name.split_once('-').unwrap();
        std::fs::rename(
            &path,
            path.with_file_name(format!("{digest}-0123456789abcdef.cwasm")),
        )
        .unwrap();
    }
    let ran = bench.run(&["query", "acme", "x", "--agent", "mute"]).ok();
    assert!(!ran.err.contains("did not verify"), "{ran:?}");
    assert!(artefacts(&bench).len() > count, "it was compiled again");
}

/// Asks `acme` through a host in this process.
async fn ask_acme(runtime: Arc<Runtime>, agent: &str, question: &str) -> Result<String, String> {
    let request = QueryRequest {
        question: question.to_owned(),
        agent: Some(agent.to_owned()),
        k: 5,
        filter: None,
        options: vec![],
    };
    let answer = runtime
        .query(&TenantId::new("acme").unwrap(), &request)
        .await;
    let plugin = answer.map(|answer| answer.receipt.inquiry.plugin.to_string());
    plugin.map_err(|failure| failure.message)
}

/// The plugin is replaced while a question runs. The running one ends on the version it began with, the next one uses
/// the new one, and each receipt names its own.
#[test]
fn p_11_a_running_task_keeps_its_version() {
    let bench = Bench::with_tenants(&["acme"]);
    let waiting =
        "(loop (br_if 0 (i32.eq (i32.load8_u (local.get 0)) (i32.const 33)))) (i32.const 32)";
    let install = |name: &str, body: &str| {
        let file = bench.file(name, guests::agent(body));
        let installed = bench.json(&["plugin", "install", "acme", arg(&file), "--as", "bot"]);
        let digest = installed["check"]["digest"].as_str().unwrap().to_owned();
        bench.run(&["query", "acme", "x", "--agent", "bot"]).ok();
        digest
    };
    let old = install("old.wasm", waiting);
    let new = install("new.wasm", NO_PASSAGES);
    bench.run(&["plugin", "rollback", "acme", "bot"]).ok();
    let endless =
        "[agent]\nfuel_max = 1_000_000_000_000\ncpu_ms_max = 600_000\nwall_ms_max = 600_000";
    let policy = bench.file("endless.toml", endless);
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    let file = bench.path("new.wasm");
    wait(async {
        let runtime = Arc::new(Runtime::open(&bench.data()).unwrap());
        let acme = TenantId::new("acme").unwrap();
        let running = tokio::spawn(ask_acme(runtime.clone(), "bot", "!"));
        let in_call = || {
            runtime
                .registry()
                .tasks()
                .iter()
                .any(|task| task.phase == Phase::Call)
        };
        tokio::task::block_in_place(|| wait_until(in_call));
        runtime
            .install_plugin(&acme, &file, Some("bot"))
            .await
            .unwrap();
        assert_eq!(ask_acme(runtime.clone(), "bot", "x").await.unwrap(), new);
        assert!(!running.is_finished());
        runtime
            .registry()
            .end(Reason::Killed, "by the test", |_| true);
        assert!(running.await.unwrap().unwrap_err().contains("killed"));
        runtime.rollback_plugin(&acme, "bot").unwrap();
        assert_eq!(ask_acme(runtime, "bot", "x").await.unwrap(), old);
    });
}

/// The process is killed at some moment of an installation. Afterwards the old version is there or the new one, and it
/// answers.
#[test]
fn p_12_an_installation_that_is_killed_leaves_the_old_version_or_the_new() {
    let bench = Bench::with_tenants(&["acme"]);
    let old = bench.file("old.wasm", guests::agent(NO_PASSAGES));
    bench
        .run(&["plugin", "install", "acme", arg(&old), "--as", "bot"])
        .ok();
    for round in 0..4u64 {
        let body = format!("(drop (i32.const {round})) (i32.const 32)");
        let new = bench.file("new.wasm", guests::agent(&body));
        let mut child = bench
            .command(&["plugin", "install", "acme", arg(&new), "--as", "bot"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let stored = bench.data().join("plugins");
        let files = || std::fs::read_dir(&stored).map_or(0, Iterator::count);
        let before = files();
        // The last two kills come when the file has been written, and the row has or has not.
        if round < 2 {
            std::thread::park_timeout(std::time::Duration::from_millis(100 + 200 * round));
        } else {
            wait_until(|| files() > before);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        bench.run(&["query", "acme", "x", "--agent", "bot"]).ok();
    }
    bench.run(&["doctor"]).ok();
}

/// Traps on the first document it sees. The trial run at install sees it first: it does not become the tenant's.
#[test]
fn p_13_a_plugin_that_fails_its_trial_is_not_installed() {
    let bench = Bench::with_tenants(&["acme"]);
    let file = bench.file("bad.wasm", chunker_that("unreachable"));
    let install = ["plugin", "install", "acme", arg(&file)];
    bench.run(&install).fails(2, &["trial run", "trap in call"]);
    let listed = bench.json(&["plugin", "list", "acme"]).to_string();
    assert!(!listed.contains("\"bad\""), "{listed}");
}

/// Two versions of one label are installed at once. Both are in the history, one is in use, none is half there.
#[test]
fn p_14_two_installations_of_one_label_are_both_whole() {
    let bench = Bench::with_tenants(&["acme"]);
    let files = [
        ("a.wasm", "(nop) (i32.const 32)"),
        ("b.wasm", "(nop) (nop) (i32.const 32)"),
    ];
    let files = files.map(|(name, body)| bench.file(name, guests::agent(body)));
    for file in &files {
        // Compiled by the program, so that this process finds it in the cache.
        bench.run(&["plugin", "check", arg(file)]).ok();
        bench
            .run(&["plugin", "install", "acme", arg(file), "--as", "warm"])
            .ok();
    }
    wait(async {
        let runtime = Arc::new(Runtime::open(&bench.data()).unwrap());
        let acme = TenantId::new("acme").unwrap();
        let [a, b] = files.map(|file| {
            let (runtime, acme) = (runtime.clone(), acme.clone());
            tokio::spawn(async move {
                let installed = runtime.install_plugin(&acme, &file, Some("bot")).await;
                installed.unwrap().1.digest
            })
        });
        let both = [a.await.unwrap(), b.await.unwrap()];
        let bot = runtime
            .plugins_of(&acme)
            .unwrap()
            .into_iter()
            .find(|p| p.label == "bot")
            .unwrap();
        assert_eq!(bot.versions, 2);
        assert!(both.contains(&bot.digest));
        let earlier = runtime.rollback_plugin(&acme, "bot").unwrap();
        assert!(both.contains(&earlier.digest) && earlier.digest != bot.digest);
    });
}

/// Installs more labels than the policy allows. Refused with the limit; another tenant is not affected.
#[test]
fn p_15_plugins_beyond_the_policys_number_are_refused() {
    let bench = Bench::with_tenants(&["acme", "other"]);
    let policy = bench.file("few.toml", "[tenant]\nplugins_max = 2");
    bench.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    let file = bench.file("p.wasm", guests::agent(NO_PASSAGES));
    let install =
        |tenant, label| bench.run(&["plugin", "install", tenant, arg(&file), "--as", label]);
    install("acme", "one").ok();
    install("acme", "two").ok();
    install("acme", "three").fails(4, &["plugins_max"]);
    install("acme", "two").ok();
    install("other", "three").ok();
}
