//! Strategy `fixed`: a chunk every `size - overlap` units, `size` units long, whatever stands there.

use crate::Sizes;
use crate::piece::Span;
use crate::ruler::Ruler;

/// The chunks of `text`, without the white space at their ends. One that adds nothing to the chunk
/// before it is left out.
pub(crate) fn spans(text: &str, ruler: &Ruler<'_>, sizes: Sizes) -> Vec<Span> {
    let step = sizes.size - sizes.overlap;
    let (mut from, mut before) = (0, 0);
    let (mut to, mut until) = (ruler.reach(0, 0, sizes.size), sizes.size);
    // What follows walks forwards only, so that an overlap near the size costs no further pass.
    let (mut ink, mut seen) = (0, 0);
    let mut spans = Vec::new();
    loop {
        let added = text[seen..to].trim_end().len();
        if added > 0 {
            ink = next_ink(text, from.max(ink));
            spans.push(ink..seen + added);
        }
        if to == text.len() {
            return spans;
        }
        seen = to;
        from = ruler.reach(from, before, step);
        before += step;
        to = ruler.reach(to, until, step);
        until += step;
    }
}

/// Where the first character at or after `at` is that is no white space.
fn next_ink(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}
