//! What the sandbox does around a call. The calls are the host's own code: what guests do is tried elsewhere.

use super::Sandbox;
use crate::corpus::TenantId;
use crate::engine::Engine;
use crate::policy::Policy;
use crate::task::{Kind, Limits, Task};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

fn sandbox() -> Sandbox {
    Sandbox::new(Engine::new().unwrap(), 1).unwrap()
}

fn task() -> Arc<Task> {
    let limits = Limits::query(&Policy::shipped("default").unwrap());
    Task::new(TenantId::new("acme").unwrap(), Kind::Query, "x", limits)
}

/// Says, when it is dropped, whether the place is still taken.
struct Witness {
    place: Weak<()>,
    taken: mpsc::Sender<bool>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.taken.send(self.place.upgrade().is_some());
    }
}

#[tokio::test]
async fn a_guest_that_nobody_waits_for_keeps_its_place_until_it_is_gone() {
    let place = Arc::new(());
    let held = Arc::downgrade(&place);
    let sandbox = sandbox().holding(place);
    let (began, has_began) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let (taken, was_taken) = mpsc::channel();
    let host = Witness {
        place: held.clone(),
        taken,
    };
    let task = task();
    let asked = tokio::spawn(async move {
        let run = sandbox.run(&task, host, |_| {
            Box::pin(async move {
                began.send(())?;
                may_go_on.recv()?;
                std::future::pending::<wasmtime::Result<()>>().await
            })
        });
        run.await
    });
    tokio::task::spawn_blocking(move || has_began.recv())
        .await
        .unwrap()
        .unwrap();
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    assert!(held.upgrade().is_some(), "its store is still there");
    go_on.send(()).unwrap();
    let patience = Duration::from_secs(60);
    let taken = tokio::task::spawn_blocking(move || was_taken.recv_timeout(patience));
    assert!(taken.await.unwrap().unwrap(), "the store went first");
    let watchdog = Instant::now() + patience;
    while held.upgrade().is_some() {
        assert!(Instant::now() < watchdog, "the place was never given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_process_that_was_stopped_for_a_while_goes_on() {
    let sandbox = sandbox();
    sandbox.engine().age().await;
    for _ in 0..8 {
        sandbox.engine().sleep_through();
        let task = task();
        let ran = sandbox.run(&task, (), |_| Box::pin(async { Ok(7) }));
        assert_eq!(ran.await, Ok(7));
    }
}
