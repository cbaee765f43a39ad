//! A file whose schema is brought up to date: every row is in the old form or every row is in the new one.

use super::child::{Range, Scenario};
use crate::db::{Database, DbError, Interrupt, Kind};
use std::path::Path;

const OLD: &str = "CREATE TABLE notes(n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";

const NEW: &str = "ALTER TABLE notes ADD COLUMN length INTEGER;
    UPDATE notes SET length = length(text);
    CREATE INDEX notes_by_length ON notes(length)";

const ROWS: i64 = 2_000;

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "schema",
        steps: 2,
        work,
        check,
    }
}

fn kind(migrations: &'static [&'static str]) -> Kind {
    Kind {
        name: "test file",
        application_id: 0x0053_5402,
        migrations,
        connection_sql: "",
        page_bytes: 4_096,
        cache_kib: 256,
    }
}

fn work(folder: &Path, range: Range<'_>) {
    let path = folder.join("notes.db");
    range.each(|number| match number {
        0 => {
            let old = Database::open(&path, &kind(&[OLD])).unwrap();
            old.write(|tx| {
                for n in 0..ROWS {
                    let sql = "INSERT OR REPLACE INTO notes VALUES (?1, printf('note %d', ?1))";
                    tx.execute(sql, [n])?;
                }
                Ok::<_, DbError>(())
            })
            .unwrap();
        }
        _ => drop(Database::open(&path, &kind(&[OLD, NEW])).unwrap()),
    });
}

fn check(folder: &Path, done: usize) {
    let path = folder.join("notes.db");
    let old = match Database::open(&path, &kind(&[OLD])) {
        Err(DbError::Newer { .. }) => None,
        opened => Some(opened.unwrap()),
    };
    assert!(
        old.is_none() || done < 2,
        "an acknowledged migration is lost"
    );
    if let Some(old) = old {
        let found = rows(&old, "SELECT count(*) FROM notes");
        assert!(found == ROWS || found == 0 && done == 0, "{found} rows");
    }
    let new = Database::open(&path, &kind(&[OLD, NEW])).unwrap();
    assert!(new.integrity_check(&Interrupt::never()).unwrap().is_empty());
    let all = rows(&new, "SELECT count(*) FROM notes");
    let whole = rows(
        &new,
        "SELECT count(*) FROM notes WHERE length = length(text)",
    );
    assert_eq!(all, whole);
    assert!(all == ROWS || all == 0 && done == 0, "{all} rows");
}

fn rows(database: &Database, sql: &str) -> i64 {
    let reader = database.read(&Interrupt::never()).unwrap();
    reader.query_row(sql, [], |row| row.get(0)).unwrap()
}
