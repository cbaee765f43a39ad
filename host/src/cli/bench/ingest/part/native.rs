//! `threads`: an ingest as the runtime's own, but for the chunker, which is called as a function.

use super::{Done, chunker, plan};
use crate::api::BenchPartJson;
use crate::cli::Session;
use crate::corpus::{Document, TenantId};
use crate::error::Failure;
use crate::ingest::{Ingested, Line, Method};
use crate::loader::Loaded;
use crate::policy::Policy;
use crate::runtime::{Found, Stored, Window, read_ahead};
use crate::task::{Kind, Limits, Task};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

pub(super) async fn run(
    session: &Session,
    tenant: &TenantId,
    corpus: &Path,
) -> Result<BenchPartJson, Failure> {
    let runtime = session.open()?;
    let policy = runtime.policy(tenant)?;
    let line = runtime.line(tenant, &policy, false).await?;
    let mut coming = read_ahead(plan(corpus, &policy)?, line.index.clone());
    let began = Instant::now();
    let mut window = Window::new(line.commits.clone());
    let mut methods: HashMap<String, Arc<Method>> = HashMap::new();
    let (mut running, mut done) = (JoinSet::new(), Done::default());
    while let Some((Found { loaded, stored }, place)) = window.next(&mut coming).await {
        let document = match loaded {
            Loaded::Document(document) => document,
            Loaded::Failed { error, .. } => {
                done.failed(error.to_string());
                continue;
            }
            Loaded::Skipped { .. } => continue,
        };
        let media_type = document.media_type.clone();
        let method = match methods.get(&media_type) {
            Some(method) => method.clone(),
            None => {
                let method = runtime.method_for(tenant, &media_type, policy.wasi).await?;
                methods
                    .entry(media_type)
                    .or_insert(Arc::new(method))
                    .clone()
            }
        };
        let one = one(
            line.clone(),
            method,
            policy.clone(),
            tenant.clone(),
            document,
            stored,
        );
        running.spawn(async move {
            let _place = place;
            one.await
        });
        while let Some(ended) = running.try_join_next() {
            settle(&mut done, ended);
        }
    }
    while let Some(ended) = running.join_next().await {
        settle(&mut done, ended);
    }
    done.said.seconds = began.elapsed().as_secs_f64();
    Ok(done.said)
}

async fn one(
    line: Line,
    method: Arc<Method>,
    policy: Arc<Policy>,
    tenant: TenantId,
    document: Document,
    stored: Stored,
) -> Result<Ingested, String> {
    let task = Task::new(tenant, Kind::Ingest, &document.id, Limits::ingest(&policy));
    let stored = stored.map_err(|error| error.to_string())?;
    if let Some(unchanged) = line.unchanged(&document, &method, stored) {
        return Ok(unchanged);
    }
    let chunks = chunker::of(&line.embedder, &document).map_err(|error| error.to_string())?;
    let stored = line.store(&task, document, &method, chunks).await;
    stored.map_err(|error| error.to_string())
}

type Ended = Result<Result<Ingested, String>, tokio::task::JoinError>;

fn settle(done: &mut Done, ended: Ended) {
    match ended {
        Ok(Ok(ingested)) => done.document(ingested.chunks, ingested.tokens),
        Ok(Err(message)) => done.failed(message),
        Err(error) => done.failed(error.to_string()),
    }
}
