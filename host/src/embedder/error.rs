//! What can go wrong with the model, with starting the embedder, and with one request.

use crate::corpus::CorpusError;
use crate::error::{Blame, Explain};
use std::path::{Path, PathBuf};

/// A model's folder that cannot be imported or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file is missing, unreadable, or not of the format that its name says.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A kind of model that the embedder does not run.
    #[error("the model in {dir} is not a BERT encoder with mean pooling: it has {what}")]
    NotSupported {
        /// Which folder.
        dir: PathBuf,
        /// What it has instead.
        what: String,
    },
    /// A weight that is not what the model's configuration says.
    #[error("{file}: weight '{name}' {what}")]
    Weight {
        /// Which file.
        file: PathBuf,
        /// Which weight.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// A tokenizer that is not BERT's.
    #[error("{path}: not a BERT tokenizer: {what}")]
    Tokenizer {
        /// Which file.
        path: PathBuf,
        /// What it has instead.
        what: String,
    },
    /// A file that is not the one that was imported.
    #[error("{path} is not the expected one: its {what} is {found} instead of {expected}")]
    Unexpected {
        /// Which file.
        path: PathBuf,
        /// What was compared.
        what: &'static str,
        /// What the manifest says.
        expected: String,
        /// What the file has.
        found: String,
    },
}

impl ModelError {
    pub(super) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            path: path.to_owned(),
            source,
        }
    }
}

impl Explain for ModelError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotSupported { .. } | Self::Tokenizer { .. } => "model-not-supported",
            Self::File { .. } | Self::Weight { .. } | Self::Unexpected { .. } => "model",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NotSupported { .. } | Self::Tokenizer { .. } => Blame::Caller,
            Self::File { .. } | Self::Weight { .. } | Self::Unexpected { .. } => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotSupported { .. } | Self::Tokenizer { .. } => None,
            Self::File { .. } | Self::Weight { .. } | Self::Unexpected { .. } => {
                Some("Run cargo xtask setup.".to_owned())
            }
        }
    }
}

/// The embedder does not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbedderError {
    /// The model's files.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// ONNX Runtime is missing or cannot be loaded.
    #[error("cannot load ONNX Runtime from {path}: {reason}")]
    Runtime {
        /// Which library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// ONNX Runtime refuses the model.
    #[error("ONNX Runtime cannot run {path}: {reason}")]
    Session {
        /// Which graph.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// The system gives no thread.
    #[error("cannot start a model worker")]
    Thread(#[source] std::io::Error),
}

impl Explain for EmbedderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Model(error) => error.code(),
            Self::Runtime { .. } | Self::Session { .. } => "onnxruntime",
            Self::Thread(_) => "embedder",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Model(error) => error.blame(),
            Self::Runtime { .. } | Self::Session { .. } | Self::Thread(_) => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Model(error) => error.hint(),
            Self::Runtime { .. } | Self::Session { .. } => {
                Some("Run cargo xtask setup.".to_owned())
            }
            Self::Thread(_) => None,
        }
    }
}

/// A text, or a whole request, that got no vector.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EmbedError {
    /// The task was stopped, or its lane cancelled.
    #[error("cancelled while waiting for the embedder")]
    Cancelled,
    /// Interactive texts are refused while too many wait; bulk texts wait instead.
    #[error("the embedder is busy: {waiting} tokens wait")]
    Overloaded {
        /// Interactive tokens that wait, over all tenants.
        waiting: usize,
    },
    /// The embedder is ending.
    #[error("the embedder has ended")]
    Ended,
    /// The model failed on this text.
    #[error("the model failed: {0}")]
    Model(String),
    /// The model gave something that is not a vector.
    #[error("the model's output is not usable: {0}")]
    Vector(#[from] CorpusError),
}

impl Explain for EmbedError {
    fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Overloaded { .. } => "embedder-busy",
            Self::Ended => "shutdown",
            Self::Model(_) | Self::Vector(_) => "model-failed",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Cancelled | Self::Ended => Blame::Caller,
            Self::Overloaded { .. } => Blame::Limit,
            Self::Model(_) | Self::Vector(_) => Blame::Host,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Overloaded { .. } => Some("Try again in a moment.".to_owned()),
            Self::Cancelled | Self::Ended | Self::Model(_) | Self::Vector(_) => None,
        }
    }
}
