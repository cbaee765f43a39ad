//! A flow is text being written with its breaks held back until the next word, so that neither
//! trailing nor doubled white space arises. Knows nothing of HTML.

/// What parts the next word from the one before; the greater wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Break {
    #[default]
    None,
    Space,
    Cell,
    Line,
    Paragraph,
}

impl Break {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Space => " ",
            Self::Cell => " | ",
            Self::Line => "\n",
            Self::Paragraph => "\n\n",
        }
    }
}

/// Text under construction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    text: String,
    pending: Break,
    /// An item began, and none of its words has come yet.
    item: bool,
}

impl Flow {
    /// Bytes written so far; held-back breaks do not count.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// At least `wanted` will part the next word from the last. Right behind an item's mark or a cell's
    /// bar nothing more than that is wanted.
    pub(super) fn part(&mut self, wanted: Break) {
        if !self.item && self.pending != Break::Cell || wanted == Break::Cell {
            self.pending = self.pending.max(wanted);
        }
    }

    /// Exactly `wanted` will, whatever was asked for before.
    pub(super) fn part_only(&mut self, wanted: Break) {
        self.pending = wanted;
    }

    /// An item of a list begins.
    pub(super) fn begin_item(&mut self) {
        self.item = false;
        self.pending = self.pending.max(Break::Line);
        self.item = true;
    }

    /// An item ends: without words it leaves no mark.
    pub(super) fn end_item(&mut self) {
        self.item = false;
        self.part(Break::Line);
    }

    /// Another forced line break: two in a row make a paragraph.
    pub(super) fn break_line(&mut self) {
        let wanted = if self.pending >= Break::Line {
            Break::Paragraph
        } else {
            Break::Line
        };
        self.part(wanted);
    }

    /// Words, their white space collapsed.
    pub(super) fn words(&mut self, text: &str) {
        for piece in text.split_inclusive(is_space) {
            let word = piece.trim_end_matches(is_space);
            if !word.is_empty() {
                self.settle();
                self.text.extend(word.chars().filter(|&c| !is_invisible(c)));
            }
            if word.len() < piece.len() {
                self.pending = self.pending.max(Break::Space);
            }
        }
    }

    /// Text whose white space is meant.
    pub(super) fn verbatim(&mut self, text: &str) {
        if !text.is_empty() {
            self.settle();
            self.text.extend(text.chars().filter(|&c| c != '\0'));
        }
    }

    /// The text, without white space at its end.
    pub(super) fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        self.text
    }

    fn settle(&mut self) {
        if self.pending >= Break::Line {
            self.text.truncate(self.text.trim_end().len());
        }
        if !self.text.is_empty() {
            self.text.push_str(self.pending.as_str());
        }
        self.pending = Break::None;
        if std::mem::take(&mut self.item) {
            self.text.push_str("- ");
        }
    }
}

/// White space that pages use for layout, the no-break space among it.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}' | '\u{a0}')
}

/// NUL, soft hyphens and zero-width spaces: on a page nobody sees them, in a search they part words.
fn is_invisible(c: char) -> bool {
    matches!(c, '\0' | '\u{ad}' | '\u{200b}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_held_back_and_never_doubled() {
        let mut flow = Flow::default();
        flow.part(Break::Paragraph);
        flow.words("  one \n two ");
        flow.part(Break::Line);
        flow.part(Break::Paragraph);
        flow.words(" three ");
        flow.part(Break::Paragraph);
        assert_eq!(flow.finish(), "one two\n\nthree");
    }

    #[test]
    fn verbatim_text_keeps_its_spaces_and_words_lose_the_invisible() {
        let mut flow = Flow::default();
        flow.words("soft\u{ad}ly\0");
        flow.part(Break::Paragraph);
        flow.verbatim("  a\n    b\n\n");
        flow.part(Break::Paragraph);
        flow.words("end");
        assert_eq!(flow.finish(), "softly\n\n  a\n    b\n\nend");
    }

    #[test]
    fn items_without_words_leave_no_mark() {
        let mut flow = Flow::default();
        flow.begin_item();
        flow.end_item();
        flow.begin_item();
        flow.part(Break::Paragraph);
        flow.words("word");
        flow.end_item();
        assert_eq!(flow.finish(), "- word");
    }
}
