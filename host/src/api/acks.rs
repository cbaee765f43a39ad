//! One document's end as a line of JSON.

use super::ErrorJson;
use crate::runtime as rt;
use serde::Serialize;

/// A line of `ingest --acks`: what became of a document, durably.
#[derive(Debug, Serialize)]
pub struct AckJson<'a> {
    /// Its id, or `file:line` where it has none.
    pub document: &'a str,
    /// `added`, `replaced`, `unchanged`, `deleted` or `failed`.
    pub outcome: rt::Outcome,
    /// Chunks that it has now; 0 where it is gone or failed.
    pub chunks: u64,
    /// Why it failed; null where it did not.
    pub error: Option<ErrorJson>,
}

impl<'a> From<&rt::Ack<'a>> for AckJson<'a> {
    fn from(ack: &rt::Ack<'a>) -> Self {
        Self {
            document: ack.document,
            outcome: ack.outcome,
            chunks: ack.chunks,
            error: ack.failure.map(ErrorJson::from),
        }
    }
}
