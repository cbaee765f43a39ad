//! The model's word pieces, as a tree of characters: finds the longest piece that a word begins with.
//!
//! The cost of a word is bounded by its length times the longest match, whatever the word; looking up
//! every prefix instead costs a hostile document seconds a megabyte. Knows nothing of whole texts.

use rustc_hash::FxHashMap;

/// The tree's root for pieces that begin a word.
const FIRST: u32 = 0;
/// The tree's root for pieces that go on with a word (written `##piece`).
const NEXT: u32 = 1;
/// A node where no piece ends.
const NONE: u32 = u32::MAX;

/// Pieces and their ids.
pub(super) struct Vocabulary {
    /// The keys are the model's own: nobody can choose them so that they collide.
    children: FxHashMap<(u32, char), u32>,
    /// The id of the piece that ends at each node.
    pieces: Vec<u32>,
    unknown: u32,
    /// A longer word, in characters, is unknown.
    word_max: usize,
}

impl Vocabulary {
    /// A tree of `pieces`. Those that begin with `prefix` go on with a word.
    pub(super) fn new(
        pieces: impl IntoIterator<Item = (String, u32)>,
        prefix: &str,
        unknown: u32,
        word_max: usize,
    ) -> Self {
        let mut tree = Self {
            children: FxHashMap::default(),
            pieces: vec![NONE, NONE],
            unknown,
            word_max,
        };
        for (piece, id) in pieces {
            match piece.strip_prefix(prefix) {
                Some(rest) if !rest.is_empty() => tree.insert(NEXT, rest, id),
                _ => tree.insert(FIRST, &piece, id),
            }
        }
        tree
    }

    fn insert(&mut self, root: u32, piece: &str, id: u32) {
        let mut node = root;
        for character in piece.chars() {
            let new = self.pieces.len() as u32;
            node = *self.children.entry((node, character)).or_insert(new);
            if node == new {
                self.pieces.push(NONE);
            }
        }
        self.pieces[node as usize] = id;
    }

    /// Cuts a word into the longest pieces from its start, each as its id and the number of characters up
    /// to its end. A word that cannot be cut, or is too long, is the unknown piece.
    pub(super) fn cut(&self, word: &[char], pieces: &mut Vec<(u32, usize)>) {
        pieces.clear();
        let mut start = 0;
        while start < word.len() && word.len() <= self.word_max {
            let root = if start == 0 { FIRST } else { NEXT };
            let Some((id, length)) = self.longest(root, &word[start..]) else {
                break;
            };
            start += length;
            pieces.push((id, start));
        }
        if start < word.len() {
            pieces.clear();
            pieces.push((self.unknown, word.len()));
        }
    }

    fn longest(&self, root: u32, word: &[char]) -> Option<(u32, usize)> {
        let mut node = root;
        let mut found = None;
        for (read, &character) in word.iter().enumerate() {
            match self.children.get(&(node, character)) {
                Some(&child) => node = child,
                None => break,
            }
            if self.pieces[node as usize] != NONE {
                found = Some((self.pieces[node as usize], read + 1));
            }
        }
        found
    }

    /// How many characters of a word need to be kept to know its pieces.
    pub(super) fn word_max(&self) -> usize {
        self.word_max
    }
}
