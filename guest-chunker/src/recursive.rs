//! Strategy `recursive`: cut at the coarsest boundary that makes pieces fit, then merge neighbours into
//! chunks. It knows nothing of headings.

use crate::Sizes;
use crate::boundary::{Level, between_graphemes};
use crate::piece::{Piece, Span, merge, trimmed};
use crate::ruler::{Ruler, offset};

/// The chunks of `text`.
pub(crate) fn spans(text: &str, ruler: &Ruler<'_>, sizes: Sizes) -> Vec<Span> {
    let span = trimmed(text, 0..text.len());
    let before = ruler.advance(0, 0, span.start);
    within(text, span, before, ruler, sizes)
}

/// The chunks of `span`, which has no white space at its ends; `before` is the text's units before it.
pub(crate) fn within(
    text: &str,
    span: Span,
    before: u32,
    ruler: &Ruler<'_>,
    sizes: Sizes,
) -> Vec<Span> {
    if span.is_empty() {
        return Vec::new();
    }
    if ruler.advance(span.start, before, span.end) - before <= sizes.size {
        return vec![span];
    }
    let mut cutter = Cutter {
        text,
        ruler,
        size: sizes.size,
        grain: grain(sizes),
        least: least(sizes),
        pieces: Vec::new(),
    };
    cutter.cut(Level::Paragraph, span, before);
    merge(&cutter.pieces, sizes)
}

/// How many letters make a piece where nothing else does: a common divisor lets chunks and overlaps
/// come out exact, and a lower bound keeps a long word from becoming a piece a letter.
fn grain(sizes: Sizes) -> u32 {
    let (mut divisor, mut rest) = (sizes.size, sizes.overlap);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    divisor.max(sizes.size / 64)
}

/// The least bytes of a piece, but for the last of its kind: lines of one word each would otherwise
/// make more pieces than a policy's fuel allows. Small against the overlap, so as not to be seen.
fn least(sizes: Sizes) -> usize {
    let visible = match sizes.overlap {
        0 => sizes.size / 4,
        overlap => overlap.min(sizes.size / 4),
    };
    visible as usize / 8
}

struct Cutter<'a> {
    text: &'a str,
    ruler: &'a Ruler<'a>,
    size: u32,
    grain: u32,
    least: usize,
    pieces: Vec<Piece>,
}

impl Cutter<'_> {
    /// Adds the pieces of `span`, which is too long to be one. `before` is the text's units before it.
    /// Calls itself once a level at most.
    fn cut(&mut self, level: Level, span: Span, mut before: u32) {
        let mut at = span.start;
        while at < span.end {
            let next = self.next(level, at..span.end, before);
            if at == span.start && next == span.end && level != Level::Letters {
                return self.cut(level.finer(), span, before);
            }
            before = self.add(level, at..next, before);
            at = next;
        }
    }

    /// Where the first piece of `rest` ends.
    fn next(&self, level: Level, rest: Span, before: u32) -> usize {
        if level != Level::Letters {
            let from = (rest.start + self.least).min(rest.end);
            let from = self.text.floor_char_boundary(from).max(rest.start);
            return from + level.first(&self.text[from..rest.end]);
        }
        let mut count = self.grain;
        loop {
            let reached = self.ruler.reach(rest.start, before, count).min(rest.end);
            // Several tokens may end at one place.
            if reached > rest.start {
                return between_graphemes(self.text, rest.start, reached);
            }
            count += 1;
        }
    }

    /// Adds `span` as a piece, or cut finer where it is too long. Returns the units before its end.
    fn add(&mut self, level: Level, span: Span, before: u32) -> u32 {
        let inner = trimmed(self.text, span.clone());
        if inner.is_empty() {
            return self.ruler.advance(span.start, before, span.end);
        }
        let before = self.ruler.advance(span.start, before, inner.start);
        let until = self.ruler.advance(inner.start, before, inner.end);
        if until - before <= self.size || level == Level::Letters {
            self.pieces.push(Piece {
                start: offset(inner.start),
                end: offset(inner.end),
                before,
                until,
            });
        } else {
            self.cut(level.finer(), inner.clone(), before);
        }
        self.ruler.advance(inner.end, until, span.end)
    }
}
