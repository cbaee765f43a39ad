//! Opens files and streams safely and makes a document of each that is one. Knows nothing of how files
//! were found.

use super::context::Context;
use super::error::LoadError;
use super::loaded::{Loaded, Skip};
use super::text::{self, Nul};
use super::walk::{File, Kind, Links};
use super::{encoding, html, place};
use crate::corpus::{Document, Metadata, check_document_id};
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How many times larger than its text a page of HTML may be.
const MARKUP_RATIO_MAX: u64 = 8;

/// How far into a stream its first word may lie.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The longest time in which two changes of a file may bear the same time.
const COARSEST_TICK: Duration = Duration::from_millis(20);

/// How often a file that keeps changing is waited for: about a second.
const SETTLING_MAX: u32 = 50;

/// Buffer of a file of lines.
const LINES_BUFFER: usize = 64 << 10;

/// Loads a file that is one document.
pub(super) fn document(file: &File, context: &Context) -> Loaded {
    let path = context.path(file);
    let id = context.id(&file.relative);
    if let Err(source) = check_document_id(&id) {
        let document = place::show(&path);
        let error = LoadError::Id {
            place: document.clone(),
            source,
        };
        return Loaded::Failed {
            document,
            identified: false,
            error,
        };
    }
    let limit = context.document_bytes_max.saturating_mul(match file.kind {
        Kind::Html => MARKUP_RATIO_MAX,
        _ => 1,
    });
    let name = place::show(&path);
    let read = open(file, context).and_then(|opened| bounded(opened, &name, limit));
    let stem = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let loaded = read.and_then(|bytes| {
        let metadata = metadata(file, context);
        assemble(file.kind, bytes, &name, context).map(|parts| (parts, metadata))
    });
    match loaded {
        Err(error) => Loaded::Failed {
            document: id,
            identified: true,
            error,
        },
        Ok(((_, text), _)) if text.trim().is_empty() => Loaded::Skipped {
            path: name,
            document: Some(id),
            reason: Skip::Empty,
        },
        Ok(((title, text), metadata)) => Loaded::Document(Document {
            id,
            title: title.or(stem).unwrap_or_default(),
            media_type: media_type(file.kind).to_owned(),
            text,
            metadata,
        }),
    }
}

fn media_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Plain | Kind::JsonLines => "text/plain",
        Kind::Markdown => "text/markdown",
        Kind::Html => "text/html",
    }
}

/// Only what stays the same while the file does: whether a document is unchanged depends on it.
fn metadata(file: &File, context: &Context) -> Metadata {
    let mut metadata = Metadata::new();
    metadata.insert("path".to_owned(), (&*file.relative).into());
    if let Some(source) = &context.source {
        metadata.insert("source".to_owned(), source.as_str().into());
    }
    metadata
}

/// Title and text of a document's bytes.
fn assemble(
    kind: Kind,
    bytes: Vec<u8>,
    name: &str,
    context: &Context,
) -> Result<(Option<String>, String), LoadError> {
    let nul = if kind == Kind::Html {
        Nul::Allowed
    } else {
        Nul::Refused
    };
    let declared = match kind {
        Kind::Html => encoding::declared(&bytes).or(context.encoding),
        _ => context.encoding,
    };
    let decoded = text::decode(bytes, name, nul, declared)?;
    let (title, text) = match kind {
        Kind::Html => {
            let page = html::page(&decoded);
            (
                Some(page.title).filter(|title| !title.is_empty()),
                page.text,
            )
        }
        Kind::Markdown => (text::markdown_title(&decoded), decoded),
        Kind::Plain | Kind::JsonLines => (text::plain_title(&decoded), decoded),
    };
    let (bytes, limit) = (text.len() as u64, context.document_bytes_max);
    if bytes > limit {
        return Err(LoadError::TooLarge {
            place: name.to_owned(),
            what: "text",
            bytes,
            limit,
        });
    }
    Ok((title, text))
}

/// Opens a file of lines. Binary files are refused by their beginning.
pub(super) fn lines(file: &File, context: &Context) -> Result<Box<dyn BufRead + Send>, LoadError> {
    let path = context.path(file);
    let opened = open(file, context)?;
    let mut reader = BufReader::with_capacity(LINES_BUFFER, opened);
    let head = reader
        .fill_buf()
        .map_err(|source| LoadError::read(&path, source))?;
    let place = place::show(&path);
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(LoadError::Encoding {
            place,
            encoding: "UTF-8",
            offset: 0,
        });
    }
    if let Some(offset) = head.iter().position(|&b| b == 0) {
        return Err(LoadError::Binary {
            place,
            what: "a NUL",
            offset,
        });
    }
    Ok(Box::new(reader))
}

/// Opens a regular file, and nothing else: never waits for a pipe, never follows a link that the walk
/// did not.
fn open(file: &File, context: &Context) -> Result<std::fs::File, LoadError> {
    let path = context.path(file);
    let (target, mut flags) = match file.links {
        Links::None => (path.clone(), OFlags::NONBLOCK | OFlags::NOFOLLOW),
        Links::Within => (
            within(&path, context, file)?,
            OFlags::NONBLOCK | OFlags::NOFOLLOW,
        ),
        Links::Any => (path.clone(), OFlags::NONBLOCK),
    };
    flags |= OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&target)
        .map_err(|source| LoadError::read(&path, source))?;
    let metadata = opened
        .metadata()
        .map_err(|source| LoadError::read(&path, source))?;
    if !metadata.is_file() {
        return Err(LoadError::Changed {
            place: place::show(&path),
        });
    }
    Ok(opened)
}

/// Where a link leads, when that is still inside its root.
fn within(path: &Path, context: &Context, file: &File) -> Result<PathBuf, LoadError> {
    let target = path
        .canonicalize()
        .map_err(|source| LoadError::read(path, source))?;
    if target.starts_with(&context.root(file).real) {
        return Ok(target);
    }
    Err(LoadError::LinkMoved {
        place: place::show(path),
    })
}

/// All bytes of a file, refused by its size before they are read.
pub(super) fn bounded(
    mut file: std::fs::File,
    place: &str,
    limit: u64,
) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read {
        place: place.to_owned(),
        source,
    };
    let unsteady = || LoadError::Unsteady {
        place: place.to_owned(),
    };
    let before = settled(&file).map_err(failed)?.ok_or_else(unsteady)?;
    let size = before.len();
    let too_large = |bytes| LoadError::TooLarge {
        place: place.to_owned(),
        what: "file",
        bytes,
        limit,
    };
    if size > limit {
        return Err(too_large(size));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    // A file may grow while it is read, and those in /proc have no size at all.
    file.by_ref()
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    // Half of an old text and half of a new one would be a document that nobody wrote.
    let after = file.metadata().map_err(failed)?;
    let state = |metadata: &std::fs::Metadata| (metadata.len(), metadata.modified().ok());
    if size > 0 && (state(&before) != state(&after) || bytes.len() as u64 != size) {
        return Err(unsteady());
    }
    Ok(bytes)
}

/// The file's state, when a change from now on would show in it; nothing where it never rests. Times of change may be as
/// coarse as the kernel's tick, so one that has just been changed is waited for.
fn settled(file: &std::fs::File) -> std::io::Result<Option<std::fs::Metadata>> {
    let age = |state: &std::fs::Metadata| state.modified().ok()?.elapsed().ok();
    for _ in 0..SETTLING_MAX {
        let state = file.metadata()?;
        let Some(age) = age(&state).filter(|age| *age < COARSEST_TICK) else {
            return Ok(Some(state));
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a reader's own thread, for one tick"
        )]
        std::thread::sleep(COARSEST_TICK - age);
    }
    Ok(None)
}

/// What standard input turned out to be.
pub(super) enum Stream {
    /// It begins with `{`.
    Lines(Box<dyn BufRead + Send>),
    /// Anything else: one document, `stdin`.
    One(Loaded),
}

/// Looks at the beginning of a stream to tell what it is.
pub(super) fn stream(mut stdin: Box<dyn Read + Send>, context: &Context) -> Stream {
    let id = context.id("stdin");
    let mut head = Vec::new();
    let first = match first_word(&mut stdin, &mut head) {
        Ok(first) => first,
        Err(source) => return Stream::One(failed_stream(id, source)),
    };
    let whole = Cursor::new(head).chain(stdin);
    if first == Some(b'{') {
        return Stream::Lines(Box::new(BufReader::with_capacity(LINES_BUFFER, whole)));
    }
    Stream::One(one(whole, id, context))
}

fn failed_stream(id: String, source: std::io::Error) -> Loaded {
    let error = LoadError::Read {
        place: "standard input".to_owned(),
        source,
    };
    Loaded::Failed {
        document: id,
        identified: true,
        error,
    }
}

/// Reads into `head` until the first byte that is not white space, and returns it.
fn first_word(stdin: &mut dyn Read, head: &mut Vec<u8>) -> std::io::Result<Option<u8>> {
    let mut buffer = [0; 4_096];
    while head.len() < HEAD_BYTES_MAX {
        let read = match stdin.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        head.extend_from_slice(&buffer[..read]);
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if let Some(&first) = text.trim_ascii_start().first() {
            return Ok(Some(first));
        }
        if read == 0 {
            break;
        }
    }
    Ok(None)
}

fn one(stdin: impl Read, id: String, context: &Context) -> Loaded {
    let (name, limit) = ("standard input", context.document_bytes_max);
    let mut bytes = Vec::new();
    if let Err(source) = stdin.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
        return failed_stream(id, source);
    }
    let size = bytes.len() as u64;
    let parts = if size > limit {
        let place = name.to_owned();
        Err(LoadError::TooLarge {
            place,
            what: "text",
            bytes: size,
            limit,
        })
    } else {
        assemble(Kind::Plain, bytes, name, context)
    };
    match parts {
        Err(error) => Loaded::Failed {
            document: id,
            identified: true,
            error,
        },
        Ok((_, text)) if text.trim().is_empty() => Loaded::Skipped {
            path: name.to_owned(),
            document: Some(id),
            reason: Skip::Empty,
        },
        Ok((title, text)) => Loaded::Document(Document {
            id,
            title: title.unwrap_or_default(),
            media_type: "text/plain".to_owned(),
            text,
            metadata: Metadata::new(),
        }),
    }
}
