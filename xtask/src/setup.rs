//! The set-up: five steps from an empty machine to a built `stockade`, and one for the tests, each of which
//! looks first whether its result is there and whole. It knows their order, not how each is done.

mod guests;
mod host;
mod key;
mod model;
mod onnxruntime;
mod python_guest;
mod recipe;
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
    /// Whether only the tests need it: then it is done for them, or where it is named.
    for_tests: bool,
    work: fn(&Context) -> Result<Outcome>,
}

const STEPS: [Step; 6] = [
    Step {
        name: "onnxruntime",
        title: "ONNX Runtime",
        for_tests: false,
        work: onnxruntime::run,
    },
    Step {
        name: "model",
        title: "Embedding model",
        for_tests: false,
        work: model::run,
    },
    Step {
        name: "toolchain",
        title: "WebAssembly compiler",
        for_tests: false,
        work: toolchain::run,
    },
    Step {
        name: "guests",
        title: "Built-in plugins",
        for_tests: false,
        work: guests::run,
    },
    Step {
        name: "host",
        title: "stockade",
        for_tests: false,
        work: host::run,
    },
    Step {
        name: "python-guest",
        title: "A plugin in Python",
        for_tests: true,
        work: python_guest::run,
    },
];

/// The names that `--only` takes.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Which steps to run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Those of these names; without any, those that `stockade` needs.
    Only(&'a [String]),
    /// All of them.
    Tests,
}

impl Scope<'_> {
    fn has(self, step: &Step) -> bool {
        match self {
            Self::Only([]) => !step.for_tests,
            Self::Only(names) => names.iter().any(|name| name == step.name),
            Self::Tests => true,
        }
    }
}

/// Runs the steps named in `only`, or all that `stockade` needs, while no other command works in the cache.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, only: &[String]) -> Result<()> {
    let lock = cache.lock("setup")?;
    run_locked(cache, workspace, Scope::Only(only), &lock)
}

/// As [`run`], for a command that holds the lock and goes on holding it.
pub(crate) fn run_locked(
    cache: &Cache,
    workspace: &Workspace,
    scope: Scope<'_>,
    lock: &Lock,
) -> Result<()> {
    ui::line(&format!("cache folder: {}", cache.root().display()));
    let context = Context {
        cache: cache.clone(),
        workspace: workspace.clone(),
        downloads: cache.downloads(lock)?,
    };
    for (number, step) in STEPS.iter().enumerate() {
        if scope.has(step) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_tests_need_is_not_asked_of_others() {
        let names = |scope: Scope<'_>| -> Vec<&str> {
            let chosen = STEPS.iter().filter(|step| scope.has(step));
            chosen.map(|step| step.name).collect()
        };
        assert!(!names(Scope::Only(&[])).contains(&"python-guest"));
        assert!(names(Scope::Tests).contains(&"python-guest"));
        let only = ["python-guest".to_owned()];
        assert_eq!(names(Scope::Only(&only)), ["python-guest"]);
    }
}
