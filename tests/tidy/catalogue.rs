//! The catalogue of faults in docs/threat-model.md: a row that says that it passed names tests that there are, and a test
//! that bears a row's number stands in that row.

use super::source::{Source, sources};
use super::{has_function, none, read};
use std::collections::BTreeMap;

/// One row of a table.
struct Row {
    id: String,
    tests: Vec<String>,
    state: String,
}

/// `C-01`, `M-14`.
fn is_id(text: &str) -> bool {
    let parts = text.split_once('-');
    parts.is_some_and(|(group, number)| {
        group.len() == 1
            && group.chars().all(|c| c.is_ascii_uppercase())
            && number.len() == 2
            && number.chars().all(|c| c.is_ascii_digit())
    })
}

fn row(line: &str) -> Option<Row> {
    let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
    let id = cells.first().filter(|id| is_id(id))?;
    let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
    let tests = cell(3).split('`').skip(1).step_by(2).map(str::to_owned);
    Some(Row {
        id: (*id).to_owned(),
        tests: tests.collect(),
        state: cell(4).to_owned(),
    })
}

fn rows() -> Vec<Row> {
    let rows: Vec<Row> = read("docs/threat-model.md")
        .lines()
        .filter_map(row)
        .collect();
    assert!(!rows.is_empty(), "the catalogue is in docs/threat-model.md");
    rows
}

/// Whether there is a function of that name: `name`, or `module::name`.
fn there_is(sources: &[Source], test: &str) -> bool {
    sources.iter().any(|source| match test.rsplit_once("::") {
        Some((owner, name)) => has_function(source, owner, name),
        None => source.functions().iter().any(|found| found.name == test),
    })
}

#[test]
fn rows_that_passed_name_tests_that_there_are() {
    let sources = sources();
    let mut wrong = vec![];
    for row in rows() {
        match row.state.as_str() {
            "passed" if row.tests.is_empty() => wrong.push(format!("{}: names no test", row.id)),
            "passed" | "not applicable" | "not covered" => {}
            other => wrong.push(format!("{}: '{other}' is no state", row.id)),
        }
        let unknown = row.tests.iter().filter(|test| !there_is(&sources, test));
        wrong.extend(unknown.map(|test| format!("{}: there is no test {test}", row.id)));
    }
    none(&wrong, "a row that passed names tests that there are");
}

#[test]
fn every_row_stands_once() {
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows() {
        *times.entry(row.id).or_default() += 1;
    }
    let twice = times.into_iter().filter(|(_, times)| *times > 1);
    let twice: Vec<String> = twice.map(|(id, _)| id).collect();
    none(&twice, "a row of the catalogue stands once");
}

#[test]
fn a_test_with_a_rows_number_stands_in_that_row() {
    let rows = rows();
    let mut missing = vec![];
    for source in sources() {
        for function in source.functions() {
            let Some((id, _)) = function.name.split_at_checked(4) else {
                continue;
            };
            let id = id.to_uppercase().replacen('_', "-", 1);
            if !is_id(&id) || function.name.as_bytes().get(4) != Some(&b'_') {
                continue;
            }
            let named = |row: &Row| row.id == id && row.tests.iter().any(|t| t == function.name);
            if !rows.iter().any(named) {
                missing.push(format!("{}: {}", source.path, function.name));
            }
        }
    }
    none(
        &missing,
        "a test that bears a row's number stands in that row",
    );
}
