//! Backup and restoration: all that is a tenant's in one file, whole or refused, while others work.

use crate::support::guests::{WHOLE_TEXT, chunker};
use crate::support::running::{ingest_lines, put};
use crate::support::{Bench, arg, wait_until};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Tenant `acme` with two documents, a policy, and a chunker of its own in use.
fn acme() -> Bench {
    let bench = Bench::with_tenants(&["globex"]);
    let policy = bench.file("small.toml", "[agent]\npassages_max = 27\n");
    bench
        .run(&["tenant", "add", "acme", "--policy", arg(&policy)])
        .ok();
    let cuts = bench.file("cuts.wasm", chunker(WHOLE_TEXT));
    bench
        .run(&["plugin", "install", "acme", arg(&cuts), "--as", "cuts"])
        .ok();
    bench.run(&["plugin", "use", "acme", "cuts"]).ok();
    bench.file("docs/heron.txt", "The heron stands in the reeds.");
    bench.file("docs/tide.txt", "The tide table hangs in the harbour.");
    bench
        .run(&["ingest", "acme", arg(&bench.path("docs"))])
        .ok();
    bench
}

fn backed_up(bench: &Bench) -> PathBuf {
    let file = bench.path("acme.backup");
    let said = bench.json(&["backup", "acme", arg(&file)]);
    assert_eq!(
        (&said["documents"], &said["plugins"]),
        (&2.into(), &1.into()),
        "{said}"
    );
    assert_eq!(said["bytes"], std::fs::metadata(&file).unwrap().len());
    file
}

/// What of a tenant must be the same after a move.
fn told(bench: &Bench, tenant: &str) -> serde_json::Value {
    let mut told = bench.json(&["tenant", "show", tenant]);
    let fields = told.as_object_mut().unwrap();
    for moving in ["name", "storage_bytes", "answers"] {
        fields.remove(moving);
    }
    told
}

#[test]
fn a_tenant_moves_to_another_folder_under_another_name_with_all_that_it_has() {
    let (here, there) = (acme(), Bench::with_tenants(&["acme"]));
    let file = backed_up(&here);
    let said = there.json(&["restore", "moved", arg(&file)]);
    assert_eq!(
        (&said["from"], &said["documents"]),
        (&"acme".into(), &2.into())
    );
    assert_eq!(told(&there, "moved"), told(&here, "acme"));
    let question = "Where does the heron stand?";
    assert_eq!(
        there.found("moved", "hybrid", question),
        here.found("acme", "hybrid", question)
    );
    assert!(
        there.found("acme", "hybrid", question).is_empty(),
        "another tenant"
    );
    let again = there.json(&["ingest", "moved", arg(&here.path("docs"))]);
    assert_eq!(
        again["documents"]["unchanged"], 2,
        "the plugin came along: {again}"
    );
    assert_eq!(there.json(&["doctor"])["ok"], true);
}

#[test]
fn a_tenant_that_is_there_is_replaced_on_demand_alone() {
    let bench = acme();
    let file = backed_up(&bench);
    bench.run(&["delete", "acme", "tide.txt"]).ok();
    bench
        .run(&["restore", "acme", arg(&file)])
        .fails(2, &["already", "--replace"]);
    assert_eq!(told(&bench, "acme")["documents"], 1);
    let said = bench.json(&["restore", "acme", arg(&file), "--replace"]);
    assert_eq!(said["replaced"], true);
    assert_eq!(told(&bench, "acme")["documents"], 2);
    assert_eq!(bench.found("acme", "text", "tide"), ["tide.txt"]);
    bench.run(&["tenant", "remove", "acme"]).ok();
    bench.run(&["restore", "acme", arg(&file)]).ok();
    assert_eq!(bench.found("acme", "text", "heron"), ["heron.txt"]);
}

#[test]
fn a_suspended_tenant_and_one_without_documents_come_back_as_they_were() {
    let bench = acme();
    bench.run(&["tenant", "suspend", "acme"]).ok();
    let (full, empty) = (bench.path("full"), bench.path("empty"));
    bench.run(&["backup", "acme", arg(&full)]).ok();
    bench.run(&["backup", "globex", arg(&empty)]).ok();
    assert_eq!(
        bench.json(&["restore", "one", arg(&full)])["suspended"],
        true
    );
    bench
        .run(&["query", "one", "heron"])
        .fails(4, &["suspended"]);
    bench.run(&["restore", "two", arg(&empty)]).ok();
    assert_eq!(told(&bench, "two")["documents"], 0);
}

/// The data folder's files with their contents, save what changes with any command.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push((path.clone(), std::fs::read(path).unwrap())),
            }
        }
    }
    files.retain(|(path, _)| !path.ends_with("lock"));
    files.sort();
    files
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let (here, there) = (acme(), Bench::with_tenants(&["globex"]));
    let whole = std::fs::read(backed_up(&here)).unwrap();
    let before = contents(&there.data());
    let mut damaged: Vec<Vec<u8>> = (0..12)
        .map(|step| {
            let mut bytes = whole.clone();
            let at = step * (bytes.len() - 1) / 11;
            bytes[at] ^= 1 << (step % 8);
            bytes
        })
        .collect();
    damaged.push(whole[..whole.len() / 2].to_vec());
    damaged.push(whole[1..].to_vec());
    damaged.push(vec![]);
    for bytes in damaged {
        let file = here.file("damaged", &bytes);
        let ran = there.run(&["--json", "restore", "acme", arg(&file)]);
        assert!(matches!(ran.code, 1 | 2), "{ran:?}");
        let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
        let code = error["error"]["code"].as_str().unwrap();
        assert!(code.starts_with("backup-"), "{ran:?}");
        assert_eq!(contents(&there.data()), before);
    }
    there
        .run(&["tenant", "show", "acme"])
        .fails(2, &["no tenant"]);
}

#[test]
fn another_file_is_not_overwritten_and_an_older_backup_is() {
    let bench = acme();
    let mine = bench.file("mine", "not a backup");
    bench
        .run(&["backup", "acme", arg(&mine)])
        .fails(2, &["not overwritten"]);
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "not a backup");
    let file = backed_up(&bench);
    bench.run(&["delete", "acme", "tide.txt"]).ok();
    bench.run(&["backup", "acme", arg(&file)]).ok();
    assert_eq!(
        bench.json(&["restore", "later", arg(&file)])["documents"],
        1
    );
    let folder = std::fs::read_dir(bench.path("")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<_> = names
        .filter(|name| name.contains("partial") || name.contains("lock"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_plugin_that_no_longer_passes_is_left_out_and_said() {
    let (here, there) = (acme(), Bench::new());
    let policy = here.file(
        "tight.toml",
        "[chunker]\nmemory_mib_max = 1\nfuel_max = 1\n",
    );
    here.run(&["tenant", "policy", "acme", arg(&policy)]).ok();
    let file = backed_up(&here);
    let ran = there.run(&["--json", "restore", "acme", arg(&file)]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let said = ran.json();
    assert_eq!(said["refused"][0]["label"], "cuts", "{said}");
    assert_eq!(told(&there, "acme")["documents"], 2);
    assert_eq!(told(&there, "acme")["plugins"].as_array().unwrap().len(), 0);
}

#[test]
fn a_backup_is_made_and_restored_while_ingest_runs() {
    let bench = acme();
    let (ingest, mut input) = ingest_lines(&bench);
    let mut line = |number: u32| {
        let text = format!("Heron number {number} stands in the reeds.");
        put(&mut input, &format!("h{number}"), &text);
    };
    (0..20).for_each(&mut line);
    wait_until(|| told(&bench, "acme")["documents"] == 22);
    let file = bench.path("running.backup");
    let said = bench.json(&["backup", "acme", arg(&file)]);
    assert_eq!(said["documents"], 22, "{said}");
    (20..30).for_each(&mut line);
    let restored = bench.json(&["restore", "copy", arg(&file)]);
    assert_eq!(restored["documents"], 22, "{restored}");
    assert_eq!(bench.found("copy", "text", "heron number 3")[0], "h3");
    drop(input);
    assert_eq!(ingest.end().code, 0);
    assert_eq!(told(&bench, "acme")["documents"], 32);
    assert_eq!(told(&bench, "copy")["documents"], 22);
}

#[test]
fn an_ingest_whose_tenant_is_replaced_acknowledges_nothing_that_is_lost() {
    let bench = acme();
    let file = backed_up(&bench);
    let (ingest, mut input) = ingest_lines(&bench);
    put(&mut input, "before", "A heron.");
    wait_until(|| told(&bench, "acme")["documents"] == 3);
    // Nothing is under way then: nobody can be told to end.
    wait_until(|| bench.json(&["ps"])["tasks"] == serde_json::json!([]));
    bench
        .run(&["restore", "acme", arg(&file), "--replace"])
        .ok();
    put(&mut input, "after", "A heron.");
    drop(input);
    let said: serde_json::Value = serde_json::from_str(&ingest.end().out).unwrap();
    assert_eq!(said["documents"]["added"], 1, "{said}");
    let error = &said["failures"][0];
    assert_eq!(error["document"], "after", "{said}");
    assert_eq!(error["error"]["code"], "tenant-replaced", "{said}");
    assert_eq!(told(&bench, "acme")["documents"], 2);
}

#[test]
fn a_restoration_that_is_killed_leaves_the_old_tenant_or_the_new_one() {
    let bench = acme();
    let file = backed_up(&bench);
    bench.run(&["delete", "acme", "tide.txt"]).ok();
    let mut seen = [0, 0];
    for delay in 0..24 {
        let mut child = bench
            .command(&["restore", "acme", arg(&file), "--replace"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::park_timeout(std::time::Duration::from_millis(40 * delay));
        let _ = child.kill();
        child.wait().unwrap();
        let documents = told(&bench, "acme")["documents"].as_u64().unwrap();
        seen[usize::from(documents == 2)] += 1;
        assert!(matches!(documents, 1 | 2), "{documents}");
        assert_eq!(bench.found("acme", "text", "heron"), ["heron.txt"]);
        if documents == 2 {
            bench.run(&["delete", "acme", "tide.txt"]).ok();
        }
    }
    assert_eq!(bench.json(&["doctor"])["ok"], true, "{seen:?}");
    let tenants = std::fs::read_dir(bench.data().join("tenants")).unwrap();
    assert_eq!(tenants.count(), 1, "nothing is left beside");
}
