//! A document cut as the host would have it cut: options checked, the chunker run, its chunks held to the host's
//! rules. It knows no way to cut.

pub use super::words::token_ends;
use crate::{Chunk, Chunker, Document, Options};

/// What a chunker's answer must keep to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkRules {
    /// Chunks of one document.
    pub chunks_max: usize,
    /// Bytes of all chunks together / bytes of the document.
    pub overlap_ratio_max: f64,
}

impl Default for ChunkRules {
    /// As the shipped policy `default` says.
    fn default() -> Self {
        Self {
            chunks_max: 10_000,
            overlap_ratio_max: 4.0,
        }
    }
}

impl ChunkRules {
    /// Whether the host would take `chunks` for `text`; the error says what it would refuse.
    pub fn check(&self, text: &str, chunks: &[Chunk]) -> Result<(), String> {
        if chunks.len() > self.chunks_max {
            let (found, most) = (chunks.len(), self.chunks_max);
            return Err(format!("{found} chunks (chunks_max {most})"));
        }
        let mut before = None;
        for (ordinal, chunk) in chunks.iter().enumerate() {
            let (start, end) = (chunk.span().start, chunk.span().end);
            let wrong = |what: &str| Err(format!("chunk {ordinal}, {start} to {end}, {what}"));
            if start >= end {
                return wrong("is empty or reversed");
            }
            if end > text.len() {
                return wrong("ends beyond the text");
            }
            if !text.is_char_boundary(start) || !text.is_char_boundary(end) {
                return wrong("cuts a character");
            }
            if before.is_some_and(|before| before >= (start, end)) {
                return wrong("is not in ascending order");
            }
            before = Some((start, end));
        }
        let covered: usize = chunks.iter().map(|chunk| chunk.span().len()).sum();
        let ratio = covered as f64 / text.len().max(1) as f64;
        if ratio > self.overlap_ratio_max {
            let most = self.overlap_ratio_max;
            return Err(format!(
                "the chunks together are {ratio:.2} times as long as the document (overlap_ratio_max {most})"
            ));
        }
        Ok(())
    }
}

/// A plain text to cut: without a title, of media type `text/plain`.
pub fn document(text: &str) -> Document {
    Document {
        id: "test".to_owned(),
        title: String::new(),
        media_type: "text/plain".to_owned(),
        text: text.to_owned(),
    }
}

/// Cuts `document` by chunker `C`, with the options that are given and the defaults of the others, and
/// [`token_ends`] for the model's tokens. The error is what the host would refuse or stop it with.
pub fn cut<C: Chunker>(document: &Document, given: &[(&str, &str)]) -> Result<Vec<Chunk>, String> {
    let options = Options::resolve(&C::options(), given)?;
    let chunks = C::chunk(document, &options, &token_ends)
        .map_err(|said| format!("the chunker refused: {said}"))?;
    ChunkRules::default().check(&document.text, &chunks)?;
    Ok(chunks)
}

/// The chunks' texts.
pub fn texts<'a>(document: &'a Document, chunks: &[Chunk]) -> Vec<&'a str> {
    let text = |chunk: &Chunk| document.text.get(chunk.span()).unwrap_or_default();
    chunks.iter().map(text).collect()
}
