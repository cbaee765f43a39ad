//! Stories about folders, files and streams: what each becomes, and that nothing goes unmentioned.

mod census;
mod folders;

use super::*;
use crate::corpus::Document;
use crate::error::{Blame, Exit, Explain as _, chain};
use std::fs;
use tempfile::TempDir;

const MAX: u64 = 64 << 10;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn options(source: Option<&str>) -> LoadOptions {
    LoadOptions {
        source: source.map(str::to_owned),
        document_bytes_max: MAX,
        encoding: None,
    }
}

fn try_plan(paths: &[&Path], source: Option<&str>) -> Result<Plan, LoadError> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    plan(&paths, &options(source))
}

/// Everything in `path`; holds that the plan's total was right.
fn load(path: &Path) -> Vec<Loaded> {
    fn movable<T: Send>(it: T) -> T {
        it
    }
    let plan = movable(try_plan(&[path], None).unwrap());
    let total = plan.total();
    let loaded: Vec<Loaded> = movable(plan.documents()).collect();
    assert_eq!(total, Some(loaded.len()));
    loaded
}

fn stdin(bytes: &[u8], paths: &[&Path]) -> Vec<Loaded> {
    let bytes = std::io::Cursor::new(bytes.to_vec());
    try_plan(paths, None)
        .unwrap()
        .documents_with(bytes)
        .collect()
}

fn document(loaded: &Loaded) -> &Document {
    match loaded {
        Loaded::Document(document) => document,
        other => panic!("{other:?}"),
    }
}

/// `id`, `! place: message` or `- path: reason`, with the folder's own name left out.
fn told(folder: &TempDir, loaded: &[Loaded]) -> Vec<String> {
    let own = format!("{}/", folder.path().display());
    let lines = loaded.iter().map(|loaded| match loaded {
        Loaded::Document(document) => document.id.clone(),
        Loaded::Failed {
            document, error, ..
        } => format!("! {document}: {}", chain(error)),
        Loaded::Skipped { path, reason, .. } => format!("- {path}: {reason}"),
    });
    lines.map(|line| line.replace(&own, "")).collect()
}

#[test]
fn each_kind_of_file_becomes_a_document() {
    let folder = folder(&[
        ("b/plain.TXT", b"Tide table\r\n\r\nHigh at six.\r\n"),
        ("a.md", b"\xef\xbb\xbfintro\n\n# Ropes\n"),
        ("b/page.htm", b"<title>Knots</title><p>Bowline<p>Hitch"),
        ("b/c/untitled.txt", b"one\ntwo"),
    ]);
    let loaded = load(folder.path());
    let parts: Vec<[&str; 4]> = loaded
        .iter()
        .map(document)
        .map(|d| [d.id.as_str(), &d.title, &d.media_type, &d.text])
        .collect();
    assert_eq!(
        parts,
        [
            ["a.md", "Ropes", "text/markdown", "intro\n\n# Ropes\n"],
            ["b/c/untitled.txt", "untitled", "text/plain", "one\ntwo"],
            ["b/page.htm", "Knots", "text/html", "Bowline\n\nHitch"],
            [
                "b/plain.TXT",
                "Tide table",
                "text/plain",
                "Tide table\r\n\r\nHigh at six.\r\n"
            ],
        ]
    );
    assert_eq!(document(&loaded[1]).metadata["path"], "b/c/untitled.txt");
}

#[test]
fn a_source_stands_before_every_id() {
    let folder = folder(&[
        ("a.md", b"x"),
        ("b.jsonl", b"{\"id\":\"7\",\"text\":\"y\"}"),
    ]);
    let file = folder.path().join("a.md");
    let ids = |path: &Path, source| -> Vec<String> {
        let documents = try_plan(&[path], Some(source)).unwrap().documents();
        documents
            .map(|loaded| document(&loaded).id.clone())
            .collect()
    };
    assert_eq!(ids(folder.path(), "wiki"), ["wiki/a.md", "wiki/7"]);
    assert_eq!(ids(&file, "wiki/2026/"), ["wiki/2026/a.md"]);
    let loaded = try_plan(&[&file], Some("wiki"))
        .unwrap()
        .documents()
        .next()
        .unwrap();
    assert_eq!(document(&loaded).metadata["source"], "wiki");
    for wrong in ["", "/", "a\nb", &"x".repeat(600)] {
        let error = try_plan(&[&file], Some(wrong)).unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("source-name", Exit::Usage),
            "{wrong}"
        );
    }
}

#[test]
fn what_is_not_a_document_is_skipped_with_its_reason() {
    let folder = folder(&[
        (".git/config.txt", b"x"),
        (".hidden.md", b"x"),
        ("a.pdf", b"%PDF"),
        ("archive.tar.GZ", b"x"),
        ("blank.md", b" \n\t\n"),
        ("empty.html", b"<title>only a title</title>"),
        ("empty.txt", b""),
        ("Makefile", b"all:"),
    ]);
    let expected = [
        "- .git: hidden",
        "- .hidden.md: hidden",
        "- Makefile: no loader for files without an extension",
        "- a.pdf: no loader for .pdf",
        "- archive.tar.GZ: no loader for .gz",
        "- blank.md: empty",
        "- empty.html: empty",
        "- empty.txt: empty",
    ];
    let loaded = load(folder.path());
    assert_eq!(told(&folder, &loaded), expected);
    // An older version of an emptied document must be found again by its id.
    let Loaded::Skipped {
        document: Some(id), ..
    } = &loaded[7]
    else {
        panic!("{:?}", loaded[7]);
    };
    assert_eq!(id, "empty.txt");
    assert_eq!(
        told(&folder, &load(&folder.path().join(".hidden.md"))),
        [".hidden.md"]
    );
}

#[test]
fn wrong_content_fails_and_the_rest_is_loaded() {
    let folder = folder(&[
        ("binary.jsonl", b"{\"id\":\0"),
        ("binary.txt", b"\x7fELF\x02\0\0\0\xff"),
        ("latin.md", b"# Caf\xe9"),
        ("ok.txt", b"x"),
        ("utf16.jsonl", b"\xff\xfe{\0"),
        ("wide.txt", b"\xff\xfeh\0i\0"),
    ]);
    let loaded = load(folder.path());
    let expected = [
        "! binary.jsonl: binary.jsonl is a binary file: a NUL at byte 6",
        "! binary.txt: binary.txt is a binary file: a NUL at byte 5",
        "! latin.md: latin.md is not valid UTF-8: see byte 5",
        "ok.txt",
        "! utf16.jsonl: utf16.jsonl is not valid UTF-8: see byte 0",
        "wide.txt",
    ];
    assert_eq!(told(&folder, &loaded), expected);
    assert_eq!(document(&loaded[5]).text, "hi");
    let known: Vec<bool> = loaded
        .iter()
        .filter_map(|loaded| match loaded {
            Loaded::Failed {
                identified, error, ..
            } => {
                assert_eq!(
                    (error.blame(), error.exit()),
                    (Blame::Caller, Exit::Partial)
                );
                Some(*identified)
            }
            _ => None,
        })
        .collect();
    assert_eq!(known, [false, true, true, false]);
}

#[test]
fn size_limit_obeyed() {
    let text = "x".repeat(MAX as usize);
    let page = format!("<p {}>{text}", " ".repeat(6 * MAX as usize));
    let folder = folder(&[("a.txt", text.as_bytes()), ("b.html", page.as_bytes())]);
    assert_eq!(told(&folder, &load(folder.path())), ["a.txt", "b.html"]);
}

#[test]
fn size_limit_violated() {
    let text = "x".repeat(MAX as usize + 1);
    let folder = folder(&[("a.txt", text.as_bytes()), ("b.html", text.as_bytes())]);
    // 200 MB that nobody wrote: refused by its size, not read.
    let huge = fs::File::create(folder.path().join("c.html")).unwrap();
    huge.set_len(200_000_000).unwrap();
    let expected = [
        "! a.txt: a.txt: 65537 bytes of file, more than the 65536 that a document may have",
        "! b.html: b.html: 65537 bytes of text, more than the 65536 that a document may have",
        "! c.html: c.html: 200000000 bytes of file, more than the 524288 that a document may have",
    ];
    let loaded = load(folder.path());
    assert_eq!(told(&folder, &loaded), expected);
    let Loaded::Failed { error, .. } = &loaded[0] else {
        unreachable!()
    };
    assert_eq!(
        (error.blame(), error.code()),
        (Blame::Limit, "document-too-large")
    );
    assert!(error.hint().unwrap().contains("document_kib_max"));
}

#[test]
fn a_file_that_grows_or_goes_after_the_plan_fails() {
    let folder = folder(&[
        ("a.txt", b"x"),
        ("b.txt", b"x"),
        ("c.jsonl", b"{}"),
        ("d.txt", b"x"),
    ]);
    let plan = try_plan(&[folder.path()], None).unwrap();
    assert_eq!((plan.total(), plan.bytes()), (Some(4), 5));
    fs::write(folder.path().join("a.txt"), "x".repeat(MAX as usize + 1)).unwrap();
    fs::remove_file(folder.path().join("b.txt")).unwrap();
    fs::remove_file(folder.path().join("c.jsonl")).unwrap();
    let told = told(&folder, &plan.documents().collect::<Vec<_>>());
    assert!(told[0].contains("65537 bytes of file"), "{}", told[0]);
    assert_eq!(
        told[1],
        "! b.txt: cannot read b.txt: No such file or directory (os error 2)"
    );
    assert_eq!(
        told[2],
        "! c.jsonl: cannot read c.jsonl: No such file or directory (os error 2)"
    );
    assert_eq!(told[3..], ["d.txt"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_one_version_or_fails() {
    let folder = folder(&[("a.txt", &[b'a'; 60 << 10])]);
    let path = folder.path().join("a.txt");
    let done = std::sync::atomic::AtomicBool::new(false);
    let is_done = || done.load(std::sync::atomic::Ordering::Relaxed);
    let (mut whole, mut unsteady) = (0, 0);
    std::thread::scope(|scope| {
        // In place and of the same length, so that only the time of the change tells.
        let write = |letter: u8| {
            let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, &[letter; 60 << 10]).unwrap();
        };
        scope.spawn(move || {
            while !is_done() {
                [b'a', b'b'].into_iter().for_each(write);
                std::thread::park_timeout(std::time::Duration::from_millis(45));
            }
        });
        for round in 0.. {
            // Nothing but the reading, so that writes come into its middle.
            match read::bounded(fs::File::open(&path).unwrap(), "a.txt", MAX) {
                Ok(bytes) => {
                    assert!(bytes == vec![bytes[0]; 60 << 10], "torn");
                    whole += 1;
                }
                Err(error) => {
                    assert!(matches!(error, LoadError::Unsteady { .. }), "{error}");
                    unsteady += 1;
                }
            }
            if (whole > 20 && unsteady > 0) || round > 20_000 {
                done.store(true, std::sync::atomic::Ordering::Relaxed);
                break;
            }
        }
    });
    assert!(whole > 20 && unsteady > 0, "{whole} whole, {unsteady} not");
}

#[test]
fn a_path_that_is_not_there_stops_everything() {
    let folder = folder(&[("a.txt", b"x")]);
    let missing = Path::new("no/such\x1b/folder");
    let error = try_plan(&[folder.path(), missing], None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no file or folder 'no/such\\u{1b}/folder'"
    );
    assert_eq!((error.exit(), error.blame()), (Exit::Usage, Blame::Caller));
    assert!(error.hint().is_some());
    let below = folder.path().join("a.txt/b.txt");
    assert_eq!(
        try_plan(&[&below], None).unwrap_err().code(),
        "path-unreadable"
    );
}

#[test]
fn two_documents_with_one_id_are_refused_before_anything_is_read() {
    let line: &[u8] = b"\n{\"text\":\"x\",\"id\":\"a.txt\"}\n{\"id\":\"b\",\"text\":\"\"}\n";
    let folder = folder(&[("1/a.txt", b"x"), ("2/a.txt", b"y"), ("3/b.jsonl", line)]);
    let at = |name: &str| folder.path().join(name);
    let refused = |paths: &[&Path]| {
        let error = try_plan(paths, None).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("duplicate-id", Exit::Usage));
        error
            .to_string()
            .replace(&format!("{}/", folder.path().display()), "")
    };
    let two = refused(&[&at("1"), &at("2")]);
    assert_eq!(
        two,
        "two documents would have the id 'a.txt': 1/a.txt and 2/a.txt"
    );
    let mixed = refused(&[&at("1"), &at("3")]);
    assert_eq!(
        mixed,
        "two documents would have the id 'a.txt': 1/a.txt and 3/b.jsonl:2"
    );
    let lines = refused(&[&at("3/b.jsonl"), &at("3")]);
    let again = "3/b.jsonl:2 and 3/b.jsonl:2 (and one more such id)";
    assert_eq!(
        lines,
        format!("two documents would have the id 'a.txt': {again}")
    );
    assert_eq!(load(folder.path()).len(), 4, "1/a.txt, 2/a.txt, a.txt, b");
}

#[test]
fn standard_input_is_lines_or_one_text() {
    let dash = Path::new("-");
    let lines = stdin(
        b" \n{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"y\"}",
        &[dash],
    );
    assert_eq!(
        lines
            .iter()
            .map(|l| document(l).id.as_str())
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    let text = stdin(b"\n Notes\n\n{x}", &[dash]);
    let [only] = text.as_slice() else {
        panic!("{text:?}")
    };
    assert_eq!(
        (document(only).id.as_str(), document(only).title.as_str()),
        ("stdin", "Notes")
    );
    assert_eq!(document(only).text, "\n Notes\n\n{x}");
    assert!(matches!(
        stdin(b" \n", &[dash])[..],
        [Loaded::Skipped {
            reason: Skip::Empty,
            ..
        }]
    ));
    for wrong in [
        &b"caf\xe9"[..],
        b"a\0b",
        "x".repeat(MAX as usize + 1).as_bytes(),
    ] {
        assert!(matches!(
            stdin(wrong, &[dash])[..],
            [Loaded::Failed {
                identified: true,
                ..
            }]
        ));
    }
    assert_eq!(try_plan(&[dash], None).unwrap().total(), None);
    assert_eq!(
        try_plan(&[dash, dash], None).unwrap_err().code(),
        "stdin-twice"
    );
}

#[test]
fn a_stream_repeats_no_id_of_its_own_or_of_the_plan() {
    let folder = folder(&[("a.txt", b"x")]);
    let lines = b"{\"id\":\"a.txt\",\"text\":\"x\"}\n{\"id\":\"b\",\"text\":\"x\"}\n\n{\"id\":\"b\",\"text\":\"y\"}";
    let loaded = stdin(lines, &[Path::new("-"), folder.path()]);
    let expected = [
        "! a.txt: stdin:1: the id 'a.txt' was already used",
        "b",
        "! b: stdin:4: the id 'b' was already used",
        "a.txt",
    ];
    assert_eq!(told(&folder, &loaded), expected);
}

#[test]
fn the_demo_corpora_load_whole_and_hold_what_their_questions_ask_for() {
    let demo = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo"));
    for (tenant, documents) in [("acme", 36), ("globex", 31), ("mallory", 1)] {
        let loaded = load(&demo.join(tenant));
        let ids: HashSet<&str> = loaded
            .iter()
            .map(|loaded| document(loaded).id.as_str())
            .collect();
        assert_eq!(ids.len(), documents, "{tenant}");
        let queries = fs::read_to_string(demo.join(format!("{tenant}.queries.jsonl")));
        for line in queries.unwrap_or_default().lines() {
            let query: serde_json::Value = serde_json::from_str(line).unwrap();
            for id in query["relevant"].as_array().unwrap() {
                assert!(ids.contains(id.as_str().unwrap()), "{tenant}: {line}");
            }
        }
    }
}
