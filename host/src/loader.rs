//! The loader turns files and streams into documents, and accounts for every one that it saw:
//! loaded, failed with its error, or skipped with its reason. It knows neither tenants nor the index.
//!
//! [`plan`] walks the paths first, so that two documents with one id are refused before anything is
//! written and a progress bar has a total. [`Plan::documents`] then reads one document at a time.

mod error;
mod flow;
mod html;
mod jsonl;
mod place;
mod read;
mod text;
mod walk;

pub use error::LoadError;

use crate::corpus::{Document, check_document_id};
use jsonl::Records;
use std::collections::HashSet;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use walk::{Entry, File, Kind, Root};

/// The longest source name, in bytes.
const SOURCE_BYTES_MAX: usize = 512;

/// How to load.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Put before every id, with a `/` between; `None` leaves ids as they are.
    pub source: Option<String>,
    /// The most bytes of title and text that a document may have: the policy's `document_kib_max`.
    /// HTML files may have eight times as many, since most of a page is not text.
    pub document_bytes_max: u64,
}

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
    #[error("more than {max} folders deep", max = walk::DEPTH_MAX)]
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

/// What all documents of one run have in common.
#[derive(Debug)]
struct Context {
    /// Empty, or ends with `/`.
    prefix: String,
    source: Option<String>,
    document_bytes_max: u64,
    roots: Vec<Root>,
}

impl Context {
    fn id(&self, own: &str) -> String {
        format!("{}{own}", self.prefix)
    }

    fn root(&self, file: &File) -> &Root {
        &self.roots[file.root as usize]
    }

    fn path(&self, file: &File) -> PathBuf {
        self.root(file).path.join(&*file.relative)
    }
}

/// What will be loaded. It holds a path for each file, and nothing for the lines of a file.
#[derive(Debug)]
pub struct Plan {
    context: Context,
    entries: Vec<Entry>,
    total: usize,
    bytes: u64,
    streams: bool,
    /// Fingerprints of all ids, sorted; kept only where a stream may repeat one of them.
    prints: Vec<u128>,
}

/// Walks `paths`: files, folders, or `-` for standard input. Fails when one is not there, and when two
/// documents would have the same id; whatever else is wrong with one document is told in its turn.
pub fn plan(paths: &[PathBuf], options: &LoadOptions) -> Result<Plan, LoadError> {
    let mut plan = Plan {
        context: context(options)?,
        entries: Vec::new(),
        total: 0,
        bytes: 0,
        streams: false,
        prints: Vec::new(),
    };
    for path in paths {
        if path == Path::new("-") {
            if std::mem::replace(&mut plan.streams, true) {
                return Err(LoadError::StdinTwice);
            }
            plan.entries.push(Entry::Stdin);
        } else {
            walk::walk(path, &mut plan.context.roots, &mut plan.entries)?;
        }
    }
    plan.take_census()?;
    Ok(plan)
}

fn context(options: &LoadOptions) -> Result<Context, LoadError> {
    let source = options
        .source
        .as_deref()
        .map(|name| name.trim_end_matches('/'));
    if let Some(name) = source
        && (check_document_id(name).is_err() || name.len() > SOURCE_BYTES_MAX)
    {
        return Err(LoadError::Source(
            options.source.clone().unwrap_or_default(),
        ));
    }
    Ok(Context {
        prefix: source.map(|name| format!("{name}/")).unwrap_or_default(),
        source: source.map(str::to_owned),
        document_bytes_max: options.document_bytes_max,
        roots: Vec::new(),
    })
}

/// Where an id stands. Written out only for messages.
#[derive(Clone, Copy)]
enum Place<'a> {
    File(&'a Path),
    Line(&'a Path, u64),
}

impl Place<'_> {
    fn show(self) -> String {
        match self {
            Self::File(path) => place::show(path),
            Self::Line(path, number) => place::line(path, number),
        }
    }
}

impl Plan {
    /// How many items [`Plan::documents`] will give, skipped and failed ones too, unless files change
    /// meanwhile. `None` when standard input is among the paths.
    pub fn total(&self) -> Option<usize> {
        (!self.streams).then_some(self.total)
    }

    /// The size of all files to load, in bytes, as they are on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
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
            planned: self.prints,
            streamed: HashSet::new(),
            streaming: false,
        }
    }

    /// Counts the documents and looks for ids that occur twice. Ids are kept as fingerprints, 16 bytes
    /// each, and only until the plan is made.
    fn take_census(&mut self) -> Result<(), LoadError> {
        let mut prints = Vec::new();
        let mut nameless = 0;
        let _ = self.each_id(|id, _| {
            match id {
                Some(id) => prints.push(fingerprint(id)),
                None => nameless += 1,
            }
            ControlFlow::Continue(())
        });
        self.total = prints.len() + nameless;
        self.bytes = self.files().map(|file| file.bytes).sum();
        prints.sort_unstable();
        let doubled: HashSet<u128> = prints
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
            .collect();
        if !doubled.is_empty() {
            return Err(self.duplicate(&doubled));
        }
        if self.streams {
            self.prints = prints;
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = &File> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::File(file) => Some(file),
            _ => None,
        })
    }

    /// Visits every item: with its id, where that is known, and where it stands.
    fn each_id(
        &self,
        mut visit: impl FnMut(Option<&str>, Place<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        for entry in &self.entries {
            match entry {
                Entry::Stdin => {}
                Entry::Settled(_) => visit(None, Place::File(Path::new("")))?,
                Entry::File(file) if file.kind == Kind::JsonLines => {
                    self.each_line_id(file, &mut visit)?;
                }
                Entry::File(file) => {
                    let path = self.context.path(file);
                    visit(Some(&self.context.id(&file.relative)), Place::File(&path))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn each_line_id(
        &self,
        file: &File,
        visit: &mut impl FnMut(Option<&str>, Place<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let path = self.context.path(file);
        // What is wrong with the file is told when its turn comes; it then counts as one item.
        let Ok(reader) = read::lines(file, &self.context) else {
            return visit(None, Place::File(&path));
        };
        let limit = jsonl::line_bytes_max(self.context.document_bytes_max);
        let mut lines = jsonl::Lines::new(reader, limit);
        while let Ok(Some(line)) = lines.next() {
            let id = line
                .bytes
                .and_then(jsonl::id)
                .map(|id| self.context.id(&id));
            visit(id.as_deref(), Place::Line(&path, line.number))?;
        }
        ControlFlow::Continue(())
    }

    /// The first id of `doubled` that occurs again, and where.
    fn duplicate(&self, doubled: &HashSet<u128>) -> LoadError {
        let mut firsts = std::collections::HashMap::new();
        let mut found = None;
        let _ = self.each_id(|id, place| {
            let Some(id) = id.filter(|id| doubled.contains(&fingerprint(id))) else {
                return ControlFlow::Continue(());
            };
            if let Some(first) = firsts.remove(id) {
                found = Some((id.to_owned(), first, place.show()));
                return ControlFlow::Break(());
            }
            firsts.insert(id.to_owned(), place.show());
            ControlFlow::Continue(())
        });
        // Only a file that changed in between leaves this empty.
        let (id, first, second) = found.unwrap_or_default();
        LoadError::Duplicate {
            id,
            first,
            second,
            more: doubled.len() - 1,
        }
    }
}

/// An id in 16 bytes; two ids with the same will not be met.
fn fingerprint(id: &str) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(bytes)
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
