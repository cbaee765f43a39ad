//! Why a project cannot be written or built.

use crate::error::{Blame, Exit, Explain};
use crate::plugin::PluginError;
use std::path::PathBuf;

/// A project cannot be written or built.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The folder has something in it.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// Something else has the folder's name.
    #[error("{} is no folder", .0.display())]
    NoFolder(PathBuf),
    /// Not a name for a plugin and its crate.
    #[error("'{name}' cannot be a plugin's name: {why}")]
    Name {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A file of the project.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Not a project.
    #[error("there is no Cargo.toml in {}", .0.display())]
    NoManifest(PathBuf),
    /// The set-up left no word of a compiler.
    #[error("no compiler for WebAssembly has been set up: there is no {}", .0.display())]
    NoToolchain(PathBuf),
    /// What the set-up left makes no sense.
    #[error("{} does not say how to compile: {reason}", .path.display())]
    Toolchain {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The compiler that the set-up found is gone.
    #[error("cannot start {}, which the set-up found", .program.display())]
    NoCargo {
        /// Which program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The compiler's own complaint.
    #[error("the plugin does not compile{}", said(.0))]
    Compile(String),
    /// Nothing that a component could be made of.
    #[error("{} makes no WebAssembly library", .0.display())]
    NoLibrary(PathBuf),
    /// A library of neither world.
    #[error("the library exports neither a chunker nor an agent")]
    NoPlugin,
    /// Somebody pressed Ctrl-C.
    #[error("the build was interrupted")]
    Interrupted,
    /// The library makes no component, or one that no host would take.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// What the compiler said where nobody has seen it yet.
fn said(diagnostics: &str) -> String {
    match diagnostics.trim_end() {
        "" => String::new(),
        text => format!(":\n{text}"),
    }
}

impl Explain for ProjectError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) | Self::NoFolder(_) => "project-folder",
            Self::Name { .. } => "project-name",
            Self::Io { .. } => "project-file",
            Self::NoManifest(_) => "project-missing",
            Self::NoToolchain(_) | Self::Toolchain { .. } | Self::NoCargo { .. } => "toolchain",
            Self::Compile(_) => "project-compile",
            Self::NoLibrary(_) | Self::NoPlugin => "project-no-plugin",
            Self::Interrupted => "interrupted",
            Self::Plugin(error) => error.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } => Blame::Host,
            Self::Plugin(error) => error.blame(),
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Interrupted => Exit::Interrupted,
            Self::Io { .. } => Exit::HostFault,
            Self::Plugin(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotEmpty(_) | Self::NoFolder(_) => {
                "Name a folder that is not there yet, or an empty one."
            }
            Self::Name { .. } => "Give another by --name, such as my-plugin.",
            Self::NoManifest(_) => {
                "Name a plugin's folder; `stockade plugin new DIR --kind agent` makes one."
            }
            Self::NoToolchain(_) | Self::Toolchain { .. } | Self::NoCargo { .. } => {
                "In a clone of Stockade, run cargo xtask setup --only toolchain."
            }
            Self::Compile(_) => "Mend what the compiler says, and build again.",
            Self::NoLibrary(_) => {
                "Its Cargo.toml needs, below [lib], crate-type = [\"cdylib\", \"rlib\"]."
            }
            Self::NoPlugin => "Name the type in export_chunker! or export_agent!.",
            Self::Plugin(PluginError::Componentize(_)) => {
                "A plugin may import nothing but what its world has; see which dependency asks for more."
            }
            Self::Plugin(error) => return error.hint(),
            Self::Io { .. } | Self::Interrupted => return None,
        };
        Some(hint.to_owned())
    }
}
