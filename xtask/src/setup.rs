//! The set-up: five steps from an empty machine to a built `stockade`, each of which looks first
//! whether its result is there and whole. It knows their order, not how each is done.

mod guests;
mod host;
mod key;
mod model;
mod onnxruntime;
mod toolchain;

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cache::{Cache, Lock};
use crate::ui::{self, Outcome};
use crate::workspace::Workspace;

/// What the steps work with.
struct Context {
    cache: Cache,
    workspace: Workspace,
    /// Empty when the set-up begins, and removed at its end.
    downloads: PathBuf,
}

struct Step {
    name: &'static str,
    title: &'static str,
    work: fn(&Context) -> Result<Outcome>,
}

const STEPS: [Step; 5] = [
    Step {
        name: "onnxruntime",
        title: "ONNX Runtime",
        work: onnxruntime::run,
    },
    Step {
        name: "model",
        title: "Embedding model",
        work: model::run,
    },
    Step {
        name: "toolchain",
        title: "WebAssembly compiler",
        work: toolchain::run,
    },
    Step {
        name: "guests",
        title: "Built-in plugins",
        work: guests::run,
    },
    Step {
        name: "host",
        title: "stockade",
        work: host::run,
    },
];

/// The names that `--only` takes.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the steps named in `only`, or all, while no other command works in the cache.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, only: &[String]) -> Result<()> {
    let lock = cache.lock("setup")?;
    run_locked(cache, workspace, only, &lock)
}

/// As [`run`], for a command that holds the lock and goes on holding it.
pub(crate) fn run_locked(
    cache: &Cache,
    workspace: &Workspace,
    only: &[String],
    lock: &Lock,
) -> Result<()> {
    ui::line(&format!("cache folder: {}", cache.root().display()));
    let context = Context {
        cache: cache.clone(),
        workspace: workspace.clone(),
        downloads: cache.downloads(lock)?,
    };
    for (number, step) in STEPS.iter().enumerate() {
        if only.is_empty() || only.iter().any(|name| name == step.name) {
            run_step(&context, number + 1, step)?;
        }
    }
    crate::cache::remove_dir(&context.downloads)
}

fn run_step(context: &Context, number: usize, step: &Step) -> Result<()> {
    let title = format!("set-up {number}/{}: {}", STEPS.len(), step.title);
    let (result, _) = ui::step(&title, || (step.work)(context));
    result
        .map(|_| ())
        .with_context(|| format!("set-up stopped at `{}`", step.name))
}
