//! `cargo xtask demo`: a tour through `stockade` as a person would take it, command by command. It
//! runs the real binary on a data folder of its own and knows nothing that a user could not type.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::cache::{self, Cache};
use crate::process;
use crate::setup;
use crate::ui::{self, OrTodo as _};
use crate::workspace::Workspace;

/// A stretch of the tour under one heading.
struct Chapter {
    heading: &'static str,
    /// Why this is worth seeing, in a sentence or two.
    text: &'static str,
    commands: &'static [Typed],
}

/// A command as it is typed after `stockade`, and the exit code that it must have.
struct Typed {
    arguments: &'static [&'static str],
    exit: i32,
}

const fn ok(arguments: &'static [&'static str]) -> Typed {
    Typed { arguments, exit: 0 }
}

/// Paths are relative to the workspace's root, where the tour runs.
const TOUR: &[Chapter] = &[
    Chapter {
        heading: "Two tenants",
        text: "Each has a policy of its own: what its plugins may use, and how much of it.",
        commands: &[
            ok(&["tenant", "add", "acme", "--policy", "demo/acme/policy.toml"]),
            ok(&[
                "tenant",
                "add",
                "globex",
                "--policy",
                "demo/globex/policy.toml",
            ]),
            ok(&["tenant", "list"]),
            ok(&["policy", "show", "globex"]),
        ],
    },
    Chapter {
        heading: "Their plugins",
        text: "acme keeps the defaults; globex cuts its documents and answers its questions in its own way.",
        commands: &[
            ok(&[
                "plugin",
                "use",
                "globex",
                "fixed",
                "--option",
                "size=400",
                "--option",
                "overlap=80",
            ]),
            ok(&["plugin", "use", "globex", "vector"]),
            ok(&["plugin", "list", "globex"]),
        ],
    },
    Chapter {
        heading: "Their documents",
        text: "A folder each. Taking the same folder in again changes nothing and embeds nothing.",
        commands: &[
            ok(&["ingest", "acme", "demo/acme/documents"]),
            ok(&["ingest", "globex", "demo/globex/documents"]),
            ok(&["ingest", "acme", "demo/acme/documents"]),
        ],
    },
];

/// Sets up and takes the tour; fails at the first command that ends otherwise than the tour says.
pub(crate) fn run(cache: &Cache, workspace: &Workspace) -> Result<ExitCode> {
    let lock = cache.lock("setup")?;
    setup::run_locked(cache, workspace, &[], &lock)?;
    let tour = Tour {
        stockade: cache.stockade(),
        cache: cache.root().to_owned(),
        root: workspace.root().to_owned(),
        data: workspace.root().join("target/demo-data"),
    };
    cache::remove_dir(&tour.data)?;
    for (number, chapter) in TOUR.iter().enumerate() {
        tour.chapter(number + 1, chapter)?;
    }
    ui::line(&format!(
        "\nThat was it. The data stays in {} for you to look at.",
        tour.data.display()
    ));
    Ok(ExitCode::SUCCESS)
}

struct Tour {
    stockade: PathBuf,
    cache: PathBuf,
    root: PathBuf,
    data: PathBuf,
}

impl Tour {
    fn chapter(&self, number: usize, chapter: &Chapter) -> Result<()> {
        ui::heading(&format!("{number}. {}", chapter.heading));
        ui::line(chapter.text);
        chapter
            .commands
            .iter()
            .try_for_each(|typed| self.type_in(typed))
    }

    fn type_in(&self, typed: &Typed) -> Result<()> {
        let line = spoken(typed.arguments);
        ui::line(&format!("\n{}", ui::emphasised(&format!("$ {line}"))));
        let exit = process::quiet_status(&mut self.command(typed.arguments))?.code();
        if exit != Some(typed.exit) {
            return failed(&line, typed.exit, exit).or_todo(
                "the tour stopped",
                format!(
                    "try the command by hand:\nexport STOCKADE_DATA={} STOCKADE_CACHE={}\n{} {}",
                    self.data.display(),
                    self.cache.display(),
                    self.stockade.display(),
                    line.trim_start_matches("stockade ")
                ),
            );
        }
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.stockade);
        command.current_dir(&self.root).args(arguments);
        command
            .env("STOCKADE_DATA", &self.data)
            .env("STOCKADE_CACHE", &self.cache);
        command
    }
}

/// The command line as it is shown: with quotes where a person would need them.
fn spoken(arguments: &[&str]) -> String {
    process::shown(Command::new("stockade").args(arguments))
}

fn failed(line: &str, wanted: i32, exit: Option<i32>) -> Result<()> {
    match exit {
        Some(exit) => bail!("`{line}` ended with exit code {exit}, the tour expects {wanted}"),
        None => bail!("`{line}` was killed by a signal"),
    }
}
