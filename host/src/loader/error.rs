//! Why a document could not be loaded, and what to do about it. Knows neither how files are found nor
//! how they are read.

use super::place::show;
use crate::corpus::{CorpusError, shorten};
use crate::error::{Blame, Exit, Explain};
use std::path::{Path, PathBuf};

/// A source that cannot be loaded at all, or one document of it that cannot.
///
/// Messages name files relative to what the user typed, with control characters and bytes that are not
/// UTF-8 escaped. `place` is a file, or `file:line`.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A PATH that the user gave is not there.
    #[error("there is no file or folder '{}'", show(.0))]
    Missing(PathBuf),
    /// A PATH that the user gave cannot be opened.
    #[error("cannot open '{}'", show(.path))]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `--source` cannot begin a document id.
    #[error("'{}' is not a source name: it needs 1 to 512 bytes without control characters", shorten(.0, 80))]
    Source(String),
    /// `-` was given twice.
    #[error("standard input ('-') can be read only once")]
    StdinTwice,
    /// Two documents of the plan would have one id.
    #[error("two documents would have the id '{}': {first} and {second}{}", shorten(.id, 120), others(*.more))]
    Duplicate {
        /// The id.
        id: String,
        /// Where it stands first.
        first: String,
        /// Where it stands again.
        second: String,
        /// How many other ids are doubled.
        more: usize,
    },
    /// A line of a stream has an id that an earlier document had.
    #[error("{place}: the id '{}' was already used", shorten(.id, 120))]
    Repeated {
        /// Which line.
        place: String,
        /// The id.
        id: String,
    },
    /// The file system refused.
    #[error("cannot read {place}")]
    Read {
        /// Which file or folder.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file was replaced by something else between being found and being read.
    #[error("{place} is no longer a regular file")]
    Changed {
        /// Which file.
        place: String,
    },
    /// Somebody wrote to a file while it was read.
    #[error("{place} changed while it was read")]
    Unsteady {
        /// Which file.
        place: String,
    },
    /// A link that led inside the folder leads elsewhere by now.
    #[error("{place} is a link that now leads outside the folder")]
    LinkMoved {
        /// Which link.
        place: String,
    },
    /// A file name that cannot be an id because it is not UTF-8.
    #[error("the file name {0} is not UTF-8")]
    Name(String),
    /// An id, or a path that would be one, that is too long, empty, or has control characters.
    #[error("{place}: {source}")]
    Id {
        /// Which file or line.
        place: String,
        /// What is wrong with it.
        #[source]
        source: CorpusError,
    },
    /// Larger than a document may be.
    #[error("{place}: {bytes} bytes of {what}, more than the {limit} that a document may have")]
    TooLarge {
        /// Which file or line.
        place: String,
        /// What was measured: `file`, `text`, …
        what: &'static str,
        /// How many bytes there are, at least.
        bytes: u64,
        /// How many there may be.
        limit: u64,
    },
    /// A line longer than any legal document needs. It was not read whole.
    #[error("{place}: the line is longer than {limit} bytes")]
    LineTooLong {
        /// Which line.
        place: String,
        /// How long a line may be.
        limit: u64,
    },
    /// Not text, whatever its name says.
    #[error("{place} is a binary file: {what} at byte {offset}")]
    Binary {
        /// Which file.
        place: String,
        /// What gave it away.
        what: &'static str,
        /// Where.
        offset: usize,
    },
    /// Text in an encoding that is not the one it should be.
    #[error("{place} is not valid {encoding}: see byte {offset}")]
    Encoding {
        /// Which file or line.
        place: String,
        /// Its name, as in HTML.
        encoding: &'static str,
        /// The first byte that does not fit, from 0, counted in the file or line.
        offset: usize,
    },
    /// A JSON line that is not a document.
    #[error("{place}: {problem} (column {column})")]
    Json {
        /// Which line.
        place: String,
        /// Where in the line, in bytes, from 1.
        column: usize,
        /// What is wrong, with anything quoted from the line shortened and escaped.
        problem: String,
    },
}

fn others(more: usize) -> String {
    match more {
        0 => String::new(),
        1 => " (and one more such id)".to_owned(),
        n => format!(" (and {n} more such ids)"),
    }
}

impl LoadError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            place: show(path),
            source,
        }
    }
}

impl Explain for LoadError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "path-missing",
            Self::Path { .. } => "path-unreadable",
            Self::Source(_) => "source-name",
            Self::StdinTwice => "stdin-twice",
            Self::Duplicate { .. } | Self::Repeated { .. } => "duplicate-id",
            Self::Read { .. } => "file-unreadable",
            Self::Changed { .. } | Self::LinkMoved { .. } | Self::Unsteady { .. } => "file-changed",
            Self::Name(_) => "file-name",
            Self::Id { .. } => "document-id",
            Self::TooLarge { .. } | Self::LineTooLong { .. } => "document-too-large",
            Self::Binary { .. } => "binary-file",
            Self::Encoding { .. } => "encoding",
            Self::Json { .. } => "json-line",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::TooLarge { .. } | Self::LineTooLong { .. } => Blame::Limit,
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Missing(_)
            | Self::Path { .. }
            | Self::Source(_)
            | Self::StdinTwice
            | Self::Duplicate { .. } => Exit::Usage,
            _ => Exit::Partial,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing(path) if path.is_absolute() => return None,
            Self::Missing(_) => "Relative paths start at the current folder.",
            Self::Source(_) => "Use a short name such as --source handbook.",
            Self::Duplicate { .. } => {
                "Ingest them in separate runs with different --source names, or rename one."
            }
            Self::Repeated { .. } => "Only the first was ingested; give each line its own id.",
            Self::Unsteady { .. } => "Ingest it again when nobody writes to it.",
            Self::Name(_) => "Rename the file: its path becomes the document's id.",
            Self::Id { .. } => "Give it a shorter name without control characters.",
            Self::TooLarge { .. } | Self::LineTooLong { .. } => {
                "Split it, or raise document_kib_max in the tenant's policy."
            }
            Self::Binary { .. } => "Convert it to text first, or give it its true extension.",
            Self::Encoding {
                encoding: "UTF-8", ..
            } => {
                "Say what it is with --encoding windows-1252, or convert it: iconv -f WINDOWS-1252 -t UTF-8."
            }
            Self::Json { .. } => {
                "Each line is one object: {\"id\": …, \"text\": …}, with \"title\" and \"metadata\" if wanted."
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
