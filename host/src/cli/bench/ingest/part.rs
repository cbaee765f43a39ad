//! The hidden programs that `bench ingest` runs beside `stockade ingest`: the same work done in another way, each
//! in a process of its own that answers with one line of JSON.

mod bare;
mod chunker;
mod native;
mod processes;
mod worker;

use crate::api::BenchPartJson;
use crate::cli::Session;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::{Lane, Priority};
use crate::error::{Exit, Failure};
use crate::loader::{self, LoadOptions, Loaded, Plan};
use crate::policy::Policy;
use clap::Subcommand;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PartCommand {
    /// Ingest with a native chunker and one shared model
    Threads {
        /// A tenant without documents
        tenant: TenantId,
        /// The documents
        corpus: PathBuf,
    },
    /// Ingest with worker processes, a model in each
    Processes {
        /// A tenant without documents
        tenant: TenantId,
        /// The documents
        corpus: PathBuf,
        /// How many
        #[arg(long)]
        workers: usize,
    },
    /// One of those processes: documents on standard input, chunks and vectors on standard output
    Worker,
    /// Embed texts and do nothing else
    Loop {
        /// JSON lines {chunks: [text]}
        chunks: PathBuf,
    },
    /// Multiply matrices with ONNX Runtime
    Matmul,
}

pub(in crate::cli::bench) async fn run(
    session: &Session,
    command: PartCommand,
) -> Result<Exit, Failure> {
    let said = match command {
        PartCommand::Threads { tenant, corpus } => native::run(session, &tenant, &corpus).await?,
        PartCommand::Processes {
            tenant,
            corpus,
            workers,
        } => processes::run(session, &tenant, &corpus, workers).await?,
        PartCommand::Worker => {
            worker::run(&session.data).await?;
            return Ok(Exit::Done);
        }
        PartCommand::Loop { chunks } => bare::embed(&Config::load(&session.data)?, &chunks).await?,
        PartCommand::Matmul => bare::multiply(&Config::load(&session.data)?)?,
    };
    session.out.value(&said);
    Ok(Exit::Done)
}

/// What is to be read of a corpus. Fails as an ingest would.
fn plan(corpus: &Path, policy: &Policy) -> Result<Plan, Failure> {
    let options = LoadOptions {
        source: None,
        encoding: None,
        document_bytes_max: policy.ingest.document_kib_max << 10,
    };
    Ok(loader::plan(&[corpus.to_owned()], &options)?)
}

/// The documents of a corpus, read on a thread of their own, a few ahead.
fn documents(corpus: &Path, policy: &Policy) -> Result<mpsc::Receiver<Loaded>, Failure> {
    let plan = plan(corpus, policy)?;
    let (sender, receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        for loaded in plan.documents() {
            if sender.blocking_send(loaded).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// What a part has done so far.
#[derive(Debug, Default)]
struct Done {
    said: BenchPartJson,
}

impl Done {
    fn document(&mut self, chunks: u64, tokens: u64) {
        self.said.documents += 1;
        self.said.chunks += chunks;
        self.said.tokens += tokens;
    }

    fn failed(&mut self, message: String) {
        self.said.failed += 1;
        self.said.first_failure.get_or_insert(message);
    }
}

fn lane(tenant: &TenantId) -> Lane {
    Lane {
        tenant: tenant.clone(),
        share: 1,
        priority: Priority::Bulk,
        cancel: CancellationToken::new(),
    }
}
