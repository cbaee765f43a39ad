//! HTML becomes plain text with paragraph breaks, and a title. One pass over a tokenizer's events and
//! a few counters: no tree and no recursion, so nesting costs nothing. Knows nothing of files.

mod paced;

use super::flow::{Break, Flow};
use super::text::TITLE_CHARS;
use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, State, Tokenizer};
use paced::Paced;

/// What a page says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Its `<title>`, else its first `<h1>`, up to [`TITLE_CHARS`] characters; empty without either.
    pub(super) title: String,
    /// Its words: blocks parted by an empty line; list items, table rows and `<br>` by a line break;
    /// cells by ` | `; `<pre>` as written, other white space collapsed. Scripts, styles, templates,
    /// frames, drawings and what stands in for missing scripts are left out.
    pub(super) text: String,
}

/// Reads a page. Cannot fail: whatever is not HTML is text.
pub(super) fn page(html: &str) -> Page {
    let mut extractor = Extractor::default();
    let emitter =
        CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| extractor.event(&event));
    let mut tokenizer = Tokenizer::new_with_emitter(Paced::new(html), emitter);
    // Behind <script> or <title> text is tokenized differently. Only the extractor knows whether that
    // holds, since inside a drawing it does not.
    while let Some(next) = tokenizer.next() {
        if let Ok(state) = next {
            tokenizer.set_state(state);
        }
    }
    drop(tokenizer);
    extractor.finish()
}

/// What an element does to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    /// Nothing.
    Inline,
    /// Stands in a paragraph of its own.
    Block,
    /// Stands on a line of its own.
    Line,
    Heading,
    List,
    Item,
    Table,
    Row,
    Cell,
    LineBreak,
    Preformatted,
    Title,
    /// Text until its end tag, tags in it included.
    Raw,
    /// Left out with everything in it.
    Dropped(Dropped),
}

/// Elements that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    Script,
    Style,
    Frame,
    NoScript,
    Template,
    Drawing,
}

impl Element {
    fn of(name: &[u8]) -> Self {
        match name {
            b"p" | b"div" | b"section" | b"article" | b"header" | b"footer" | b"main"
            | b"aside" | b"nav" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote"
            | b"figure" | b"figcaption" | b"form" | b"fieldset" | b"address" | b"hr"
            | b"details" | b"summary" | b"dialog" | b"body" | b"html" | b"head" | b"center"
            | b"legend" | b"dl" | b"hgroup" | b"search" | b"frameset" => Self::Block,
            b"dt" | b"dd" | b"option" | b"optgroup" | b"caption" => Self::Line,
            b"h1" => Self::Heading,
            b"ul" | b"ol" | b"menu" | b"dir" => Self::List,
            b"li" => Self::Item,
            b"table" => Self::Table,
            b"tr" => Self::Row,
            b"td" | b"th" => Self::Cell,
            b"br" => Self::LineBreak,
            b"pre" | b"listing" => Self::Preformatted,
            b"title" => Self::Title,
            b"textarea" | b"xmp" | b"plaintext" => Self::Raw,
            b"script" => Self::Dropped(Dropped::Script),
            b"style" => Self::Dropped(Dropped::Style),
            b"iframe" | b"noembed" | b"noframes" => Self::Dropped(Dropped::Frame),
            b"noscript" => Self::Dropped(Dropped::NoScript),
            b"template" => Self::Dropped(Dropped::Template),
            b"svg" => Self::Dropped(Dropped::Drawing),
            _ => Self::Inline,
        }
    }

    /// How the tokenizer goes on behind this element's start tag, where it does so differently.
    fn next_state(self, name: &[u8]) -> Option<State> {
        match self {
            Self::Title => Some(State::RcData),
            Self::Raw if name == b"textarea" => Some(State::RcData),
            Self::Raw if name == b"plaintext" => Some(State::PlainText),
            Self::Raw => Some(State::RawText),
            Self::Dropped(Dropped::Script) => Some(State::ScriptData),
            Self::Dropped(Dropped::Style | Dropped::Frame | Dropped::NoScript) => {
                Some(State::RawText)
            }
            _ => None,
        }
    }
}

/// Where words go.
#[derive(Debug, Default, PartialEq, Eq)]
enum Target {
    #[default]
    Text,
    Title,
    Nowhere,
}

#[derive(Debug, Default)]
struct Extractor {
    flow: Flow,
    title: Option<String>,
    heading: Option<String>,
    target: Target,
    in_heading: bool,
    /// The dropped element we are in, and how many of its name are open.
    dropped: Option<(Dropped, usize)>,
    preformatted: usize,
    lists: usize,
    /// Text length where the current cell began, while one is open.
    cell_start: Option<usize>,
    /// The current row has a cell already.
    row_begun: bool,
    /// Right behind `<pre>`, where a line break does not count.
    after_pre: bool,
    /// The start tag being read.
    open: Option<(Element, Option<State>)>,
}

impl Extractor {
    fn event(&mut self, event: &CallbackEvent<'_>) -> Option<State> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                let element = Element::of(name);
                self.open = Some((element, element.next_state(name)));
                None
            }
            CallbackEvent::CloseStartTag { self_closing } => {
                let (element, state) = self.open.take()?;
                self.start(element, *self_closing, state)
            }
            CallbackEvent::EndTag { name } => {
                self.end(Element::of(name));
                None
            }
            CallbackEvent::String { value } => {
                self.string(&String::from_utf8_lossy(value));
                None
            }
            _ => None,
        }
    }

    /// A start tag; the state in which the tokenizer goes on, if not in its usual one.
    fn start(&mut self, element: Element, closed: bool, state: Option<State>) -> Option<State> {
        if let Some((dropped, depth)) = &mut self.dropped {
            let nested = element == Element::Dropped(*dropped) && !closed;
            *depth += usize::from(nested);
            // In a drawing <title/> and <style/> are empty elements, not the beginning of raw text.
            let drawing = *dropped == Dropped::Drawing;
            return if drawing && closed { None } else { state };
        }
        match element {
            Element::Inline => {}
            Element::Block | Element::Table => self.part(Break::Paragraph),
            Element::Line => self.part(Break::Line),
            Element::Heading => {
                self.part(Break::Paragraph);
                self.in_heading = self.heading.is_none();
            }
            Element::List => {
                self.flow.part(if self.lists > 0 {
                    Break::Line
                } else {
                    Break::Paragraph
                });
                self.lists += 1;
            }
            Element::Item => self.flow.begin_item(),
            Element::Row => self.row(),
            Element::Cell => self.cell(),
            Element::LineBreak => self.flow.break_line(),
            Element::Preformatted => {
                self.flow.part(Break::Paragraph);
                self.preformatted += 1;
                self.after_pre = true;
            }
            Element::Title => self.target = Target::Title,
            Element::Raw => self.flow.part(Break::Line),
            Element::Dropped(Dropped::Drawing) if closed => {}
            Element::Dropped(dropped) => {
                self.dropped = Some((dropped, 1));
                self.target = Target::Nowhere;
            }
        }
        state
    }

    fn end(&mut self, element: Element) {
        if let Some((dropped, depth)) = &mut self.dropped {
            *depth -= usize::from(element == Element::Dropped(*dropped));
            if *depth == 0 {
                self.dropped = None;
                self.target = Target::Text;
            }
            return;
        }
        match element {
            Element::Inline | Element::Dropped(_) => {}
            Element::Block => self.part(Break::Paragraph),
            Element::Table => {
                self.cell_start = None;
                self.flow.part(Break::Paragraph);
            }
            Element::Line | Element::Raw | Element::Row => self.part(Break::Line),
            Element::Heading => {
                self.flow.part(Break::Paragraph);
                self.in_heading = false;
            }
            Element::List => {
                self.lists = self.lists.saturating_sub(1);
                self.flow.part(if self.lists > 0 {
                    Break::Line
                } else {
                    Break::Paragraph
                });
            }
            Element::Item => self.flow.end_item(),
            Element::Cell => self.end_cell(),
            Element::LineBreak => self.flow.break_line(),
            Element::Preformatted => {
                self.flow.part(Break::Paragraph);
                self.preformatted = self.preformatted.saturating_sub(1);
            }
            Element::Title => self.target = Target::Text,
        }
    }

    /// A block at the beginning of a cell starts where the cell does.
    fn part(&mut self, wanted: Break) {
        if self.cell_start != Some(self.flow.len()) {
            self.flow.part(wanted);
        }
    }

    fn row(&mut self) {
        self.cell_start = None;
        self.row_begun = false;
        self.flow.part(Break::Line);
    }

    fn cell(&mut self) {
        if self.row_begun {
            self.flow.part_only(Break::Cell);
        }
        self.row_begun = true;
        self.cell_start = Some(self.flow.len());
    }

    /// Breaks asked for inside a cell end with it, so that a row of paragraphs stays a row.
    fn end_cell(&mut self) {
        if self
            .cell_start
            .take()
            .is_some_and(|start| self.flow.len() > start)
        {
            self.flow.part_only(Break::Space);
        }
    }

    fn string(&mut self, text: &str) {
        match self.target {
            Target::Nowhere => {}
            Target::Title => collect(self.title.get_or_insert_default(), text),
            Target::Text => {
                if self.in_heading {
                    collect(self.heading.get_or_insert_default(), text);
                }
                let first = std::mem::take(&mut self.after_pre);
                if self.preformatted > 0 {
                    let text = if first {
                        text.strip_prefix('\n').unwrap_or(text)
                    } else {
                        text
                    };
                    self.flow.verbatim(text);
                } else {
                    self.flow.words(text);
                }
            }
        }
    }

    fn finish(mut self) -> Page {
        let mut title = self.title.as_deref().map(collapse).unwrap_or_default();
        if self.target == Target::Title {
            // The title never ended, and so swallowed the page: nothing may be lost.
            self.flow.words(&std::mem::take(&mut title));
        }
        if title.is_empty() {
            title = self.heading.as_deref().map(collapse).unwrap_or_default();
        }
        title = title.chars().take(TITLE_CHARS).collect();
        Page {
            title,
            text: self.flow.finish(),
        }
    }
}

fn collect(into: &mut String, text: &str) {
    into.push_str(text);
}

fn collapse(text: &str) -> String {
    let mut flow = Flow::default();
    flow.words(text);
    flow.finish()
}

#[cfg(test)]
mod tests;
