//! What the runtime itself can refuse or fail at. Its parts' errors pass through as they are.

use crate::corpus::{FilterError, TenantId};
use crate::error::{Blame, Exit, Explain, FREE_SPACE, STORAGE_FULL, is_full};
use std::path::PathBuf;
use std::time::Duration;

/// The runtime's own errors.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The data folder cannot be made or read.
    #[error("cannot use the data folder {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Acknowledgements cannot be written. What was acknowledged, and what would have been, is stored.
    #[error("cannot write acknowledgements to {path}; the documents are stored")]
    Acks {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process holds the data folder.
    #[error("the data folder {path} is in use by {holder}")]
    Held {
        /// Which.
        path: PathBuf,
        /// Who.
        holder: String,
    },
    /// The engine's clock stands still.
    #[error(
        "no plugin is run: the thread that enforces time limits has not shown itself for a second"
    )]
    Unhealthy,
    /// A tenant of that name is there.
    #[error("there is a tenant '{0}' already")]
    Exists(TenantId),
    /// The folder of an earlier tenant of that name is there.
    #[error("{path} has documents of an earlier tenant '{tenant}'")]
    LeftFolder {
        /// Which tenant.
        tenant: TenantId,
        /// Its folder.
        path: PathBuf,
    },
    /// The process may open too few files.
    #[error("this process may open {files} files, and needs {needed}")]
    OpenFiles {
        /// How many it may.
        files: u64,
        /// How many it needs at least.
        needed: u64,
    },
    /// No threads.
    #[error("cannot start threads")]
    Threads(#[source] std::io::Error),
    /// A file that was named cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A label that is not one.
    #[error("'{0}' is not a label: 1 to 63 of a-z, 0-9 and '-', not beginning with '-'")]
    Label(String),
    /// A label that the built-in plugins have.
    #[error("'{0}' is a built-in plugin's label")]
    Reserved(String),
    /// A plugin of the wrong kind.
    #[error("'{label}' is no {wanted} but of kind {found}")]
    Kind {
        /// Which plugin.
        label: String,
        /// What it is.
        found: &'static str,
        /// What was needed.
        wanted: &'static str,
    },
    /// A task that has ended, or never was.
    #[error("no task '{0}' is queued or running")]
    NoTask(String),
    /// An argument that makes no sense.
    #[error("{0}")]
    Argument(String),
    /// A query file that makes no sense.
    #[error("{path}:{line}: {message}")]
    Queries {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The host's own plugin is broken.
    #[error("the built-in plugin '{0}' is broken: {1}")]
    Builtin(&'static str, String),
    /// The trial run of a plugin failed.
    #[error("the plugin failed its trial run: {0}")]
    Trial(crate::task::Stop),
    /// A plugin that kept being stopped is not run for a while.
    #[error(
        "the breaker of plugin '{label}' ({plugin}) is open: it was stopped on {stops} inputs; open for {} s, \
         it tries again in {} s", since.as_secs(), retry.as_secs().max(1)
    )]
    BreakerOpen {
        /// Whose plugin.
        tenant: TenantId,
        /// Which.
        label: String,
        /// The first digits of its digest.
        plugin: String,
        /// Stops on distinct inputs that opened it.
        stops: u64,
        /// How long it has been open.
        since: Duration,
        /// How long it stays open.
        retry: Duration,
    },
    /// A version of an agent that a receipt names and the tenant's history has no more.
    #[error(
        "version {plugin} of agent '{label}' is gone, and {tenant} has no other one of that label"
    )]
    VersionGone {
        /// Whose agent.
        tenant: TenantId,
        /// Its label.
        label: String,
        /// The first digits of its digest.
        plugin: String,
    },
    /// What should be a receipt is none.
    #[error("{from} is no receipt: {message}")]
    Receipt {
        /// Where it came from.
        from: String,
        /// What is wrong.
        message: String,
    },
    /// A document that was stopped too often is not tried again.
    #[error("in quarantine since it was stopped {stops} times; the last time: {stop}")]
    Quarantined {
        /// How often.
        stops: u32,
        /// The last time.
        stop: Box<crate::task::Stop>,
    },
    /// A filter that does not parse.
    #[error("the filter is wrong: {0}")]
    Filter(#[from] FilterError),
}

impl RuntimeError {
    fn is_full(&self) -> bool {
        match self {
            Self::Folder { source, .. } | Self::Acks { source, .. } => is_full(source),
            _ => false,
        }
    }
}

impl Explain for RuntimeError {
    fn code(&self) -> &'static str {
        match self {
            _ if self.is_full() => STORAGE_FULL,
            Self::Folder { .. } => "data-folder",
            Self::Acks { .. } => "acks",
            Self::Held { .. } => "data-folder-held",
            Self::Unhealthy => "unhealthy",
            Self::Exists(_) => "tenant-exists",
            Self::LeftFolder { .. } => "tenant-folder",
            Self::OpenFiles { .. } => "open-files",
            Self::Threads(_) => "threads",
            Self::Read { .. } => "read",
            Self::Label(_) | Self::Reserved(_) => "label",
            Self::Kind { .. } => "plugin-kind",
            Self::NoTask(_) => "no-task",
            Self::Argument(_) => "argument",
            Self::Queries { .. } => "queries",
            Self::Builtin(..) => "builtin",
            Self::Trial(_) => "plugin-trial",
            Self::BreakerOpen { .. } => "breaker-open",
            Self::Quarantined { .. } => "quarantined",
            Self::VersionGone { .. } => "version-gone",
            Self::Receipt { .. } => "receipt",
            Self::Filter(_) => "filter",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            _ if self.is_full() => Blame::Host,
            Self::Unhealthy | Self::Threads(_) | Self::Builtin(..) => Blame::Host,
            Self::Held { .. } | Self::OpenFiles { .. } => Blame::Limit,
            Self::Trial(stop) => stop.blame,
            Self::BreakerOpen { .. } | Self::Quarantined { .. } => Blame::Guest,
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            _ if self.is_full() => Exit::HostFault,
            Self::Held { .. } | Self::BreakerOpen { .. } | Self::OpenFiles { .. } => Exit::Refused,
            Self::Quarantined { .. } => Exit::Partial,
            Self::Unhealthy | Self::Threads(_) | Self::Builtin(..) => Exit::HostFault,
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            _ if self.is_full() => FREE_SPACE.to_owned(),
            Self::Folder { .. } => "Name another with --data or $STOCKADE_DATA.".to_owned(),
            Self::Exists(name) => format!(
                "Restore under another name, or put the backup in the place of '{name}' with --replace."
            ),
            Self::LeftFolder { .. } => {
                "Bring the tenant back with `stockade doctor --repair`, or remove the folder.".to_owned()
            }
            Self::OpenFiles { .. } => "Raise the limit of open files: `ulimit -n`.".to_owned(),
            Self::Held { .. } => "Wait until it ends, or name another with --data.".to_owned(),
            Self::NoTask(_) => "`stockade ps` lists those that are.".to_owned(),
            Self::Unhealthy => {
                "Try again; where it stays so, restart Stockade. What is stored is not affected."
                    .to_owned()
            }
            Self::Reserved(_) => "Choose another label with --as.".to_owned(),
            Self::Builtin(..) => "Run `cargo xtask setup` and build again.".to_owned(),
            Self::Trial(stop) => return stop.hint(),
            Self::BreakerOpen { tenant, label, .. } => {
                format!("Fix the plugin and install it again, or `stockade plugin resume {tenant} {label}`.")
            }
            Self::Quarantined { .. } => {
                "Change the document or the plugin, or try again with `stockade ingest --retry-quarantined`."
                    .to_owned()
            }
            Self::VersionGone { tenant, label, .. } => format!(
                "Install that version again: `stockade plugin install {tenant} FILE.wasm --as {label}`."
            ),
            Self::Receipt { .. } => {
                "Give the file that `stockade --json query …` printed, or its `receipt` alone.".to_owned()
            }
            Self::Filter(_) => {
                r#"For example: {"year": {"gte": 2020}} or {"or": [{"team": "a"}, {"team": "b"}]}."#
                    .to_owned()
            }
            _ => return None,
        })
    }

    fn stop(&self) -> Option<serde_json::Value> {
        match self {
            Self::Trial(stop) => Explain::stop(stop),
            Self::Quarantined { stop, .. } => Explain::stop(stop.as_ref()),
            _ => None,
        }
    }
}
