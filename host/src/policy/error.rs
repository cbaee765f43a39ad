//! What is wrong with a policy, and where. It knows no keys and reads no files.

use crate::error::{Blame, Exit, Explain};
use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line and column, both from 1, the column in characters; `None` for the file as a whole.
    pub position: Option<(usize, usize)>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The files are not a policy: one problem a line.
    #[error("{}", lines(problems))]
    Invalid {
        /// All of them, in the order of the files.
        problems: Vec<Problem>,
    },
    /// The file cannot be read.
    #[error("cannot read the policy {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Neither a shipped policy nor a file.
    #[error("no policy '{name}': it is no file, and the shipped ones are {shipped}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        shipped: String,
    },
    /// The copy in the catalog cannot be read.
    #[error("the stored copy of the policy is damaged: {source}")]
    Damaged {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

impl PolicyError {
    /// Every problem found; empty when no file could be looked into.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems } => problems,
            _ => &[],
        }
    }
}

impl Explain for PolicyError {
    fn code(&self) -> &'static str {
        "policy"
    }
    fn blame(&self) -> Blame {
        Blame::Caller
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Invalid { .. } => {
                "Correct the file and run `stockade policy check FILE`; `stockade policy show default` lists \
                 every key with its allowed range."
            }
            Self::Read { .. } => "Check the path and its permissions.",
            Self::Unknown { .. } => "Give a shipped name, or the path of a policy file.",
            Self::Damaged { .. } => "Set the policy again with `stockade tenant policy NAME FILE`.",
        };
        Some(hint.to_owned())
    }
}
