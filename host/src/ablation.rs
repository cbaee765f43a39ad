//! Guard ablation: what comes in when a guard is taken away.
//!
//! Each attack runs in a child process of this test program, with every guard standing, then with each
//! one away, then with all of those away that stand against it. What came of it is the matrix in
//! docs/threat-model.md. No attack is endless: each is over after many times what it is allowed, so that
//! success is seen, not guessed from a clock. Attacks are harmless when they succeed.

mod agents;
mod child;
mod chunkers;
mod host;
mod matrix;
mod plugins;

use crate::agent::{Agent, AgentHost, Answer, Question};
use crate::attack::{Guest, SmallIndex, Stage};
use crate::config::Config;
use crate::corpus::{Chunk, Filter, TenantId};
use crate::embedder::Priority;
use crate::guard::Guard;
use crate::policy::{Policy, Wasi};
use crate::runtime::Guests;
use crate::task::{Kind, Reason, Stop};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// This test program as the one that compiles, by a script in `folder`; every guard stands.
pub(crate) fn compiler(folder: &Path) -> PathBuf {
    child::compiler(folder, "")
}

/// What came of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It got what it wanted.
    Succeeds,
    /// Something was in its way: the stop's reason, or the refusal in a word.
    Stopped(String),
}

impl Outcome {
    fn stopped(by: &str) -> Self {
        Self::Stopped(by.to_owned())
    }

    /// Stopped, unless `succeeds`.
    fn of(succeeds: bool, by: &str) -> Self {
        if succeeds {
            Self::Succeeds
        } else {
            Self::stopped(by)
        }
    }
}

/// An attack and what it is for.
struct Attack {
    name: &'static str,
    /// In one sentence, for docs/threat-model.md.
    what: &'static str,
    /// Without all of these it must succeed.
    against: &'static [Guard],
    run: fn(&Arena) -> Outcome,
}

/// Every attack.
fn attacks() -> Vec<Attack> {
    let mut all = chunkers::attacks();
    all.extend(agents::attacks());
    all.extend(plugins::attacks());
    all.extend(host::attacks());
    all
}

/// Where attacks happen: the real engine, model and index, in this process.
struct Arena {
    stage: Stage,
    index: SmallIndex,
    executor: Runtime,
    compiler: PathBuf,
}

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn policy(lines: &str) -> Policy {
    Policy::from_toml("attack.toml", lines).unwrap()
}

impl Arena {
    fn start(cache: &Path, compiler: &Path) -> Self {
        let config = Config {
            embed_workers: 1,
            ..Config::default()
        };
        let executor = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let compiler = compiler.to_owned();
        let mut stage = Stage::start(&config, &tenant("acme"), Some(compiler.clone())).unwrap();
        stage.guests = Arc::new(Guests::start_with(&config, cache, compiler.clone()).unwrap());
        let task = stage.task(Kind::Query, &policy(""));
        let texts = ["An apple.", "A pear.", "A plum.", "A quince.", "A medlar."];
        let index = executor.block_on(stage.index(&task, &texts)).unwrap();
        Self {
            stage,
            index,
            executor,
            compiler,
        }
    }

    /// A chunker's call on a text of 50 bytes under a policy of a few lines.
    fn chunk(&self, guest: &Guest, lines: &str) -> Result<Vec<Chunk>, Stop> {
        let component = guest.build().unwrap();
        let chunker = self.stage.chunker(&component, Wasi::None).unwrap();
        let task = self.stage.task(Kind::Ingest, &policy(lines));
        let text = "x".repeat(50);
        let options = vec![];
        let call = self.stage.chunk(&chunker, &task, &text, &options);
        self.executor.block_on(call)
    }

    /// An agent's call under a policy of a few lines and the caller's filter.
    fn ask(&self, guest: &Guest, lines: &str, filter: Option<&str>) -> Result<Answer, Stop> {
        let component = guest.build().unwrap();
        let agent: Agent = self.stage.agent(&component, Wasi::None).unwrap();
        let task = self.stage.task(Kind::Query, &policy(lines));
        let lane = self.stage.lane(&task, Priority::Interactive);
        let filter = filter.map(|json| Filter::parse(json).unwrap());
        let index = self.index.index.clone();
        let host = AgentHost::new(self.stage.embedder.clone(), lane, index, filter);
        let question = Question {
            text: "question".to_owned(),
            k: 5,
            options: vec![],
        };
        let call = agent.answer(&self.stage.guests.sandbox, host, &task, &question);
        self.executor.block_on(call).map_err(|error| match error {
            crate::agent::AgentError::Stop(stop) => stop,
            other => panic!("{other}"),
        })
    }
}

/// A call that succeeds where it should have been stopped.
fn ended<T>(outcome: Result<T, Stop>) -> Outcome {
    match outcome {
        Ok(_) => Outcome::Succeeds,
        Err(stop) => Outcome::stopped(stop.reason.as_str()),
    }
}

/// As [`ended`], for a guest that traps when a call is denied.
fn granted<T>(outcome: Result<T, Stop>) -> Outcome {
    match outcome {
        Err(stop) if stop.reason == Reason::Trap => Outcome::stopped("denied"),
        other => ended(other),
    }
}
