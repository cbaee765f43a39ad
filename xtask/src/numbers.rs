//! `cargo xtask numbers`: puts what was measured where it is shown. A report below docs/runs has tables between
//! `<!-- table:NAME -->` and `<!-- /table -->`; README.md and docs/*.md show one between `<!-- NAME:begin -->` and
//! `<!-- NAME:end -->`. It does not know what the numbers mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::ui;
use crate::workspace::Workspace;

/// Fills every document in which a table is shown that a report has.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let tables = tables(workspace.root())?;
    for path in documents(workspace.root())? {
        let text = read(&path)?;
        let filled = fill(&text, &tables);
        if filled != text {
            fs::write(&path, filled).with_context(|| format!("cannot write {}", path.display()))?;
            ui::note(&format!("filled {}", path.display()));
        }
    }
    Ok(())
}

/// The tables of every report, by name.
fn tables(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut tables = BTreeMap::new();
    for folder in entries(&root.join("docs/runs"))? {
        let report = folder.join("report.md");
        if report.exists() {
            tables.extend(tables_of(&read(&report)?));
        }
    }
    Ok(tables)
}

fn tables_of(report: &str) -> BTreeMap<String, String> {
    let table = |part: &str| {
        let (name, rest) = part.split_once(" -->\n")?;
        let (table, _) = rest.split_once("<!-- /table -->")?;
        Some((name.to_owned(), table.to_owned()))
    };
    report
        .split("<!-- table:")
        .skip(1)
        .filter_map(table)
        .collect()
}

/// README.md and the documents beside the reports.
fn documents(root: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = vec![root.join("README.md")];
    let is_text = |path: &PathBuf| path.extension().is_some_and(|end| end == "md");
    paths.extend(entries(&root.join("docs"))?.into_iter().filter(is_text));
    Ok(paths)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listing = fs::read_dir(folder);
    let listing = listing.with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths = listing
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()?;
    paths.sort_unstable();
    Ok(paths)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// `text` with every table that it shows as the reports have it.
fn fill(text: &str, tables: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, table) in tables {
        let (begin, end) = (
            format!("<!-- {name}:begin -->\n"),
            format!("<!-- {name}:end -->"),
        );
        let Some(from) = text.find(&begin).map(|at| at + begin.len()) else {
            continue;
        };
        if let Some(length) = text[from..].find(&end) {
            text.replace_range(from..from + length, table);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "# Ingest\n\n<!-- table:ingest -->\n| a |\n|---|\n| 1 |\n<!-- /table -->\n\n\
                          <!-- table:costs -->\n| b |\n<!-- /table -->\n";

    #[test]
    fn a_table_is_shown_where_its_name_is() {
        let tables = tables_of(REPORT);
        assert_eq!(tables.len(), 2);
        let text = "before\n<!-- ingest:begin -->\nold\n<!-- ingest:end -->\nafter\n<!-- other:begin -->\n";
        let filled = fill(text, &tables);
        let table = "<!-- ingest:begin -->\n| a |\n|---|\n| 1 |\n<!-- ingest:end -->";
        assert!(
            filled.contains(table) && !filled.contains("old"),
            "{filled}"
        );
        assert_eq!(fill(&filled, &tables), filled);
        assert!(filled.ends_with("<!-- other:begin -->\n"));
    }

    #[test]
    fn documents_show_what_the_reports_say() {
        let root = Workspace::find().unwrap().root().to_owned();
        let tables = tables(&root).unwrap();
        for path in documents(&root).unwrap() {
            let text = read(&path).unwrap();
            let stale = fill(&text, &tables) != text;
            assert!(!stale, "{}: run cargo xtask numbers", path.display());
        }
    }
}
