//! Whether the parts of an index agree: what `write` keeps true, looked up.

use super::error::IndexError;
use super::schema::{State, document_seal};
use super::vector::decode;
use super::{Index, TextHash};
use crate::db::{Connection, DbError, Interrupt};

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
        let seals = [
            unsealed_vectors(&reader, interrupt)?,
            changed_texts(&reader, interrupt)?,
        ];
        findings.extend(seals.into_iter().flatten());
        drop(reader);
        findings.extend(self.check_words()?);
        Ok(findings)
    }

    /// FTS5's own comparison of its lists with the texts, which it offers to writers alone. It changes nothing.
    fn check_words(&self) -> Result<Option<String>, IndexError> {
        let checked = self.database.write(|tx| {
            tx.execute(
                "INSERT INTO fts(fts, rank) VALUES ('integrity-check', 1)",
                [],
            )?;
            Ok(())
        });
        match checked {
            Ok(()) => Ok(None),
            Err(IndexError::Storage(DbError::Corrupt(_))) => {
                Ok(Some("the text index is not that of the texts".to_owned()))
            }
            Err(other) => Err(other),
        }
    }

    /// Numbers of documents whose title, text or metadata are not what they were hashed from: `hash` makes the hash
    /// of a version of a document, its chunker and its model. Reads all texts.
    pub fn changed_documents(
        &self,
        hash: impl Fn(&StoredParts<'_>) -> [u8; 32],
        interrupt: &Interrupt,
    ) -> Result<Vec<String>, IndexError> {
        let reader = self.database.read(interrupt)?;
        let mut statement = reader.prepare(
            "SELECT documents.id, title, texts.text, media_type, metadata, chunker, models.digest, hash, \
                    number, seal \
             FROM documents JOIN texts ON texts.document = number JOIN models ON models.id = model",
        )?;
        let mut rows = statement.query([])?;
        let mut changed = vec![];
        while let Some(row) = rows.next()? {
            let text = |column| -> Result<String, IndexError> { Ok(row.get(column)?) };
            let (id, title, body) = (text(0)?, text(1)?, text(2)?);
            let (media_type, metadata, chunker, model) = (text(3)?, text(4)?, text(5)?, text(6)?);
            let parts = StoredParts {
                title: &title,
                text: &body,
                media_type: &media_type,
                metadata: &metadata,
                chunker: &chunker,
                model: &model,
            };
            let seal = document_seal(row.get(8)?, &id, &title, &metadata);
            let sealed = row
                .get::<_, Option<i64>>(9)?
                .is_none_or(|written| written == seal);
            if !sealed || hash(&parts) != row.get::<_, [u8; 32]>(7)? {
                changed.push(id);
            }
        }
        Ok(changed)
    }
}

/// What a stored version was hashed from.
#[derive(Debug, Clone, Copy)]
pub struct StoredParts<'a> {
    /// Of the document.
    pub title: &'a str,
    /// Of the document.
    pub text: &'a str,
    /// Of the document.
    pub media_type: &'a str,
    /// Of the document: a JSON object as it was written.
    pub metadata: &'a str,
    /// Digest of the chunker and its options.
    pub chunker: &'a str,
    /// Digest of the model.
    pub model: &'a str,
}

fn unsealed_vectors(
    connection: &Connection,
    interrupt: &Interrupt,
) -> Result<Option<String>, IndexError> {
    let mut statement = connection.prepare("SELECT chunk, vector FROM vectors")?;
    let mut rows = statement.query([])?;
    let mut broken = 0_u64;
    while let Some(row) = rows.next()? {
        interrupt.check()?;
        let chunk = row.get::<_, i64>(0)?.unsigned_abs();
        broken += u64::from(decode(chunk, &row.get::<_, Vec<u8>>(1)?).is_err());
    }
    Ok((broken > 0).then(|| format!("{broken} vectors that are not as they were written")))
}

fn changed_texts(
    connection: &Connection,
    interrupt: &Interrupt,
) -> Result<Option<String>, IndexError> {
    let sql = "SELECT text, text_hash FROM chunks JOIN fts ON fts.rowid = chunks.id";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut changed = 0_u64;
    while let Some(row) = rows.next()? {
        interrupt.check()?;
        let hash = TextHash::of(&row.get::<_, String>(0)?).0;
        changed += u64::from(hash != row.get::<_, [u8; 32]>(1)?);
    }
    Ok((changed > 0).then(|| format!("{changed} chunks whose text is not as it was written")))
}

fn count(connection: &Connection, sql: &str) -> Result<i64, IndexError> {
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}
