//! A ruler counts a text's units, characters or tokens, from one byte offset to the next. Every walk
//! goes forwards, so that measuring a text piece by piece costs one pass. It knows no boundaries.

/// Counts units between byte offsets of one text.
#[derive(Debug)]
pub(crate) enum Ruler<'a> {
    /// A text of bytes below 0x80, and its length: an offset is its own count.
    Ascii(usize),
    /// Any text, counted in Unicode scalar values.
    Characters(&'a str),
    /// Any text, counted by the ends of its tokens, and how long it is.
    Tokens(&'a [u32], usize),
}

impl<'a> Ruler<'a> {
    pub(crate) fn characters(text: &'a str) -> Self {
        if text.is_ascii() {
            Self::Ascii(text.len())
        } else {
            Self::Characters(text)
        }
    }

    pub(crate) fn tokens(ends: &'a [u32], length: usize) -> Self {
        Self::Tokens(ends, length)
    }

    /// The units before byte `to`, when `units` of them are before `from`. `from <= to`.
    pub(crate) fn advance(&self, from: usize, units: u32, to: usize) -> u32 {
        match self {
            Self::Ascii(_) => units + offset(to - from),
            Self::Characters(text) => units + offset(text[from..to].chars().count()),
            Self::Tokens(ends, _) => {
                let rest = &ends[units as usize..];
                units + offset(rest.iter().take_while(|&&end| end as usize <= to).count())
            }
        }
    }

    /// The byte offset `count` units after `from`, before which there are `units`; the text's end when
    /// no unit is left after them, so that the last one takes what the model makes no token of.
    pub(crate) fn reach(&self, from: usize, units: u32, count: u32) -> usize {
        match self {
            Self::Ascii(length) => (from + count as usize).min(*length),
            _ if count == 0 => from,
            Self::Characters(text) => {
                let mut rest = text[from..].chars();
                // Of all ways to walk a string this one skips whole blocks.
                rest.nth(count as usize - 1);
                text.len() - rest.as_str().len()
            }
            Self::Tokens(ends, length) => match ends.get((units + count - 1) as usize..) {
                Some([end, _, ..]) => *end as usize,
                _ => *length,
            },
        }
    }
}

/// Texts are shorter than 4 GiB: they fit a 32-bit memory.
pub(crate) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_scalar_values() {
        let text = "aé漢😀";
        let ruler = Ruler::characters(text);
        assert_eq!(ruler.advance(0, 0, text.len()), 4);
        assert_eq!(ruler.advance(3, 2, text.len()), 4);
        assert_eq!(ruler.reach(1, 1, 2), 6);
        assert_eq!(ruler.reach(1, 1, 9), text.len());
    }

    #[test]
    fn tokens_count_where_they_end() {
        let ruler = Ruler::tokens(&[2, 5, 5, 9], 12);
        assert_eq!(ruler.advance(0, 0, 5), 3);
        assert_eq!(ruler.advance(5, 3, 12), 4);
        assert_eq!(ruler.reach(0, 0, 2), 5);
        assert_eq!(ruler.reach(5, 3, 1), 12);
        assert_eq!(ruler.reach(5, 3, 2), 12);
    }
}
