//! What the server itself can refuse or fail at.

use crate::error::{Blame, Exit, Explain, STORAGE_FULL, is_full};
use std::path::PathBuf;

/// The server's own errors.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A path that leads nowhere.
    #[error("there is nothing at {0}")]
    NoRoute(String),
    /// A path that does not take this method.
    #[error("{0} is not allowed here")]
    Method(String),
    /// A body that is not what belongs here.
    #[error("the body is wrong: {0}")]
    Body(String),
    /// A body that is too long, or was cut off.
    #[error("the body is longer than {0} bytes, or was cut off")]
    TooLarge(usize),
    /// A body that does not come.
    #[error("the body did not come within {0} s")]
    TooSlow(u64),
    /// A name in the path that is none.
    #[error("{0}")]
    Name(String),
    /// As many questions as there may be.
    #[error("{0} questions wait or are being answered already")]
    Busy(usize),
    /// As many questions as there may be to one tenant.
    #[error("{0} questions to the tenant wait or are being answered already")]
    TenantBusy(usize),
    /// A defect: the request went wrong, and nothing else did.
    #[error("the request failed in a way that nobody foresaw")]
    Panicked,
    /// The control socket cannot be made.
    #[error("cannot listen on {path}")]
    Listen {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The process that holds the data folder answered in a way that this program does not understand.
    #[error("the answer of the process that holds the data folder makes no sense: {0}")]
    Answer(String),
}

impl Explain for ServerError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRoute(_) => "no-route",
            Self::Method(_) => "method",
            Self::Body(_) => "body",
            Self::TooLarge(_) => "body-too-large",
            Self::TooSlow(_) => "body-too-slow",
            Self::Name(_) => "name",
            Self::Busy(_) | Self::TenantBusy(_) => "busy",
            Self::Panicked => "defect",
            Self::Listen { source, .. } if is_full(source) => STORAGE_FULL,
            Self::Listen { .. } => "listen",
            Self::Answer(_) => "answer",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Busy(_) | Self::TenantBusy(_) => Blame::Limit,
            Self::Panicked | Self::Listen { .. } | Self::Answer(_) => Blame::Host,
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self.blame() {
            Blame::Limit => Exit::Refused,
            Blame::Host => Exit::HostFault,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Busy(_) | Self::TenantBusy(_) => "Try again in a moment.".to_owned(),
            Self::Panicked => "Its standard error says where; please report it.".to_owned(),
            Self::Listen { .. } => {
                "The data folder must be on a file system that can hold sockets.".to_owned()
            }
            Self::Answer(_) => "Use the same version of the program for both.".to_owned(),
            _ => return None,
        })
    }
}
