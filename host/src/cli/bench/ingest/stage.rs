//! Where an ingest is measured: a folder of its own with a data folder and the documents, gone at the end. It
//! knows nothing of what is run there.

use crate::cli::bench::error::BenchError;
use crate::cli::bench::stage::{copy_configuration, set_workers, write_error};
use crate::cli::bench::workload::Workload;
use crate::config::Config;
use crate::corpus::{ChunkId, Embedding, TenantId};
use crate::db::Interrupt;
use crate::error::Failure;
use crate::index::{Index, MAX_CHUNKS_PER_CALL};
use crate::runtime::Runtime;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Vectors that are compared with a peer's.
const SAMPLED: usize = 64;

/// A folder for one measurement.
pub(super) struct Stage {
    folder: TempDir,
    /// As the user's own data folder is configured.
    pub(super) config: Config,
    corpus: Option<PathBuf>,
    seed: u64,
}

/// The chunks of an ingest, as peers get them.
#[derive(Debug)]
pub(super) struct Chunks {
    /// JSON lines: a list of texts a document.
    pub(super) file: PathBuf,
    /// Chunks in the file.
    pub(super) count: usize,
    /// Tokens of all of them, as the model reads them.
    pub(super) tokens: u64,
    /// Some of them by number, with the vectors that ours made.
    pub(super) sample: Vec<(usize, Embedding)>,
}

impl Stage {
    /// A stage over `corpus`, or over documents generated from `seed`.
    pub(super) fn set(data: &Path, corpus: Option<PathBuf>, seed: u64) -> Result<Self, Failure> {
        let config = Config::load(data)?;
        let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
        let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
        let stage = Self {
            folder,
            config,
            corpus,
            seed,
        };
        copy_configuration(data, &stage.data())?;
        Ok(stage)
    }

    /// The documents: so many generated ones, or the corpus.
    pub(super) fn documents(&self, count: Option<u32>) -> Result<PathBuf, BenchError> {
        match (&self.corpus, count) {
            (Some(corpus), _) => Ok(corpus.clone()),
            (None, count) => {
                let count = count.unwrap_or(0);
                let path = self.path(&format!("corpus-{count}.jsonl"));
                if !path.exists() {
                    generate(&path, self.seed, count)?;
                }
                Ok(path)
            }
        }
    }

    /// One document that is not measured.
    pub(super) fn warm_up(&self) -> Result<PathBuf, BenchError> {
        let path = self.path("warm-up.jsonl");
        generate(&path, 0, 1)?;
        Ok(path)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new folder, which is empty.
    pub(super) fn scratch(&self, name: &str) -> Result<PathBuf, BenchError> {
        let path = self.path(name);
        std::fs::create_dir(&path).map_err(|source| write_error(&path, source))?;
        Ok(path)
    }

    /// A new tenant under the default policy, in a host of so many workers. The data folder is free again
    /// afterwards.
    pub(super) fn add_tenant(&self, name: &str, workers: usize) -> Result<TenantId, Failure> {
        let tenant = TenantId::new(name)?;
        let policy = Runtime::find_policy(None)?;
        Runtime::open(&self.data())?.add_tenant(&tenant, &policy)?;
        set_workers(&self.data(), workers)?;
        Ok(tenant)
    }

    /// Removes a tenant whose documents nobody needs any more: a long measurement must not fill the disk.
    pub(super) fn remove_tenant(&self, tenant: &TenantId) -> Result<(), Failure> {
        Runtime::open(&self.data())?.remove_tenant(tenant)
    }

    /// Writes what `tenant`'s ingest made of the corpus, `tokens` in all, for peers.
    pub(super) fn chunks(&self, tenant: &TenantId, tokens: u64) -> Result<Chunks, Failure> {
        let index = Runtime::open(&self.data())?.index(tenant)?;
        let file = self.path(&format!("chunks-{tenant}.jsonl"));
        let count = usize::try_from(index.counts()?.chunks).unwrap_or(usize::MAX);
        write_chunks(&index, count, &file)?;
        let step = count.div_ceil(SAMPLED).max(1);
        let with_vector = |number: usize| Ok((number, index.vector_of(chunk_id(number))?));
        let sample = (0..count).step_by(step).map(with_vector);
        Ok(Chunks {
            file,
            count,
            tokens,
            sample: sample.collect::<Result<_, Failure>>()?,
        })
    }
}

fn generate(path: &Path, seed: u64, documents: u32) -> Result<(), BenchError> {
    let written = Workload::new(seed).write(path, documents);
    written.map_err(|source| write_error(path, source))
}

/// A tenant that only ever grew has chunks 1, 2, 3 and so on.
fn chunk_id(number: usize) -> ChunkId {
    ChunkId(number as u64 + 1)
}

#[derive(Serialize)]
struct Line<'a> {
    chunks: &'a [String],
}

fn write_chunks(index: &Index, count: usize, path: &Path) -> Result<(), Failure> {
    let wrong = |source| write_error(path, source);
    let mut file = BufWriter::new(File::create(path).map_err(wrong)?);
    let mut put = |chunks: &mut Vec<String>| -> std::io::Result<()> {
        if !chunks.is_empty() {
            serde_json::to_writer(&mut file, &Line { chunks })?;
            file.write_all(b"\n")?;
        }
        chunks.clear();
        Ok(())
    };
    let (mut document, mut chunks) = (String::new(), vec![]);
    let numbers: Vec<ChunkId> = (0..count).map(chunk_id).collect();
    for some in numbers.chunks(MAX_CHUNKS_PER_CALL) {
        for passage in index.read(some, &Interrupt::never())? {
            if passage.document != document {
                put(&mut chunks).map_err(wrong)?;
                document = passage.document;
            }
            chunks.push(passage.text);
        }
    }
    put(&mut chunks).map_err(wrong)?;
    Ok(file.flush().map_err(wrong)?)
}
