//! The built-in chunker: one component, three strategies. It reads the options and hands the text to a
//! strategy; it knows nothing of headings, sentences or tokens itself.

mod boundary;
mod fixed;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed test says where"
)]
mod laws;
mod markdown;
mod outline;
mod piece;
mod recursive;
mod ruler;
#[cfg(test)]
mod testing;

use stockade_guest::{Chunk, Chunker, Document, OptionSpec, Options, Tokens, export_chunker};

use crate::ruler::Ruler;

/// The chunker.
#[derive(Debug)]
pub struct BuiltIn;

export_chunker!(BuiltIn);

/// How large chunks are, in the ruler's unit. `overlap < size`.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    size: u32,
    overlap: u32,
}

impl Chunker for BuiltIn {
    fn options() -> Vec<OptionSpec> {
        vec![
            OptionSpec::choice(
                "strategy",
                "recursive",
                &["recursive", "markdown", "fixed"],
                "Cut at paragraphs, lines, sentences, words; along a Markdown outline; or by count.",
            ),
            OptionSpec::integer(
                "size",
                1_000,
                1..=1_000_000,
                "The most that a chunk holds, in `unit`.",
            ),
            OptionSpec::integer(
                "overlap",
                200,
                0..=999_999,
                "The most that a chunk repeats of the one before, in `unit`; less than `size`.",
            ),
            OptionSpec::choice(
                "unit",
                "characters",
                &["characters", "tokens"],
                "What `size` and `overlap` count: Unicode characters, or the model's tokens.",
            ),
        ]
    }

    fn chunk(
        document: &Document,
        options: &Options,
        tokens: &impl Tokens,
    ) -> Result<Vec<Chunk>, String> {
        let strategy = options.text("strategy")?;
        let sizes = sizes(options)?;
        let text = document.text.as_str();
        let ends = match options.text("unit")? {
            "tokens" => Some(tokens.ends(text)),
            _ => None,
        };
        let ruler = match &ends {
            Some(ends) => Ruler::tokens(ends, text.len()),
            None => Ruler::characters(text),
        };
        Ok(match strategy {
            "markdown" => markdown::chunks(text, &ruler, sizes),
            "fixed" => plain(fixed::spans(text, &ruler, sizes)),
            _ => plain(recursive::spans(text, &ruler, sizes)),
        })
    }
}

fn sizes(options: &Options) -> Result<Sizes, String> {
    let (size, overlap) = (options.count("size")?, options.count("overlap")?);
    if overlap >= size {
        return Err(format!(
            "option `overlap` ({overlap}) must be less than `size` ({size})"
        ));
    }
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Sizes {
        size: number(size),
        overlap: number(overlap),
    })
}

fn plain(spans: Vec<piece::Span>) -> Vec<Chunk> {
    spans.into_iter().map(Chunk::new).collect()
}
