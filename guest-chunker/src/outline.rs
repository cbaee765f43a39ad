//! The blocks of a Markdown text, read line by line: headings, fenced code, list items, and what blank
//! lines separate. It knows nothing of what a line says inside, nor of nesting: a block quote or an
//! item with all that it contains is one block.
//!
//! A full Markdown parser was measured first (pulldown-cmark 0.13, natively): 100,000 lines after 1,000
//! nested quotes, 0.2 MB, took it 0.33 s, and a MiB of `[` 0.27 s, beyond what a policy's fuel allows.
//! Here a line is looked at twice at most, whatever it contains; a test compares the headings.

use crate::boundary::line_feed;
use crate::piece::Span;

/// A block.
#[derive(Debug)]
pub(crate) struct Block {
    /// Its lines, without the last line feed.
    pub(crate) span: Span,
    /// Set when it is a heading.
    pub(crate) heading: Option<Heading>,
}

/// A heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// 1 to 6; 1 is the highest.
    pub(crate) level: u8,
    /// Its line, or the lines above its underline.
    pub(crate) text: Span,
}

/// The blocks of a text, in order.
#[derive(Debug)]
pub(crate) struct Outline<'a> {
    text: &'a str,
    at: usize,
}

/// A line: its bytes without the line feed.
type Line = Span;

/// What a line begins.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Blank,
    /// A heading of that level.
    Heading(u8),
    /// A code fence: its mark, and how many of them.
    Fence(u8, usize),
    /// A list item whose content is indented so far.
    Item(usize),
    Rule,
    Quote,
    Comment,
    Text,
}

impl<'a> Outline<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn line_at(&self, start: usize) -> Option<Line> {
        let rest = self.text.as_bytes().get(start..)?;
        if rest.is_empty() {
            return None;
        }
        let length = line_feed(rest);
        Some(start..start + length.unwrap_or(rest.len()))
    }

    fn shape(&self, line: &Line) -> Shape {
        shape(&self.text.as_bytes()[line.clone()])
    }

    /// The end of the first line after `line` of which `last` is true, or of the text.
    fn through(&self, mut line: Line, last: impl Fn(&str) -> bool) -> usize {
        while let Some(next) = self.line_at(line.end + 1) {
            line = next;
            if last(&self.text[line.clone()]) {
                break;
            }
        }
        line.end
    }

    fn fence_end(&self, opening: Line, mark: u8, length: usize) -> usize {
        self.through(opening, |line| {
            let line = line.trim();
            line.len() >= length && line.bytes().all(|byte| byte == mark)
        })
    }

    fn comment_end(&self, opening: Line) -> usize {
        if self.text[opening.clone()].contains("-->") {
            return opening.end;
        }
        self.through(opening, |line| line.contains("-->"))
    }

    /// An item holds every line indented as far as its content, and others up to a blank line or to
    /// one that begins a block of its own.
    fn item_end(&self, opening: Line, content: usize) -> usize {
        let (mut end, mut next, mut after_blank) = (opening.end, opening.end + 1, false);
        while let Some(line) = self.line_at(next) {
            next = line.end + 1;
            let shape = self.shape(&line);
            if shape == Shape::Blank {
                after_blank = true;
                continue;
            }
            let inside = indent(&self.text.as_bytes()[line.clone()]).0 >= content;
            if !inside && (after_blank || shape != Shape::Text) {
                break;
            }
            (end, after_blank) = (line.end, false);
        }
        end
    }

    /// A paragraph, a quote, a table: lines up to a blank one or to one that begins another block. A
    /// line of `=` or `-` below a paragraph makes it a heading.
    fn paragraph(&self, opening: Line, quote: bool) -> Block {
        let mut end = opening.end;
        while let Some(line) = self.line_at(end + 1) {
            if self.text.as_bytes()[line.start].is_ascii_alphabetic() {
                end = line.end;
                continue;
            }
            let underline = underline(&self.text.as_bytes()[line.clone()]);
            if let (Some(level), false) = (underline, quote) {
                let text = opening.start..end;
                return Block {
                    span: opening.start..line.end,
                    heading: Some(Heading { level, text }),
                };
            }
            match self.shape(&line) {
                Shape::Text => end = line.end,
                Shape::Quote if quote => end = line.end,
                _ => break,
            }
        }
        block(opening.start..end)
    }

    /// The metadata between two lines `---` at the very beginning of many files.
    fn front_matter(&self, opening: &Line) -> Option<usize> {
        if opening.start > 0 || self.text[opening.clone()].trim_end() != "---" {
            return None;
        }
        let closes = |line: &str| matches!(line.trim_end(), "---" | "...");
        let end = self.through(opening.clone(), closes);
        let last = self.text[..end].lines().next_back()?;
        (end > opening.end && closes(last)).then_some(end)
    }

    fn block_at(&self, line: Line, shape: &Shape) -> Block {
        let start = line.start;
        if let Some(end) = self.front_matter(&line) {
            return block(start..end);
        }
        match *shape {
            Shape::Heading(level) => Block {
                heading: Some(Heading {
                    level,
                    text: line.clone(),
                }),
                span: line,
            },
            Shape::Fence(mark, length) => block(start..self.fence_end(line, mark, length)),
            Shape::Item(content) => block(start..self.item_end(line, content)),
            Shape::Comment => block(start..self.comment_end(line)),
            Shape::Rule | Shape::Blank => block(line),
            Shape::Quote => self.paragraph(line, true),
            Shape::Text => self.paragraph(line, false),
        }
    }
}

impl Iterator for Outline<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        loop {
            while self.text.as_bytes().get(self.at) == Some(&b'\n') {
                self.at += 1;
            }
            let line = self.line_at(self.at)?;
            self.at = line.end + 1;
            let shape = self.shape(&line);
            if shape != Shape::Blank {
                let block = self.block_at(line, &shape);
                self.at = block.span.end + 1;
                return Some(block);
            }
        }
    }
}

fn block(span: Span) -> Block {
    Block {
        span,
        heading: None,
    }
}

/// How far a line is indented, in columns and in bytes.
fn indent(line: &[u8]) -> (usize, usize) {
    let mut columns = 0;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 4 - columns % 4,
            _ => return (columns, at),
        }
    }
    (columns, line.len())
}

fn shape(line: &[u8]) -> Shape {
    let (columns, at) = indent(line);
    let rest = &line[at..];
    match rest {
        [] | [b'\r'] => Shape::Blank,
        // Indented code, or the rest of a paragraph.
        _ if columns > 3 => Shape::Text,
        [b'#', ..] => heading(rest),
        [mark @ (b'`' | b'~'), ..] => fence(rest, *mark),
        [b'>', ..] => Shape::Quote,
        [b'<', b'!', b'-', b'-', ..] => Shape::Comment,
        [b'-' | b'*' | b'_', ..] if rule(rest) => Shape::Rule,
        [b'-' | b'*' | b'+', after, ..] if after.is_ascii_whitespace() => Shape::Item(columns + 2),
        [b'0'..=b'9', ..] => numbered(rest, columns),
        _ => Shape::Text,
    }
}

fn leading(bytes: &[u8], mark: u8) -> usize {
    bytes.iter().take_while(|&&byte| byte == mark).count()
}

fn heading(rest: &[u8]) -> Shape {
    let level = leading(rest, b'#');
    let spaced = rest.get(level).is_none_or(u8::is_ascii_whitespace);
    match u8::try_from(level) {
        Ok(level @ 1..=6) if spaced => Shape::Heading(level),
        _ => Shape::Text,
    }
}

fn fence(rest: &[u8], mark: u8) -> Shape {
    let length = leading(rest, mark);
    // `code` within a line may begin it, too.
    if length < 3 || (mark == b'`' && rest[length..].contains(&b'`')) {
        return Shape::Text;
    }
    Shape::Fence(mark, length)
}

/// Three or more of one mark, and nothing else but spaces.
fn rule(rest: &[u8]) -> bool {
    let mark = rest[0];
    let mut marks = 0;
    for &byte in rest {
        match byte {
            b' ' | b'\t' | b'\r' => {}
            _ if byte == mark => marks += 1,
            _ => return false,
        }
    }
    marks >= 3
}

fn numbered(rest: &[u8], columns: usize) -> Shape {
    let digits = rest
        .iter()
        .take(10)
        .take_while(|byte| byte.is_ascii_digit());
    let digits = digits.count();
    match &rest[digits..] {
        [b'.' | b')', after, ..] if digits < 10 && after.is_ascii_whitespace() => {
            Shape::Item(columns + digits + 2)
        }
        _ => Shape::Text,
    }
}

/// The level of the heading that a line of `=` or `-` makes of the paragraph above it.
fn underline(line: &[u8]) -> Option<u8> {
    let (columns, at) = indent(line);
    let line = line[at..].trim_ascii_end();
    let mark = *line.first().filter(|_| columns < 4)?;
    let level = match mark {
        b'=' => 1,
        b'-' => 2,
        _ => return None,
    };
    (leading(line, mark) == line.len()).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulldown_cmark::{Event, Options, Parser, Tag};

    fn blocks(text: &str) -> Vec<&str> {
        Outline::of(text).map(|block| &text[block.span]).collect()
    }

    #[test]
    fn each_block_is_whole() {
        let text = "# A\ntext\nmore\n```sh\n# no heading\n\n```\n- one\n  two\n\n  three\n- four\n\n\
                    | a |\n|---|\n| b |\n\n> q\nlazy\n***\n1. x";
        assert_eq!(
            blocks(text),
            [
                "# A",
                "text\nmore",
                "```sh\n# no heading\n\n```",
                "- one\n  two\n\n  three",
                "- four",
                "| a |\n|---|\n| b |",
                "> q\nlazy",
                "***",
                "1. x"
            ]
        );
    }

    #[test]
    fn an_open_fence_and_an_open_comment_run_to_the_end() {
        assert_eq!(blocks("~~~\na\n```\n\nb"), ["~~~\na\n```\n\nb"]);
        assert_eq!(blocks("<!-- a\n\n# b"), ["<!-- a\n\n# b"]);
        assert_eq!(blocks("<!-- a -->\n# b"), ["<!-- a -->", "# b"]);
    }

    #[test]
    fn front_matter_is_no_heading() {
        let found = blocks("---\ntitle: x\n---\n# A");
        assert_eq!(found, ["---\ntitle: x\n---", "# A"]);
        assert_eq!(blocks("---\na"), ["---", "a"]);
    }

    #[test]
    fn headings_are_those_of_the_reference_parser() {
        let text = "# A #\n\nSetext\n===\n\ntwo\nlines\n---\n####### no\n#no\n   ## three\n    # code\n\n\
                    ```\n# code\n```\n\n- item\n  # inside, not ours\n\n> # quoted, not ours\n\n\
                    a | b\n--- | ---\n1 | 2\n\n***\n###### last ##\n#";
        let ours: Vec<u8> = Outline::of(text)
            .filter_map(|block| block.heading.map(|heading| heading.level))
            .collect();
        assert_eq!(ours, top_level_headings(text));
        assert_eq!(ours, [1, 1, 2, 2, 6, 1]);
    }

    fn top_level_headings(text: &str) -> Vec<u8> {
        let (mut depth, mut levels) = (0, Vec::new());
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(tag) => {
                    if let (0, Tag::Heading { level, .. }) = (depth, &tag) {
                        levels.push(*level as u8);
                    }
                    depth += 1;
                }
                Event::End(_) => depth -= 1,
                _ => {}
            }
        }
        levels
    }
}
