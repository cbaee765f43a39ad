//! What BERT's normaliser makes of each character, asked of `tokenizers` once and remembered.
//!
//! BERT's normaliser works on one character at a time: it drops controls and accents, lowers the case,
//! decomposes, and sets ideographs apart. (The exception, the order of several combining marks, concerns
//! accents alone, which are dropped.) So a text of any length is normalised by table, in constant memory.

use std::sync::OnceLock;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

/// Characters that are looked up together the first time one of them is met.
const BLOCK: usize = 128;

/// What a normalised character does to the word around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Belongs to a word.
    Word,
    /// Is a word of its own: punctuation, ideographs.
    Alone,
    /// Ends a word and is dropped.
    Space,
}

/// One normalised character.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) character: char,
    pub(super) kind: Kind,
}

/// The units of [`BLOCK`] characters: those of the n-th are `units[starts[n]..starts[n + 1]]`.
struct Block {
    units: Vec<Unit>,
    starts: [u16; BLOCK + 1],
}

/// The table, filled block by block as characters are met; at most 12 MB when a text uses all of Unicode.
pub(super) struct Characters {
    normalizer: BertNormalizer,
    blocks: Vec<OnceLock<Block>>,
}

impl Characters {
    /// An empty table for this normaliser.
    pub(super) fn new(normalizer: BertNormalizer) -> Self {
        let blocks = (0..=char::MAX as usize / BLOCK)
            .map(|_| OnceLock::new())
            .collect();
        Self { normalizer, blocks }
    }

    /// What `character` becomes: nothing, one unit, or a few.
    pub(super) fn units(&self, character: char) -> &[Unit] {
        let (number, place) = (character as usize / BLOCK, character as usize % BLOCK);
        let block = self.blocks[number].get_or_init(|| self.fill(number));
        &block.units[usize::from(block.starts[place])..usize::from(block.starts[place + 1])]
    }

    fn fill(&self, number: usize) -> Block {
        let mut block = Block {
            units: Vec::with_capacity(BLOCK),
            starts: [0; BLOCK + 1],
        };
        for place in 0..BLOCK {
            if let Some(character) = char::from_u32((number * BLOCK + place) as u32) {
                self.ask(character, &mut block.units);
            }
            block.starts[place + 1] = block.units.len() as u16;
        }
        block.units.shrink_to_fit();
        block
    }

    /// Asks `tokenizers` what it makes of `character`.
    fn ask(&self, character: char, units: &mut Vec<Unit>) {
        let mut text = NormalizedString::from(character.to_string());
        // Neither normalising nor splitting fails in BERT's implementation of them.
        if self.normalizer.normalize(&mut text).is_err() {
            return;
        }
        let normal: Vec<char> = text.get().chars().collect();
        if let [' ', ideograph, ' '] = normal[..] {
            units.push(Unit {
                character: ideograph,
                kind: Kind::Alone,
            });
            return;
        }
        units.extend(normal.into_iter().map(|character| Unit {
            character,
            kind: kind(character),
        }));
    }
}

/// How BERT's pre-tokenizer treats `character`, seen from what it does to it between two letters.
fn kind(character: char) -> Kind {
    let mut text = PreTokenizedString::from(format!("a{character}a"));
    let split = BertPreTokenizer.pre_tokenize(&mut text);
    match text
        .get_splits(OffsetReferential::Original, OffsetType::Byte)
        .len()
    {
        3 if split.is_ok() => Kind::Alone,
        2 if split.is_ok() => Kind::Space,
        _ => Kind::Word,
    }
}
