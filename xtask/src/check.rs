//! `cargo xtask test`: everything that has to hold before a change is taken, in the same order here
//! and in CI. A failing check does not hide the ones after it. It does not know what the tests test.

mod deny;
mod dockerfile;

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::cache::{Cache, Lock};
use crate::process;
use crate::setup;
use crate::ui::{self, OrTodo as _, Outcome};
use crate::workspace::Workspace;

/// What the checks work with.
struct Context<'a> {
    cache: &'a Cache,
    workspace: &'a Workspace,
    lock: &'a Lock,
}

struct Check {
    name: &'static str,
    title: &'static str,
    /// Whether it compiles the host, which needs the built plugins, or runs it.
    needs_setup: bool,
    work: fn(&Context<'_>) -> Result<Outcome>,
}

const CHECKS: [Check; 7] = [
    Check {
        name: "fmt",
        title: "Formatting",
        needs_setup: false,
        work: fmt,
    },
    Check {
        name: "clippy",
        title: "Lints",
        needs_setup: true,
        work: clippy,
    },
    Check {
        name: "deny",
        title: "Licences, bans and sources of dependencies",
        needs_setup: false,
        work: deny::check,
    },
    Check {
        name: "advisories",
        title: "Known vulnerabilities of dependencies",
        needs_setup: false,
        work: deny::advisories,
    },
    Check {
        name: "dockerfile",
        title: "Dockerfile",
        needs_setup: false,
        work: dockerfile::check,
    },
    Check {
        name: "test",
        title: "Tests",
        needs_setup: true,
        work: test,
    },
    Check {
        name: "doc",
        title: "Documentation",
        needs_setup: true,
        work: doc,
    },
];

/// The names that `--only` takes.
pub(crate) fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|check| check.name).collect()
}

/// Sets up, runs the checks named in `only`, or all, and fails if one of them does. The lock is
/// held to the end: another clone would put its own binary where these tests look for ours.
pub(crate) fn run(cache: &Cache, workspace: &Workspace, only: &[String]) -> Result<ExitCode> {
    let lock = cache.lock("setup")?;
    let chosen = |check: &&Check| only.is_empty() || only.iter().any(|name| name == check.name);
    let checks: Vec<&Check> = CHECKS.iter().filter(chosen).collect();
    if checks.iter().any(|check| check.needs_setup) {
        setup::run_locked(cache, workspace, setup::Scope::Tests, &lock)?;
    }
    let context = Context {
        cache,
        workspace,
        lock: &lock,
    };
    let results: Vec<_> = checks
        .into_iter()
        .map(|check| run_check(&context, check))
        .collect();
    Ok(summary(&results))
}

/// A check, the word for how it ended, and how long it took.
type Ended<'a> = (&'a Check, &'static str, Duration);

const OK: &str = "ok";
const SKIPPED: &str = "skipped";
const FAILED: &str = "FAILED";

fn run_check<'a>(context: &Context<'_>, check: &'a Check) -> Ended<'a> {
    let (result, took) = ui::step(&format!("test: {}", check.title), || (check.work)(context));
    if let Err(error) = &result {
        ui::error(error);
    }
    let word = match result {
        Ok(Outcome::Skipped(_)) => SKIPPED,
        Ok(_) => OK,
        Err(_) => FAILED,
    };
    (check, word, took)
}

fn summary(results: &[Ended<'_>]) -> ExitCode {
    ui::heading("== summary");
    for (check, word, took) in results {
        ui::note(&format!(
            "{word:<8} {:<11} {}",
            check.name,
            ui::seconds(*took)
        ));
    }
    let failed = results.iter().filter(|(_, word, _)| *word == FAILED);
    let again: String = failed
        .map(|(check, ..)| format!(" --only {}", check.name))
        .collect();
    if again.is_empty() {
        return ExitCode::SUCCESS;
    }
    ui::line(&format!(
        "\nwhat to do: mend what is said above, then\n  cargo xtask test{again}"
    ));
    ExitCode::FAILURE
}

fn fmt(context: &Context<'_>) -> Result<Outcome> {
    let mut cargo = context.workspace.cargo(context.cache);
    cargo.args(["fmt", "--all", "--check"]);
    checked(&mut cargo, "cargo fmt --all")
}

fn clippy(context: &Context<'_>) -> Result<Outcome> {
    let after = ["--all-targets", "--", "--deny", "warnings"];
    both(context, "clippy", &after, "mend what the lints name")
}

fn test(context: &Context<'_>) -> Result<Outcome> {
    both(
        context,
        "test",
        &["--no-fail-fast"],
        "mend what the failing tests name",
    )
}

fn doc(context: &Context<'_>) -> Result<Outcome> {
    both(context, "doc", &["--no-deps"], "mend what rustdoc names")
}

/// Runs a cargo command for the host, then for all other packages, and fails if either does. In one
/// command cargo would unite the features that host and xtask ask of a dependency: the tested host
/// would not be the one that is shipped, and the engine would be compiled once more.
fn both(context: &Context<'_>, command: &str, after: &[&str], remedy: &str) -> Result<Outcome> {
    let packages: [&[&str]; 2] = [
        &["--package", "stockade"],
        &["--workspace", "--exclude", "stockade"],
    ];
    let ended = packages.map(|packages| {
        let mut cargo = context.workspace.cargo(context.cache);
        cargo
            .args([command, "--release", "--locked"])
            .args(packages)
            .args(after);
        if command == "doc" {
            cargo.env("RUSTDOCFLAGS", "--deny warnings");
        }
        checked(&mut cargo, remedy)
    });
    let [host, others] = ended;
    host.and(others)
}

fn checked(command: &mut Command, remedy: &str) -> Result<Outcome> {
    let typed = process::shown(command);
    process::run(command).or_todo("the check failed", format!("{remedy}, then:\n{typed}"))?;
    Ok(Outcome::Done("nothing to complain about".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_whole() {
        let took = Duration::ZERO;
        let [first, second, ..] = &CHECKS;
        let fine = [(first, OK, took), (second, SKIPPED, took)];
        assert_eq!(summary(&fine), ExitCode::SUCCESS);
        let bad = [(first, FAILED, took), (second, OK, took)];
        assert_eq!(summary(&bad), ExitCode::FAILURE);
    }
}
