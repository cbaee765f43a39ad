//! Texts that are hard to cut, and what must hold of every cut.

use stockade_guest::{Chunk, Chunker, Document, Options};

use crate::BuiltIn;

/// Options of the built-in chunker.
pub(crate) fn options(strategy: &str, size: usize, overlap: usize, unit: &str) -> Options {
    Options::defaults(&BuiltIn::options())
        .with("strategy", strategy)
        .with("size", &size.to_string())
        .with("overlap", &overlap.to_string())
        .with("unit", unit)
}

/// `text` as a document.
pub(crate) fn document(text: &str) -> Document {
    Document {
        id: "d".to_owned(),
        title: String::new(),
        media_type: "text/plain".to_owned(),
        text: text.to_owned(),
    }
}

/// A model whose tokens are words of at most four characters.
pub(crate) fn tokens(text: &str) -> Vec<u32> {
    let mut ends = Vec::new();
    let mut length = 0;
    for (at, char) in text.char_indices() {
        if char.is_whitespace() {
            length = 0;
            continue;
        }
        let end = (at + char.len_utf8()) as u32;
        if length % 4 == 0 {
            ends.push(end);
        } else if let Some(last) = ends.last_mut() {
            *last = end;
        }
        length += 1;
    }
    ends
}

/// The chunks of `text`.
pub(crate) fn chunks(text: &str, options: &Options) -> Result<Vec<Chunk>, String> {
    BuiltIn::chunk(&document(text), options, &tokens)
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A text of `parts` parts, many of which are somebody's special case.
    pub(crate) fn text(&mut self, parts: usize) -> String {
        const PARTS: &[&str] = &[
            "word",
            "a",
            " ",
            " ",
            " ",
            ". ",
            "! ",
            "\n",
            "\n\n",
            "\r\n",
            "\t",
            "é",
            "漢字",
            "。",
            "👩‍👩‍👧",
            "e\u{301}",
            "\u{a0}",
            "\u{3000}",
            "# ",
            "- ",
            "> ",
            "```\n",
            "| x |",
            "longerwordthanothers",
            "\0",
            "🇩🇪",
            "---\n",
        ];
        (0..parts).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
}
