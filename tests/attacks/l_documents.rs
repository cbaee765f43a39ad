//! L: documents that attack native code: loaders, tokenizer, text search, Markdown and HTML. Each is added or fails
//! alone, and says why; nothing hangs, panics or takes more than bounded memory.

mod folder;

use crate::support::stage::{policy, stage, tenant, wait};
use folder::told;
use stockade::policy::Wasi;
use stockade::task::{Kind, Limits, Task};

/// L-01: HTML a hundred thousand elements deep: one loop, no recursion.
#[test]
fn l_01_deep_html_is_added() {
    told().added(&["deep.html"]);
    assert_eq!(told().found("cut", "abyssal"), ["deep.html"]);
}

/// L-02: one tag with two hundred thousand attributes.
#[test]
fn l_02_a_tag_of_many_attributes_is_added() {
    told().added(&["attributes.html"]);
    assert_eq!(told().found("cut", "attributive"), ["attributes.html"]);
}

/// L-03: comments, scripts, titles and tags that never end: what a reader would see is there.
#[test]
fn l_03_what_never_ends_is_added() {
    told().added(&["comment.html", "script.html", "title.html", "tags.html"]);
    assert_eq!(told().found("cut", "scripted"), ["script.html"]);
    assert_eq!(told().found("cut", "titular"), ["title.html"]);
    assert_eq!(told().found("cut", "tagged"), ["tags.html"]);
}

/// L-04: entities that stand for entities, for no character, or for nothing: none is expanded twice.
#[test]
fn l_04_entity_bombs_do_not_go_off() {
    told().added(&["laughs.html", "entities.html"]);
    assert_eq!(told().found("cut", "laughing"), ["laughs.html"]);
}

/// L-05: encodings: what is not UTF-8, or UTF-16 that says so, fails by the byte at which it is not.
#[test]
fn l_05_wrong_encodings_fail_alone() {
    for (name, word) in [
        ("latin1.txt", "not valid UTF-8: see byte 3"),
        ("overlong.txt", "UTF-8"),
        ("surrogate.txt", "UTF-8"),
        ("nul.txt", "binary"),
        ("lone.txt", "UTF-16"),
        ("odd.txt", "UTF-16"),
    ] {
        told().failed(name, word);
    }
    told().added(&["mark.txt", "utf16.txt"]);
    assert_eq!(told().found("cut", "marked"), ["mark.txt"]);
    assert_eq!(told().found("cut", "sixteen"), ["utf16.txt"]);
}

/// L-06: a line of a mebibyte, and a million empty lines before a word.
#[test]
fn l_06_endless_and_empty_lines_are_added() {
    told().added(&["line.txt", "empty-lines.txt"]);
    assert_eq!(told().found("whole", "emptied"), ["empty-lines.txt"]);
}

/// L-07: towers of marks, reversed and invisible characters, joined emoji, characters that are none.
#[test]
fn l_07_unusual_characters_are_added() {
    told().added(&[
        "zalgo.txt",
        "bidi.txt",
        "zwj.txt",
        "private.txt",
        "marks.txt",
        "kana.txt",
        "emoji.txt",
        "cjk.txt",
    ]);
    assert_eq!(told().found("cut", "zalgo"), ["zalgo.txt"]);
}

/// L-08: a word of a mebibyte goes through tokenizer and text search.
#[test]
fn l_08_a_word_of_a_mebibyte_is_added() {
    told().added(&["word.txt"]);
}

/// L-09: a chunk of a hundred thousand different words; the last is found.
#[test]
fn l_09_a_hundred_thousand_words_are_found() {
    told().added(&["distinct.txt"]);
    assert_eq!(told().found("whole", "w1869fq"), ["distinct.txt"]);
}

/// L-10: operators, quotes and SQL in documents and in questions are words like others.
#[test]
fn l_10_operators_are_words() {
    told().added(&["operators.txt", "quotes.txt"]);
    let long = "\" NEAR( ".repeat(8_000);
    for question in [
        "\"",
        "\"\"",
        "AND",
        "NOT NOT",
        "NEAR(",
        "a NEAR/3 b",
        "col:",
        "^first",
        "*",
        "-",
        "' OR 1=1; --",
        "{",
        "\u{0}x",
        "\u{202e}",
        &long,
    ] {
        let question = question.replace('\0', "");
        for agent in ["text", "hybrid"] {
            let ran = told().run(&["query", "cut", &question, "--agent", agent]);
            assert_eq!(ran.code, 0, "{question:.40}: {ran:?}");
        }
    }
    assert_eq!(
        told().found("cut", "DROP TABLE chunks; --"),
        ["operators.txt"]
    );
}

/// L-11: JSON lines: depth, doubled keys, numbers beyond any type, lone surrogates, too many keys, a line of five
/// mebibytes: each costs its own line and no other.
#[test]
fn l_11_hostile_json_lines_cost_themselves() {
    for (line, word) in [
        ("nested", "recursion"),
        ("lines.jsonl:3", "duplicate"),
        ("huge-number", "number out of range"),
        ("lone-surrogate", "hex escape"),
        ("keys", "metadata"),
        ("lines.jsonl:9", "not a JSON object"),
        ("lines.jsonl:13", "longer than"),
    ] {
        told().failed(line, word);
    }
    told().added(&["fine", "last", "digits"]);
    assert_eq!(told().found("cut", "lined"), ["fine"]);
    assert_eq!(told().found("cut", "last"), ["last"]);
}

/// L-12: file names with a line break, a terminal's codes, and bytes that are no UTF-8: they fail by a name that is
/// safe to show.
#[test]
fn l_12_hostile_names_fail_and_are_shown_safely() {
    told().failed("\\u{1b}[31m.txt", "control");
    told().failed("\\xff\\xfe.txt", "not UTF-8");
    assert!(!told().shown.contains('\u{1b}'), "{}", told().shown);
}

/// L-13: links in circles and out of the folder, a pipe, a link to a device, a folder with a file's name: none is
/// opened, and none hangs.
#[test]
fn l_13_what_is_no_file_is_skipped() {
    told().skipped("circle.txt", "back to itself");
    told().skipped("outside.txt", "outside");
    told().skipped("zeroes.txt", "outside");
    told().skipped("/up", "outside");
    told().skipped("pipe.txt", "a pipe");
}

/// L-15: a sparse file of ten gibibytes is refused by its size.
#[test]
fn l_15_a_sparse_file_is_refused_unread() {
    told().failed("sparse.txt", "more than the");
}

/// L-16: Markdown with a hundred thousand quotes, brackets, fences and headings, and lists 600 deep.
#[test]
fn l_16_hostile_markdown_is_added() {
    told().added(&[
        "quotes.md",
        "fences.md",
        "brackets.md",
        "stars.md",
        "lists.md",
        "headings.md",
        "rules.md",
    ]);
    for (word, name) in [
        ("quoted", "quotes.md"),
        ("bracketed", "brackets.md"),
        ("listed", "lists.md"),
    ] {
        assert!(
            told().found("cut", word).contains(&name.to_owned()),
            "{word}"
        );
    }
}

/// L-17: filters: nine deep is refused, eight is not; patterns and SQL are plain values; a thousand conditions end.
#[test]
fn l_17_hostile_filters_are_refused_or_plain() {
    let nested = |depth: usize| {
        let (open, close) = (r#"{"not":"#.repeat(depth - 1), "}".repeat(depth - 1));
        format!(r#"{open}{{"path":"x"}}{close}"#)
    };
    let many: Vec<String> = (0..1_000).map(|n| format!(r#"{{"path":"{n}"}}"#)).collect();
    let wide = format!(r#"{{"or":[{}]}}"#, many.join(","));
    let run = |filter: &str| {
        told().run(&[
            "query", "cut", "words", "--filter", filter, "--agent", "text",
        ])
    };
    for filter in [
        &nested(8),
        &wide,
        r#"{"path":"(a+)+$"}"#,
        r#"{"path":"' OR 1=1 --"}"#,
    ] {
        let ran = run(filter);
        assert!(matches!(ran.code, 0 | 2), "{ran:?}");
        assert!(ran.code == 0 || ran.err.contains("filter"), "{ran:?}");
    }
    run(&nested(8)).ok();
    for filter in [
        nested(9),
        nested(5_000),
        "{\"path\":".to_owned(),
        "[[[[".repeat(5_000),
    ] {
        run(&filter).fails(2, &["filter"]);
    }
}

/// L-18: an id of 4 KiB and one with a line break are refused; one that climbs is a name like another, and no path.
#[test]
fn l_18_ids_are_names_and_no_paths() {
    told().failed("lines.jsonl:10", "id");
    told().failed("lines.jsonl:12", "id");
    told().added(&["stockade-was-here"]);
    assert_eq!(
        told().found("cut", "climbing"),
        ["../../../etc/stockade-was-here"]
    );
    assert!(!std::path::Path::new("/etc/stockade-was-here").exists());
}

/// L-19: the largest legal document of every script stays within the default policy's limits, by every built-in way
/// of cutting.
#[test]
fn l_19_the_largest_document_of_every_script_is_cut() {
    let pointer = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/stockade-guests");
    let set = std::fs::read_to_string(pointer).unwrap();
    let component = std::fs::read(format!("{}/chunker.wasm", set.trim())).unwrap();
    let chunker = stage().chunker(&component, Wasi::None).unwrap();
    let scripts = [
        "Plain words of Latin letters. ",
        "Größe zählt, naïve café. ",
        "Слова кириллицей. ",
        "λέξεις και γράμματα. ",
        "كلمات عربية. ",
        "हिन्दी में शब्द। ",
        "คำภาษาไทยไม่มีช่องว่าง",
        "あいうえおかきくけこ。",
        "アイウエオ",
        "漢字文章。",
        "한국어 낱말. ",
        "👩\u{200d}👩\u{200d}👧",
        "e\u{301}\u{302}",
        "\u{200b}\u{202e}",
        "x",
        "\n",
        " \n\t",
        ". ",
    ];
    for script in scripts {
        let text = script.repeat((1 << 20) / script.len());
        for strategy in ["recursive", "markdown", "fixed"] {
            let options = [
                ("strategy", strategy),
                ("size", "1000"),
                ("overlap", "200"),
                ("unit", "characters"),
            ];
            let options = options
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
            let task = Task::new(tenant(), Kind::Ingest, "doc", Limits::ingest(&policy("")));
            let cut = wait(stage().chunk(&chunker, &task, &text, &options));
            assert!(cut.is_ok(), "{strategy} of {script:?}: {cut:?}");
        }
    }
}

/// L-20: beside all of that the others are added, memory is bounded, and the data is whole.
#[test]
fn l_20_the_neighbours_are_added_and_memory_is_bounded() {
    let told = told();
    assert_eq!(told.found("whole", "neighbourly"), ["neighbour.txt"]);
    assert_eq!(told.whole["documents"]["failed"], 0, "{}", told.whole);
    for report in [&told.cut, &told.whole] {
        let peak = report["peak_rss_mb"].as_f64().unwrap();
        assert!(peak < 1_024.0, "{peak} MB");
    }
    let doctor = told.run(&["--json", "doctor"]).ok().json();
    assert_eq!(doctor["ok"], true, "{doctor}");
}
