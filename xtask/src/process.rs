//! Child processes: shown as one would type them, their output passed through, their failure an
//! error that names the command. It does not know what they are for.

use std::ffi::OsStr;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::ui;

/// The command as a person would type it, with the environment that was set for it.
pub(crate) fn shown(command: &Command) -> String {
    let environment = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quoted(value)))
    });
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted);
    environment.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Shows the command, runs it with our own output and no input, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("`{}` ended with {status}", shown(command));
    }
    Ok(())
}

/// As [`run`], but how it ended is the caller's to judge.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    ui::note(&format!("$ {}", shown(command)));
    quiet_status(command)
}

/// As [`status`], without showing the command.
pub(crate) fn quiet_status(command: &mut Command) -> Result<ExitStatus> {
    command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))
}

/// Runs the command in our place: it has our input, and its exit code is to become ours.
pub(crate) fn exit_code(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Runs the command silently and returns what it printed; fails with what it complained about.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` ended with {}: {}",
            shown(command),
            output.status,
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Shows the command, runs it for at most `limit`, and says whether it succeeded within it.
pub(crate) fn succeeds_within(command: &mut Command, limit: Duration) -> Result<bool> {
    ui::note(&format!("$ {}", shown(command)));
    let mut child = command
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start `{}`", shown(command)))?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            ui::note(&format!(
                "no answer within {}, given up",
                ui::seconds(limit)
            ));
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        rest(Duration::from_millis(50));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the standard library cannot wait for a child with a deadline"
)]
fn rest(pause: Duration) {
    std::thread::sleep(pause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_one_would_type_them() {
        let mut command = Command::new("pip");
        command
            .env("A", "b c")
            .env_remove("GONE")
            .args(["download", "x==1", "it's"]);
        assert_eq!(shown(&command), r"A='b c' pip download x==1 'it'\''s'");
    }

    #[test]
    fn a_failing_command_is_named() {
        let error = run(&mut Command::new("false")).unwrap_err().to_string();
        assert!(error.contains("`false`"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_given_up() {
        let start = Instant::now();
        let mut command = Command::new("sleep");
        assert!(!succeeds_within(command.arg("60"), Duration::from_millis(100)).unwrap());
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_quick_command_is_waited_for() {
        assert!(succeeds_within(&mut Command::new("true"), Duration::from_secs(30)).unwrap());
    }
}
