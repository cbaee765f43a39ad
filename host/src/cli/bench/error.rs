//! Why a measurement did not take place.

use crate::error::{Blame, Exit, Explain};
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub(super) enum BenchError {
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
    /// A file of the measurement cannot be made or written.
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A program that is measured does not start.
    #[error("cannot start {program}")]
    Start {
        program: String,
        source: std::io::Error,
    },
    /// The operating system does not tell what a process uses.
    #[error("cannot see what a process uses: {0}")]
    Sampling(String),
    /// What is measured failed.
    #[error("{scenario} failed: {message}")]
    Scenario {
        scenario: &'static str,
        message: String,
        hint: Option<String>,
    },
    /// The peers' environment has not been made.
    #[error("the Python environment of the peers is missing: {0}")]
    NoPeers(PathBuf),
}

impl Explain for BenchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::Write { .. } => "write",
            Self::Start { .. } => "start",
            Self::Sampling(_) => "sampling",
            Self::Scenario { .. } => "scenario",
            Self::NoPeers(_) => "peers-missing",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Interrupted | Self::Write { .. } | Self::NoPeers(_) => Blame::Caller,
            Self::Start { .. } | Self::Sampling(_) | Self::Scenario { .. } => Blame::Host,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Interrupted => Exit::Interrupted,
            Self::Write { .. } | Self::NoPeers(_) => Exit::Usage,
            Self::Start { .. } | Self::Sampling(_) | Self::Scenario { .. } => Exit::HostFault,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoPeers(_) => {
                Some("Run `cargo xtask peers` (a few minutes and 6 GB).".to_owned())
            }
            Self::Scenario { hint, .. } => hint.clone(),
            _ => None,
        }
    }
}
