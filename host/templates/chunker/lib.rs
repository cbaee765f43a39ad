//! A chunker: paragraphs, as many to a chunk as fit. Replace it by your own way to cut; tests/native.rs tries it
//! without Stockade.

use std::ops::Range;

use stockade_guest::{
    Chunk, Chunker, Document, OptionSpec, Options, Setting, Tokens, export_chunker,
};

/// The chunker.
#[derive(Debug)]
pub struct Paragraphs;

export_chunker!(Paragraphs);

const TOKENS: Setting<usize> = Setting::count(
    "tokens",
    200,
    1..=10_000,
    "Tokens of a chunk; one paragraph may have more.",
);

impl Chunker for Paragraphs {
    fn options() -> Vec<OptionSpec> {
        vec![TOKENS.spec()]
    }

    fn chunk(
        document: &Document,
        options: &Options,
        tokens: &impl Tokens,
    ) -> Result<Vec<Chunk>, String> {
        let most = options.get(&TOKENS)?;
        let ends = tokens.ends(&document.text);
        let mut chunks: Vec<Chunk> = Vec::new();
        for paragraph in paragraphs(&document.text) {
            let grown = chunks
                .last()
                .map(|last| last.span().start..paragraph.end)
                .filter(|span| tokens_in(&ends, span) <= most);
            match grown {
                Some(span) => {
                    chunks.pop();
                    chunks.push(Chunk::new(span));
                }
                None => chunks.push(Chunk::new(paragraph)),
            }
        }
        Ok(chunks)
    }
}

/// What stands between empty lines, without the spaces around it.
fn paragraphs(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for part in text.split("\n\n") {
        let start = at + part.len() - part.trim_start().len();
        let end = at + part.trim_end().len();
        if start < end {
            found.push(start..end);
        }
        at += part.len() + "\n\n".len();
    }
    found
}

/// How many of the tokens that end at `ends` end in `span`.
fn tokens_in(ends: &[u32], span: &Range<usize>) -> usize {
    let up_to = |byte: usize| ends.partition_point(|&end| end as usize <= byte);
    up_to(span.end) - up_to(span.start)
}
