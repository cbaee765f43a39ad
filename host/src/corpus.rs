//! The nouns of retrieval: tenants, documents, chunks, embeddings, passages, filters.
//!
//! Each checks itself when it is made and is trusted afterwards. Nothing here knows where it is
//! stored, who computed it, or what it costs.

mod filter;

pub use filter::{Condition, Filter, FilterError, MAX_FILTER_DEPTH};

use crate::guard::{self, Guard};
use serde::{Deserialize, Serialize};

/// Numbers in an embedding.
pub const DIMENSIONS: usize = 384;

/// The longest document id, in bytes.
pub const MAX_DOCUMENT_ID: usize = 1_024;

/// The owner of plugins, documents and a policy: `^[a-z0-9][a-z0-9-]{0,62}$`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// Checks `name`. The name is safe as a file name.
    pub fn new(name: &str) -> Result<Self, CorpusError> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = name.as_bytes();
        let fits = matches!(bytes.len(), 1..=63) && legal(bytes[0]);
        let fits = fits && bytes.iter().all(|&b| legal(b) || b == b'-');
        if !fits && guard::stands(Guard::TenantName) {
            return Err(CorpusError::TenantName(shorten(name, 80)));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for TenantId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for TenantId {
    type Err = CorpusError;
    fn from_str(name: &str) -> Result<Self, CorpusError> {
        Self::new(name)
    }
}

impl TryFrom<String> for TenantId {
    type Error = CorpusError;
    fn try_from(name: String) -> Result<Self, CorpusError> {
        Self::new(&name)
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

/// A document's metadata: a JSON object, at most 64 KiB when written.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// A document as a loader hands it over. `id` is not empty, at most [`MAX_DOCUMENT_ID`] bytes and free of
/// control characters; `title` may be empty; `text` may be empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The id that the tenant chose; unique within the tenant.
    pub id: String,
    /// The title; empty when it has none.
    pub title: String,
    /// `text/plain`, `text/markdown`, `text/html`, …
    pub media_type: String,
    /// The text that is stored and that spans index.
    pub text: String,
    /// Whatever the source said of it.
    pub metadata: Metadata,
}

/// Whether `id` can name a document: not empty, not too long, no control characters.
pub fn check_document_id(id: &str) -> Result<(), CorpusError> {
    if id.is_empty() || id.len() > MAX_DOCUMENT_ID || id.chars().any(char::is_control) {
        return Err(CorpusError::DocumentId(shorten(id, 80)));
    }
    Ok(())
}

/// A chunk's number within its tenant. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(pub u64);

/// A piece of a document: bytes `[start, end)` of its text, with labels.
///
/// Made only by [`Chunk::check_all`], so the span lies on character boundaries and is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Names and values that the chunker attached.
    pub labels: Vec<(String, String)>,
}

impl Chunk {
    /// The chunk's text within its document's.
    pub fn text<'a>(&self, document: &'a str) -> &'a str {
        document
            .get(self.start as usize..self.end as usize)
            .unwrap_or_default()
    }

    /// Checks that every span lies in `text` on character boundaries, is not empty, and that all are
    /// ordered by start, then end, none twice. The error names the first that does not.
    pub fn check_all(chunks: &[Self], text: &str) -> Result<(), CorpusError> {
        let mut before = None;
        for (ordinal, chunk) in chunks.iter().enumerate() {
            let wrong = |what| CorpusError::Span {
                ordinal,
                start: chunk.start,
                end: chunk.end,
                what,
            };
            let (start, end) = (chunk.start as usize, chunk.end as usize);
            if start >= end {
                return Err(wrong("is empty or reversed"));
            }
            if end > text.len() {
                return Err(wrong("ends beyond the text"));
            }
            if !text.is_char_boundary(start) || !text.is_char_boundary(end) {
                return Err(wrong("cuts a character"));
            }
            if before.is_some_and(|b| b >= (start, end)) {
                return Err(wrong("is not in ascending order"));
            }
            before = Some((start, end));
        }
        Ok(())
    }
}

/// A point of the model's space: [`DIMENSIONS`] finite numbers of unit length (within 1e-3).
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

impl Embedding {
    /// Checks `values`.
    pub fn new(values: Vec<f32>) -> Result<Self, CorpusError> {
        if values.len() != DIMENSIONS {
            return Err(CorpusError::Embedding("has the wrong number of dimensions"));
        }
        let norm: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        if !norm.is_finite() && guard::stands(Guard::FiniteVector) {
            return Err(CorpusError::Embedding("is not finite"));
        }
        if (norm.sqrt() - 1.0).abs() > 1e-3 && guard::stands(Guard::UnitVector) {
            return Err(CorpusError::Embedding("is not of unit length"));
        }
        Ok(Self(values.into_boxed_slice()))
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

/// A chunk found by a search. Higher scores are better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Which chunk.
    pub chunk: ChunkId,
    /// Comparable within one search only.
    pub score: f32,
}

/// Orders hits best first, ties by chunk id.
pub fn best_first(a: &Hit, b: &Hit) -> std::cmp::Ordering {
    b.score
        .total_cmp(&a.score)
        .then_with(|| a.chunk.cmp(&b.chunk))
}

/// A chunk with its text and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// Which chunk.
    pub chunk: ChunkId,
    /// Its document's id.
    pub document: String,
    /// Its document's title; empty when it has none.
    pub title: String,
    /// The chunk's text.
    pub text: String,
    /// First byte in the document's text.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// The chunk's place in its document, from 0.
    pub ordinal: u32,
    /// What its chunker labelled it with.
    pub labels: Vec<(String, String)>,
    /// Its document's metadata, a JSON object as text.
    pub metadata: String,
}

/// A noun that is not what it should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CorpusError {
    /// Not a tenant's name.
    #[error("'{0}' is not a tenant name: 1 to 63 of a-z, 0-9 and '-', not beginning with '-'")]
    TenantName(String),
    /// Not a document id.
    #[error("'{0}' is not a document id: 1 to 1024 bytes without control characters")]
    DocumentId(String),
    /// A chunk's span does not fit its document.
    #[error("chunk {ordinal} with span [{start}, {end}) {what}")]
    Span {
        /// Which chunk of the list, from 0.
        ordinal: usize,
        /// Its first byte.
        start: u32,
        /// One past its last byte.
        end: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Not an embedding.
    #[error("the vector {0}")]
    Embedding(&'static str),
}

impl crate::error::Explain for CorpusError {
    fn code(&self) -> &'static str {
        match self {
            Self::TenantName(_) => "tenant-name",
            Self::DocumentId(_) => "document-id",
            Self::Span { .. } => "span",
            Self::Embedding(_) => "embedding",
        }
    }
    fn blame(&self) -> crate::error::Blame {
        match self {
            Self::TenantName(_) | Self::DocumentId(_) => crate::error::Blame::Caller,
            Self::Span { .. } => crate::error::Blame::Guest,
            Self::Embedding(_) => crate::error::Blame::Host,
        }
    }
}

/// `text` cut to at most `limit` bytes on a character boundary, control characters escaped, with an
/// ellipsis where something was cut. For messages.
pub fn shorten(text: &str, limit: usize) -> String {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = String::with_capacity(end);
    for c in text[..end].chars() {
        if c.is_control() && guard::stands(Guard::ControlCharacters) {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    if end < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_names_are_safe_as_file_names() {
        for good in ["a", "acme", "0-9", &"a".repeat(63)] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a/b", "..", "a b", "é", &"a".repeat(64)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_outside_the_text_or_inside_a_character_are_refused() {
        let span = |start, end| Chunk {
            start,
            end,
            labels: vec![],
        };
        let text = "aé";
        assert!(Chunk::check_all(&[span(0, 1), span(1, 3)], text).is_ok());
        for bad in [span(0, 0), span(1, 0), span(0, 4), span(0, 2), span(2, 3)] {
            assert!(
                Chunk::check_all(std::slice::from_ref(&bad), text).is_err(),
                "{bad:?}"
            );
        }
        assert!(Chunk::check_all(&[span(0, 1), span(0, 1)], text).is_err());
        assert!(Chunk::check_all(&[span(1, 3), span(0, 1)], text).is_err());
    }

    #[test]
    fn embeddings_are_finite_and_of_unit_length() {
        let mut unit = vec![0.0; DIMENSIONS];
        unit[7] = 1.0;
        assert!(Embedding::new(unit.clone()).is_ok());
        for bad in [f32::NAN, f32::INFINITY, 0.0, 2.0] {
            let mut wrong = unit.clone();
            wrong[7] = bad;
            assert!(Embedding::new(wrong).is_err(), "{bad}");
        }
        assert!(Embedding::new(vec![1.0]).is_err());
    }

    #[test]
    fn shortening_keeps_characters_whole_and_escapes_controls() {
        assert_eq!(shorten("aé", 2), "a…");
        assert_eq!(shorten("a\u{1b}[0m", 80), "a\\u{1b}[0m");
    }
}
