//! Types the tour's commands: shows each as a user would write it, runs it, and judges how it ended.
//! It does not know why the tour types them.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};

use super::answers::Answer;
use super::line::words;
use crate::cache::Cache;
use crate::process;
use crate::ui;
use crate::workspace::Workspace;

/// A command as it is typed after `stockade`, and what must come of it.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) line: &'static str,
    pub(super) exit: i32,
    /// What must be found in its output.
    pub(super) says: &'static [&'static str],
}

/// A place to type in: the workspace's root, with a `stockade` and a data folder.
#[derive(Debug)]
pub(super) struct Shell {
    stockade: PathBuf,
    cache: PathBuf,
    root: PathBuf,
    data: PathBuf,
}

/// Shows a command as it is typed.
pub(super) fn prompt(line: &str) {
    let prompt = format!("$ stockade {line}");
    ui::line(&format!("\n{}", ui::emphasised(&prompt)));
}

impl Shell {
    /// A shell whose `stockade` is this binary.
    pub(super) fn new(stockade: &Path, cache: &Cache, workspace: &Workspace, data: &Path) -> Self {
        Self {
            stockade: stockade.to_owned(),
            cache: cache.root().to_owned(),
            root: workspace.root().to_owned(),
            data: data.to_owned(),
        }
    }

    /// Shows a command, runs it, and fails if it ends otherwise than it should.
    pub(super) fn type_in(&self, typed: &Typed) -> Result<()> {
        prompt(typed.line);
        let (exit, said) = match typed.says {
            [] => (self.watched(typed.line)?, String::new()),
            _ => self.read(typed.line)?,
        };
        if let Some(exit) = exit.filter(|&exit| exit != 0) {
            ui::line(&format!("[exit code {exit}]"));
        }
        judged(typed, exit, &said).map_err(|surprise| self.surprise(surprise, typed.line))
    }

    /// The answer to a question, asked as a machine asks.
    pub(super) fn answer(&self, line: &str) -> Result<Answer> {
        let mut command = self.command(line)?;
        let output = process::output(command.arg("--json"))?;
        Answer::parse(&output).with_context(|| format!("`stockade {line} --json`"))
    }

    /// Runs a command with our own output, so that it may draw and colour.
    fn watched(&self, line: &str) -> Result<Option<i32>> {
        // Complaints belong to the tour, also where only its standard output is kept.
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        let mut command = self.command(line)?;
        let status = process::quiet_status(command.stderr(Stdio::from(stdout)))?;
        Ok(status.code())
    }

    /// Runs a command, shows what it said, and returns it.
    fn read(&self, line: &str) -> Result<(Option<i32>, String)> {
        let mut command = self.command(line)?;
        let output = command
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start `{}`", process::shown(&command)))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        ui::line(&said);
        Ok((output.status.code(), said))
    }

    fn command(&self, line: &str) -> Result<Command> {
        let words = words(line).ok_or_else(|| anyhow!("a quote is left open in `{line}`"))?;
        let mut command = Command::new(&self.stockade);
        command
            .current_dir(&self.root)
            .args(words)
            .env("STOCKADE_DATA", &self.data)
            .env("STOCKADE_CACHE", &self.cache);
        Ok(command)
    }

    /// What was not as the tour says, and how to look at it.
    pub(super) fn surprise(&self, what: String, line: &str) -> anyhow::Error {
        let by_hand = self.command(line).map(|command| process::shown(&command));
        let by_hand = by_hand.unwrap_or_default();
        let todo = format!("look at it by hand, in {}:\n{by_hand}", self.root.display());
        ui::todo(what, todo)
    }
}

/// What is not as the tour says.
fn judged(typed: &Typed, exit: Option<i32>, said: &str) -> Result<(), String> {
    let Typed {
        line,
        exit: wanted,
        says,
    } = typed;
    match exit {
        None => Err(format!(
            "`stockade {line}` was killed by a signal, and the tour expects exit code {wanted}"
        )),
        Some(exit) if exit != *wanted => Err(format!(
            "`stockade {line}` ended with exit code {exit}, and the tour expects {wanted}"
        )),
        Some(_) => match says.iter().find(|part| !said.contains(**part)) {
            Some(part) => Err(format!("`stockade {line}` did not say `{part}`")),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUE: Typed = Typed {
        line: "-c true",
        exit: 0,
        says: &[],
    };

    /// A shell whose `stockade` is the system's: `-c` makes it do anything.
    fn shell() -> Shell {
        let root = std::env::temp_dir();
        let (cache, workspace) = (Cache::at(&root).unwrap(), Workspace::at(&root));
        Shell::new("/bin/sh".as_ref(), &cache, &workspace, "/the-data".as_ref())
    }

    fn surprise(typed: &Typed) -> String {
        shell().type_in(typed).unwrap_err().to_string()
    }

    #[test]
    fn a_command_that_ends_as_expected_is_no_surprise() {
        assert!(shell().type_in(&TRUE).is_ok());
        let line = "-c 'echo failed; echo stopped by fuel >&2; exit 3'";
        let typed = Typed {
            line,
            exit: 3,
            says: &["by fuel", "failed"],
        };
        assert!(shell().type_in(&typed).is_ok());
    }

    #[test]
    fn another_exit_code_is_a_surprise_that_names_both() {
        let said = surprise(&Typed {
            line: "-c 'exit 4'",
            ..TRUE
        });
        assert!(said.contains("`stockade -c 'exit 4'`"), "{said}");
        assert!(
            said.contains("exit code 4") && said.contains("expects 0"),
            "{said}"
        );
    }

    #[test]
    fn a_signal_is_a_surprise() {
        let said = surprise(&Typed {
            line: "-c 'kill -9 $$'",
            ..TRUE
        });
        assert!(said.contains("signal"), "{said}");
    }

    #[test]
    fn what_was_not_said_is_a_surprise() {
        let said = surprise(&Typed {
            line: "-c 'echo fuel'",
            says: &["memory"],
            ..TRUE
        });
        assert!(said.contains("did not say `memory`"), "{said}");
    }

    #[test]
    fn a_command_finds_its_folders() {
        let line = "-c '[ -d \"$STOCKADE_CACHE\" ] && echo $STOCKADE_DATA'";
        let typed = Typed {
            line,
            says: &["/the-data"],
            ..TRUE
        };
        assert!(shell().type_in(&typed).is_ok());
    }

    #[test]
    fn a_question_is_asked_in_json() {
        let line = r#"-c '[ $0 = --json ] && echo "{\"passages\": []}"'"#;
        assert_eq!(shell().answer(line).unwrap().len(), 0);
        assert!(shell().answer("-c 'exit 3'").is_err());
    }

    #[test]
    fn a_quote_that_is_left_open_is_not_run() {
        let said = surprise(&Typed {
            line: "-c 'true",
            ..TRUE
        });
        assert!(said.contains("quote"), "{said}");
    }
}
