//! Every law broken in turn: a test notices. Which one is published in docs/durability.md.
//!
//! The noticing tests run as children with the law broken from their first write on. That they pass where every
//! law holds is seen in the same run of tests, where they stand for themselves.

use crate::law::{BROKEN, Law};
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Children at a time.
const CHILDREN: usize = 3;

const CUTS: &str =
    "durability::cuts::a_process_that_ends_at_any_point_leaves_the_old_state_or_the_new_one";
const MODEL: &str = "index::tests::model::any_history_equals_a_fresh_index_of_the_survivors";
const MENTIONS: &str =
    "index::tests::model::mentions_are_the_longest_titles_and_never_the_document_itself";
const MODELS: &str = "index::tests::refusals::vectors_of_two_models_are_not_compared";
const HISTORY: &str = "durability::history::any_history_of_ingests_equals_one_of_the_survivors";
const FULL: &str =
    "durability::history::a_version_without_room_is_told_and_goes_in_when_there_is_room";

/// The test that notices when `law` is broken.
fn noticed_by(law: Law) -> &'static str {
    match law {
        Law::WordsGo | Law::TitlesGo | Law::VectorsGo | Law::GenerationGrows => MODEL,
        Law::OneTransaction | Law::CommitFirst | Law::BytesBeforeRow | Law::FolderBeforeRow => CUTS,
        Law::SameModel => MODELS,
        Law::TitlesCome => MENTIONS,
        Law::SameText
        | Law::OptionsCount
        | Law::MetadataCounts
        | Law::SyncWithinSource
        | Law::SyncSparesFailed => HISTORY,
        Law::FullIsTold => FULL,
    }
}

#[test]
fn every_law_that_is_broken_is_noticed_and_the_published_list_is_true() {
    let laws = Mutex::new(Law::ALL.iter());
    let unnoticed = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..CHILDREN {
            scope.spawn(|| {
                loop {
                    let Some(&law) = laws.lock().unwrap().next() else {
                        return;
                    };
                    match passes_without(law) {
                        true => unnoticed.lock().unwrap().push(law),
                        false => println!("{:<20} noticed by {}", law.word(), noticed_by(law)),
                    }
                }
            });
        }
    });
    let unnoticed = unnoticed.into_inner().unwrap();
    assert!(unnoticed.is_empty(), "nobody notices without {unnoticed:?}");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/durability.md");
    let (published, table) = (std::fs::read_to_string(page).unwrap(), table());
    assert!(
        published.contains(&table),
        "the list in docs/durability.md should be:\n\n{table}"
    );
}

/// Whether the test that ought to notice passes with `law` broken.
fn passes_without(law: Law) -> bool {
    let test = noticed_by(law);
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(BROKEN, law.word())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let (passed, failed) = (said.contains("1 passed"), said.contains("1 failed"));
    assert!(passed != failed, "{test} did not run: {said}");
    passed
}

/// As docs/durability.md has to show it.
fn table() -> String {
    let mut table = "| law | when it is broken | noticed by |\n|---|---|---|\n".to_owned();
    for &law in Law::ALL {
        let test = noticed_by(law).rsplit("::").next().unwrap();
        writeln!(table, "| `{}` | {} | `{test}` |", law.word(), law.broken()).unwrap();
    }
    table
}
