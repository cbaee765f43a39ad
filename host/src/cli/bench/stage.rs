//! Where a measurement takes place: a folder of its own with a data folder and the documents, gone at the
//! end. It knows nothing of what is run there.

use super::error::BenchError;
use super::workload::Workload;
use crate::cli::args::BenchIngestArguments;
use crate::config::Config;
use crate::corpus::{ChunkId, Embedding, TenantId};
use crate::db::Interrupt;
use crate::error::Failure;
use crate::index::{Index, MAX_CHUNKS_PER_CALL};
use crate::runtime::{Runtime, RuntimeError};
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
    /// What the measured host is configured with: as the user's own data folder.
    pub(super) config: Config,
    /// JSON lines.
    pub(super) corpus: PathBuf,
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
    pub(super) fn set(data: &Path, arguments: &BenchIngestArguments) -> Result<Self, Failure> {
        let config = Config::load(data)?;
        let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
        let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
        let mut stage = Self {
            corpus: folder.path().join("corpus.jsonl"),
            folder,
            config,
        };
        copy_configuration(data, &stage.data())?;
        match &arguments.corpus {
            Some(corpus) => stage.corpus.clone_from(corpus),
            None => stage.generate(&stage.corpus, arguments.seed, arguments.documents)?,
        }
        Ok(stage)
    }

    fn generate(&self, path: &Path, seed: u64, documents: u32) -> Result<(), BenchError> {
        let written = Workload::new(seed).write(path, documents);
        written.map_err(|source| write_error(path, source))
    }

    /// One document that is not measured.
    pub(super) fn warm_up(&self) -> Result<PathBuf, BenchError> {
        let path = self.path("warm-up.jsonl");
        self.generate(&path, 0, 1)?;
        Ok(path)
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new tenant under the default policy. The data folder is free again afterwards.
    pub(super) fn add_tenant(&self, name: &str) -> Result<TenantId, Failure> {
        let tenant = TenantId::new(name)?;
        let policy = Runtime::find_policy(None)?;
        Runtime::open(&self.data())?.add_tenant(&tenant, &policy)?;
        Ok(tenant)
    }

    /// Writes what `tenant`'s ingest made of the corpus, `tokens` in all, for peers.
    pub(super) fn chunks(&self, tenant: &TenantId, tokens: u64) -> Result<Chunks, Failure> {
        let index = Runtime::open(&self.data())?.index(tenant)?;
        let file = self.path("chunks.jsonl");
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

/// A new data folder with the configuration of the user's own.
pub(super) fn copy_configuration(data: &Path, own: &Path) -> Result<(), BenchError> {
    std::fs::create_dir(own).map_err(|source| write_error(own, source))?;
    let (from, to) = (data.join("stockade.toml"), own.join("stockade.toml"));
    match std::fs::copy(from, &to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(write_error(&to, error)),
        _ => Ok(()),
    }
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

pub(super) fn write_error(path: &Path, source: std::io::Error) -> BenchError {
    BenchError::Write {
        path: path.to_owned(),
        source,
    }
}

/// The corpus's own errors are said by the ingest; that it can be opened at all is said before anything runs.
pub(super) fn check_readable(path: &Path) -> Result<(), RuntimeError> {
    let path = path.to_owned();
    match File::open(&path) {
        Ok(_) => Ok(()),
        Err(source) => Err(RuntimeError::Read { path, source }),
    }
}
