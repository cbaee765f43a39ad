//! Texts to tokens as BERT cuts them: the ids that the model reads, and where each token ends.
//!
//! `tokenizers` supplies the rules and the vocabulary. Its own loop is not used for texts: it needs a
//! hundred bytes of memory a byte, and seconds a megabyte on text made to be slow. This one streams.

use super::characters::{Characters, Kind};
use super::error::ModelError;
use super::vocabulary::Vocabulary;
use std::path::Path;
use tokenizers::{ModelWrapper, NormalizerWrapper, PreTokenizerWrapper};

/// Tokens that the model reads of a text, special tokens included.
pub const MAX_TOKENS: usize = 256;

/// Bytes of text between two questions whether to go on.
const SLICE: usize = 16 << 10;

/// A text as the model reads it. Never empty: the empty text is two special tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    ids: Vec<u32>,
    full: u32,
}

impl Tokens {
    /// The ids, special tokens included; 2 to [`MAX_TOKENS`].
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// How many tokens the model reads.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many tokens the whole text has, special tokens included.
    pub fn full(&self) -> u32 {
        self.full
    }

    /// Whether the model reads only the text's beginning.
    pub fn truncated(&self) -> bool {
        self.full as usize > self.ids.len()
    }

    #[cfg(test)]
    pub(super) fn fake(length: usize) -> Self {
        Self {
            ids: vec![1; length],
            full: length as u32,
        }
    }
}

/// BERT's tokenizer.
pub(super) struct Tokenizer {
    characters: Characters,
    vocabulary: Vocabulary,
    /// Tokens that stand for themselves wherever they occur in a text, such as `[MASK]`.
    literals: Vec<(String, u32)>,
    begin: u32,
    end: u32,
}

impl Tokenizer {
    /// Reads `tokenizer.json`. Its truncation and padding are not used. Anything but BERT's tokenizer is
    /// refused, saying what was found.
    pub(super) fn load(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|e| ModelError::file(path, e))?;
        let refuse = |what: String| ModelError::Tokenizer {
            path: path.to_owned(),
            what,
        };
        let source = tokenizers::Tokenizer::from_bytes(bytes).map_err(|e| refuse(e.to_string()))?;
        Self::new(&source).map_err(refuse)
    }

    fn new(source: &tokenizers::Tokenizer) -> Result<Self, String> {
        let Some(NormalizerWrapper::BertNormalizer(normalizer)) = source.get_normalizer() else {
            return Err("another normaliser".to_owned());
        };
        let Some(PreTokenizerWrapper::BertPreTokenizer(_)) = source.get_pre_tokenizer() else {
            return Err("another pre-tokenizer".to_owned());
        };
        let ModelWrapper::WordPiece(model) = source.get_model() else {
            return Err("another model than WordPiece".to_owned());
        };
        let id = |token: &str| source.token_to_id(token).ok_or(format!("no token {token}"));
        let (begin, end) = (id("[CLS]")?, id("[SEP]")?);
        let vocabulary = Vocabulary::new(
            source.get_vocab(false),
            &model.continuing_subword_prefix,
            id(&model.unk_token)?,
            model.max_input_chars_per_word,
        );
        let literals = literals(source)?;
        let characters = Characters::new(*normalizer);
        Ok(Self {
            characters,
            vocabulary,
            literals,
            begin,
            end,
        })
    }

    /// The tokens of `text`. Never fails; takes about 0.1 s a megabyte, whatever the text.
    pub(super) fn tokenize(&self, text: &str) -> Tokens {
        let mut ids = vec![self.begin];
        let mut full = 2_u32;
        self.walk(
            text,
            |id, _| {
                full = full.saturating_add(1);
                if ids.len() < MAX_TOKENS - 1 {
                    ids.push(id);
                }
            },
            || true,
        );
        ids.push(self.end);
        Tokens { ids, full }
    }

    /// Where each token of `text` ends, or nothing if `go_on` said no.
    pub(super) fn ends(&self, text: &str, go_on: impl FnMut() -> bool) -> Option<Vec<u32>> {
        let mut ends = Vec::with_capacity(text.len() / 5);
        self.walk(text, |_, end| ends.push(end), go_on)
            .then_some(ends)
    }

    /// Calls `token` with each token's id and end; false if `go_on`, asked now and then, said no.
    fn walk(
        &self,
        text: &str,
        token: impl FnMut(u32, u32),
        mut go_on: impl FnMut() -> bool,
    ) -> bool {
        let mut words = Words::new(&self.vocabulary, token);
        let mut ask_at = SLICE;
        let mut skip_to = 0;
        for (start, character) in text.char_indices() {
            if start >= ask_at {
                ask_at = start + SLICE;
                if !go_on() {
                    return false;
                }
            }
            if start < skip_to {
                continue;
            }
            if let Some((literal, id)) = self.literal(&text[start..], character) {
                skip_to = start + literal.len();
                words.literal(*id, skip_to as u32);
                continue;
            }
            let end = (start + character.len_utf8()) as u32;
            let units = self.characters.units(character);
            for unit in units {
                words.push(unit.character, unit.kind, end);
            }
            if units.is_empty() {
                words.stretch(end);
            }
        }
        words.flush();
        true
    }

    fn literal(&self, rest: &str, first: char) -> Option<&(String, u32)> {
        if first != '[' {
            return None;
        }
        self.literals
            .iter()
            .find(|(literal, _)| rest.starts_with(literal.as_str()))
    }
}

/// The tokens that are found in raw text. All must be written `[LIKE THIS]` and match exactly.
fn literals(source: &tokenizers::Tokenizer) -> Result<Vec<(String, u32)>, String> {
    let mut literals = vec![];
    for (id, token) in source.get_added_tokens_decoder() {
        let plain = !(token.single_word || token.lstrip || token.rstrip || token.normalized);
        if !plain || !token.content.starts_with('[') {
            return Err(format!(
                "an added token '{}' that it cannot match",
                token.content
            ));
        }
        literals.push((token.content, id));
    }
    // The longest match wins.
    literals.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    Ok(literals)
}

/// Gathers characters into words and cuts each word into tokens.
struct Words<'a, F> {
    vocabulary: &'a Vocabulary,
    token: F,
    /// The word's characters; one more than the longest known word is enough.
    word: Vec<char>,
    /// Where each of them ends in the text.
    ends: Vec<u32>,
    /// Where the word ends, with the invisible characters after it.
    end: u32,
    /// Nothing may join the word.
    closed: bool,
    pieces: Vec<(u32, usize)>,
}

impl<'a, F: FnMut(u32, u32)> Words<'a, F> {
    fn new(vocabulary: &'a Vocabulary, token: F) -> Self {
        let (word, ends, pieces) = (vec![], vec![], vec![]);
        Self {
            vocabulary,
            token,
            word,
            ends,
            end: 0,
            closed: false,
            pieces,
        }
    }

    fn push(&mut self, character: char, kind: Kind, end: u32) {
        if kind != Kind::Word || self.closed {
            self.flush();
        }
        if kind == Kind::Space {
            return;
        }
        self.closed = kind == Kind::Alone;
        self.end = end;
        if self.word.len() <= self.vocabulary.word_max() {
            self.word.push(character);
            self.ends.push(end);
        }
    }

    /// An invisible character belongs to what precedes it, so that a cut never parts the two.
    fn stretch(&mut self, end: u32) {
        if let Some(last) = self.ends.last_mut() {
            *last = end;
            self.end = end;
        }
    }

    fn literal(&mut self, id: u32, end: u32) {
        self.flush();
        (self.token)(id, end);
    }

    fn flush(&mut self) {
        if self.word.is_empty() {
            return;
        }
        self.vocabulary.cut(&self.word, &mut self.pieces);
        for &(id, length) in &self.pieces {
            let whole = length == self.word.len();
            (self.token)(
                id,
                if whole {
                    self.end
                } else {
                    self.ends[length - 1]
                },
            );
        }
        self.word.clear();
        self.ends.clear();
        self.closed = false;
    }
}

#[cfg(test)]
mod tests;
