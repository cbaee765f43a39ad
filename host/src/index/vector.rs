//! Search by vector: an exact scan of all of the tenant's vectors.

use super::error::IndexError;
use super::kernel::dot_products;
use super::scope::Scope;
use super::top::Top;
use super::view::{View, check_k};
use super::{Index, MAX_CHUNKS_PER_CALL};
use crate::corpus::{ChunkId, DIMENSIONS, Embedding, Filter, Hit};
use crate::db::{Connection, Interrupt, OptionalExtension};

/// Vectors scored between two looks at the interrupt, where they are not in blocks.
const SLICE: usize = 1_024;

impl Index {
    /// The `k` chunks nearest to `query` by cosine among those whose documents `filter` chooses, best
    /// first, ties by id. `k` is at most [`super::MAX_HITS`].
    pub fn search_vector(
        &self,
        query: &Embedding,
        k: usize,
        filter: Option<&Filter>,
        interrupt: &Interrupt,
    ) -> Result<Vec<Hit>, IndexError> {
        let view = self.view(interrupt)?;
        let scope = view.scope(filter)?;
        view.nearest(query, check_k(k)?, &scope)
    }

    /// The stored vector of a chunk.
    pub fn vector_of(&self, chunk: ChunkId) -> Result<Embedding, IndexError> {
        let reader = self.database.read(&Interrupt::never())?;
        self.check_model(&reader)?;
        stored(&reader, chunk)
    }

    /// The cosine of `vector` with each chunk's, in the order given; one unknown chunk fails all.
    pub fn similarities(
        &self,
        vector: &Embedding,
        chunks: &[ChunkId],
        interrupt: &Interrupt,
    ) -> Result<Vec<f32>, IndexError> {
        check_count(chunks.len())?;
        let reader = self.database.read(interrupt)?;
        self.check_model(&reader)?;
        let mut scores = Vec::with_capacity(chunks.len());
        let mut rows = Vec::new();
        let mut out = Vec::new();
        for slice in chunks.chunks(SLICE) {
            interrupt.check()?;
            rows.clear();
            for chunk in slice {
                rows.extend_from_slice(stored(&reader, *chunk)?.values());
            }
            dot_products(vector.values(), &rows, &mut out);
            scores.extend_from_slice(&out);
        }
        Ok(scores)
    }

    /// How many documents another model embedded.
    pub(super) fn other_model(&self, connection: &Connection) -> Result<u64, IndexError> {
        let sql = "SELECT coalesce(sum(documents), 0) FROM models WHERE digest <> ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let documents: i64 = statement.query_row([&self.model], |row| row.get(0))?;
        Ok(documents.unsigned_abs())
    }

    /// Vectors of different models are not compared: the answer would be noise.
    fn check_model(&self, connection: &Connection) -> Result<(), IndexError> {
        match self.other_model(connection)? {
            0 => Ok(()),
            documents => Err(IndexError::OtherModel { documents }),
        }
    }
}

impl View<'_> {
    pub(super) fn nearest(
        &self,
        query: &Embedding,
        k: usize,
        scope: &Scope,
    ) -> Result<Vec<Hit>, IndexError> {
        self.index.check_model(&self.reader)?;
        let mut top = Top::new(k);
        let mut scores = Vec::new();
        if k > 0 {
            self.rows
                .scan(&self.reader, self.interrupt, |block, vectors| {
                    dot_products(query.values(), vectors, &mut scores);
                    for (i, &score) in scores.iter().enumerate() {
                        if top.wants(score) && scope.has(block.documents[i]) {
                            top.push(block.ids[i], score);
                        }
                    }
                })?;
        }
        Ok(top.into_hits())
    }
}

/// The vectors of chunks above an id, in the order of ids.
pub(super) fn read_vectors() -> &'static str {
    "SELECT chunk, vector FROM vectors WHERE chunk > ?1 ORDER BY chunk"
}

pub(super) fn stored(connection: &Connection, chunk: ChunkId) -> Result<Embedding, IndexError> {
    let id = i64::try_from(chunk.0).map_err(|_| IndexError::UnknownChunk(chunk))?;
    let sql = "SELECT vector FROM vectors WHERE chunk = ?1";
    let blob = connection
        .prepare_cached(sql)?
        .query_row([id], |row| row.get::<_, Vec<u8>>(0));
    decode(&blob.optional()?.ok_or(IndexError::UnknownChunk(chunk))?)
}

pub(super) fn check_count(given: usize) -> Result<(), IndexError> {
    match given {
        0..=MAX_CHUNKS_PER_CALL => Ok(()),
        _ => Err(IndexError::Limit {
            what: "the list of chunks",
            given,
            limit: MAX_CHUNKS_PER_CALL,
        }),
    }
}

pub(super) fn encode(embedding: &Embedding) -> Vec<u8> {
    embedding
        .values()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Embedding, IndexError> {
    let mut values = Vec::with_capacity(DIMENSIONS);
    decode_into(bytes, &mut values)?;
    Ok(Embedding::new(values)?)
}

pub(super) fn decode_into(bytes: &[u8], values: &mut Vec<f32>) -> Result<(), IndexError> {
    if bytes.len() != DIMENSIONS * 4 {
        return Err(IndexError::Damaged(format!(
            "a vector has {} bytes",
            bytes.len()
        )));
    }
    let (numbers, _) = bytes.as_chunks::<4>();
    values.extend(numbers.iter().map(|n| f32::from_le_bytes(*n)));
    Ok(())
}
