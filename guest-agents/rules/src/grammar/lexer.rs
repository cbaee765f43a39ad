//! Rules as words, texts, numbers, filters and marks. It knows no grammar.

use std::fmt;

/// One piece.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Word(&'a str),
    Text(String),
    Number(f64),
    /// From its first brace to the one that closes it.
    Filter(&'a str),
    Comma,
    Colon,
    Less,
    Greater,
    /// Of a rule.
    End,
    /// Of all.
    Eof,
    /// Begins something and never ends it.
    Open(&'a str),
    /// Nothing that rules are made of.
    Strange(&'a str),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) | Self::Filter(word) | Self::Strange(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "the text \"{text}\""),
            Self::Number(number) => write!(f, "`{number}`"),
            Self::Comma => f.write_str("`,`"),
            Self::Colon => f.write_str("`:`"),
            Self::Less => f.write_str("`<`"),
            Self::Greater => f.write_str("`>`"),
            Self::End | Self::Eof => f.write_str("the end"),
            Self::Open(text) => {
                let begin: String = text.chars().take(40).collect();
                write!(f, "`{begin}`, which has no end")
            }
        }
    }
}

/// The pieces of a text, one after the other.
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn peek(&self) -> Token<'a> {
        Self { rest: self.rest }.next()
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        self.skip();
        let Some(first) = self.rest.chars().next() else {
            return Token::Eof;
        };
        let mark = match first {
            ',' => Some(Token::Comma),
            ':' => Some(Token::Colon),
            '<' => Some(Token::Less),
            '>' => Some(Token::Greater),
            ';' | '\n' => Some(Token::End),
            _ => None,
        };
        if let Some(mark) = mark {
            self.take(1);
            return mark;
        }
        match first {
            '"' => self.text(),
            '{' => self.filter(),
            c if c.is_alphanumeric() => self.word(),
            c => Token::Strange(self.take(c.len_utf8())),
        }
    }

    /// Spaces and comments; an end of line is none.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
            if !self.rest.starts_with('#') {
                return;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(end);
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> Token<'a> {
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        let end = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let word = self.take(end);
        match word.parse::<f64>() {
            Ok(number) if number.is_finite() => Token::Number(number),
            _ => Token::Word(word),
        }
    }

    /// `\"` and `\\` stand for a quote and a backslash.
    fn text(&mut self) -> Token<'a> {
        let (mut text, mut escaped) = (String::new(), false);
        for (at, c) in self.rest.char_indices().skip(1) {
            match c {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => {
                    self.take(at + 1);
                    return Token::Text(text);
                }
                c => {
                    text.push(c);
                    escaped = false;
                }
            }
        }
        Token::Open(self.take(self.rest.len()))
    }

    fn filter(&mut self) -> Token<'a> {
        let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
        for (at, c) in self.rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '{' if !quoted => depth += 1,
                '}' if !quoted => {
                    depth -= 1;
                    if depth == 0 {
                        return Token::Filter(self.take(at + 1));
                    }
                }
                _ => {}
            }
        }
        Token::Open(self.take(self.rest.len()))
    }
}
