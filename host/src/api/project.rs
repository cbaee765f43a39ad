//! What `plugin new` and `plugin build` say.

use crate::project::{Built, Written, quoted};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `plugin new` wrote.
#[derive(Debug, Serialize)]
pub struct NewProjectJson {
    /// The project's folder, as it was given.
    pub folder: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// `chunker` or `agent`.
    pub kind: &'static str,
    /// The files, relative to the folder, in order.
    pub files: Vec<PathBuf>,
    /// Commands from here to an answer, in order.
    pub next: Vec<String>,
}

impl NewProjectJson {
    /// Of what was written into `folder`.
    pub fn new(folder: &Path, written: Written) -> Self {
        Self {
            folder: folder.to_owned(),
            name: written.name,
            kind: written.kind.as_str(),
            files: written.files,
            next: written.commands,
        }
    }
}

/// What `plugin build` made.
#[derive(Debug, Serialize)]
pub struct BuiltProjectJson {
    /// The plugin's name.
    pub name: String,
    /// `chunker` or `agent`.
    pub kind: &'static str,
    /// The component's file.
    pub component: PathBuf,
    /// BLAKE3 of its bytes.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// What it asks of the host.
    pub imports: Vec<String>,
    /// What it offers.
    pub exports: Vec<String>,
    /// How long it took.
    pub seconds: f64,
    /// Commands that come next, in order.
    pub next: Vec<String>,
}

impl From<Built> for BuiltProjectJson {
    fn from(built: Built) -> Self {
        let component = quoted(&built.component.to_string_lossy());
        Self {
            name: built.name,
            kind: built.structure.kind.as_str(),
            component: built.component,
            digest: built.digest.to_string(),
            size_bytes: built.structure.size,
            imports: built.structure.imports,
            exports: built.structure.exports,
            seconds: super::round(built.took.as_secs_f64(), 1),
            next: vec![format!("stockade plugin check {component}")],
        }
    }
}
