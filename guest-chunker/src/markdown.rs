//! Strategy `markdown`: chunks along the outline. A heading stays with what follows it, a block stays
//! whole where it fits, and what does not fit is cut as plain text. It knows nothing of how blocks
//! are found.

use stockade_guest::Chunk;

use crate::Sizes;
use crate::outline::{Block, Heading, Outline};
use crate::piece::{Piece, Span, trimmed};
use crate::recursive;
use crate::ruler::{Ruler, offset};

/// The label that holds the headings above a chunk: `Guide > Install`.
const LABEL: &str = "headings";
/// The most bytes that the label takes: it is repeated with every chunk, and the output has a limit.
const LABEL_MAX: usize = 160;
/// What stands between two headings of the label.
const SEPARATOR: &str = " > ";

/// The chunks of `text`.
pub(crate) fn chunks(text: &str, ruler: &Ruler<'_>, sizes: Sizes) -> Vec<Chunk> {
    let whole = ruler.advance(0, 0, text.len()) <= sizes.size;
    let mut packer = Packer {
        text,
        ruler,
        sizes,
        // A text that fits is one chunk, whatever its sections.
        section_min: if whole { u32::MAX } else { sizes.size / 4 },
        path: Path::default(),
        measured_to: (0, 0),
        open: None,
        chunks: Vec::new(),
    };
    let mut heads: Option<usize> = None;
    for Block { span, heading } in Outline::of(text) {
        let start = heads.unwrap_or(span.start);
        match heading {
            Some(heading) => {
                packer.path.enter(heading);
                heads = Some(start);
            }
            None => {
                packer.add(start..span.end, heads.is_some());
                heads = None;
            }
        }
    }
    if let Some(start) = heads {
        packer.add(start..text.len(), true);
    }
    packer.close();
    packer.chunks
}

/// Fills chunks with units: a block and the headings right above it.
struct Packer<'a> {
    text: &'a str,
    ruler: &'a Ruler<'a>,
    sizes: Sizes,
    /// A chunk shorter than this takes in the section that follows.
    section_min: u32,
    path: Path,
    /// How far the text is measured, in bytes and in units.
    measured_to: (usize, u32),
    /// The chunk being filled, and its label.
    open: Option<(Piece, String)>,
    chunks: Vec<Chunk>,
}

impl Packer<'_> {
    fn add(&mut self, span: Span, section: bool) {
        let unit = self.measured(trimmed(self.text, span));
        if unit.start == unit.end {
            return;
        }
        if self.joins(unit, section) {
            if let Some((open, _)) = &mut self.open {
                (open.end, open.until) = (unit.end, unit.until);
            }
            return;
        }
        self.close();
        if unit.until - unit.before > self.sizes.size {
            self.cut(unit);
        } else {
            self.open = Some((unit, self.path.label(self.text)));
        }
    }

    /// Whether the open chunk takes `unit` in.
    fn joins(&self, unit: Piece, section: bool) -> bool {
        self.open.as_ref().is_some_and(|(open, _)| {
            let room = unit.until - open.before <= self.sizes.size;
            room && !(section && open.until - open.before >= self.section_min)
        })
    }

    fn close(&mut self) {
        if let Some((open, label)) = self.open.take() {
            self.push(open.start as usize..open.end as usize, &label);
        }
    }

    fn cut(&mut self, unit: Piece) {
        let label = self.path.label(self.text);
        let span = unit.start as usize..unit.end as usize;
        let spans = recursive::within(self.text, span, unit.before, self.ruler, self.sizes);
        for span in spans {
            self.push(span, &label);
        }
    }

    fn push(&mut self, span: Span, label: &str) {
        let chunk = Chunk::new(span);
        self.chunks.push(match label {
            "" => chunk,
            label => chunk.label(LABEL, label),
        });
    }

    /// Units are measured in order, each from where the last one ended.
    fn measured(&mut self, span: Span) -> Piece {
        let (from, units) = self.measured_to;
        let before = self.ruler.advance(from, units, span.start);
        let until = self.ruler.advance(span.start, before, span.end);
        self.measured_to = (span.end, until);
        Piece {
            start: offset(span.start),
            end: offset(span.end),
            before,
            until,
        }
    }
}

/// The headings above the current block, highest first.
#[derive(Default)]
struct Path(Vec<Heading>);

impl Path {
    fn enter(&mut self, heading: Heading) {
        self.0.retain(|above| above.level < heading.level);
        self.0.push(heading);
    }

    /// The path, its nearest headings first to find room; empty when there is none.
    fn label(&self, text: &str) -> String {
        let mut parts: Vec<&str> = Vec::new();
        let mut room = LABEL_MAX;
        for heading in self.0.iter().rev() {
            let words = &text[words(text, heading.text.clone())];
            let words = &words[..words.floor_char_boundary(room)];
            room = room.saturating_sub(words.len() + SEPARATOR.len());
            if !words.is_empty() {
                parts.push(words);
            }
        }
        parts.reverse();
        parts.join(SEPARATOR).replace(['\n', '\r'], " ")
    }
}

/// The words of a heading, without the marks around them.
fn words(text: &str, span: Span) -> Span {
    let line = &text[span.clone()];
    let opened = line.trim_start().trim_start_matches('#').trim_start();
    let start = span.end - opened.len();
    let closed = opened.trim_end();
    let inner = closed.trim_end_matches('#');
    // Closing marks stand apart: `C#` keeps its own.
    let marks = inner.is_empty() || inner.ends_with([' ', '\t']);
    let kept = if marks { inner.trim_end() } else { closed };
    start..start + kept.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, size: u32) -> Vec<(String, String)> {
        let ruler = Ruler::characters(text);
        let label = |chunk: &Chunk| {
            chunk
                .labels
                .first()
                .map_or("-", |(_, value)| value)
                .to_owned()
        };
        chunks(text, &ruler, Sizes { size, overlap: 0 })
            .iter()
            .map(|chunk| (text[chunk.span()].to_owned(), label(chunk)))
            .collect()
    }

    #[test]
    fn a_heading_stays_with_what_follows_and_labels_it() {
        let text = "intro here\n\n# A\n\n## B\n\nbee bee bee\n\n## C ##\n\nsea sea sea\n\n# D\ndee";
        let found = cut(text, 30);
        let expected = [
            ("intro here", "-"),
            ("# A\n\n## B\n\nbee bee bee", "A > B"),
            ("## C ##\n\nsea sea sea", "A > C"),
            ("# D\ndee", "D"),
        ];
        assert_eq!(found.len(), expected.len());
        for (found, (text, label)) in found.iter().zip(expected) {
            assert_eq!((found.0.as_str(), found.1.as_str()), (text, label));
        }
    }

    #[test]
    fn a_text_that_fits_is_one_chunk() {
        let text = "# A\n\na\n\n# B\n\nb\n";
        assert_eq!(
            cut(text, 100),
            [(text.trim_end().to_owned(), "A".to_owned())]
        );
        assert!(cut(" \n", 100).is_empty());
    }

    #[test]
    fn a_code_block_is_whole_where_it_fits_and_cut_where_not() {
        let code = "```\nlet a = 1;\n\nlet b = 2;\n```";
        let text = format!("some words before it\n\n{code}\n\nsome words after it");
        let whole = cut(&text, 40);
        assert!(whole.iter().any(|(chunk, _)| chunk == code), "{whole:?}");
        let cut = cut(&text, 20);
        assert!(cut.iter().all(|(chunk, _)| chunk.len() <= 20), "{cut:?}");
    }

    #[test]
    fn headings_without_text_are_kept() {
        let found = cut("# A\n\ntext text\n\n# B\n", 15);
        assert_eq!(found[1], ("# B".to_owned(), "B".to_owned()));
    }

    #[test]
    fn labels_have_a_greatest_length() {
        let text = format!("# {}\n\n## {}\n\nx", "é".repeat(300), "b".repeat(100));
        let found = cut(&text, 1_000);
        assert!(found[0].1.len() <= LABEL_MAX);
        assert!(found[0].1.ends_with(&"b".repeat(100)));
    }

    #[test]
    fn marks_of_a_heading_are_not_its_words() {
        for (line, expected) in [
            ("## A ##", "A"),
            (" # C# ", "C#"),
            ("###", ""),
            ("# ##", ""),
        ] {
            assert_eq!(&line[words(line, 0..line.len())], expected, "{line}");
        }
    }
}
