//! What a history ingests: a source of files and a source of lines, as a user would have them on disk.
//!
//! It knows no host and no reference.

use crate::corpus::{Document, Metadata};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A source in a folder: files, or lines of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Files,
    /// Below the first one's name, and another source all the same.
    Lines,
}

impl Source {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Files => "wiki",
            Self::Lines => "wiki/en",
        }
    }
}

/// What a file says, and whether it can be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    pub(super) document: Document,
    pub(super) readable: bool,
}

pub(super) const SENTENCES: [&str; 6] = [
    "The river floods in summer and carries silt to the fields.",
    "Ada wrote the first program for an engine that was never built.",
    "Zurich lies at the end of its lake, with mountains behind.",
    "A kettle whistles on the stove; nobody hears it.",
    "New York City counts its bridges every year, and paints them.",
    "Lighthouse keepers recorded the weather in notebooks.",
];

fn metadata(json: serde_json::Value) -> Metadata {
    serde_json::from_value(json).unwrap()
}

pub(super) fn file_document(name: &str, text: String) -> Document {
    Document {
        id: format!("wiki/{name}.txt"),
        title: name.to_owned(),
        media_type: "text/plain".to_owned(),
        text,
        metadata: metadata(serde_json::json!({ "path": format!("{name}.txt"), "source": "wiki" })),
    }
}

pub(super) fn line_document(name: &str, text: String, number: usize) -> Document {
    Document {
        id: format!("wiki/en/{name}"),
        title: name.to_owned(),
        media_type: "text/plain".to_owned(),
        text,
        metadata: metadata(serde_json::json!({ "n": number, "source": "wiki/en" })),
    }
}

/// What of a source is to be ingested, as a user would have it on disk.
pub(super) fn write(folder: &Path, source: Source, files: &BTreeMap<String, File>) -> PathBuf {
    let path = folder.join(format!("{source:?}"));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    if source == Source::Files {
        for (name, File { document, readable }) in files {
            let bytes = match readable {
                true => document.text.clone().into_bytes(),
                false => vec![0, 159, 146, 150, 0],
            };
            std::fs::write(path.join(format!("{name}.txt")), bytes).unwrap();
        }
        return path;
    }
    let line = |(name, File { document, readable }): (&String, &File)| {
        let text = readable.then(|| document.text.clone());
        serde_json::json!({ "id": name, "title": document.title, "text": text,
            "metadata": { "n": document.metadata["n"] } })
        .to_string()
    };
    let lines: Vec<String> = files.iter().map(line).collect();
    let path = path.join("lines.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path
}
