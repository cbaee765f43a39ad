//! One guest call in this process: the real sandbox, the real model, a policy written in the test.

use super::guests;
use std::sync::{Arc, OnceLock};
use stockade::agent::Answer;
use stockade::attack::{SmallIndex, Stage};
use stockade::config::Config;
use stockade::corpus::{Chunk, TenantId};
use stockade::error::Blame;
use stockade::index::Index;
use stockade::policy::Policy;
use stockade::task::{Kind, Limits, Reason, Stop, Task, Usage};

/// What all tests of this process share: one engine, one model, one cache of compiled guests.
struct Shared {
    stage: Stage,
    executor: tokio::runtime::Runtime,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let compiler = Some(env!("CARGO_BIN_EXE_stockade").into());
        Shared {
            stage: Stage::start(&Config::default(), &tenant(), compiler).unwrap(),
            executor: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
        }
    })
}

/// The stage itself, for tests that need more than one call.
pub fn stage() -> &'static Stage {
    &shared().stage
}

/// Runs a future on the tests' executor.
pub fn wait<F: Future>(future: F) -> F::Output {
    shared().executor.block_on(future)
}

pub fn tenant() -> TenantId {
    TenantId::new("test").unwrap()
}

/// The policy of a few lines.
pub fn policy(toml: &str) -> Policy {
    Policy::from_toml("test.toml", toml).unwrap()
}

/// Runs `component` as the chunker of `text`: what came of it, and what it used.
pub fn chunk(component: &[u8], toml: &str, text: &str) -> (Result<Vec<Chunk>, Stop>, Usage) {
    let task = Task::new(tenant(), Kind::Ingest, "doc", Limits::ingest(&policy(toml)));
    let outcome = chunk_task(component, toml, text, &task);
    (outcome, task.usage())
}

/// As [`chunk`], for a task that the test holds.
pub fn chunk_task(
    component: &[u8],
    toml: &str,
    text: &str,
    task: &Arc<Task>,
) -> Result<Vec<Chunk>, Stop> {
    let stage = stage();
    let chunker = stage.chunker(component, policy(toml).wasi).unwrap();
    wait(stage.chunk(&chunker, task, text, &vec![]))
}

/// An index with one document a text, on the real model.
pub fn index(texts: &[&str]) -> SmallIndex {
    let stage = stage();
    let task = stage.task(Kind::Query, &policy(""));
    wait(stage.index(&task, texts)).unwrap()
}

/// Asks `component` as the agent over `index`.
pub fn ask(component: &[u8], toml: &str, index: &Arc<Index>) -> (Result<Answer, Stop>, Usage) {
    let task = Task::new(
        tenant(),
        Kind::Query,
        "question",
        Limits::query(&policy(toml)),
    );
    let outcome = ask_task(component, toml, index, &task);
    (outcome, task.usage())
}

/// As [`ask`], for a task that the test holds.
pub fn ask_task(
    component: &[u8],
    toml: &str,
    index: &Arc<Index>,
    task: &Arc<Task>,
) -> Result<Answer, Stop> {
    let stage = stage();
    let agent = stage.agent(component, policy(toml).wasi).unwrap();
    let outcome = wait(stage.ask(&agent, task, index, "question", &vec![]));
    outcome.map_err(|error| match error {
        stockade::agent::AgentError::Stop(stop) => stop,
        other => panic!("{other}"),
    })
}

/// A chunker or agent whose body first does `misdeed` and then answers emptily.
pub fn chunker_that(misdeed: &str) -> Vec<u8> {
    guests::chunker(&format!("{misdeed} (i32.const 32)"))
}

/// As [`chunker_that`].
pub fn agent_that(imports: &str, misdeed: &str) -> Vec<u8> {
    let mut guest = guests::Guest::agent(&format!("{misdeed} (i32.const 32)"));
    guest.imports = imports.to_owned();
    guest.build().unwrap()
}

/// The stop of a task that must have been stopped: reason, blame, phase.
pub fn stopped<T: std::fmt::Debug>(outcome: Result<T, Stop>) -> (Reason, Blame, String) {
    let stop = outcome.expect_err("it should have been stopped");
    (stop.reason, stop.blame, stop.phase)
}
