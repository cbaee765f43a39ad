//! A tenant in memory: documents that are searched for real, under budgets, with the caller's filter. What it
//! charges, refuses and denies follows the host's `retrieval`.

use super::corpus::{Corpus, Row, Stored, Vector, fuse};
use super::filter::Filter;
use super::meters::{Meters, Spent};
use super::words::token_ends;
use crate::{ChunkId, Denied, Hit, Meter, NeighbourKind, Passage, Retrieval};

/// The most hits of one call, and chunks named in one.
const HITS_MAX: u32 = 1_000;
const CHUNKS_MAX: usize = 10_000;
/// Bytes of a query.
const QUERY_BYTES_MAX: usize = 64 << 10;
/// Tokens of a text that the model reads.
const TOKENS_MAX: usize = 256;
/// How deep each search goes that is fused.
const DEPTH: usize = 100;

/// Documents in memory, as an agent's [`Retrieval`]. Without more it is a tenant without documents under the shipped
/// policy `default`.
///
/// Text search is BM25 with a simple stemmer. Vectors count words, so that search by vector finds shared words and
/// nothing of meaning. Neighbours and filters follow the host's rules.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) corpus: Corpus,
    pub(super) meters: Meters,
    pub(super) passages_max: Option<usize>,
    filter: Option<Filter>,
}

impl Memory {
    /// The same with one more document. Panics where one of its id is there.
    #[must_use]
    pub fn with(mut self, document: Stored) -> Self {
        self.corpus.add(document);
        self
    }

    /// The same with this budget: calls beyond it are denied.
    #[must_use]
    pub fn budget(mut self, meter: Meter, most: u64) -> Self {
        self.meters.set(meter, most);
        self
    }

    /// The same with at most so many calls: one more panics, as the host would stop the task.
    #[must_use]
    pub fn host_calls_max(mut self, most: u64) -> Self {
        self.meters.limits.host_calls = most;
        self
    }

    /// The same with at most so many passages in an answer: more are an error of [`Memory::ask`]. 100 by default.
    #[must_use]
    pub fn passages_max(mut self, most: usize) -> Self {
        self.passages_max = Some(most);
        self
    }

    /// The same, asked with this filter, which then holds for every call besides the agent's own. Panics where it
    /// is no filter.
    #[must_use]
    pub fn asked_with(mut self, filter: &str) -> Self {
        match Filter::parse(filter) {
            Ok(filter) => self.filter = Some(filter),
            Err(wrong) => panic!("{wrong}"),
        }
        self
    }

    /// The id of a document's chunk, counted from 0. Panics where there is none.
    pub fn chunk(&self, document: &str, ordinal: usize) -> ChunkId {
        let rows = self.corpus.rows.iter();
        let found = rows
            .filter(|row| self.corpus.documents[row.document].id == document)
            .nth(ordinal);
        match found {
            Some(row) => row.id,
            None => panic!("the document {document} has no chunk {ordinal}"),
        }
    }

    /// What the task has used so far. A task begins with this host, and again with each [`Memory::ask`].
    pub fn spent(&self) -> Spent {
        self.meters.spent()
    }

    /// The task's calls so far: `embed why?`, `vector 5 -`, `text why? 5 {"filter":1}`; `-` is no filter.
    pub fn calls(&self) -> Vec<String> {
        self.meters.calls()
    }

    /// Whether the caller's filter and the agent's let a chunk through.
    fn scope(&self, own: Option<&str>) -> Result<impl Fn(&Row) -> bool + '_, Denied> {
        let own = own
            .map(Filter::parse)
            .transpose()
            .map_err(Denied::InvalidArgument)?;
        Ok(move |row: &Row| {
            let subject = self.corpus.documents[row.document].subject();
            let matches = |filter: &Filter| filter.matches(subject);
            self.filter.as_ref().is_none_or(matches) && own.as_ref().is_none_or(matches)
        })
    }

    fn row(&self, chunk: ChunkId) -> Result<&Row, Denied> {
        self.corpus.row(chunk).ok_or(Denied::NotFound)
    }

    fn pay_scan(&self, call: &str) -> Result<(), Denied> {
        let vectors = self.corpus.rows.len() as u64;
        self.meters.pay(call, Meter::VectorsScanned, vectors)
    }

    fn pay_tokens(&self, call: &str, text: &str) -> Result<(), Denied> {
        // The model puts a token before each text and one behind it.
        let tokens = (token_ends(text).len() + 2).min(TOKENS_MAX);
        self.meters.pay(call, Meter::EmbedTokens, tokens as u64)
    }

    fn shown(&self, hits: Vec<Hit>) -> Result<Vec<Hit>, Denied> {
        self.meters.show(hits.iter().map(|hit| hit.chunk));
        Ok(hits)
    }
}

fn invalid<T>(what: String) -> Result<T, Denied> {
    Err(Denied::InvalidArgument(what))
}

fn checked_k(k: u32) -> Result<usize, Denied> {
    match (1..=HITS_MAX).contains(&k) {
        true => Ok(k as usize),
        false => invalid(format!("k must be from 1 to {HITS_MAX}")),
    }
}

fn checked_text(what: &str, text: &str) -> Result<(), Denied> {
    match text.len() > QUERY_BYTES_MAX {
        true => invalid(format!("the {what} has more than {QUERY_BYTES_MAX} bytes")),
        false => Ok(()),
    }
}

fn checked_count(chunks: &[ChunkId]) -> Result<(), Denied> {
    match chunks.len() > CHUNKS_MAX {
        true => invalid(format!("more than {CHUNKS_MAX} chunks in one call")),
        false => Ok(()),
    }
}

impl Retrieval for Memory {
    type Vector = Vector;

    fn embed(&self, text: &str) -> Result<Vector, Denied> {
        self.meters.enter(format!("embed {text}"));
        checked_text("text", text)?;
        self.pay_tokens("embed", text)?;
        Ok(Vector::of(text))
    }

    fn vector_of(&self, chunk: ChunkId) -> Result<Vector, Denied> {
        self.meters.enter(format!("vector-of {chunk}"));
        Ok(self.row(chunk)?.vector.clone())
    }

    fn similarities(&self, vector: &Vector, chunks: &[ChunkId]) -> Result<Vec<f32>, Denied> {
        self.meters.enter(format!("similarities {chunks:?}"));
        checked_count(chunks)?;
        let scanned = chunks.len() as u64;
        self.meters
            .pay("similarities", Meter::VectorsScanned, scanned)?;
        let cosine = |chunk: &ChunkId| Ok(self.row(*chunk)?.vector.cosine(vector));
        chunks.iter().map(cosine).collect()
    }

    fn search_vector(
        &self,
        vector: &Vector,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Denied> {
        self.meters
            .enter(format!("vector {k} {}", filter.unwrap_or("-")));
        let (k, scope) = (checked_k(k)?, self.scope(filter)?);
        self.meters.pay("search-vector", Meter::Searches, 1)?;
        self.pay_scan("search-vector")?;
        self.shown(self.corpus.nearest(vector, k, scope))
    }

    fn search_text(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        self.meters
            .enter(format!("text {query} {k} {}", filter.unwrap_or("-")));
        let (k, scope) = (checked_k(k)?, self.scope(filter)?);
        checked_text("query", query)?;
        self.meters.pay("search-text", Meter::Searches, 1)?;
        self.shown(self.corpus.matching(query, k, scope))
    }

    fn search_hybrid(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        self.meters
            .enter(format!("hybrid {query} {k} {}", filter.unwrap_or("-")));
        let (k, scope) = (checked_k(k)?, self.scope(filter)?);
        checked_text("query", query)?;
        self.meters.pay("search-hybrid", Meter::Searches, 1)?;
        self.pay_scan("search-hybrid")?;
        self.pay_tokens("search-hybrid", query)?;
        let depth = k.max(DEPTH);
        let near = self.corpus.nearest(&Vector::of(query), depth, &scope);
        let worded = self.corpus.matching(query, depth, &scope);
        self.shown(fuse(&[&near, &worded], k))
    }

    fn neighbours(&self, chunk: ChunkId, kind: NeighbourKind, k: u32) -> Result<Vec<Hit>, Denied> {
        self.meters
            .enter(format!("neighbours {chunk} {kind:?} {k}"));
        let (k, scope) = (checked_k(k)?, self.scope(None)?);
        if !matches!(kind, NeighbourKind::Next | NeighbourKind::Previous) {
            self.meters.pay("neighbours", Meter::Searches, 1)?;
        }
        if kind == NeighbourKind::Similar {
            self.pay_scan("neighbours")?;
        }
        let row = self.row(chunk)?;
        self.shown(self.corpus.neighbours(row, kind, k, scope))
    }

    fn read(&self, chunks: &[ChunkId]) -> Result<Vec<Passage>, Denied> {
        self.meters.enter(format!("read {chunks:?}"));
        checked_count(chunks)?;
        let rows: Vec<&Row> = chunks
            .iter()
            .map(|chunk| self.row(*chunk))
            .collect::<Result<_, _>>()?;
        let bytes = rows.iter().map(|row| row.text.len() as u64).sum();
        self.meters.pay("read", Meter::Read, bytes)?;
        let scope = self.scope(None)?;
        if !rows.iter().all(|row| scope(row)) {
            return Err(Denied::NotFound);
        }
        self.meters.show(chunks.iter().copied());
        Ok(rows.iter().map(|row| self.corpus.passage(row)).collect())
    }
}
