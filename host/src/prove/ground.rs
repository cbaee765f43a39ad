//! Where it is proven: a data folder of its own with a real host, a stage on that host's engine and model, and
//! a generated corpus. All of it is gone when this is dropped.
//!
//! It runs what it is told to. What that shows is not known here.

use super::attack::Tried;
use crate::agent::{AgentError, Answer};
use crate::attack::imports::{DROP_VECTOR, EMBED};
use crate::attack::{Guest, Stage, document};
use crate::corpus::{Chunk, Embedding, TenantId};
use crate::error::Failure;
use crate::index::{Index, IndexOptions, MatrixCache, NewChunk, NewVersion, TextHash};
use crate::plugin::PluginKind;
use crate::policy::Policy;
use crate::runtime::{IngestReport, IngestRequest, Progress, QueryOutcome, QueryRequest};
use crate::runtime::{Runtime, RuntimeError};
use crate::task::{Kind, Phase, Reason, Stop, Task};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Chunks of the generated corpus.
pub(super) const CORPUS: u64 = 2_000;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// One chunk for every 2 KiB of text.
pub(super) const PIECES: &str = "
    (loop
        (local.set $n (i32.add (i32.const 128) (i32.mul (local.get $i) (i32.const 16))))
        (i32.store (local.get $n) (i32.mul (local.get $i) (i32.const 2048)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (i32.store offset=4 (local.get $n) (select
            (i32.mul (local.get $i) (i32.const 2048)) (local.get 7)
            (i32.lt_u (i32.mul (local.get $i) (i32.const 2048)) (local.get 7))))
        (br_if 0 (i32.lt_u (i32.mul (local.get $i) (i32.const 2048)) (local.get 7))))
    (i32.store (i32.const 36) (i32.const 128))
    (i32.store (i32.const 40) (local.get $i))
    (i32.const 32)";

/// An agent that waits for ever when it is asked to.
pub(super) struct Waiting {
    question: &'static str,
}

/// Asked anything else, as at its trial, it answers at once.
pub(super) const WAITING: Waiting = Waiting { question: "wait" };

impl Waiting {
    pub(super) fn guest(&self) -> Guest {
        let body = format!(
            "(if (i32.eq (local.get 1) (i32.const {})) (then
                (loop
                    (call $embed (i32.const 700) (i32.const 16) (i32.const 256))
                    (call $drop (i32.load (i32.const 260)))
                    (br 0))))
            (i32.const 32)",
            self.question.len()
        );
        Guest::agent(&body).importing(&format!("{EMBED} {DROP_VECTOR}"))
    }
}

/// A question on its way.
pub(super) type Asked = JoinHandle<Result<QueryOutcome, Failure>>;

/// Where it is proven.
pub(super) struct Ground {
    /// The host.
    pub(super) runtime: Arc<Runtime>,
    /// Calls of guests on the host's engine and model.
    pub(super) stage: Stage,
    corpus: Arc<Index>,
    names: AtomicU64,
    // Last: everything above lets go of its files first.
    folder: TempDir,
}

impl Ground {
    /// A ground configured as the host over `data` is.
    pub(super) async fn prepare(data: &Path) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("stockade-prove-").tempdir();
        let folder = folder.map_err(|source| wrong(&std::env::temp_dir(), source))?;
        let own = folder.path().join("data");
        std::fs::create_dir(&own).map_err(|source| wrong(&own, source))?;
        let (from, to) = (data.join("stockade.toml"), own.join("stockade.toml"));
        if from.exists() {
            std::fs::copy(from, &to).map_err(|source| wrong(&to, source))?;
        }
        let runtime = Arc::new(Runtime::open(&own)?);
        let tenant = TenantId::new("stage")?;
        let stage = Stage::within(&runtime, &tenant)?;
        let corpus = Arc::new(generate(folder.path(), &tenant, &stage)?);
        Ok(Self {
            runtime,
            stage,
            corpus,
            names: AtomicU64::new(1),
            folder,
        })
    }

    /// One call of a guest under a policy: a chunker on `text`, an agent on the generated corpus.
    pub(super) async fn call(
        &self,
        policy: &Policy,
        guest: &Guest,
        text: &str,
    ) -> Result<Tried, Failure> {
        let (component, wasi) = (guest.build()?, policy.wasi);
        let task = match guest.kind() {
            PluginKind::Chunker => self.stage.task(Kind::Ingest, policy),
            PluginKind::Agent => self.stage.task(Kind::Query, policy),
        };
        let ended = AbortOnEnd(tokio::spawn(when_ended(task.clone())));
        let (outcome, began) = match guest.kind() {
            PluginKind::Chunker => {
                let chunker = self.stage.chunker(&component, wasi)?;
                let began = Instant::now();
                let chunked = self.stage.chunk(&chunker, &task, text, &vec![]).await;
                (chunked.map(|_| vec![]), began)
            }
            PluginKind::Agent => {
                let agent = self.stage.agent(&component, wasi)?;
                let began = Instant::now();
                let none = vec![];
                let asked = self.stage.ask(&agent, &task, &self.corpus, "wait", &none);
                (only_stops(asked.await)?, began)
            }
        };
        let free = Instant::now();
        let late = match &outcome {
            Ok(_) => Duration::ZERO,
            Err(_) => ended
                .at()
                .await
                .map_or(Duration::ZERO, |at| free - at.min(free)),
        };
        let (stop, degraded) = match outcome {
            Ok(degraded) => (None, degraded),
            Err(stop) => (Some(stop), vec![]),
        };
        Ok(Tried {
            stop,
            degraded,
            usage: task.usage(),
            log_kept: task.meters.log_kept(),
            took: free - began,
            late,
        })
    }

    /// A new tenant under a policy.
    pub(super) fn tenant(&self, name: &str, policy: &Policy) -> Result<TenantId, Failure> {
        let number = self.names.fetch_add(1, Relaxed);
        let tenant = TenantId::new(&format!("{name}-{number}"))?;
        self.runtime.add_tenant(&tenant, policy)?;
        Ok(tenant)
    }

    /// Installs a guest.
    pub(super) async fn install(
        &self,
        tenant: &TenantId,
        label: &str,
        guest: &Guest,
    ) -> Result<(), Failure> {
        let file = self.write(&format!("{label}.wasm"), &guest.build()?)?;
        let installed = self
            .runtime
            .install_plugin(tenant, &file, Some(label))
            .await;
        installed.map(drop)
    }

    /// Installs a chunker, and uses it for every document.
    pub(super) async fn use_chunker(
        &self,
        tenant: &TenantId,
        guest: &Guest,
    ) -> Result<(), Failure> {
        self.install(tenant, "own", guest).await?;
        let none = vec![];
        let used = self.runtime.use_plugin(tenant, "own", &[], &none);
        used.await.map(drop)
    }

    /// Brings documents in; each text is one.
    pub(super) async fn ingest(
        &self,
        tenant: &TenantId,
        name: &str,
        texts: &[String],
    ) -> Result<IngestReport, Failure> {
        bring(&self.runtime, tenant, self.file_of(tenant, name, texts)?).await
    }

    /// Documents as JSON lines.
    fn file_of(&self, tenant: &TenantId, name: &str, texts: &[String]) -> Result<PathBuf, Failure> {
        let mut lines = String::new();
        for (number, text) in texts.iter().enumerate() {
            let line = serde_json::json!({ "id": format!("{name}-{number}"), "text": text });
            // Writing to a string cannot fail.
            let _ = writeln!(lines, "{line}");
        }
        self.write(&format!("{tenant}-{name}.jsonl"), lines.as_bytes())
    }

    /// Begins to bring documents in, until it is ended.
    pub(super) fn stream(&self, tenant: &TenantId, texts: &[String]) -> Result<Stream, Failure> {
        let request = request(self.file_of(tenant, "stream", texts)?);
        let (progress, interrupt) = (Arc::new(Progress::default()), CancellationToken::new());
        let (runtime, tenant) = (self.runtime.clone(), tenant.clone());
        let (watched, stop) = (progress.clone(), interrupt.clone());
        let work = async move { runtime.ingest(&tenant, &request, &watched, &stop).await };
        Ok(Stream {
            progress,
            interrupt,
            work: tokio::spawn(work),
        })
    }

    /// Asks the tenant's waiting agent.
    pub(super) fn ask(&self, tenant: &TenantId) -> Asked {
        let (runtime, tenant) = (self.runtime.clone(), tenant.clone());
        let request = QueryRequest {
            question: WAITING.question.to_owned(),
            agent: Some("waits".to_owned()),
            k: 1,
            filter: None,
            options: vec![],
        };
        tokio::spawn(async move { runtime.query(&tenant, &request).await })
    }

    /// How many of a tenant's tasks run, and how many wait for a place.
    pub(super) fn tasks(&self, tenant: &TenantId) -> (u64, u64) {
        let tasks = self.runtime.registry().tasks();
        let own = || tasks.iter().filter(|task| task.tenant == *tenant);
        let waiting = own().filter(|task| task.phase == Phase::Queued).count();
        ((own().count() - waiting) as u64, waiting as u64)
    }

    /// Ends one of a tenant's running tasks.
    pub(super) fn end_one(&self, tenant: &TenantId) {
        let tasks = self.runtime.registry().tasks();
        let mut running = tasks.iter().filter(|task| task.phase != Phase::Queued);
        if let Some(one) = running.find(|task| task.tenant == *tenant) {
            let registry = self.runtime.registry();
            registry.end(Reason::Killed, "the proof is done with it", |t| {
                t.id == one.id
            });
        }
    }

    /// Ends all of a tenant's tasks; for what reason each question was not answered.
    pub(super) async fn end_all(&self, tenant: &TenantId, asked: Vec<Asked>) -> Vec<String> {
        self.end_tasks_of(|owner| owner == tenant);
        let mut reasons = vec![];
        for question in asked {
            if let Ok(Err(failure)) = question.await {
                let stop = failure.stop.as_deref();
                let reason = stop.and_then(|stop| stop["reason"].as_str());
                reasons.push(reason.unwrap_or(&failure.code).to_owned());
            }
        }
        reasons
    }

    /// Ends the tasks of all tenants that `chosen` picks.
    pub(super) fn end_tasks_of(&self, chosen: impl Fn(&TenantId) -> bool) {
        let registry = self.runtime.registry();
        registry.end(Reason::Killed, "the proof is done with it", |task| {
            chosen(&task.tenant)
        });
    }

    /// Waits until something happened; whether it did.
    pub(super) async fn wait_for(&self, happened: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if happened() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        false
    }

    /// Writes a file of the proof.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).map_err(|source| wrong(&path, source))?;
        Ok(path)
    }
}

/// Brings one file in.
pub(super) async fn bring(
    runtime: &Arc<Runtime>,
    tenant: &TenantId,
    file: PathBuf,
) -> Result<IngestReport, Failure> {
    let (progress, interrupt) = (Arc::new(Progress::default()), CancellationToken::new());
    runtime
        .ingest(tenant, &request(file), &progress, &interrupt)
        .await
}

/// Every text is embedded, known or not: otherwise nothing would be used.
fn request(file: PathBuf) -> IngestRequest {
    IngestRequest {
        no_reuse: true,
        ..IngestRequest::of(file)
    }
}

/// An ingest on its way.
pub(super) struct Stream {
    progress: Arc<Progress>,
    interrupt: CancellationToken,
    work: JoinHandle<Result<IngestReport, Failure>>,
}

impl Stream {
    /// Tokens that were embedded and committed so far.
    pub(super) fn tokens(&self) -> u64 {
        self.progress.tokens.load(Relaxed)
    }

    /// Ends it, and waits until it is over.
    pub(super) async fn end(self) {
        self.interrupt.cancel();
        // What it says of having been ended is of no interest.
        drop(self.work.await);
    }
}

/// Text of so many bytes: numbers of 8 bytes each, other ones for another `seed`.
pub(super) fn filler(seed: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 8);
    let mut number = seed.wrapping_mul(7_919);
    while text.len() < bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:07} ", number % 10_000_000);
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407)
            >> 3;
    }
    text.truncate(bytes);
    text
}

/// One document of [`CORPUS`] chunks with vectors that no model made. The first has 1 KiB of text.
fn generate(folder: &Path, tenant: &TenantId, stage: &Stage) -> Result<Index, Failure> {
    let model = stage.embedder.model().digest.clone();
    let cache = MatrixCache::new(16 << 20);
    let index = Index::open(
        &folder.join("corpus"),
        tenant,
        IndexOptions { model, cache },
    )?;
    let (mut text, mut chunks) = ("word ".repeat(205), vec![]);
    text.truncate(1024);
    for number in 0..CORPUS {
        let start = if number == 0 { 0 } else { text.len() };
        if number > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "Apple number {number}. ");
        }
        let span = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let chunk = Chunk {
            start: span(start),
            end: span(text.len()),
            labels: vec![],
        };
        chunks.push(NewChunk {
            hash: TextHash::of(&text[start..]),
            chunk,
            embedding: vector(number)?,
        });
    }
    index.put(&NewVersion {
        document: &document("corpus", &text),
        hash: [0; 32],
        chunker: "generated",
        chunks: &chunks,
    })?;
    Ok(index)
}

/// A vector of unit length, another one for every number.
fn vector(number: u64) -> Result<Embedding, Failure> {
    let mut values = vec![0.01; crate::corpus::DIMENSIONS];
    let place = usize::try_from(number).unwrap_or(0) % values.len();
    values[place] = 1.0;
    let norm = values.iter().map(|v: &f32| v * v).sum::<f32>().sqrt();
    for value in &mut values {
        *value /= norm;
    }
    Ok(Embedding::new(values)?)
}

/// A stop is an outcome; that the index fails is not.
fn only_stops(outcome: Result<Answer, AgentError>) -> Result<Result<Vec<String>, Stop>, Failure> {
    match outcome {
        Ok(answer) => Ok(Ok(answer.degraded)),
        Err(AgentError::Stop(stop)) => Ok(Err(stop)),
        Err(AgentError::Index(error)) => Err(error.into()),
    }
}

async fn when_ended(task: Arc<Task>) -> Instant {
    task.ended().await;
    Instant::now()
}

/// Who waits for a task's end; it stops waiting when it is dropped.
struct AbortOnEnd(JoinHandle<Instant>);

impl AbortOnEnd {
    async fn at(mut self) -> Option<Instant> {
        (&mut self.0).await.ok()
    }
}

impl Drop for AbortOnEnd {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn wrong(path: &Path, source: std::io::Error) -> Failure {
    let path = path.to_owned();
    RuntimeError::Folder { path, source }.into()
}
