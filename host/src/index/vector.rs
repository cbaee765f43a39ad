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
    decode(
        chunk.0,
        &blob.optional()?.ok_or(IndexError::UnknownChunk(chunk))?,
    )
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

/// Bytes of a vector without its seal.
const PLAIN: usize = DIMENSIONS * 4;

/// The numbers, little endian, and behind them the seal.
pub(super) fn encode(chunk: u64, embedding: &Embedding) -> Vec<u8> {
    let values = embedding.values().iter();
    let mut bytes: Vec<u8> = values.flat_map(|v| v.to_le_bytes()).collect();
    let seal = seal(chunk, &bytes);
    bytes.extend_from_slice(&seal);
    bytes
}

pub(super) fn decode(chunk: u64, bytes: &[u8]) -> Result<Embedding, IndexError> {
    let mut values = Vec::with_capacity(DIMENSIONS);
    decode_into(chunk, bytes, &mut values)?;
    Ok(Embedding::new(values)?)
}

/// A vector that is not as it was written is refused: SQLite does not notice a changed bit. Vectors of files from
/// before there were seals have none.
pub(super) fn decode_into(
    chunk: u64,
    bytes: &[u8],
    values: &mut Vec<f32>,
) -> Result<(), IndexError> {
    let Some((plain, found)) = bytes.split_at_checked(PLAIN) else {
        let length = bytes.len();
        return Err(IndexError::Damaged(format!("a vector has {length} bytes")));
    };
    if !found.is_empty() && found != seal(chunk, plain) {
        let what = format!("the vector of chunk {chunk} is not as it was written");
        return Err(IndexError::Damaged(what));
    }
    let (numbers, _) = plain.as_chunks::<4>();
    values.extend(numbers.iter().map(|n| f32::from_le_bytes(*n)));
    Ok(())
}

/// Tells a chunk's vector from one with any changed bits, and from another chunk's. Each step is one-to-one, so one
/// changed word never goes unnoticed; four lanes, since one would wait for its own products.
fn seal(chunk: u64, plain: &[u8]) -> [u8; 8] {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(ODD).rotate_left(29);
    let mut lanes = [chunk, 1, 2, 3];
    let (fours, _) = plain.as_chunks::<32>();
    for four in fours {
        let (words, _) = four.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let folded = lanes.into_iter().fold(plain.len() as u64, step);
    folded.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::support::unit_vector;

    #[test]
    fn every_flipped_bit_of_a_vector_is_noticed() {
        let vector = unit_vector(7);
        let whole = encode(5, &vector);
        assert_eq!(decode(5, &whole).unwrap().values(), vector.values());
        assert!(decode(6, &whole).is_err(), "another chunk's");
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(5, &damaged).is_err(), "bit {bit}");
        }
        assert!(decode(5, &whole[..PLAIN]).is_ok(), "written before seals");
        assert!(decode(5, &whole[..PLAIN - 1]).is_err());
    }
}
