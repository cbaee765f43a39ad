//! `cargo xtask demo`: a tour through `stockade` as a person would take it, command by command. It
//! runs the real binary on a data folder of its own and knows nothing that a user could not type.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::cache::{self, Cache};
use crate::process;
use crate::setup;
use crate::ui;
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
    line: &'static str,
    exit: i32,
}

const fn ok(line: &'static str) -> Typed {
    Typed { line, exit: 0 }
}

/// Paths are relative to the workspace's root, where the tour runs.
const TOUR: &[Chapter] = &[
    Chapter {
        heading: "Two tenants",
        text: "Each has a policy of its own: what its plugins may use, and how much of it.",
        commands: &[
            ok("tenant add acme --policy demo/acme/policy.toml"),
            ok("tenant add globex --policy demo/globex/policy.toml"),
            ok("tenant list"),
            ok("policy show globex"),
        ],
    },
    Chapter {
        heading: "Their plugins",
        text: "acme keeps the defaults; globex cuts its documents and answers its questions in its own way.",
        commands: &[
            ok("plugin use globex fixed --option size=400 --option overlap=80"),
            ok("plugin use globex vector"),
            ok("plugin list globex"),
        ],
    },
    Chapter {
        heading: "Their documents",
        text: "A folder each. Taking the same folder in again changes nothing and embeds nothing.",
        commands: &[
            ok("ingest acme demo/acme/documents"),
            ok("ingest globex demo/globex/documents"),
            ok("ingest acme demo/acme/documents"),
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
        let prompt = format!("$ stockade {}", typed.line);
        ui::line(&format!("\n{}", ui::emphasised(&prompt)));
        let exit = process::quiet_status(&mut self.command(typed.line))?.code();
        if exit == Some(typed.exit) {
            return Ok(());
        }
        let by_hand = process::shown(&self.command(typed.line));
        Err(ui::todo(
            surprise(typed, exit),
            format!("look at it by hand, in {}:\n{by_hand}", self.root.display()),
        ))
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.stockade);
        command.current_dir(&self.root).args(words(line));
        command
            .env("STOCKADE_DATA", &self.data)
            .env("STOCKADE_CACHE", &self.cache);
        command
    }
}

fn surprise(typed: &Typed, exit: Option<i32>) -> String {
    let Typed { line, exit: wanted } = typed;
    match exit {
        Some(exit) => {
            format!("`stockade {line}` ended with exit code {exit}, and the tour expects {wanted}")
        }
        None => format!(
            "`stockade {line}` was killed by a signal, and the tour expects exit code {wanted}"
        ),
    }
}

/// The words of a command line; double quotes keep spaces together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('"').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_question_together() {
        assert_eq!(
            words("query acme \"Who pays?\" --k 3"),
            ["query", "acme", "Who pays?", "--k", "3"]
        );
    }

    fn tour(stockade: &str) -> Result<()> {
        let here = std::env::temp_dir();
        let tour = Tour {
            stockade: PathBuf::from(stockade),
            cache: here.clone(),
            root: here.clone(),
            data: here,
        };
        TOUR.iter().try_for_each(|chapter| tour.chapter(1, chapter))
    }

    #[test]
    fn the_tour_goes_on_while_commands_end_as_expected() {
        assert!(tour("/bin/true").is_ok());
    }

    #[test]
    fn the_tour_stops_at_the_first_surprise() {
        let error = tour("/bin/false").unwrap_err().to_string();
        assert!(error.contains("tenant add acme"), "{error}");
    }

    #[test]
    fn a_surprise_names_both_exit_codes() {
        let text = surprise(&ok("tenant list"), Some(4));
        assert!(
            text.contains("tenant list") && text.contains('4') && text.contains('0'),
            "{text}"
        );
    }
}
