//! What the tests of the index share: small tenants of generated documents.

use crate::corpus::{Chunk, DIMENSIONS, Document, Embedding, Metadata, TenantId};
use crate::index::{Index, IndexOptions, MatrixCache, NewChunk, NewVersion, Put, TextHash};
use crate::statistics::SplitMix64;
use std::path::Path;
use std::sync::Arc;

/// The same vector for the same seed.
pub(crate) fn unit_vector(seed: u64) -> Embedding {
    let mut random = SplitMix64(seed.wrapping_mul(0x1234_5678_9abc_def1));
    let values: Vec<f32> = (0..DIMENSIONS)
        .map(|_| random.unit() as f32 - 0.5)
        .collect();
    let norm = values
        .iter()
        .map(|v| f64::from(*v).powi(2))
        .sum::<f64>()
        .sqrt();
    Embedding::new(
        values
            .iter()
            .map(|v| (f64::from(*v) / norm) as f32)
            .collect(),
    )
    .unwrap()
}

/// A vector that only this text has.
pub(crate) fn vector_for(text: &str) -> Embedding {
    let hash = TextHash::of(text).0;
    unit_vector(u64::from_le_bytes(hash[..8].try_into().unwrap()))
}

pub(crate) fn document(id: &str, title: &str, text: &str, metadata: &str) -> Document {
    Document {
        id: id.to_owned(),
        title: title.to_owned(),
        media_type: "text/plain".to_owned(),
        text: text.to_owned(),
        metadata: serde_json::from_str::<Metadata>(metadata).unwrap(),
    }
}

/// One chunk a line.
pub(crate) fn chunks(text: &str) -> Vec<NewChunk> {
    let mut start = 0;
    let mut chunks = Vec::new();
    for line in text.split_inclusive('\n') {
        let end = start + line.len();
        let chunk = Chunk {
            start: start as u32,
            end: end as u32,
            labels: vec![],
        };
        chunks.push(NewChunk {
            chunk,
            hash: TextHash::of(line),
            embedding: vector_for(line),
        });
        start = end;
    }
    chunks
}

pub(crate) fn put(index: &Index, document: &Document) -> Put {
    try_put(index, document).unwrap()
}

pub(crate) fn try_put(index: &Index, document: &Document) -> Result<Put, crate::index::IndexError> {
    let chunks = chunks(&document.text);
    let hash = TextHash::of(&format!("{document:?}")).0;
    index.put(&NewVersion {
        document,
        hash,
        chunker: "lines",
        chunks: &chunks,
    })
}

/// All in one transaction.
pub(crate) fn put_within(
    index: &Index,
    documents: &[Document],
    documents_max: u64,
) -> Result<Vec<Option<Put>>, crate::index::IndexError> {
    let parts = |document: &Document| {
        let hash = TextHash::of(&format!("{document:?}")).0;
        (hash, chunks(&document.text))
    };
    let parts: Vec<_> = documents.iter().map(parts).collect();
    let versions: Vec<_> = documents
        .iter()
        .zip(&parts)
        .map(|(document, (hash, chunks))| NewVersion {
            document,
            hash: *hash,
            chunker: "lines",
            chunks,
        })
        .collect();
    index.put_within(&versions, documents_max)
}

pub(crate) fn open(folder: &Path, tenant: &str) -> Index {
    open_with(folder, tenant, "model", &MatrixCache::new(64 << 20))
}

pub(crate) fn open_with(
    folder: &Path,
    tenant: &str,
    model: &str,
    cache: &Arc<MatrixCache>,
) -> Index {
    let options = IndexOptions {
        model: model.to_owned(),
        cache: Arc::clone(cache),
    };
    Index::open(
        &folder.join(tenant),
        &TenantId::new(tenant).unwrap(),
        options,
    )
    .unwrap()
}
