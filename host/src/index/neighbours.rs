//! How chunks are related: by place, by what they mention, by vector. A graph without edges: every
//! relation is looked up in what is stored now, so it is true whatever came and went before.

use super::Index;
use super::error::IndexError;
use super::read::{self, Place};
use super::scope::Scope;
use super::stems::stems;
use super::text::saturation;
use super::titles;
use super::top::Top;
use super::view::{View, check_k};
use crate::corpus::{ChunkId, Filter, Hit};
use crate::db::{Interrupt, OptionalExtension, params};
use std::collections::HashSet;

/// Words of a chunk that are searched for titles.
const WORDS_MAX: usize = 4_096;

/// Different titles of one chunk that are looked at.
const TITLES_MAX: usize = 256;

/// A title that more documents share points nowhere.
const SAME_TITLE_MAX: usize = 8;

/// Occurrences of one word that are counted; a word with more says nothing. So a title that says
/// something has a word that fewer chunks than this contain, which bounds the search for it.
const OCCURRENCES_MAX: i64 = 8_192;

/// Chunks whose texts are read to count mentions of one title; of more, the shortest, which rank first.
const MENTIONING_MAX: usize = 512;

/// Smaller tenants are weighed as if they had this many chunks: in ten chunks no word is common.
const CHUNKS_MIN: f64 = 1_000.0;

/// How a neighbour is related to a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NeighbourKind {
    /// The chunks that follow in the same document, nearest first.
    Next,
    /// The chunks before it in the same document, nearest first.
    Previous,
    /// Chunks that begin the documents whose titles this chunk mentions, the most telling title first.
    Mention,
    /// Chunks of other documents that mention the title of this chunk's document.
    MentionedBy,
    /// Chunks with the most similar vectors.
    Similar,
}

impl Index {
    /// Up to `k` neighbours of `chunk` whose documents `filter` chooses, best first, ties by id. Scores
    /// are cosines for `Similar`, 1 / (1 + rank from 0) for the others. `k` is at most
    /// [`super::MAX_HITS`].
    pub fn neighbours(
        &self,
        chunk: ChunkId,
        kind: NeighbourKind,
        k: usize,
        filter: Option<&Filter>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Hit>, IndexError> {
        check_k(k)?;
        let view = self.view(interrupt)?;
        let place = read::place(&view.reader, chunk)?;
        let scope = view.scope(filter)?;
        let id = read::key(chunk)?;
        let end = place.first_chunk + place.chunks;
        match kind {
            NeighbourKind::Next => Ok(in_document(&place, &scope, id + 1..end, k)),
            NeighbourKind::Previous => Ok(in_document(
                &place,
                &scope,
                (place.first_chunk..id).rev(),
                k,
            )),
            NeighbourKind::Mention => view.mentions(id, &place, k, &scope),
            NeighbourKind::MentionedBy => view.mentioned_by(&place, k, &scope),
            NeighbourKind::Similar => view.similar(chunk, k, &scope),
        }
    }
}

fn in_document(place: &Place, scope: &Scope, ids: impl Iterator<Item = i64>, k: usize) -> Vec<Hit> {
    if !scope.has(place.document.unsigned_abs()) {
        return Vec::new();
    }
    by_rank(ids.take(k))
}

fn by_rank(ids: impl Iterator<Item = i64>) -> Vec<Hit> {
    let hit = |(rank, id): (u16, i64)| Hit {
        chunk: ChunkId(id.unsigned_abs()),
        score: 1.0 / (1.0 + f32::from(rank)),
    };
    (0..).zip(ids).map(hit).collect()
}

impl View<'_> {
    fn similar(&self, chunk: ChunkId, k: usize, scope: &Scope) -> Result<Vec<Hit>, IndexError> {
        let vector = super::vector::stored(&self.reader, chunk)?;
        let mut hits = self.nearest(&vector, k + 1, scope)?;
        hits.retain(|hit| hit.chunk != chunk);
        hits.truncate(k);
        Ok(hits)
    }

    /// The most telling titles first, then those mentioned first.
    fn mentions(
        &self,
        chunk: i64,
        place: &Place,
        k: usize,
        scope: &Scope,
    ) -> Result<Vec<Hit>, IndexError> {
        let text = read::text(&self.reader, chunk)?;
        let found = self.titles_in(&text)?;
        let mut telling: Vec<(f64, String)> = self.telling(found)?;
        // Stable: equally telling titles stay in the order of the text.
        telling.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut seen = HashSet::from([place.document]);
        let mut ids = Vec::new();
        for (_, title) in telling {
            if ids.len() == k {
                break;
            }
            for (document, first_chunk) in self.titled(&title)? {
                if ids.len() < k && scope.has(document.unsigned_abs()) && seen.insert(document) {
                    ids.push(first_chunk);
                }
            }
        }
        Ok(by_rank(ids.into_iter()))
    }

    /// The titles that `text` mentions, each once, in its order: at each word the longest that begins
    /// there, then on behind it.
    fn titles_in(&self, text: &str) -> Result<Vec<String>, IndexError> {
        let words: Vec<String> = titles::words(text).take(WORDS_MAX).collect();
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut from = 0;
        while from < words.len() && found.len() < TITLES_MAX {
            let window = &words[from..words.len().min(from + titles::TITLE_WORDS_MAX)];
            from += 1;
            if let Some(title) = self.longest_title(&window.join(" "))? {
                from += title.split(' ').count() - 1;
                if seen.insert(title.clone()) {
                    found.push(title);
                }
            }
        }
        Ok(found)
    }

    /// The longest title that `window` begins with.
    ///
    /// A title that begins the window is not greater than it, and everything between the two in order
    /// begins with the title too. So the greatest title not above the window is the answer, or shares
    /// the answer as a beginning with it: a few look-ups, however many titles there are.
    fn longest_title(&self, window: &str) -> Result<Option<String>, IndexError> {
        let sql = "SELECT normal FROM titles WHERE normal <= ?1 ORDER BY normal DESC LIMIT 1";
        let mut statement = self.reader.prepare_cached(sql)?;
        let mut window = window;
        while !window.is_empty() {
            let below = statement
                .query_row([window], |row| row.get::<_, String>(0))
                .optional()?;
            let Some(below) = below else { return Ok(None) };
            let common = titles::common_start(window, &below);
            if common.len() == below.len() {
                return Ok(Some(below));
            }
            window = common;
        }
        Ok(None)
    }

    /// The documents with this title, with their first chunks; none when too many have it.
    fn titled(&self, title: &str) -> Result<Vec<(i64, i64)>, IndexError> {
        let mut statement = self.reader.prepare_cached(
            "SELECT number, first_chunk, chunks FROM titles JOIN documents ON number = document \
             WHERE normal = ?1 ORDER BY number LIMIT ?2",
        )?;
        let limit = SAME_TITLE_MAX as i64 + 1;
        let rows = statement.query_map(params![title, limit], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?))
        })?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        if rows.len() > SAME_TITLE_MAX {
            return Ok(Vec::new());
        }
        let with_chunks = rows.into_iter().filter(|(_, _, chunks)| *chunks > 0);
        Ok(with_chunks
            .map(|(number, first, _)| (number, first))
            .collect())
    }

    /// How telling each title is: the sum over its words of ln(chunks / chunks with the word). Titles below
    /// half the logarithm of the number of chunks (a single word found in more than the square root
    /// of all chunks: "It", "Time") are dropped.
    fn telling(&self, titles: Vec<String>) -> Result<Vec<(f64, String)>, IndexError> {
        let words: Vec<&str> = titles.iter().flat_map(|t| t.split(' ')).collect();
        let mut stems = stems(&self.reader, &words)?.into_iter();
        let chunks = (self.rows.len as f64).max(CHUNKS_MIN);
        let mut telling = Vec::with_capacity(titles.len());
        for title in titles {
            let mut sum = 0.0;
            for stem in stems.by_ref().take(title.split(' ').count()).flatten() {
                let with = self.chunks_up_to(&stem, OCCURRENCES_MAX)?;
                sum += with.map_or(0.0, |with| (chunks / with.max(1) as f64).ln().max(0.0));
            }
            if sum >= 0.5 * chunks.ln() {
                telling.push((sum, title));
            }
        }
        Ok(telling)
    }

    /// Ranked by BM25 with the title as the only term.
    fn mentioned_by(&self, place: &Place, k: usize, scope: &Scope) -> Result<Vec<Hit>, IndexError> {
        let telling = self.telling(titles::forms(&place.title))?;
        let forms: Vec<String> = telling.into_iter().map(|(_, form)| form).collect();
        if forms.is_empty() {
            return Ok(Vec::new());
        }
        let average = self.rows.words as f64 / self.rows.len.max(1) as f64;
        let mut top = Top::new(k);
        for (words, id) in self.with_phrases(&forms, place, scope)? {
            self.interrupt.check()?;
            let count = count_mentions(&read::text(&self.reader, id)?, &forms);
            if count > 0 {
                let score = saturation(count, words, average) as f32;
                top.push(id.unsigned_abs(), score);
            }
        }
        let hits = top.into_hits();
        Ok(by_rank(
            hits.into_iter().map(|hit| hit.chunk.0.cast_signed()),
        ))
    }

    /// Lengths and ids of chunks of other documents that have one of `forms` as text search knows words: the
    /// shortest, [`MENTIONING_MAX`] at most.
    fn with_phrases(
        &self,
        forms: &[String],
        place: &Place,
        scope: &Scope,
    ) -> Result<Vec<(u32, i64)>, IndexError> {
        let own = place.first_chunk..place.first_chunk + place.chunks;
        // Nothing but letters, digits and spaces between the quotes.
        let phrases: Vec<String> = forms.iter().map(|form| format!("\"{form}\"")).collect();
        let sql = "SELECT rowid FROM fts WHERE fts MATCH ?1";
        let mut statement = self.reader.prepare_cached(sql)?;
        let mut rows = statement.query([phrases.join(" OR ")])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            self.interrupt.check()?;
            let id: i64 = row.get(0)?;
            let Some(position) = self.rows.position(id.unsigned_abs()) else {
                continue;
            };
            let (block, row) = self.rows.at(position);
            if !own.contains(&id) && scope.has(block.documents[row]) {
                found.push((block.words[row], id));
            }
        }
        found.sort_unstable();
        found.truncate(MENTIONING_MAX);
        Ok(found)
    }
}

/// How often one of `forms` stands in `text`, word for word.
fn count_mentions(text: &str, forms: &[String]) -> u32 {
    let mut folded = String::with_capacity(text.len() + 2);
    for word in titles::words(text) {
        folded.push(' ');
        folded.push_str(&word);
    }
    folded.push(' ');
    // The shortest form is part of the others, if it stands in the text at all.
    let count = |form: &String| folded.matches(&format!(" {form} ")).count();
    forms
        .iter()
        .map(count)
        .max()
        .map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX))
}
