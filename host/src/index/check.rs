//! Whether the parts of an index agree: what `write` keeps true, looked up.

use super::Index;
use super::error::IndexError;
use super::schema::State;
use crate::db::{Connection, Interrupt};

/// Invariants: each statement counts what breaks one.
const BROKEN: [(&str, &str); 8] = [
    (
        "chunks without their document, or out of its range",
        "SELECT count(*) FROM chunks LEFT JOIN documents ON number = document \
         WHERE number IS NULL OR chunks.id < first_chunk \
            OR chunks.id >= first_chunk + documents.chunks",
    ),
    (
        "documents whose number of chunks is wrong",
        "SELECT count(*) FROM documents WHERE chunks <> \
         (SELECT count(*) FROM chunks WHERE id >= first_chunk AND id < first_chunk + documents.chunks)",
    ),
    (
        "chunks without a vector",
        "SELECT count(*) FROM chunks LEFT JOIN vectors ON chunk = id WHERE chunk IS NULL",
    ),
    (
        "vectors without a chunk",
        "SELECT count(*) FROM vectors LEFT JOIN chunks ON chunk = id WHERE id IS NULL",
    ),
    (
        "chunks whose text is missing or not the document's",
        "SELECT count(*) FROM chunks JOIN texts ON texts.document = chunks.document \
         LEFT JOIN fts ON fts.rowid = chunks.id WHERE fts.text IS NULL OR CAST(fts.text AS BLOB) <> \
         substr(CAST(texts.text AS BLOB), first_byte + 1, end_byte - first_byte)",
    ),
    (
        "texts in the text index without a chunk",
        "SELECT count(*) FROM fts LEFT JOIN chunks ON fts.rowid = chunks.id WHERE chunks.id IS NULL",
    ),
    (
        "documents without a stored text",
        "SELECT count(*) FROM documents LEFT JOIN texts ON document = number WHERE document IS NULL",
    ),
    (
        "titles or texts without a document",
        "SELECT (SELECT count(*) FROM titles LEFT JOIN documents ON number = document \
                 WHERE number IS NULL) \
              + (SELECT count(*) FROM texts LEFT JOIN documents ON number = document \
                 WHERE number IS NULL)",
    ),
];

impl Index {
    /// What is wrong with the file and between its tables, a sentence each; empty when it is sound. Reads
    /// everything: seconds for a large tenant.
    pub fn check(&self, interrupt: &Interrupt) -> Result<Vec<String>, IndexError> {
        let mut findings = self.database.quick_check(interrupt)?;
        let reader = self.database.read(interrupt)?;
        for (what, sql) in BROKEN {
            let count = count(&reader, sql)?;
            if count > 0 {
                findings.push(format!("{count} {what}"));
            }
        }
        let state = State::read(&reader)?;
        for (what, stated, sql) in [
            (
                "documents",
                state.documents,
                "SELECT count(*) FROM documents",
            ),
            (
                "embedded documents",
                state.documents,
                "SELECT coalesce(sum(documents), 0) FROM models",
            ),
            ("chunks", state.chunks, "SELECT count(*) FROM chunks"),
            (
                "words",
                state.words,
                "SELECT coalesce(sum(words), 0) FROM chunks",
            ),
            (
                "indexed words",
                state.words,
                "SELECT coalesce(sum(cnt), 0) FROM terms",
            ),
        ] {
            let count = count(&reader, sql)?;
            if count != stated {
                findings.push(format!("{count} {what}, where {stated} are counted"));
            }
        }
        Ok(findings)
    }
}

fn count(connection: &Connection, sql: &str) -> Result<i64, IndexError> {
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}
