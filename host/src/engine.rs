//! The wasmtime engine and its clock: one for the whole process, every knob beside its reason.
//!
//! It compiles nothing that strangers wrote (the compile child does, with the same [`settings`]) and
//! knows no tenant.

use crate::guard::{self, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use wasmtime::{Config, EngineWeak};

/// How often running guests are asked whether they may go on.
pub const TICK: Duration = Duration::from_millis(1);

/// The guest's call stack. A constant of the engine: it cannot differ per store. It leaves the rest of
/// the fiber's stack to host functions, which must not overflow it.
pub const GUEST_STACK: usize = 512 << 10;

/// The stack of the fiber that a guest call and its host functions run on.
const FIBER_STACK: usize = 2 << 20;

/// A fuel check at least this often, so that the fuel read after a kill is true to within this many
/// instructions: a loop otherwise keeps its count in a register.
pub const FUEL_INTERVAL: u64 = 1_000_000;

/// How long the ticker rests when no guest runs; then it shows that it is alive.
const REST: Duration = Duration::from_millis(250);

/// A ticker that showed nothing for this long is dead or starved: time limits would not be kept.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How many ticks a silent ticker is waited for: a process that was stopped and goes on has a healthy one. Ticks of
/// whoever waits, so that where it does not run itself nothing is concluded.
const GRACE: u32 = 250;

/// The process's engine with its ticker. Cheap to clone; the ticker ends with the last clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    ticker: Arc<Ticker>,
}

impl Engine {
    /// Makes the engine and starts its ticker thread.
    pub fn new() -> Result<Self, EngineError> {
        let engine = wasmtime::Engine::new(&settings()).map_err(EngineError::Settings)?;
        let ticker = Ticker::start(engine.weak()).map_err(EngineError::Ticker)?;
        Ok(Self { engine, ticker })
    }

    /// The engine itself.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        &self.engine
    }

    /// Whether the ticker has shown itself within the last second. While it has not, no guest should begin:
    /// fuel would still stop it, but nothing would ask about its time.
    pub fn is_ticking(&self) -> bool {
        self.ticker.silence() <= SILENCE_MAX
    }

    /// As [`Engine::is_ticking`], but a ticker that was silent is woken and given a moment to show itself.
    pub async fn rouse(&self) -> bool {
        for _ in 0..GRACE {
            if self.is_ticking() {
                return true;
            }
            self.ticker.wake();
            tokio::time::sleep(TICK).await;
        }
        self.is_ticking()
    }

    /// As [`Engine::rouse`] for those who cannot await. It blocks only where the ticker was silent.
    pub fn rouse_now(&self) -> bool {
        for _ in 0..GRACE {
            if self.is_ticking() {
                return true;
            }
            self.ticker.wake();
            std::thread::park_timeout(TICK);
        }
        self.is_ticking()
    }

    /// Returns when the engine is older than the longest silence.
    #[cfg(test)]
    pub(crate) async fn age(&self) {
        let young = || self.ticker.started.elapsed() <= SILENCE_MAX;
        while young() {
            tokio::time::sleep(TICK).await;
        }
    }

    /// Leaves the ticker as it is in a process that was stopped for longer than [`SILENCE_MAX`].
    #[cfg(test)]
    pub(crate) fn sleep_through(&self) {
        self.ticker.beat.store(0, Ordering::Release);
    }

    /// Ends the ticker as a fault would.
    #[cfg(test)]
    pub(crate) fn lose_ticker(&self) {
        self.ticker.stop.store(true, Ordering::Release);
        self.ticker.wake();
    }

    /// Keeps the ticker ticking for as long as the guard lives.
    pub fn active(&self) -> Active {
        self.ticker.begin();
        Active(self.ticker.clone())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// The settings of every engine, the compile child's included: artefacts are exchanged between them.
pub fn settings() -> Config {
    let mut config = Config::new();
    only_plain_components(&mut config);
    // Deterministic bound on work; epochs bound time and let a kill in.
    config.consume_fuel(true);
    config.epoch_interruption(true);
    config.operator_cost(fuel_costs());
    config.async_stack_size(FIBER_STACK);
    config.max_wasm_stack(if guard::stands(Guard::Stack) {
        GUEST_STACK
    } else {
        FIBER_STACK
    });
    // Strangers' backtraces cost time and tell them nothing they need.
    config.wasm_backtrace_max_frames(None);
    config
}

/// Components and nothing that a chunker or an agent does not need: each proposal that is off is code that
/// an attacker cannot reach. Component-model async and its threads are not even compiled in (cargo features).
fn only_plain_components(config: &mut Config) {
    config.concurrency_support(false);
    config.wasm_component_model(true);
    config.wasm_component_model_error_context(false);
    config.wasm_component_model_gc(false);
    config.wasm_component_model_map(false);
    config.wasm_component_model_memory64(false);
    config.wasm_component_model_fixed_length_lists(false);
    config.wasm_component_model_implements(false);
    config.wasm_threads(false);
    config.wasm_shared_everything_threads(false);
    config.shared_memory(false);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_exceptions(false);
    config.gc_support(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_stack_switching(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_wide_arithmetic(false);
    // Answers may differ between processors.
    config.wasm_relaxed_simd(false);
}

/// wasmtime's costs, with growth charged too: by default a page of memory costs no fuel.
fn fuel_costs() -> wasmtime::OperatorCost {
    let mut costs = wasmtime::OperatorCost::new();
    costs.variable.memory_grow_per_page = 255;
    costs
}

/// Keeps the ticker awake; dropping it lets the ticker rest when no guest runs.
#[derive(Debug)]
pub struct Active(Arc<Ticker>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An OS thread that advances the epoch while guests run and parks when none does: an idle millisecond
/// tick costs 3 % of a core.
#[derive(Debug)]
struct Ticker {
    running: AtomicUsize,
    stop: AtomicBool,
    started: Instant,
    /// Milliseconds from `started` to the last sign of life.
    beat: AtomicU64,
    thread: std::sync::OnceLock<std::thread::Thread>,
}

impl Ticker {
    fn start(engine: EngineWeak) -> std::io::Result<Arc<Self>> {
        let ticker = Arc::new(Self {
            running: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            started: Instant::now(),
            beat: AtomicU64::new(0),
            thread: std::sync::OnceLock::new(),
        });
        let weak = Arc::downgrade(&ticker);
        let handle = std::thread::Builder::new()
            .name("epoch-ticker".to_owned())
            .spawn(move || {
                while let Some(ticker) = weak.upgrade() {
                    if ticker.stop.load(Ordering::Acquire) {
                        return;
                    }
                    ticker.beat();
                    let rest = ticker.running.load(Ordering::Acquire) == 0;
                    drop(ticker);
                    if rest {
                        std::thread::park_timeout(REST);
                        continue;
                    }
                    #[expect(clippy::disallowed_methods, reason = "a tick is nothing but time")]
                    std::thread::sleep(TICK);
                    match engine.upgrade() {
                        Some(engine) => engine.increment_epoch(),
                        None => return,
                    }
                }
            })?;
        let _ = ticker.thread.set(handle.thread().clone());
        Ok(ticker)
    }

    fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(now, Ordering::Release);
    }

    fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.beat.load(Ordering::Acquire));
        self.started.elapsed().saturating_sub(last)
    }

    fn begin(&self) {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

/// The engine could not be made. Always the host's fault.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its settings on this machine.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Settings(wasmtime::Error),
    /// No thread for the ticker.
    #[error("cannot start the epoch ticker")]
    Ticker(#[source] std::io::Error),
}

impl crate::error::Explain for EngineError {
    fn code(&self) -> &'static str {
        "engine"
    }
    fn blame(&self) -> crate::error::Blame {
        crate::error::Blame::Host
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says where it stopped")]

    use super::*;

    #[test]
    fn c_12_a_lost_ticker_is_noticed() {
        let engine = Engine::new().unwrap();
        assert!(engine.is_ticking());
        engine.lose_ticker();
        let watchdog = Instant::now() + Duration::from_secs(60);
        while engine.is_ticking() {
            assert!(Instant::now() < watchdog, "nothing noticed");
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_ticker_that_was_stopped_with_its_process_is_waited_for_and_a_lost_one_is_not() {
        let engine = Engine::new().unwrap();
        engine.age().await;
        for _ in 0..8 {
            engine.sleep_through();
            assert!(engine.rouse_now());
            engine.sleep_through();
            assert!(engine.rouse().await);
        }
        engine.lose_ticker();
        while engine.is_ticking() {
            tokio::time::sleep(TICK).await;
        }
        assert!(!engine.rouse_now());
        assert!(!engine.rouse().await);
    }

    #[test]
    fn a_resting_ticker_is_alive() {
        let engine = Engine::new().unwrap();
        drop(engine.active());
        let end = Instant::now() + 2 * SILENCE_MAX;
        while Instant::now() < end {
            std::thread::park_timeout(REST);
        }
        let watchdog = Instant::now() + Duration::from_secs(60);
        while !engine.is_ticking() {
            assert!(Instant::now() < watchdog, "it is dead");
            std::thread::yield_now();
        }
    }
}
