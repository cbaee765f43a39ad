//! Search by text: BM25 over the words of the query, any of which may match.
//!
//! The scores are those of FTS5's `bm25()` (Robertson and Zaragoza, "The Probabilistic Relevance
//! Framework: BM25 and Beyond", 2009, with k1 = 1.2 and b = 0.75), computed here from the posting lists,
//! since FTS5 looks up a length in a table for every row it scores.

use super::Index;
use super::error::IndexError;
use super::scope::Scope;
use super::stems::stems;
use super::top::Top;
use super::view::{View, check_k, lock};
use crate::corpus::{Filter, Hit};
use crate::db::{Connection, Interrupt, OptionalExtension, params};
use std::collections::HashMap;

/// Rows that the posting lists of one query may have together. FTS5 has no pruning, so this is what
/// bounds a search.
const POSTINGS_MAX: i64 = 50_000;

/// Terms that are kept however long their lists.
const TERMS_MIN: usize = 2;

/// Different terms of one query; later ones are left out.
const TERMS_MAX: usize = 256;

/// Bytes of a query that are looked at.
const QUERY_BYTES_MAX: usize = 16 * 1_024;

/// Posting lists whose lengths are remembered.
const FREQUENCIES_KEPT: usize = 4_096;

/// Rows between two looks at the interrupt.
const POSTINGS_PER_CHECK: usize = 1_024;

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// What a text search found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextHits {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Words of the query that were not searched for, because they are too frequent or too many.
    pub left_out: Vec<String>,
}

/// A word of the query.
#[derive(Debug, Clone)]
struct Term {
    stem: String,
    word: String,
    /// Chunks that contain it.
    chunks: i64,
}

/// How many chunks contain a term, as it was when counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    chunks: i64,
    generation: i64,
    /// Chunks ever removed, then.
    removed: i64,
}

/// Counting a frequent term means reading its posting list, so counts are kept.
#[derive(Debug, Default)]
pub(super) struct Frequencies {
    counts: HashMap<String, Counted>,
    /// Counts with a limit, of this generation.
    limited: HashMap<String, Option<i64>>,
    generation: i64,
}

impl Frequencies {
    fn keep(&mut self, stem: &str, counted: Counted) {
        if self.counts.len() >= FREQUENCIES_KEPT {
            self.counts.clear();
        }
        self.counts.insert(stem.to_owned(), counted);
    }

    fn keep_limited(&mut self, stem: &str, generation: i64, chunks: Option<i64>) {
        if self.generation != generation || self.limited.len() >= FREQUENCIES_KEPT {
            self.limited.clear();
            self.generation = generation;
        }
        self.limited.insert(stem.to_owned(), chunks);
    }

    fn limited(&self, stem: &str, generation: i64) -> Option<Option<i64>> {
        self.limited
            .get(stem)
            .copied()
            .filter(|_| self.generation == generation)
    }
}

impl Index {
    /// The `k` best chunks by BM25 over any of the words of `query`, among those whose documents `filter`
    /// chooses, best first, ties by id. Scores are negated FTS5 ranks: higher is better. Any text is
    /// a legal query. `k` is at most [`super::MAX_HITS`].
    pub fn search_text(
        &self,
        query: &str,
        k: usize,
        filter: Option<&Filter>,
        interrupt: &Interrupt,
    ) -> Result<TextHits, IndexError> {
        let view = self.view(interrupt)?;
        let scope = view.scope(filter)?;
        view.matching(query, check_k(k)?, &scope)
    }
}

impl View<'_> {
    pub(super) fn matching(
        &self,
        query: &str,
        k: usize,
        scope: &Scope,
    ) -> Result<TextHits, IndexError> {
        let (terms, mut left_out) = terms(&self.reader, query)?;
        let terms = self.affordable(terms, &mut left_out)?;
        let mut scores = Scores::new(self);
        for term in &terms {
            scores.add(term)?;
        }
        let hits = scores.best(k, scope);
        Ok(TextHits { hits, left_out })
    }

    /// The rarest terms whose posting lists fit the budget together, and two at least.
    fn affordable(
        &self,
        mut terms: Vec<Term>,
        left_out: &mut Vec<String>,
    ) -> Result<Vec<Term>, IndexError> {
        let mut surely_over = Vec::new();
        let mut counted = Vec::new();
        for mut term in terms.drain(..) {
            match self.at_least(&term.stem) {
                Some(chunks) if chunks > POSTINGS_MAX => surely_over.push(term),
                _ => {
                    term.chunks = self.chunks_with(&term.stem)?;
                    counted.push(term);
                }
            }
        }
        if counted.len() < TERMS_MIN {
            for mut term in surely_over.drain(..) {
                term.chunks = self.chunks_with(&term.stem)?;
                counted.push(term);
            }
        }
        counted.sort_unstable_by(|a, b| (a.chunks, &a.stem).cmp(&(b.chunks, &b.stem)));
        let mut sum = 0;
        let mut fits = |(i, term): (usize, &Term)| {
            sum += term.chunks;
            i < TERMS_MIN || sum <= POSTINGS_MAX
        };
        let kept = counted
            .iter()
            .enumerate()
            .take_while(|&pair| fits(pair))
            .count();
        left_out.extend(
            counted
                .drain(kept..)
                .chain(surely_over)
                .map(|term| term.word),
        );
        Ok(counted)
    }

    /// A lower bound of how many chunks contain `stem`, from an earlier count: no more can have lost it
    /// than were removed since.
    fn at_least(&self, stem: &str) -> Option<i64> {
        let counted = lock(&self.index.frequencies).counts.get(stem).copied()?;
        let lost = self.state.removed() - counted.removed;
        (counted.generation <= self.state.generation).then_some(counted.chunks - lost)
    }

    /// How many chunks contain `stem`.
    fn chunks_with(&self, stem: &str) -> Result<i64, IndexError> {
        let generation = self.state.generation;
        if let Some(known) = lock(&self.index.frequencies).counts.get(stem)
            && known.generation == generation
        {
            return Ok(known.chunks);
        }
        let mut statement = self
            .reader
            .prepare_cached("SELECT doc FROM terms WHERE term = ?1")?;
        let chunks = statement
            .query_row([stem], |row| row.get(0))
            .optional()?
            .unwrap_or(0);
        let counted = Counted {
            chunks,
            generation,
            removed: self.state.removed(),
        };
        lock(&self.index.frequencies).keep(stem, counted);
        Ok(chunks)
    }

    /// How many chunks contain `stem`; `None` when it occurs `limit` times or more, which is as far as is
    /// counted. Always called with the same limit.
    pub(super) fn chunks_up_to(&self, stem: &str, limit: i64) -> Result<Option<i64>, IndexError> {
        let generation = self.state.generation;
        if let Some(known) = lock(&self.index.frequencies).limited(stem, generation) {
            return Ok(known);
        }
        let mut statement = self.reader.prepare_cached(
            "SELECT count(*), count(DISTINCT doc) FROM \
             (SELECT doc FROM occurrences WHERE term = ?1 LIMIT ?2)",
        )?;
        let (occurrences, with): (i64, i64) =
            statement.query_row(params![stem, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let chunks = (occurrences < limit).then_some(with);
        lock(&self.index.frequencies).keep_limited(stem, generation, chunks);
        Ok(chunks)
    }
}

/// The different terms of a query and the words beyond [`TERMS_MAX`].
fn terms(connection: &Connection, query: &str) -> Result<(Vec<Term>, Vec<String>), IndexError> {
    let mut end = query.len().min(QUERY_BYTES_MAX);
    while !query.is_char_boundary(end) {
        end -= 1;
    }
    let words: Vec<&str> = query[..end].split_whitespace().collect();
    let stems = stems(connection, &words)?;
    let mut terms: Vec<Term> = Vec::new();
    let mut beyond = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (word, stems) in words.iter().zip(stems) {
        for stem in stems {
            if !seen.insert(stem.clone()) {
                continue;
            }
            if terms.len() < TERMS_MAX {
                terms.push(Term {
                    stem,
                    word: (*word).to_owned(),
                    chunks: 0,
                });
            } else {
                beyond.push((*word).to_owned());
            }
        }
    }
    if end < query.len() {
        beyond.push(format!("everything after {QUERY_BYTES_MAX} bytes"));
    }
    Ok((terms, beyond))
}

/// BM25 of how often a chunk has a term, without the term's weight.
pub(super) fn saturation(count: u32, words: u32, average: f64) -> f64 {
    let count = f64::from(count);
    let length = f64::from(words) / average.max(1.0);
    count * (K1 + 1.0) / (count + K1 * (1.0 - B + B * length))
}

/// Sums of the chunks that some term matched, by position.
struct Scores<'a> {
    view: &'a View<'a>,
    average: f64,
    sums: Vec<f64>,
    touched: Vec<u32>,
}

impl<'a> Scores<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let rows = &view.rows;
        let average = rows.words as f64 / (rows.len.max(1) as f64);
        Self {
            view,
            average,
            sums: vec![0.0; rows.len],
            touched: Vec::new(),
        }
    }

    /// Adds `term`'s share to every chunk that has it.
    fn add(&mut self, term: &Term) -> Result<(), IndexError> {
        let view = self.view;
        let weight = weight(term.chunks, view.state.chunks);
        let sql = "SELECT doc FROM occurrences WHERE term = ?1";
        let mut statement = view.reader.prepare_cached(sql)?;
        let mut rows = statement.query([&term.stem])?;
        let mut current = None;
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            seen += 1;
            if seen % POSTINGS_PER_CHECK == 0 {
                view.interrupt.check()?;
            }
            let chunk = row.get::<_, i64>(0)?;
            match &mut current {
                Some((last, count)) if *last == chunk => *count += 1,
                _ => {
                    if let Some((last, count)) = current.replace((chunk, 1)) {
                        self.score(last, count, weight)?;
                    }
                }
            }
        }
        match current {
            Some((last, count)) => self.score(last, count, weight),
            None => Ok(()),
        }
    }

    fn score(&mut self, chunk: i64, count: u32, weight: f64) -> Result<(), IndexError> {
        let rows = &self.view.rows;
        let Some(position) = rows.position(chunk.unsigned_abs()) else {
            return Err(IndexError::Damaged(format!(
                "text of chunk {chunk}, which is not there"
            )));
        };
        let (block, row) = rows.at(position);
        let sum = &mut self.sums[position];
        if *sum == 0.0 {
            self.touched
                .push(u32::try_from(position).unwrap_or(u32::MAX));
        }
        *sum += weight * saturation(count, block.words[row], self.average);
        Ok(())
    }

    fn best(&self, k: usize, scope: &Scope) -> Vec<Hit> {
        let mut top = Top::new(k);
        for &position in &self.touched {
            let score = self.sums[position as usize] as f32;
            if top.wants(score) {
                let (block, row) = self.view.rows.at(position as usize);
                if scope.has(block.documents[row]) {
                    top.push(block.ids[row], score);
                }
            }
        }
        top.into_hits()
    }
}

/// The inverse document frequency, never below what FTS5 gives to a term that most chunks have.
fn weight(chunks_with: i64, chunks: i64) -> f64 {
    let (with, all) = (chunks_with as f64, chunks as f64);
    (((all - with + 0.5) / (with + 0.5)).ln()).max(1e-6)
}
