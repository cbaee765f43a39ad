//! A sandbox runs one guest call in a fresh store under one task's limits and says how it ended.
//!
//! It knows nothing of documents, questions or vectors: the caller brings the host's side of the
//! imports as `T` and the call as a closure. No store is made anywhere else, so none is without limits.

mod clock;
mod context;
mod limiter;
mod verdict;
mod wasi;

pub use context::{Context, Halted};
pub use wasi::link_wasi;

use crate::engine::{Engine, FUEL_INTERVAL};
use crate::guard::{self, Guard};
use crate::task::{Phase, Stop, Task};
use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use wasmtime::{CallHook, Store, UpdateDeadline};

/// The future of one guest call.
pub type Call<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

/// Runs guests on threads of their own, so that whoever serves requests goes on while every guest spins.
#[derive(Clone)]
pub struct Sandbox {
    engine: Engine,
    executor: Arc<Executor>,
    /// What every guest keeps until its store is gone.
    kept: Option<Arc<dyn Any + Send + Sync>>,
}

/// The guests' threads. Shut down in the background: a runtime must not be dropped from within another.
struct Executor(Option<tokio::runtime::Runtime>);

impl Drop for Executor {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox with `threads` threads for guests.
    pub fn new(engine: Engine, threads: usize) -> std::io::Result<Self> {
        // Every yield of a spinning guest must let timers and other threads' wake-ups through; the
        // defaults look for them once in 61 turns, which is 61 ms when each turn is a tick.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("guest")
            .event_interval(1)
            .global_queue_interval(1)
            .max_blocking_threads(threads.max(2) * 2)
            .enable_time()
            .build()?;
        let executor = Arc::new(Executor(Some(runtime)));
        Ok(Self {
            engine,
            executor,
            kept: None,
        })
    }

    /// The same sandbox for guests that keep `place`: it is dropped when the last of their stores is gone,
    /// and this sandbox. Whoever asked may have gone before.
    pub fn holding(&self, place: impl Any + Send + Sync) -> Self {
        Self {
            kept: Some(Arc::new(place)),
            ..self.clone()
        }
    }

    /// The engine that stores are made of.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs a future on the guests' threads: a call that it makes changes no thread.
    pub fn on_guest_threads<F>(&self, future: F) -> Option<tokio::task::JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let runtime = self.executor.0.as_ref()?;
        Some(runtime.spawn(future))
    }

    /// Runs `call` in a fresh store on a guest thread. The store is gone when this returns; dropping the
    /// future ends the guest at its next yield, and its store lives until then.
    pub async fn run<T, R, F>(&self, task: &Arc<Task>, host: T, call: F) -> Result<R, Stop>
    where
        T: Send + 'static,
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Store<Context<T>>) -> Call<'a, R> + Send + 'static,
    {
        let Some(runtime) = &self.executor.0 else {
            return Err(Stop::host(task.phase(), "the guests' threads are gone"));
        };
        if !self.engine.rouse().await {
            let detail = "the thread that enforces time limits has not shown itself for a second";
            return Err(Stop::host(task.phase(), detail));
        }
        let guest = one_call(self.engine.clone(), task.clone(), host, call);
        let kept = self.kept.clone();
        let work = async move {
            let outcome = guest.await;
            // Captured, so that it is dropped after the guest also where the task is abandoned.
            drop(kept);
            outcome
        };
        let handle = AbortOnDropHandle::new(runtime.spawn(work));
        match handle.await {
            Ok(outcome) => outcome,
            Err(error) if error.is_panic() => {
                tracing::error!(task = %task.id, "a guest call panicked in the host");
                Err(Stop::host(task.phase(), "the host failed during the call"))
            }
            Err(_) => Err(Stop::host(task.phase(), "the call was abandoned")),
        }
    }
}

/// Why there is no result.
enum Failed {
    Stopped(Stop),
    Guest(wasmtime::Error),
}

async fn one_call<T, R, F>(engine: Engine, task: Arc<Task>, host: T, call: F) -> Result<R, Stop>
where
    T: Send + 'static,
    R: Send + 'static,
    F: for<'a> FnOnce(&'a mut Store<Context<T>>) -> Call<'a, R> + Send + 'static,
{
    task.check()?;
    let _ticking = engine.active();
    let mut store = armed_store(&engine, &task, host)
        .map_err(|error| Stop::host(Phase::Instantiate, &format!("no store: {error:#}")))?;
    task.enter(Phase::Instantiate);
    task.begin_guest();
    let clock = store.data().clock();
    let outcome = {
        let guest = clock::metered(clock, call(&mut store));
        tokio::pin!(guest);
        tokio::select! {
            biased;
            stop = task.ended() => Err(Failed::Stopped(stop)),
            result = &mut guest => result.map_err(Failed::Guest),
            () = wall_over(&task), if guard::stands(Guard::WallTimer) => {
                Err(Failed::Stopped(verdict::wall(&task)))
            }
        }
    };
    let outcome = outcome.map_err(|failed| match failed {
        Failed::Stopped(stop) => stop,
        Failed::Guest(error) => verdict::of(&task, &error, store.data().ended_within()),
    });
    if let Err(stop) = &outcome {
        task.end(stop.clone());
    }
    let left = store.get_fuel().unwrap_or(0);
    task.meters.set_fuel(task.limits.fuel.saturating_sub(left));
    store.data_mut().abandon();
    drop(store);
    // A guest may finish in the same instant in which somebody kills it: the kill counts.
    task.check()?;
    outcome
}

/// Returns when the wall limit is passed, which may come later than it looked at first.
async fn wall_over(task: &Task) {
    loop {
        match task.wall_left() {
            Duration::ZERO => return,
            left => tokio::time::sleep(left).await,
        }
    }
}

/// A store in which every limit is armed before any guest code, start functions included, can run.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where stores are made"
)]
fn armed_store<T: Send + 'static>(
    engine: &Engine,
    task: &Arc<Task>,
    host: T,
) -> wasmtime::Result<Store<Context<T>>> {
    let limits = &task.limits;
    let mut store = Store::new(engine.wasmtime(), Context::new(task.clone(), host));
    store.limiter(|context| context.limiter());
    store.set_fuel(guard::limit(Guard::Fuel, limits.fuel))?;
    store.fuel_async_yield_interval(guard::stands(Guard::FuelYield).then_some(FUEL_INTERVAL))?;
    let handles = guard::limit(Guard::Handles, limits.handles);
    store.set_max_component_handles(usize::try_from(handles).unwrap_or(usize::MAX));
    store.set_epoch_deadline(guard::limit(Guard::Epoch, 1));
    store.epoch_deadline_callback(|store| {
        store.data().tick()?;
        // Yield, not continue: two spinners that continue starve a third guest for ever.
        Ok(UpdateDeadline::Yield(1))
    });
    store.call_hook(|mut store, hook| {
        let fuel = store.get_fuel()?;
        let context = store.data_mut();
        match hook {
            CallHook::CallingWasm => context.enter_guest(),
            CallHook::ReturningFromWasm => context.leave_guest(fuel),
            CallHook::CallingHost => context.enter_host(),
            CallHook::ReturningFromHost => context.leave_host(fuel)?,
        }
        // What the guest hands over next is measured before any of it is copied.
        let most = guard::limit(Guard::HostcallFuel, context.acceptable_bytes());
        store.set_hostcall_fuel(usize::try_from(most).unwrap_or(usize::MAX));
        Ok(())
    });
    Ok(store)
}

#[cfg(test)]
mod tests;
