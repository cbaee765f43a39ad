//! What became of one thing that the loader saw. Knows nothing of how it was found or read.

use super::error::LoadError;
use crate::corpus::Document;

/// What became of one thing that was found.
#[derive(Debug)]
pub enum Loaded {
    /// A document, checked; its text is not blank.
    Document(Document),
    /// A document that could not be loaded.
    Failed {
        /// Its id where that is known, else the file or `file:line`, printable.
        document: String,
        /// Whether `document` is the id. An older version of it is then out of date, but must not be
        /// taken for one that was removed from the source.
        identified: bool,
        /// Why.
        error: LoadError,
    },
    /// Something that is not meant to be a document.
    Skipped {
        /// The file or `file:line`, printable.
        path: String,
        /// Its id, when it would be a document but is empty.
        document: Option<String>,
        /// Why.
        reason: Skip,
    },
}

/// How deep folders may lie in one another.
pub(super) const DEPTH_MAX: usize = 256;

/// Why something was skipped. Displayed as what follows "skipped: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// An extension that no loader reads, lower case, without its dot.
    #[error("no loader for .{0}")]
    NoLoader(String),
    /// No extension at all.
    #[error("no loader for files without an extension")]
    NoExtension,
    /// A name that begins with a dot. A folder's files are not listed.
    #[error("hidden")]
    Hidden,
    /// Nothing but white space.
    #[error("empty")]
    Empty,
    /// A pipe, a socket or a device. It was not opened.
    #[error("{0}, not a file")]
    Special(&'static str),
    /// A folder too far down. Its files are not listed.
    #[error("more than {max} folders deep", max = DEPTH_MAX)]
    TooDeep,
    /// A link that leads to itself.
    #[error("a link that leads back to itself")]
    LinkCircle,
    /// A link to a folder whose files are found where they are.
    #[error("a link to a folder inside this one: its files are read where they are")]
    LinkToFolder,
    /// A link that leads out of the folder given.
    #[error("a link that leads outside the folder: give its target as a PATH to read it")]
    LinkOutside,
}
