//! What a person sees: headings, durations, errors with what to do about them. It knows nothing of
//! what is being done.

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

/// How a step that did not fail ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing was to be done; the text says what was found.
    AlreadyThere(String),
    /// Something was brought, built or checked; the text says what.
    Done(String),
    /// It could not be done here, and need not be; the text says why.
    Skipped(String),
}

/// What failed and the command or action that mends it: one layer of an error's chain.
#[derive(Debug)]
pub(crate) struct Todo {
    what: String,
    todo: String,
}

impl fmt::Display for Todo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Todo {}

/// An error that says what failed and what to do, without an earlier cause.
pub(crate) fn todo(what: impl Into<String>, todo: impl Into<String>) -> Error {
    Error::new(Todo {
        what: what.into(),
        todo: todo.into(),
    })
}

/// Adds what failed and what to do to an error.
pub(crate) trait OrTodo<T> {
    /// Wraps the error; `what` names the thing that failed, `todo` the way out.
    fn or_todo(self, what: impl Into<String>, todo: impl Into<String>) -> Result<T>;
}

impl<T> OrTodo<T> for Result<T> {
    fn or_todo(self, what: impl Into<String>, todo: impl Into<String>) -> Result<T> {
        self.map_err(|error| {
            error.context(Todo {
                what: what.into(),
                todo: todo.into(),
            })
        })
    }
}

/// Prints a line (or several) on standard output. A closed pipe is nobody's fault here.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}

/// Prints a line that belongs to the step under the last heading.
pub(crate) fn note(text: &str) {
    line(&format!("   {text}"));
}

/// Prints a line on standard error.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// Prints a heading with an empty line above it.
pub(crate) fn heading(text: &str) {
    line(&format!("\n{}", emphasised(text)));
}

/// Bold on a terminal, plain in a pipe or where `NO_COLOR` is set.
pub(crate) fn emphasised(text: &str) -> String {
    if io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Runs one step under its heading and says how it ended and how long it took.
pub(crate) fn step(
    title: &str,
    work: impl FnOnce() -> Result<Outcome>,
) -> (Result<Outcome>, Duration) {
    heading(&format!("== {title}"));
    let start = Instant::now();
    let result = work();
    let took = start.elapsed();
    let ended = match &result {
        Ok(Outcome::AlreadyThere(what)) => format!("already there: {what} ({})", seconds(took)),
        Ok(Outcome::Done(what)) => format!("done: {what} ({})", seconds(took)),
        Ok(Outcome::Skipped(why)) => format!("skipped: {why} ({})", seconds(took)),
        Err(_) => format!("failed after {}", seconds(took)),
    };
    note(&ended);
    (result, took)
}

/// Prints an error: what failed, why, and what to do, as far as the chain says it.
pub(crate) fn error(error: &Error) {
    complain(&explained(error));
}

fn explained(error: &Error) -> String {
    let mut layers = error.chain();
    let mut text = format!(
        "\nerror: {}\n",
        layers.next().map(ToString::to_string).unwrap_or_default()
    );
    for cause in layers {
        text.push_str(&format!("  because: {cause}\n"));
    }
    if let Some(Todo { todo, .. }) = error.downcast_ref::<Todo>() {
        text.push_str(&format!(
            "\nwhat to do:\n  {}\n",
            todo.replace('\n', "\n  ")
        ));
    }
    text
}

/// A duration as a person says it: `0.3 s`, `2 min 05 s`.
pub(crate) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn an_error_says_what_why_and_what_to_do() {
        let error = Err::<(), _>(anyhow!("no route"))
            .or_todo("pip could not download", "pip download x")
            .context("model")
            .unwrap_err();
        let text = explained(&error);
        for part in [
            "error: model",
            "because: pip could not",
            "because: no route",
            "what to do:\n  pip download x",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
