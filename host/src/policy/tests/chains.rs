//! What extends what: on the disk, in a stored copy, and where each value came from.

use super::*;
use std::fs;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(folder: &TempDir, name: &str) -> Result<Policy, PolicyError> {
    Policy::load(&folder.path().join(name))
}

/// The messages without the folder's path.
fn problems(folder: &TempDir, name: &str) -> String {
    let error = load(folder, name).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

const COMPANY: &str = "extends = \"strict\"\n[chunker]\nfuel_max = 5_000\nchunks_max = 7\n";
const TEAM: &str = "extends = \"shared/company.toml\"\n\n[chunker]\nchunks_max = 6\n";

#[test]
fn nearest_file_wins_and_is_named() {
    let folder = folder(&[("team.toml", TEAM), ("shared/company.toml", COMPANY)]);
    let policy = load(&folder, "team.toml").unwrap();
    let source = |key: &str| {
        let entry = policy
            .entries()
            .iter()
            .find(|entry| entry.key == key)
            .unwrap();
        entry
            .source
            .replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(
        (policy.chunker.chunks_max, source("chunker.chunks_max")),
        (6, "team.toml:4".into())
    );
    let fuel = policy.chunker.call.fuel_max;
    assert_eq!(
        (fuel, source("chunker.fuel_max")),
        (5_000, "shared/company.toml:3".into())
    );
    assert!(source("chunker.memory_mib_max").starts_with("policies/strict.toml:"));
    assert!(source("tenant.share").starts_with("policies/default.toml:"));
}

#[test]
fn extending_nothing_is_extending_the_default() {
    let empty = accepted("");
    let root = Policy::shipped("default").unwrap();
    assert_eq!(empty.digest, root.digest);
    assert_eq!(accepted("extends = \"default\"").digest, root.digest);
    assert_ne!(accepted("tenant.share = 2").digest, root.digest);
    assert_ne!(accepted("extends = \"strict\"").digest, root.digest);
}

#[test]
fn unknown_shipped_policy_refused() {
    assert_eq!(
        refused_once("extends = \"strct\""),
        "acme.toml:1:11: extends = 'strct': did you mean 'strict'? the shipped policies are default, strict, \
         trusted, python; a file's name ends in .toml"
    );
}

#[test]
fn circle_refused_by_name() {
    let folder = folder(&[
        ("a.toml", "extends = \"b.toml\""),
        ("b.toml", "\nextends = \"a.toml\""),
        ("self.toml", "extends = \"self.toml\""),
    ]);
    assert_eq!(
        problems(&folder, "a.toml"),
        "b.toml:2:11: extends = 'a.toml': the files extend each other in a circle: a.toml -> b.toml -> a.toml"
    );
    assert!(problems(&folder, "self.toml").contains("in a circle: self.toml -> self.toml"));
}

#[test]
fn circle_through_a_symlink_refused() {
    let folder = folder(&[("a.toml", "extends = \"b.toml\"")]);
    std::os::unix::fs::symlink("a.toml", folder.path().join("b.toml")).unwrap();
    assert!(problems(&folder, "a.toml").contains("in a circle"));
}

fn row(length: usize) -> TempDir {
    let files: Vec<(String, String)> = (1..=length)
        .map(|n| {
            let text = if n == length {
                String::new()
            } else {
                format!("extends = \"{}.toml\"", n + 1)
            };
            (format!("{n}.toml"), text)
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (&**name, &**text))
        .collect();
    folder(&files)
}

#[test]
fn longest_row_accepted_and_a_longer_one_refused() {
    load(&row(CHAIN_MAX), "1.toml").unwrap();
    let long = row(CHAIN_MAX + 1);
    let problem = problems(&long, "1.toml");
    assert!(
        problem.starts_with("8.toml:1:11: extends = '9.toml': more than 8 files"),
        "{problem}"
    );
    assert!(problem.contains("1.toml -> 2.toml"), "{problem}");
}

#[test]
fn escape_from_the_folder_refused() {
    let folder = folder(&[("out.toml", ""), ("in/here.toml", "")]);
    std::os::unix::fs::symlink("../out.toml", folder.path().join("in/link.toml")).unwrap();
    let outside = folder.path().join("out.toml");
    for target in [
        "../out.toml",
        "./here.toml",
        "x/../../out.toml",
        outside.to_str().unwrap(),
    ] {
        fs::write(
            folder.path().join("in/a.toml"),
            format!("extends = \"{target}\""),
        )
        .unwrap();
        assert!(
            problems(&folder, "in/a.toml").contains("it must lie beside this file"),
            "{target}"
        );
    }
    fs::write(folder.path().join("in/a.toml"), "extends = \"link.toml\"").unwrap();
    assert!(problems(&folder, "in/a.toml").contains("it leads out of this file's folder"));
    fs::write(folder.path().join("in/a.toml"), "extends = \"here.toml\"").unwrap();
    load(&folder, "in/a.toml").unwrap();
}

#[test]
fn missing_file_refused_beside_the_other_problems() {
    let folder = folder(&[(
        "a.toml",
        "wasi = 1\nextends = \"gone.toml\"\n[tenant]\nshare = 0\n",
    )]);
    let problems = problems(&folder, "a.toml");
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[0].starts_with("a.toml:1:8: wasi"));
    assert!(
        lines[1].starts_with("a.toml:2:11: extends = 'gone.toml': No such file"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("a.toml:4:9: tenant.share = 0"));
}

#[test]
fn problems_of_every_file_are_reported() {
    let folder = folder(&[
        ("a.toml", "extends = \"b.toml\"\ntenant.share = 0"),
        ("b.toml", "tenant.shares = 1"),
    ]);
    let problems = problems(&folder, "a.toml");
    assert!(
        problems.contains("a.toml:2:16: ") && problems.contains("b.toml:1:8: "),
        "{problems}"
    );
}

#[test]
fn first_file_that_cannot_be_read_is_named() {
    let folder = folder(&[("sub/x.toml", "")]);
    let error = load(&folder, "gone.toml").unwrap_err();
    assert!(matches!(error, PolicyError::Read { .. }));
    assert!(crate::error::chain(&error).contains("gone.toml: No such file"));
    assert!(problems(&folder, "sub").contains("not a regular file"));
    assert!(matches!(
        Policy::find("./gone.toml"),
        Err(PolicyError::Read { .. })
    ));
}

#[test]
fn text_that_is_not_utf8_refused_with_its_place() {
    let folder = folder(&[("b.toml", "extends = \"a.toml\"")]);
    fs::write(
        folder.path().join("a.toml"),
        b"wasi = \"none\"\n# \xc3\xbc \xff\n",
    )
    .unwrap();
    assert_eq!(
        problems(&folder, "a.toml"),
        "a.toml:2:5: it is not UTF-8 from line 2, column 5 on"
    );
    assert!(
        problems(&folder, "b.toml").starts_with("b.toml:1:11: extends = 'a.toml': it is not UTF-8")
    );
}

#[test]
fn largest_file_accepted_and_a_larger_one_refused() {
    let fits = "#".repeat(FILE_BYTES_MAX);
    let folder = folder(&[("fits.toml", &fits), ("large.toml", &format!("{fits}#"))]);
    load(&folder, "fits.toml").unwrap();
    assert_eq!(
        problems(&folder, "large.toml"),
        "large.toml: it is larger than 256 KiB"
    );
}

#[test]
fn stored_copy_makes_the_same_policy() {
    let folder = folder(&[("team.toml", TEAM), ("shared/company.toml", COMPANY)]);
    let policy = load(&folder, "team.toml").unwrap();
    let json = policy.bundle().to_json();
    drop(folder);
    let again = Policy::from_bundle(&PolicySource::from_json(&json).unwrap()).unwrap();
    assert_eq!(again, policy);
    let names: Vec<&str> = again
        .bundle()
        .files()
        .iter()
        .map(|file| &*file.name)
        .collect();
    assert_eq!(names.len(), 2, "shipped policies are not copied");
    for name in shipped_names() {
        let shipped = Policy::shipped(name).unwrap();
        let source = PolicySource::from_json(&shipped.bundle().to_json()).unwrap();
        assert_eq!(Policy::from_bundle(&source).unwrap(), shipped);
    }
}

#[test]
fn damaged_stored_copy_refused() {
    let file = |text: &str| serde_json::json!({ "name": "a.toml", "text": text });
    let copy = |files: Vec<serde_json::Value>| {
        serde_json::json!({ "name": "a", "files": files }).to_string()
    };
    let check =
        |json: &str| PolicySource::from_json(json).and_then(|source| Policy::from_bundle(&source));
    let refused = |json: &str| check(json).unwrap_err().to_string();

    assert!(refused("{").contains("damaged"));
    assert!(refused("{\"name\":\"a\",\"files\":[],\"more\":1}").contains("damaged"));
    assert!(refused(&copy(vec![])).contains("no policy 'a'"));
    assert!(refused(&copy(vec![file(""), file("")])).contains("extends nothing"));
    assert!(
        refused(&copy(vec![file("extends = \"b.toml\"")]))
            .contains("1:11: extends = 'b.toml': that file is not")
    );
    assert!(
        refused(&copy(vec![file("extends = \"strict\""), file("")])).contains("is not part of")
    );
    assert!(refused(&copy(vec![file("tenant.share = 0")])).contains("out of range"));
    assert!(refused(&copy(vec![file(&"#".repeat(FILE_BYTES_MAX + 1))])).contains("larger than"));
    let row = vec![file("extends = \"b.toml\""); CHAIN_MAX + 1];
    assert!(refused(&copy(row)).contains("more than 8 files"));
}

#[test]
fn flat_text_is_the_same_policy() {
    for name in shipped_names() {
        let policy = Policy::shipped(name).unwrap();
        let flat = accepted(&policy.to_toml_flat());
        assert_eq!(flat.digest, policy.digest);
        assert!(
            flat.entries()
                .iter()
                .all(|entry| entry.source.starts_with("acme.toml:"))
        );
    }
}

#[test]
fn with_replaces_some_values_only() {
    let strict = Policy::shipped("strict").unwrap();
    let raised = strict
        .with("prove.toml", "[chunker]\nfuel_max = 77\n")
        .unwrap();
    assert_eq!(raised.chunker.call.fuel_max, 77);
    assert_eq!(raised.agent, strict.agent);
    assert_eq!(raised.value("chunker.fuel_max"), Some(Value::Count(77)));
    assert_eq!(
        Policy::from_bundle(raised.bundle()).unwrap().digest,
        raised.digest
    );

    let refused = |text: &str| strict.with("prove.toml", text).unwrap_err().to_string();
    assert!(refused("extends = \"trusted\"").starts_with("prove.toml:1:11: extends has no place"));
    assert!(refused("tenant.share = 0").contains("out of range"));
    assert!(
        refused("agent.cpu_ms_max = 9_000").contains("must not exceed agent.wall_ms_max = 3,000")
    );
}
