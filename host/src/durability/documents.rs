//! Documents of one tenant: added, replaced, deleted, alone and several in one transaction.
//!
//! After so many steps an index holds what a fresh one does that got the survivors alone.

use super::child::{Range, Scenario};
use crate::corpus::Document;
use crate::db::Interrupt;
use crate::index::Index;
use crate::index::tests::model::assert_same;
use crate::index::tests::support::{document, open, put, put_within};
use std::collections::BTreeMap;
use std::path::Path;

const TENANT: &str = "acme";

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "documents",
        steps: steps().len(),
        work,
        check,
    }
}

enum Step {
    Put(Document),
    Together(Vec<Document>),
    Delete(&'static [&'static str]),
}

fn steps() -> Vec<Step> {
    let new = |id, title, text| document(id, title, text, r#"{"n": 1}"#);
    let put = |id, title, text| Step::Put(new(id, title, text));
    vec![
        put(
            "a",
            "Ada Lovelace",
            "word1 saw ZURICH; then word2\nword3 saw NEW YORK\n",
        ),
        put("b", "Zurich (city)", "word4 saw ADA LOVELACE\n"),
        put("a", "Ada", "word5 saw ZURICH\nword6 saw NILE\nword7\n"),
        put("c", "Nile", "word2 saw ADA\n"),
        Step::Delete(&["b"]),
        put("b", "New York", "word3 word7 saw ADA; then word1\n"),
        Step::Together(vec![
            new("d", "Nile", "word8 saw ADA\n"),
            new("b", "York", "word9 saw NEW YORK\nword1\n"),
            new("e", "", "word2 saw NILE\n"),
            new("d", "Nile (river)", "word3 saw YORK\n"),
        ]),
        Step::Delete(&["a", "nobody", "c"]),
        put("a", "Ada Lovelace", "word8 saw NEW YORK\nword9\n"),
        put("c", "Nile", "word1 saw ADA LOVELACE\nword2\nword3\n"),
        put("c", "Nile", "word1 saw ADA LOVELACE\n"),
    ]
}

fn work(folder: &Path, range: Range<'_>) {
    let steps = steps();
    let index = open(folder, TENANT);
    range.each(|number| do_step(&index, &steps[number]));
}

fn do_step(index: &Index, step: &Step) {
    match step {
        Step::Put(document) => {
            put(index, document);
        }
        Step::Together(documents) => {
            let puts = put_within(index, documents, u64::MAX).unwrap();
            assert!(puts.iter().all(Option::is_some));
        }
        Step::Delete(ids) => {
            let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            index.delete(&ids).unwrap();
        }
    }
}

/// The documents that are there after so many steps.
fn survivors(done: usize) -> BTreeMap<String, Document> {
    let mut survivors = BTreeMap::new();
    for step in steps().into_iter().take(done) {
        match step {
            Step::Put(document) => drop(survivors.insert(document.id.clone(), document)),
            Step::Together(documents) => {
                let by_id = documents.into_iter().map(|new| (new.id.clone(), new));
                survivors.extend(by_id);
            }
            Step::Delete(ids) => ids.iter().for_each(|&id| drop(survivors.remove(id))),
        }
    }
    survivors
}

/// What is listed of an index.
fn listed(index: &Index) -> Vec<(String, [u8; 32])> {
    let documents = index.documents(None, 100).unwrap().into_iter();
    documents.map(|found| (found.id, found.hash)).collect()
}

fn check(folder: &Path, done: usize) {
    let index = open(folder, TENANT);
    let integrity = index.database().integrity_check(&Interrupt::never());
    assert_eq!(integrity.unwrap(), Vec::<String>::new());
    let found = listed(&index);
    let fresh_folder = tempfile::tempdir().unwrap();
    for done in [done, done + 1] {
        let survivors = survivors(done);
        let fresh = open(fresh_folder.path(), &format!("after-{done}"));
        for document in survivors.values() {
            put(&fresh, document);
        }
        if listed(&fresh) == found {
            return assert_same(&index, &fresh, &survivors);
        }
    }
    panic!("neither the state after {done} steps nor the next one: {found:?}");
}
