//! More tasks of one tenant than its policy allows: attacks for the run without guards.

use super::*;
use crate::task::{Kind, Limits};

/// The tenant's gates with one place and two that may wait.
struct Arena {
    gates: Gates,
    policy: Policy,
}

impl Arena {
    fn new(queue_ms: u64) -> Self {
        let lines = format!(
            "[tenant]\ntasks_running_max = 1\ntasks_queued_max = 2\nqueue_ms_max = {queue_ms}"
        );
        Self {
            gates: Gates::new(64),
            policy: Policy::from_toml("flood.toml", &lines).unwrap(),
        }
    }

    fn task(&self) -> Arc<Task> {
        let tenant = TenantId::new("flood").unwrap();
        Task::new(tenant, Kind::Query, "flood", Limits::query(&self.policy))
    }

    /// What became of a request within a watch of 2 s: it runs, it was refused, or it still waits.
    async fn admit(&self) -> Option<Result<Place, Stop>> {
        let watch = Duration::from_secs(2);
        let task = self.task();
        let admitted = self.gates.admit(&task, &self.policy);
        tokio::time::timeout(watch, admitted).await.ok()
    }
}

/// What refuses one of four requests that come while another runs; `None` when all are let wait or run.
pub(crate) async fn of_requests() -> Option<Reason> {
    let arena = Arc::new(Arena::new(30_000));
    let _running = arena.admit().await?.ok()?;
    let gate = arena.gates.gate(&arena.task().tenant, &arena.policy);
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let arena = arena.clone();
        requests.spawn(async move { arena.gates.admit(&arena.task(), &arena.policy).await });
    }
    while gate.queued.load(Ordering::Relaxed) < 4 {
        if let Some(ended) = requests.try_join_next() {
            return ended.unwrap().err().map(|stop| stop.reason);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// What ends a request that waits for a place that is never free; `None` when it waits on or runs.
pub(crate) async fn of_time() -> Option<Reason> {
    let arena = Arena::new(20);
    let _running = arena.admit().await?.ok()?;
    arena.admit().await?.err().map(|stop| stop.reason)
}

/// Whether two tasks run at once where one may.
pub(crate) async fn of_places() -> bool {
    let arena = Arena::new(30_000);
    let running = arena.gates.next(&arena.task(), &arena.policy).await;
    let task = arena.task();
    let second = arena.gates.next(&task, &arena.policy);
    let both = tokio::time::timeout(Duration::from_millis(50), second).await;
    running.is_ok() && both.is_ok_and(|place| place.is_ok())
}
