//! An ingest that is ended while it waits for a compiler that never ends.

use super::{IngestReport, IngestRequest, Progress};
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::Policy;
use crate::runtime::{Guests, Runtime};
use crate::task::Reason;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Says one word for ever, whatever it is told to compile.
const ENDLESS: &str = "/usr/bin/yes";

struct Compiling {
    runtime: Arc<Runtime>,
    tenant: TenantId,
    interrupt: CancellationToken,
    ingest: JoinHandle<Result<IngestReport, Failure>>,
    _folder: tempfile::TempDir,
}

/// An ingest whose chunker is being compiled.
async fn compiling() -> Compiling {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Arc::new(Runtime::open(&folder.path().join("data")).unwrap());
    let cache = runtime.data().join("cache");
    let guests = Guests::start_with(runtime.config(), &cache, ENDLESS.into()).unwrap();
    runtime.guests.set(Arc::new(guests)).unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let policy = Policy::shipped("default").unwrap();
    runtime.add_tenant(&tenant, &policy).unwrap();
    let file = folder.path().join("one.txt");
    std::fs::write(&file, "One document.").unwrap();
    let request = IngestRequest::of(file);
    let interrupt = CancellationToken::new();
    let ingest = {
        let (runtime, tenant) = (runtime.clone(), tenant.clone());
        let interrupt = interrupt.clone();
        tokio::spawn(async move {
            let progress = Arc::new(Progress::default());
            let ingest = runtime.ingest(&tenant, &request, &progress, &interrupt);
            ingest.await
        })
    };
    let watchdog = Instant::now() + Duration::from_secs(60);
    // The key, and the file that the compiler writes to.
    while std::fs::read_dir(&cache).unwrap().count() < 2 {
        assert!(Instant::now() < watchdog, "it never began to compile");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Compiling {
        runtime,
        tenant,
        interrupt,
        ingest,
        _folder: folder,
    }
}

impl Compiling {
    /// The compiler's own time limit would end the ingest with an error.
    async fn report(self) -> IngestReport {
        self.ingest.await.unwrap().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_is_heard_while_a_plugin_compiles() {
    let compiling = compiling().await;
    compiling.interrupt.cancel();
    let report = compiling.report().await;
    assert!(report.interrupted());
    let ended = report.ended_early.unwrap();
    assert_eq!(ended.first_not_begun.as_deref(), Some("one.txt"));
    assert_eq!((report.seen, ended.last_committed), (0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_heard_while_a_plugin_compiles() {
    let compiling = compiling().await;
    let suspended = compiling.runtime.set_suspended(&compiling.tenant, true);
    assert_eq!(suspended.unwrap(), 1, "its task is in the list");
    assert!(compiling.report().await.suspended());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_can_be_killed_while_its_plugin_compiles() {
    let compiling = compiling().await;
    let task = compiling.runtime.registry().tasks()[0].id;
    compiling.runtime.kill(task).unwrap();
    let report = compiling.report().await;
    let reason = report.failures[0].failure.stop.clone().unwrap()["reason"].clone();
    assert_eq!((report.seen, report.failed), (1, 1));
    assert_eq!(reason, Reason::Killed.as_str());
}
