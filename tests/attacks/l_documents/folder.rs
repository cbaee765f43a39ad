//! The hostile documents, written once and ingested in two runs: what became of each.
//!
//! One tenant has the built-in chunkers. The other's gives every text as one chunk, so that what is large goes
//! whole through tokenizer and text search.

use crate::support::guests::{self, WHOLE_TEXT};
use crate::support::{Bench, Ran, arg};
use serde_json::Value;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Far beyond what any of it takes: for what hangs.
const WATCHDOG: Duration = Duration::from_secs(300);

/// What became of the hostile documents.
pub struct Told {
    bench: Bench,
    turn: Mutex<()>,
    /// The reports of the two runs.
    pub cut: Value,
    pub whole: Value,
    /// What people were shown.
    pub shown: String,
}

pub fn told() -> &'static Told {
    static TOLD: OnceLock<Told> = OnceLock::new();
    TOLD.get_or_init(|| {
        let bench = Bench::with_tenants(&["cut", "whole"]);
        let file = bench.file("whole.wasm", guests::chunker(WHOLE_TEXT));
        bench.run(&["plugin", "install", "whole", arg(&file)]).ok();
        bench.run(&["plugin", "use", "whole", "whole"]).ok();
        write_pages(&bench);
        write_texts(&bench);
        write_lines(&bench);
        write_traps(&bench);
        write_markdown(&bench);
        write_large(&bench);
        let (cut, shown) = ingest(&bench, "cut");
        let (whole, _) = ingest(&bench, "whole");
        Told {
            bench,
            turn: Mutex::new(()),
            cut,
            whole,
            shown,
        }
    })
}

/// Ingests the tenant's folder: its report and what standard error showed. A run that hangs ends the test.
fn ingest(bench: &Bench, tenant: &str) -> (Value, String) {
    let shown = bench.path(&format!("{tenant}.stderr"));
    let told = bench.path(&format!("{tenant}.stdout"));
    let mut child = bench
        .command(&["--json", "ingest", tenant, arg(&bench.path(tenant))])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&told).unwrap())
        .stderr(std::fs::File::create(&shown).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + WATCHDOG;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                child.kill().unwrap();
                panic!("the ingest of {tenant} hangs");
            }
            None => std::thread::yield_now(),
        }
    };
    let shown = std::fs::read_to_string(shown).unwrap();
    assert!(matches!(status.code(), Some(0 | 3)), "{status}: {shown}");
    assert!(!shown.contains("panicked"), "{shown}");
    let told = std::fs::read_to_string(told).unwrap();
    (serde_json::from_str(&told).unwrap(), shown)
}

/// Where `name` stands in a list of failures or skipped things.
fn find<'a>(list: &'a Value, field: &str, name: &str) -> Option<&'a Value> {
    let all = list.as_array().unwrap();
    all.iter()
        .find(|one| one[field].as_str().unwrap().ends_with(name))
}

impl Told {
    #[track_caller]
    pub fn added(&self, names: &[&str]) {
        for name in names {
            for report in [&self.cut, &self.whole] {
                let failed = find(&report["failures"], "document", name);
                let skipped = find(&report["skipped"], "path", name);
                assert_eq!((failed, skipped), (None, None), "{name}");
            }
        }
    }

    #[track_caller]
    pub fn failed(&self, name: &str, word: &str) {
        let failures = [&self.cut["failures"], &self.whole["failures"]];
        let found = failures
            .iter()
            .find_map(|list| find(list, "document", name));
        let error = found.unwrap_or_else(|| panic!("{name} did not fail: {}", self.cut));
        assert!(error["error"].to_string().contains(word), "{error}");
    }

    #[track_caller]
    pub fn skipped(&self, name: &str, word: &str) {
        let found = find(&self.cut["skipped"], "path", name);
        let skip = found.unwrap_or_else(|| panic!("{name} was not skipped: {}", self.cut));
        assert!(skip.to_string().contains(word), "{skip}");
    }

    /// The documents that a question's words find.
    pub fn found(&self, tenant: &str, question: &str) -> Vec<String> {
        let _one = self.one_at_a_time();
        self.bench.found(tenant, "text", question)
    }

    /// A command on the data folder.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        let _one = self.one_at_a_time();
        self.bench.run(arguments)
    }

    /// A data folder is one process's; a test that failed has left it.
    fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_pages(bench: &Bench) {
    let file = |name: &str, text: &str| bench.file(&format!("cut/{name}"), text);
    file(
        "deep.html",
        &format!("{}abyssal words", "<div>".repeat(100_000)),
    );
    let many: String = (0..200_000).map(|n| format!(" a{n}=\"{n}\"")).collect();
    file(
        "attributes.html",
        &format!("<p{many}>attributive words</p>"),
    );
    file(
        "comment.html",
        "<p>before words</p><!-- never ends <p>hidden",
    );
    file(
        "script.html",
        "<p>scripted words</p><script>while(1){} never ends",
    );
    file("title.html", "<title>titular words never end <p>swallowed");
    file(
        "tags.html",
        &format!("<p>tagged words{}", "<b".repeat(50_000)),
    );
    let laughs =
        "<!DOCTYPE x [<!ENTITY a \"&b;&b;\"><!ENTITY b \"&c;&c;\">]><p>laughing words &a;&a;</p>";
    file("laughs.html", laughs);
    file(
        "entities.html",
        &format!(
            "<p>entity words {}</p>",
            "&#xFFFFFFFFF;&amp;&nosuch".repeat(20_000)
        ),
    );
}

fn write_texts(bench: &Bench) {
    let file = |name: &str, bytes: &[u8]| bench.file(&format!("cut/{name}"), bytes);
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    file("latin1.txt", b"caf\xe9 is Latin 1");
    file("overlong.txt", b"an overlong slash \xc0\xaf");
    file("surrogate.txt", b"a surrogate \xed\xa0\x80 in UTF-8");
    file("nul.txt", b"a NUL \0 in a text");
    file("mark.txt", b"\xef\xbb\xbfmarked words");
    file(
        "utf16.txt",
        &[b"\xff\xfe", &wide("sixteen words")[..]].concat(),
    );
    file(
        "lone.txt",
        &[
            b"\xff\xfe",
            &wide("lone ")[..],
            b"\x00\xd8",
            &wide(" surrogate")[..],
        ]
        .concat(),
    );
    file("odd.txt", b"\xff\xfeo");
    file(
        "zalgo.txt",
        format!("zalgo e{} words", "\u{301}".repeat(20_000)).as_bytes(),
    );
    file(
        "bidi.txt",
        "rtl \u{202e}sdrow\u{202c} \u{2066}\u{2067}\u{feff}\u{200b} words".as_bytes(),
    );
    file(
        "zwj.txt",
        "family 👩\u{200d}👩\u{200d}👧\u{200d}👦"
            .repeat(400)
            .as_bytes(),
    );
    file(
        "private.txt",
        "private \u{fffe}\u{ffff}\u{10ffff}\u{e000} words".as_bytes(),
    );
    file("operators.txt", br#"operators "quoted" AND NOT NEAR(a b, 3) col: ^first * - ' OR 1=1; DROP TABLE chunks; --"#);
}

fn write_lines(bench: &Bench) {
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(5_000), close.repeat(5_000));
    let keys: String = (0..100_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let lines = [
        r#"{"id":"fine","text":"lined words"}"#.to_owned(),
        format!(
            r#"{{"id":"nested","text":"x","metadata":{{"a":{}}}}}"#,
            deep("[", "]")
        ),
        r#"{"id":"twice","id":"other","text":"x"}"#.to_owned(),
        r#"{"id":"huge-number","text":"x","metadata":{"n":1e400}}"#.to_owned(),
        format!(
            r#"{{"id":"digits","text":"digital words","metadata":{{"n":{}}}}}"#,
            "9".repeat(300)
        ),
        r#"{"id":"lone-surrogate","text":"\ud800"}"#.to_owned(),
        r#"{"id":"escaped-nul","text":"nul \u0000 words"}"#.to_owned(),
        format!(r#"{{"id":"keys","text":"x","metadata":{{{keys}"z":0}}}}"#),
        r#"["id","text"]"#.to_owned(),
        format!(r#"{{"id":"{}","text":"x"}}"#, "i".repeat(4_096)),
        r#"{"id":"../../../etc/stockade-was-here","text":"climbing words"}"#.to_owned(),
        r#"{"id":"line\nbreak","text":"x"}"#.to_owned(),
        format!(r#"{{"id":"endless","text":"{}"}}"#, "y".repeat(5 << 20)),
        r#"{"id":"last","text":"last words"}"#.to_owned(),
    ];
    bench.file("cut/lines.jsonl", lines.join("\n"));
}

/// Things that are no files, or not what their names say.
fn write_traps(bench: &Bench) {
    let at = |name: &str| bench.path(&format!("cut/{name}"));
    let named = |name: &[u8]| bench.path("cut").join(std::ffi::OsStr::from_bytes(name));
    std::fs::write(named(b"line\nbreak \x1b[31m.txt"), "x").unwrap();
    std::fs::write(named(b"not-utf8-\xff\xfe.txt"), "x").unwrap();
    symlink("circle.txt", at("circle.txt")).unwrap();
    symlink("/etc/passwd", at("outside.txt")).unwrap();
    symlink("/dev/zero", at("zeroes.txt")).unwrap();
    symlink("..", at("up")).unwrap();
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe.txt"), fifo, mode, 0).unwrap();
    std::fs::create_dir(at("folder.txt")).unwrap();
    let sparse = std::fs::File::create(at("sparse.txt")).unwrap();
    sparse.set_len(10 << 30).unwrap();
}

fn write_markdown(bench: &Bench) {
    let file = |name: &str, text: String| bench.file(&format!("cut/{name}"), text);
    file("quotes.md", format!("{} quoted words", ">".repeat(100_000)));
    file(
        "fences.md",
        format!("{}fenced words", "```\n".repeat(50_000)),
    );
    file(
        "brackets.md",
        format!("{}bracketed words", "[".repeat(100_000)),
    );
    file(
        "stars.md",
        format!("{}starred words", "*a_ ".repeat(30_000)),
    );
    let steps: String = (0..600)
        .map(|n| format!("{}- a\n", " ".repeat(n)))
        .collect();
    file("lists.md", format!("{steps}listed words"));
    file(
        "headings.md",
        format!("{}headed words", "# h\n".repeat(50_000)),
    );
    file(
        "rules.md",
        format!("{}ruled words", "a\n===\n".repeat(20_000)),
    );
}

/// Documents of about a mebibyte, for the tenant that has each as one chunk.
fn write_large(bench: &Bench) {
    let file = |name: &str, text: String| bench.file(&format!("whole/{name}"), text);
    let mebibyte = 1_048_000;
    file("word.txt", "x".repeat(mebibyte));
    file("line.txt", "one line of words ".repeat(mebibyte / 18));
    file(
        "empty-lines.txt",
        format!("{}emptied words", "\n".repeat(1_000_000)),
    );
    let distinct: String = (0..100_000).map(|n| format!("w{n:x}q ")).collect();
    file("distinct.txt", distinct);
    file("marks.txt", "\u{301}".repeat(mebibyte / 2));
    file("kana.txt", "あいうえお。".repeat(mebibyte / 18));
    file("emoji.txt", "👩\u{200d}👧".repeat(mebibyte / 11));
    file("cjk.txt", "漢".repeat(mebibyte / 3));
    file("quotes.txt", "\" OR ' ".repeat(mebibyte / 7));
    file("neighbour.txt", "neighbourly words".to_owned());
}
