//! Neighbours of a chunk in memory: by place, by titles that a text mentions, by vector. It follows the host's
//! rules for mentions: the longest title that begins at a word, case and punctuation folded, titles of common
//! words left out.

use std::collections::HashSet;

use super::corpus::{Corpus, Row, best, saturation};
use super::words::{TITLE_WORDS_MAX, forms, stem, words};
use crate::{ChunkId, Hit, NeighbourKind};

/// A title that more documents share points nowhere.
const SAME_TITLE_MAX: usize = 8;
/// A smaller corpus is weighed as if it had this many chunks: in ten chunks no word is common.
const CHUNKS_MIN: usize = 1_000;

impl Corpus {
    /// Up to `k` neighbours of `row` that `scope` lets through, best first.
    pub(super) fn neighbours(
        &self,
        row: &Row,
        kind: NeighbourKind,
        k: usize,
        scope: impl Fn(&Row) -> bool,
    ) -> Vec<Hit> {
        let same = |other: &&Row| other.document == row.document && scope(other);
        match kind {
            NeighbourKind::Next => by_rank(
                self.rows
                    .iter()
                    .filter(same)
                    .filter(|other| other.ordinal > row.ordinal)
                    .map(|other| other.id)
                    .take(k),
            ),
            NeighbourKind::Previous => by_rank(
                self.rows
                    .iter()
                    .rev()
                    .filter(same)
                    .filter(|other| other.ordinal < row.ordinal)
                    .map(|other| other.id)
                    .take(k),
            ),
            NeighbourKind::Mention => by_rank(self.mentions(row, scope).into_iter().take(k)),
            NeighbourKind::MentionedBy => by_rank(self.mentioned_by(row, k, scope).into_iter()),
            NeighbourKind::Similar => {
                self.nearest(&row.vector, k, |other| other.id != row.id && scope(other))
            }
        }
    }

    /// First chunks of the documents whose titles `row` mentions, the most telling title first.
    fn mentions(&self, row: &Row, scope: impl Fn(&Row) -> bool) -> Vec<ChunkId> {
        let mut telling: Vec<(f64, String)> = self
            .titles_in(&row.text)
            .into_iter()
            .filter_map(|title| Some((self.telling(&title)?, title)))
            .collect();
        telling.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut seen = HashSet::from([row.document]);
        let mut found = Vec::new();
        for (_, title) in telling {
            for document in self.titled(&title) {
                let first = self.rows.iter().find(|other| other.document == document);
                if let Some(first) = first.filter(|first| scope(first) && seen.insert(document)) {
                    found.push(first.id);
                }
            }
        }
        found
    }

    /// Chunks of other documents that mention the title of `row`'s document.
    fn mentioned_by(&self, row: &Row, k: usize, scope: impl Fn(&Row) -> bool) -> Vec<ChunkId> {
        let forms: Vec<String> = forms(&self.documents[row.document].title)
            .into_iter()
            .filter(|form| self.telling(form).is_some())
            .collect();
        let average = self.average_length();
        let mut hits = Vec::new();
        for other in self.rows.iter().filter(|other| scope(other)) {
            let folded = folded(&other.text);
            let counts = forms
                .iter()
                .map(|form| folded.matches(&format!(" {form} ")).count());
            let count = u32::try_from(counts.max().unwrap_or(0)).unwrap_or(u32::MAX);
            if count > 0 && other.document != row.document {
                let score = saturation(count, other.length(), average) as f32;
                hits.push(Hit {
                    chunk: other.id,
                    score,
                });
            }
        }
        best(hits, k).into_iter().map(|hit| hit.chunk).collect()
    }

    /// The titles that `text` mentions, each once, in its order: at each word the longest that begins there,
    /// then on behind it.
    fn titles_in(&self, text: &str) -> Vec<String> {
        let titles: HashSet<String> = self
            .documents
            .iter()
            .flat_map(|document| forms(&document.title))
            .collect();
        let words: Vec<String> = words(text).collect();
        let mut found = Vec::new();
        let mut from = 0;
        while from < words.len() {
            let most = TITLE_WORDS_MAX.min(words.len() - from);
            let longest = (1..=most)
                .rev()
                .map(|count| (count, words[from..from + count].join(" ")))
                .find(|(_, form)| titles.contains(form));
            match longest {
                Some((count, title)) => {
                    from += count;
                    if !found.contains(&title) {
                        found.push(title);
                    }
                }
                None => from += 1,
            }
        }
        found
    }

    /// The documents with this title; none when too many have it.
    fn titled(&self, form: &str) -> Vec<usize> {
        let has = |at: &usize| forms(&self.documents[*at].title).iter().any(|f| f == form);
        let found: Vec<usize> = (0..self.documents.len()).filter(has).collect();
        match found.len() > SAME_TITLE_MAX {
            true => Vec::new(),
            false => found,
        }
    }

    /// How telling a title is; `None` where its words are too common.
    fn telling(&self, form: &str) -> Option<f64> {
        let chunks = self.rows.len().max(CHUNKS_MIN) as f64;
        let rarity = |word: &str| {
            let with = self.chunks_with(&stem(word)).max(1) as f64;
            (chunks / with).ln().max(0.0)
        };
        let sum: f64 = form.split(' ').map(rarity).sum();
        (sum >= 0.5 * chunks.ln()).then_some(sum)
    }
}

/// The words of `text` with a space before, between and behind them.
fn folded(text: &str) -> String {
    let mut folded = String::from(" ");
    for word in words(text) {
        folded.push_str(&word);
        folded.push(' ');
    }
    folded
}

fn by_rank(chunks: impl Iterator<Item = ChunkId>) -> Vec<Hit> {
    let hit = |(rank, chunk): (u16, ChunkId)| Hit {
        chunk,
        score: 1.0 / (1.0 + f32::from(rank)),
    };
    (0..).zip(chunks).map(hit).collect()
}
