//! Words as the text index knows them, found by asking its own tokenizer: a table in the connection's
//! temporary memory that is emptied after each use.

use super::error::IndexError;
use crate::db::{Connection, params};

/// The stems of each of `words`, in order: none for a word without letters or digits, several for one
/// that the tokenizer cuts.
pub(super) fn stems(
    connection: &Connection,
    words: &[&str],
) -> Result<Vec<Vec<String>>, IndexError> {
    let result = write_and_read(connection, words);
    let sql = "INSERT INTO temp.words(words) VALUES ('delete-all')";
    connection.prepare_cached(sql)?.execute([])?;
    result
}

fn write_and_read(connection: &Connection, words: &[&str]) -> Result<Vec<Vec<String>>, IndexError> {
    let sql = "INSERT INTO temp.words(rowid, word) VALUES (?1, ?2)";
    let mut insert = connection.prepare_cached(sql)?;
    for (number, word) in (0_i64..).zip(words) {
        insert.execute(params![number, word])?;
    }
    let sql = "SELECT doc, term FROM temp.stems ORDER BY doc, \"offset\"";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut stems = vec![Vec::new(); words.len()];
    while let Some(row) = rows.next()? {
        let word = usize::try_from(row.get::<_, i64>(0)?).unwrap_or(usize::MAX);
        if let Some(list) = stems.get_mut(word) {
            list.push(row.get(1)?);
        }
    }
    Ok(stems)
}
