//! The ingest flow: a document goes through the tenant's chunker, its spans are checked, their texts are
//! embedded, and one transaction brings it into the index, whole or not at all.
//!
//! It handles one document of one tenant. It knows nothing of files, of HTTP, or of who asked.

mod chunk;
mod commit;

pub(crate) use chunk::option_spec;
pub use chunk::{Chunker, ChunkerHost};
pub use commit::{Commits, UnderWay};

use crate::corpus::{Chunk, Document, Embedding};
use crate::embedder::{EmbedError, Embedder, Lane, Tokens};
use crate::error::{Explain, Wraps};
use crate::index::{Index, IndexError, NewChunk, PutKind, StoredParts, StoredVersion, TextHash};
use crate::law::{self, Law};
use crate::plugin::Options;
use crate::sandbox::Sandbox;
use crate::task::{Meter, Phase, Reason, Stop, Task, count};
use commit::Version;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Bytes of text that are tokenised at once, in less time than another thread takes to be woken twice among busy
/// ones: at most half a millisecond.
const TOKENIZED_HERE: usize = 4 << 10;

/// What every document of a tenant goes through.
#[derive(Debug, Clone)]
pub struct Line {
    /// Runs the chunker.
    pub sandbox: Sandbox,
    /// Makes the vectors.
    pub embedder: Embedder,
    /// The tenant's place in the embedder's queue.
    pub lane: Lane,
    /// The tenant's index.
    pub index: Arc<Index>,
    /// How versions enter it.
    pub commits: Arc<Commits>,
    /// How much the tenant may keep.
    pub room: Room,
    /// Whether texts that the tenant has already are embedded again.
    pub reuse: bool,
    /// One document of the tenant is tokenised at a time.
    pub tokenizing: Arc<Semaphore>,
}

/// How much a tenant may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Documents.
    pub documents_max: u64,
    /// Bytes on disk.
    pub storage_bytes_max: u64,
    /// Bytes of one document's text.
    pub document_bytes_max: u64,
}

/// The chunker of one document, with its options.
#[derive(Debug, Clone)]
pub struct Method {
    /// The plugin.
    pub chunker: Chunker,
    /// Every declared option with its value.
    pub options: Options,
    digest: String,
}

impl Method {
    /// This chunker with these options.
    pub fn new(chunker: Chunker, options: Options) -> Self {
        let digest = method_digest(&chunker, &options);
        Self {
            chunker,
            options,
            digest,
        }
    }

    /// Names the chunker and its options: equal for two methods that cut alike.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

fn method_digest(chunker: &Chunker, options: &Options) -> String {
    let mut hasher = blake3::Hasher::new();
    frame(&mut hasher, chunker.digest.to_string().as_bytes());
    let options = options.iter().filter(|_| law::holds(Law::OptionsCount));
    for (name, value) in options {
        frame(&mut hasher, name.as_bytes());
        frame(&mut hasher, value.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is new.
    Added,
    /// It took an older version's place.
    Replaced,
    /// The stored version is this one already; nothing was run.
    Unchanged,
}

/// A document that is in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// What became of it.
    pub fate: Fate,
    /// Its chunks.
    pub chunks: u64,
    /// Tokens that the model embedded for it.
    pub tokens: u64,
    /// Chunks whose vectors the tenant had already.
    pub reused: u64,
}

/// What decides a version: equal hash, equal version.
pub fn version_hash(document: &Document, method: &str, model: &str) -> [u8; 32] {
    stored_hash(&StoredParts {
        title: &document.title,
        text: &document.text,
        media_type: &document.media_type,
        metadata: &serde_json::to_string(&document.metadata).unwrap_or_default(),
        chunker: method,
        model,
    })
}

/// As [`version_hash`], of what an index has of a version.
pub fn stored_hash(parts: &StoredParts<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in [parts.title, parts.text, parts.media_type] {
        frame(&mut hasher, part.as_bytes());
    }
    if law::holds(Law::MetadataCounts) {
        frame(&mut hasher, parts.metadata.as_bytes());
    }
    frame(&mut hasher, parts.chunker.as_bytes());
    frame(&mut hasher, parts.model.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Length first, so that no two sequences of fields look alike.
fn frame(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}

impl Line {
    /// As this one, for a document that must not wait for others to be committed.
    pub fn alone(mut self) -> Self {
        self.commits = Arc::new(Commits::new(self.index.clone()));
        self
    }

    /// The fate of `document` where nothing needs to be done for it, since it is what is `stored` of it.
    pub fn unchanged(
        &self,
        document: &Document,
        method: &Method,
        stored: Option<StoredVersion>,
    ) -> Option<Ingested> {
        let stored = stored?;
        let same = stored.hash == self.version(document, method);
        same.then_some(Ingested {
            fate: Fate::Unchanged,
            chunks: stored.chunks,
            tokens: 0,
            reused: 0,
        })
    }

    /// What is stored of document `id` now.
    pub async fn stored(&self, id: &str) -> Result<Option<StoredVersion>, IngestError> {
        let (index, id) = (self.index.clone(), id.to_owned());
        blocking(move || index.stored(&id)).await
    }

    /// What decides the version of `document` that `method` makes.
    pub fn version(&self, document: &Document, method: &Method) -> [u8; 32] {
        version_hash(document, method.digest(), &self.embedder.model().digest)
    }

    /// The guest's part: the document's chunks, checked.
    pub async fn chunk(
        &self,
        task: &Arc<Task>,
        document: &Document,
        method: &Method,
    ) -> Result<Vec<Chunk>, IngestError> {
        self.check_size(task, document)?;
        let Method {
            chunker, options, ..
        } = method;
        Ok(chunker
            .chunk(&self.sandbox, &self.embedder, task, document, options)
            .await?)
    }

    fn check_size(&self, task: &Task, document: &Document) -> Result<(), Stop> {
        let (size, limit) = (document.text.len() as u64, self.room.document_bytes_max);
        if size <= limit {
            return Ok(());
        }
        let detail = "the document's text is larger than the policy allows (KiB)";
        Err(end(task, Reason::Document, kib(limit), kib(size), detail))
    }

    /// The native part: embeds the chunks and commits the document. When this returns, it is on disk.
    pub async fn store(
        &self,
        task: &Arc<Task>,
        document: Document,
        method: &Method,
        chunks: Vec<Chunk>,
    ) -> Result<Ingested, IngestError> {
        let (new, tokens, reused) = self.embed(task, &document, chunks).await?;
        task.check()?;
        task.enter(Phase::Commit);
        let version = Version {
            hash: self.version(&document, method),
            chunker: method.digest().to_owned(),
            document,
            chunks: new,
        };
        let version_bytes = version.bytes();
        let put = match self.commits.commit(task, version, self.room).await {
            Ok(Some(put)) => put,
            Ok(None) => return Err(too_many(task, self.room.documents_max).into()),
            Err(IngestError::Index(IndexError::Interrupted)) => return Err(stopped(task)),
            Err(IngestError::Index(error)) if error.is_full() => {
                if !law::holds(Law::FullIsTold) {
                    let fate = Fate::Added;
                    return Ok(Ingested {
                        fate,
                        chunks: 0,
                        tokens,
                        reused,
                    });
                }
                return Err(self.full(task, version_bytes, error.into()).await);
            }
            Err(error) => return Err(error),
        };
        let fate = match put.kind {
            PutKind::Added => Fate::Added,
            PutKind::Replaced => Fate::Replaced,
        };
        Ok(Ingested {
            fate,
            chunks: put.chunks,
            tokens,
            reused,
        })
    }

    /// The index found no room: the tenant's own limit where a version like this could reach it, else the disk.
    async fn full(&self, task: &Task, version_bytes: u64, error: IngestError) -> IngestError {
        let index = self.index.clone();
        let Ok(counts) = blocking(move || index.counts()).await else {
            return error;
        };
        let (limit, used) = (
            self.room.storage_bytes_max,
            counts.bytes.saturating_add(version_bytes),
        );
        // Words, titles and the pages' own room come on top of what is stored.
        if used.saturating_add(version_bytes).saturating_add(1 << 20) < limit {
            return error;
        }
        let detail = "the tenant's index is as large as the policy allows (MiB)";
        let mib = |bytes| kib(bytes) / 1024.0;
        let used = mib(used.max(limit));
        end(task, Reason::Storage, mib(limit), used, detail).into()
    }

    async fn embed(
        &self,
        task: &Arc<Task>,
        document: &Document,
        chunks: Vec<Chunk>,
    ) -> Result<(Vec<NewChunk>, u64, u64), IngestError> {
        let texts: Vec<TextHash> = chunks
            .iter()
            .map(|chunk| TextHash::of(chunk.text(&document.text)))
            .collect();
        let mut vectors = self.known(&texts).await?;
        let reused = texts
            .iter()
            .filter(|hash| vectors.contains_key(hash))
            .count() as u64;
        task.enter(Phase::Tokenize);
        let tokenized = self.tokenize(task, document, &chunks, &texts, &vectors);
        let (missing, tokens) = tokenized.await?;
        let total: u64 = tokens.iter().map(|t| t.len() as u64).sum();
        task.charge_or_end(Meter::EmbedTokens, total)?;
        task.enter(Phase::Embed);
        if !tokens.is_empty() {
            let embedded = self.embedder.embed(&self.lane_of(task), tokens).await;
            let embedded = embedded.map_err(|error| embed_error(task, error))?;
            for (hash, vector) in missing.into_iter().zip(embedded) {
                vectors.insert(hash, vector.map_err(|error| embed_error(task, error))?);
            }
        }
        let with_vector = |(chunk, hash)| {
            let embedding = vectors.get(&hash).cloned();
            let lost = || Stop::host(Phase::Embed, "a chunk has no vector");
            Ok(NewChunk {
                chunk,
                hash,
                embedding: embedding.ok_or_else(lost)?,
            })
        };
        let new = chunks
            .into_iter()
            .zip(texts)
            .map(with_vector)
            .collect::<Result<_, Stop>>()?;
        Ok((new, total, reused))
    }

    fn lane_of(&self, task: &Task) -> Lane {
        Lane {
            cancel: task.token().clone(),
            ..self.lane.clone()
        }
    }

    async fn known(&self, texts: &[TextHash]) -> Result<HashMap<TextHash, Embedding>, IngestError> {
        if !self.reuse {
            return Ok(HashMap::new());
        }
        let (index, texts) = (self.index.clone(), texts.to_vec());
        blocking(move || index.known_vectors(&texts)).await
    }

    /// The texts that need embedding, each once, with their tokens. More than [`TOKENIZED_HERE`] is done off the
    /// threads that answer questions, and one document at a time: a tenant whose chunks overlap has megabytes.
    async fn tokenize(
        &self,
        task: &Arc<Task>,
        document: &Document,
        chunks: &[Chunk],
        texts: &[TextHash],
        known: &HashMap<TextHash, Embedding>,
    ) -> Result<(Vec<TextHash>, Vec<Tokens>), IngestError> {
        let mut seen = HashSet::new();
        let (mut missing, mut wanted) = (vec![], vec![]);
        for (chunk, &hash) in chunks.iter().zip(texts) {
            let again = known.contains_key(&hash) || (self.reuse && !seen.insert(hash));
            if !again {
                missing.push(hash);
                wanted.push(chunk.text(&document.text).to_owned());
            }
        }
        let bytes: usize = wanted.iter().map(String::len).sum();
        let (embedder, killed) = (self.embedder.clone(), task.clone());
        let tokens = move || -> Result<Vec<Tokens>, Stop> {
            let one = |text: &String| killed.check().map(|()| embedder.tokenize(text));
            wanted.iter().map(one).collect()
        };
        if bytes <= TOKENIZED_HERE {
            return Ok((missing, tokens()?));
        }
        let _turn = tokio::select! {
            biased;
            stop = task.ended() => return Err(stop.into()),
            turn = self.tokenizing.acquire() => turn,
        };
        match tokio::task::spawn_blocking(tokens).await {
            Ok(tokens) => Ok((missing, tokens?)),
            Err(error) => Err(Stop::host(Phase::Tokenize, &error.to_string()).into()),
        }
    }
}

fn too_many(task: &Task, documents_max: u64) -> Stop {
    let (limit, used) = (count(documents_max), count(documents_max) + 1.0);
    let detail = "the tenant has as many documents as the policy allows";
    end(task, Reason::Documents, limit, used, detail)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IngestError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(Stop::host(Phase::Commit, &error.to_string()).into()),
    }
}

fn end(task: &Task, reason: Reason, limit: f64, used: f64, detail: &str) -> Stop {
    let stop = Stop::new(reason, task.phase(), limit, used, detail);
    task.end(stop.clone());
    stop
}

fn stopped(task: &Task) -> IngestError {
    let unknown = || Stop::host(task.phase(), "interrupted");
    IngestError::Stop(task.stop().cloned().unwrap_or_else(unknown))
}

fn embed_error(task: &Task, error: EmbedError) -> IngestError {
    match error {
        EmbedError::Cancelled => stopped(task),
        other => IngestError::Embed(other),
    }
}

fn kib(bytes: u64) -> f64 {
    (count(bytes) / 1024.0 * 10.0).round() / 10.0
}

/// A document is not in the index; what was there of it before still is.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Its task was stopped.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The embedder failed.
    #[error(transparent)]
    Embed(EmbedError),
}

impl Wraps for IngestError {
    fn inner(&self) -> &dyn Explain {
        match self {
            Self::Stop(stop) => stop,
            Self::Index(error) => error,
            Self::Embed(error) => error,
        }
    }
}
