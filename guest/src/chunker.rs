//! A chunker: what it is given, what it returns, and how it becomes a component. It knows nothing of
//! any way to cut.

use std::marker::PhantomData;
use std::ops::Range;

use crate::bindings::chunker as world;
use crate::{OptionSpec, Options};

pub use world::exports::stockade::plugin::chunking::{Document, Piece as Chunk};

/// Cuts documents into chunks.
pub trait Chunker {
    /// The options that `chunk` understands.
    fn options() -> Vec<OptionSpec>;

    /// Cuts `document`: chunks ordered by start, then by end, none twice. No chunks is a document
    /// without content. The error is a sentence for the person whose document it is, and fails this
    /// document alone.
    fn chunk(
        document: &Document,
        options: &Options,
        tokens: &impl Tokens,
    ) -> Result<Vec<Chunk>, String>;
}

impl Chunk {
    /// The byte range `span` of the document, without labels. No document reaches 4 GiB: it would not
    /// fit a guest's memory.
    pub fn new(span: Range<usize>) -> Self {
        let byte = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: byte(span.start),
            end: byte(span.end),
            labels: Vec::new(),
        }
    }

    /// The same chunk with one more label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its bytes in the document's text.
    pub fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Where the model's tokens end. A closure will do in a test.
pub trait Tokens {
    /// The byte offset in `text` at which each token ends, ascending; empty when the model makes no
    /// token of it. One call a document is enough.
    fn ends(&self, text: &str) -> Vec<u32>;
}

impl<F: Fn(&str) -> Vec<u32>> Tokens for F {
    fn ends(&self, text: &str) -> Vec<u32> {
        self(text)
    }
}

/// The host's own tokens. Only a component has a host: a native call panics.
#[derive(Clone, Copy, Debug)]
pub struct HostTokens;

impl Tokens for HostTokens {
    fn ends(&self, text: &str) -> Vec<u32> {
        world::stockade::plugin::tokens::ends(text)
    }
}

/// Carries `C` across the component boundary.
#[derive(Debug)]
pub struct ExportedChunker<C>(PhantomData<C>);

impl<C: Chunker> world::Guest for ExportedChunker<C> {
    fn describe() -> Vec<OptionSpec> {
        C::options()
    }
}

impl<C: Chunker> world::exports::stockade::plugin::chunking::Guest for ExportedChunker<C> {
    fn chunk(document: Document, options: Vec<(String, String)>) -> Result<Vec<Chunk>, String> {
        C::chunk(&document, &Options::new(options), &HostTokens)
    }
}

/// Makes a component of world `chunker` out of a type that implements [`Chunker`]. Outside of a Wasm
/// build it checks the type and exports nothing, so that chunkers can be linked into one test.
#[macro_export]
macro_rules! export_chunker {
    ($chunker:ty) => {
        const _: () = {
            #[allow(
                dead_code,
                reason = "natively, naming the type is all the check there is"
            )]
            type Exported = $crate::ExportedChunker<$chunker>;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::chunker::export_world!(
                Exported with_types_in $crate::bindings::chunker
            );
        };
    };
}
