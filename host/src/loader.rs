//! The loader turns files and streams into documents, and accounts for every one that it saw:
//! loaded, failed with its error, or skipped with its reason. It knows neither tenants nor the index.
//!
//! [`plan`] walks the paths first, so that two documents with one id are refused before anything is
//! written and a progress bar has a total. [`Plan::documents`] then reads one document at a time.

mod census;
mod context;
mod encoding;
mod error;
mod flow;
mod html;
mod jsonl;
mod loaded;
mod place;
mod read;
mod text;
mod walk;

pub use context::LoadOptions;
pub use encoding::Encoding;
pub use error::LoadError;
pub use loaded::{Loaded, Skip};

use census::{Census, fingerprint};
use context::Context;
use jsonl::Records;
use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use walk::{Entry, File, Kind};

/// What will be loaded. It holds a path for each file, and nothing for the lines of a file.
#[derive(Debug)]
pub struct Plan {
    context: Context,
    entries: Vec<Entry>,
    census: Census,
    streams: bool,
}

/// Walks `paths`: files, folders, or `-` for standard input. Fails when one cannot be opened, and when
/// two documents would have the same id; whatever else is wrong with a document is told in its turn.
pub fn plan(paths: &[PathBuf], options: &LoadOptions) -> Result<Plan, LoadError> {
    let mut context = Context::new(options)?;
    let mut entries = Vec::new();
    let mut streams = false;
    for path in paths {
        if path == Path::new("-") {
            if std::mem::replace(&mut streams, true) {
                return Err(LoadError::StdinTwice);
            }
            entries.push(Entry::Stdin);
        } else {
            walk::walk(path, &mut context.roots, &mut entries)?;
        }
    }
    let census = census::take(&entries, &context)?;
    Ok(Plan {
        context,
        entries,
        census,
        streams,
    })
}

impl Plan {
    /// How many items [`Plan::documents`] will give, skipped and failed ones too, unless files change
    /// meanwhile. `None` when standard input is among the paths.
    pub fn total(&self) -> Option<usize> {
        (!self.streams).then_some(self.census.items)
    }

    /// The size of all files to load, in bytes, as they are on disk.
    pub fn bytes(&self) -> u64 {
        self.census.bytes
    }

    /// Reads the documents, one at a time, in the order of the paths and of the names in them.
    pub fn documents(self) -> Documents {
        self.documents_with(std::io::stdin())
    }

    /// As [`Plan::documents`], with `stdin` for what `-` reads.
    pub fn documents_with(self, stdin: impl Read + Send + 'static) -> Documents {
        Documents {
            context: self.context,
            entries: self.entries.into_iter(),
            stdin: Some(Box::new(stdin)),
            records: None,
            streaming: false,
            planned: if self.streams {
                self.census.prints
            } else {
                Vec::new()
            },
            streamed: HashSet::new(),
        }
    }
}

/// The documents of a plan, read as they are asked for.
pub struct Documents {
    context: Context,
    entries: std::vec::IntoIter<Entry>,
    stdin: Option<Box<dyn Read + Send>>,
    /// The lines being read.
    records: Option<Records>,
    /// Whether they come from a stream, which no plan has seen.
    streaming: bool,
    /// Fingerprints of ids that a stream must not repeat: those of the plan, sorted, and its own.
    planned: Vec<u128>,
    streamed: HashSet<u128>,
}

impl Iterator for Documents {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        loop {
            if let Some(records) = &mut self.records {
                match records.next(&self.context) {
                    Some(loaded) if self.streaming => return Some(self.once(loaded)),
                    Some(loaded) => return Some(loaded),
                    None => self.records = None,
                }
            }
            let loaded = match self.entries.next()? {
                Entry::Settled(loaded) => Some(*loaded),
                Entry::Stdin => self.stream(),
                Entry::File(file) if file.kind == Kind::JsonLines => self.open_lines(&file),
                Entry::File(file) => Some(read::document(&file, &self.context)),
            };
            if loaded.is_some() {
                return loaded;
            }
        }
    }
}

impl Documents {
    fn open_lines(&mut self, file: &File) -> Option<Loaded> {
        self.streaming = false;
        let path = self.context.path(file);
        match read::lines(file, &self.context) {
            Ok(reader) => {
                self.records = Some(Records::new(&path, reader, &self.context));
                None
            }
            Err(error) => {
                let document = place::show(&path);
                Some(Loaded::Failed {
                    document,
                    identified: false,
                    error,
                })
            }
        }
    }

    fn stream(&mut self) -> Option<Loaded> {
        self.streaming = true;
        let stdin = self.stdin.take()?;
        match read::stream(stdin, &self.context) {
            read::Stream::Lines(reader) => {
                self.records = Some(Records::new(Path::new("stdin"), reader, &self.context));
                None
            }
            read::Stream::One(loaded) => Some(self.once(loaded)),
        }
    }

    /// Refuses a document of a stream whose id was used before.
    fn once(&mut self, loaded: Loaded) -> Loaded {
        let Loaded::Document(document) = loaded else {
            return loaded;
        };
        let print = fingerprint(&document.id);
        if self.planned.binary_search(&print).is_err() && self.streamed.insert(print) {
            return Loaded::Document(document);
        }
        let place = match &self.records {
            Some(records) => records.place(),
            None => "stdin".to_owned(),
        };
        let error = LoadError::Repeated {
            place,
            id: document.id.clone(),
        };
        Loaded::Failed {
            document: document.id,
            identified: true,
            error,
        }
    }
}

#[cfg(test)]
mod tests;
