//! Whose fault an error is, and the conventions every module's errors follow.
//!
//! Each module has its own error enum; each implements [`Explain`], so that an edge can turn any of
//! them into a message, a hint, a JSON body or an exit code without knowing the module. This module
//! knows none of them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Whose fault it is that something did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blame {
    /// The person or program that asked: wrong argument, wrong file, or they stopped it themselves.
    Caller,
    /// The tenant's plugin.
    Guest,
    /// A limit that the operator set, reached without anybody's misbehaviour.
    Limit,
    /// Stockade itself or the machine below it.
    Host,
}

impl Blame {
    /// The word used in JSON and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Guest => "guest",
            Self::Limit => "limit",
            Self::Host => "host",
        }
    }
}

impl std::fmt::Display for Blame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a command ends, for the shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all done.
    Done,
    /// 1: Stockade or the machine failed.
    HostFault,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: some documents or tasks failed, the rest is done.
    Partial,
    /// 4: refused: busy, suspended, capacity or policy.
    Refused,
    /// 130: interrupted by the user.
    Interrupted,
}

impl Exit {
    /// The process exit status.
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::HostFault => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::Refused => 4,
            Self::Interrupted => 130,
        }
    }
}

/// The code of every error that a full disk causes.
pub const STORAGE_FULL: &str = "storage-full";

/// What to do when the disk is full.
pub const FREE_SPACE: &str =
    "Free some space and try again; nothing that was acknowledged is lost.";

/// There was no room for what was to be written: on the disk, or within somebody's quota.
pub fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What an edge needs to know of an error besides its message.
pub trait Explain: std::error::Error {
    /// A stable word for machines: lower case, hyphens.
    fn code(&self) -> &'static str;

    /// Whose fault it is.
    fn blame(&self) -> Blame;

    /// How the command ends.
    fn exit(&self) -> Exit {
        match self.blame() {
            Blame::Caller => Exit::Usage,
            Blame::Guest => Exit::Partial,
            Blame::Limit => Exit::Refused,
            Blame::Host => Exit::HostFault,
        }
    }

    /// What to do next, where there is something to do: a full sentence.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The stop behind it, as JSON, where a task was stopped.
    fn stop(&self) -> Option<serde_json::Value> {
        None
    }
}

/// An error that is always another module's, and says of itself what that one says.
pub trait Wraps: std::error::Error {
    /// The other's.
    fn inner(&self) -> &dyn Explain;
}

impl<E: Wraps> Explain for E {
    fn code(&self) -> &'static str {
        self.inner().code()
    }
    fn blame(&self) -> Blame {
        self.inner().blame()
    }
    fn exit(&self) -> Exit {
        self.inner().exit()
    }
    fn hint(&self) -> Option<String> {
        self.inner().hint()
    }
    fn stop(&self) -> Option<serde_json::Value> {
        self.inner().stop()
    }
}

/// Any module's error in the one shape that edges show: made by `?` from whatever explains itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// A stable word for machines; another process's where it answered for this one.
    pub code: Cow<'static, str>,
    /// Whose fault it is.
    pub blame: Blame,
    /// How the command ends.
    pub exit: Exit,
    /// What happened, with its causes.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The stop behind it.
    pub stop: Option<Box<serde_json::Value>>,
}

impl<E: Explain> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            code: Cow::Borrowed(error.code()),
            blame: error.blame(),
            exit: error.exit(),
            message: chain(&error),
            hint: error.hint(),
            stop: error.stop().map(Box::new),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// An error's message with all its causes, each said once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        cause = next.source();
    }
    message
}
