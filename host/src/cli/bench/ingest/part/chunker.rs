//! The built-in chunker, linked as a library: the same code that the sandbox runs as a component.

use crate::corpus::{Chunk, CorpusError, Document};
use crate::embedder::Embedder;
use stockade_chunker::BuiltIn;
use stockade_guest::{Chunker, Document as GuestDocument, Options};

/// Why a document has no chunks.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChunkError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Spans(#[from] CorpusError),
}

/// A document's chunks, as the component would make them with its defaults, and checked as its are.
pub(super) fn chunks(
    embedder: &Embedder,
    media_type: &str,
    text: &str,
) -> Result<Vec<Chunk>, ChunkError> {
    let document = GuestDocument {
        id: String::new(),
        title: String::new(),
        media_type: media_type.to_owned(),
        text: text.to_owned(),
    };
    let tokens = |text: &str| embedder.token_ends(text);
    let pieces = BuiltIn::chunk(&document, &options(media_type), &tokens);
    let pieces = pieces.map_err(ChunkError::Refused)?;
    let chunks = pieces.into_iter().map(|piece| Chunk {
        start: piece.start,
        end: piece.end,
        labels: piece.labels,
    });
    let chunks: Vec<Chunk> = chunks.collect();
    Chunk::check_all(&chunks, text)?;
    Ok(chunks)
}

pub(super) fn of(embedder: &Embedder, document: &Document) -> Result<Vec<Chunk>, ChunkError> {
    chunks(embedder, &document.media_type, &document.text)
}

/// The defaults, with the strategy that a media type gets where nobody chose one.
fn options(media_type: &str) -> Options {
    let strategy = match media_type {
        "text/markdown" => "markdown",
        _ => "recursive",
    };
    let value = |name: &str, default: String| match name {
        "strategy" => strategy.to_owned(),
        _ => default,
    };
    let specs = BuiltIn::options().into_iter();
    let options = specs.map(|spec| (spec.name.clone(), value(&spec.name, spec.default)));
    Options::new(options.collect())
}
