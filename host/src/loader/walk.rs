//! A walk turns a PATH into entries: files to load, and what was passed over and why. It opens no
//! file, so a pipe or a device cannot hang it, and knows nothing of what files contain.

use super::error::LoadError;
use super::loaded::{DEPTH_MAX, Loaded, Skip};
use super::place::show;
use std::fs::FileType;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What a file's extension says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Markdown,
    Html,
    JsonLines,
}

impl Kind {
    /// The kind of the file called `name`, or why there is none.
    fn of(name: &Path) -> Result<Self, Skip> {
        let Some(extension) = name.extension() else {
            return Err(Skip::NoExtension);
        };
        let extension = show(Path::new(extension)).to_ascii_lowercase();
        match extension.as_str() {
            "txt" => Ok(Self::Plain),
            "md" | "markdown" => Ok(Self::Markdown),
            "html" | "htm" => Ok(Self::Html),
            "jsonl" => Ok(Self::JsonLines),
            _ => Err(Skip::NoLoader(extension)),
        }
    }
}

/// Which links may be followed when a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// None: it was a regular file.
    None,
    /// To a file in the same root.
    Within,
    /// Anywhere: the user named this very link.
    Any,
}

/// Where a walk began.
#[derive(Debug)]
pub(super) struct Root {
    /// As the user wrote it; for a single file, its folder.
    pub(super) path: PathBuf,
    /// Without links; empty when only one file was named.
    pub(super) real: PathBuf,
}

/// A file to load. A million of them fit in memory: the path is stored once, without its root.
#[derive(Debug)]
pub(super) struct File {
    pub(super) root: u32,
    pub(super) relative: Box<str>,
    pub(super) kind: Kind,
    pub(super) links: Links,
    pub(super) bytes: u64,
}

/// One thing that a walk came across.
#[derive(Debug)]
pub(super) enum Entry {
    File(File),
    Stdin,
    /// Nothing is left to do but to report it.
    Settled(Box<Loaded>),
}

impl Entry {
    fn skipped(path: &Path, reason: Skip) -> Self {
        Self::Settled(Box::new(Loaded::Skipped {
            path: show(path),
            document: None,
            reason,
        }))
    }

    fn failed(path: &Path, error: LoadError) -> Self {
        let document = show(path);
        Self::Settled(Box::new(Loaded::Failed {
            document,
            identified: false,
            error,
        }))
    }
}

/// The entries below `path`, in the order of their names, added to `entries`; the root to `roots`.
pub(super) fn walk(
    path: &Path,
    roots: &mut Vec<Root>,
    entries: &mut Vec<Entry>,
) -> Result<(), LoadError> {
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing(path.to_owned()),
        _ => LoadError::Path {
            path: path.to_owned(),
            source,
        },
    })?;
    let root = u32::try_from(roots.len()).unwrap_or(u32::MAX);
    if !metadata.is_dir() {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        entries.push(match special(metadata.file_type()) {
            Some(what) => Entry::skipped(path, Skip::Special(what)),
            None => file(root, path, &name, Links::Any, metadata.len()),
        });
        roots.push(Root {
            path: folder,
            real: PathBuf::new(),
        });
        return Ok(());
    }
    let real = path.canonicalize().map_err(|source| LoadError::Path {
        path: path.to_owned(),
        source,
    })?;
    let found = Root {
        path: path.to_owned(),
        real,
    };
    walk_folder(root, &found, entries);
    roots.push(found);
    Ok(())
}

fn walk_folder(number: u32, root: &Root, entries: &mut Vec<Entry>) {
    let mut walk = WalkDir::new(&root.path).sort_by_file_name().into_iter();
    while let Some(found) = walk.next() {
        let found = match found {
            Ok(found) if found.depth() == 0 => continue,
            Ok(found) => found,
            Err(error) => {
                entries.push(unwalkable(error, &root.path));
                continue;
            }
        };
        let is_folder = found.file_type().is_dir();
        let hidden = found.file_name().as_encoded_bytes().starts_with(b".");
        let passed_over = match (hidden, is_folder) {
            (true, _) => Some(Skip::Hidden),
            (false, true) if found.depth() >= DEPTH_MAX => Some(Skip::TooDeep),
            _ => None,
        };
        match passed_over {
            Some(reason) => {
                entries.push(Entry::skipped(found.path(), reason));
                if is_folder {
                    walk.skip_current_dir();
                }
            }
            None if is_folder => {}
            None => entries.push(entry(number, root, &found)),
        }
    }
}

fn unwalkable(error: walkdir::Error, root: &Path) -> Entry {
    let path = error.path().unwrap_or(root).to_owned();
    let message = error.to_string();
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other(message));
    Entry::failed(&path, LoadError::read(&path, source))
}

fn entry(number: u32, root: &Root, found: &DirEntry) -> Entry {
    let path = found.path();
    let relative = path.strip_prefix(&root.path).unwrap_or(path);
    if found.path_is_symlink() {
        return link(number, root, path, relative);
    }
    if let Some(what) = special(found.file_type()) {
        return Entry::skipped(path, Skip::Special(what));
    }
    let bytes = found.metadata().map_or(0, |m| m.len());
    file(number, path, relative, Links::None, bytes)
}

/// A link to a file inside the root is followed. A link to a folder is not: inside the root its files
/// are found where they really are, so that no circle and no fan of links can multiply them. A link
/// that leads out is not either: whoever filled the folder must not choose what else is read.
fn link(number: u32, root: &Root, path: &Path, relative: &Path) -> Entry {
    let target = match path.canonicalize() {
        Ok(target) => target,
        Err(source) if is_circle(&source) => return Entry::skipped(path, Skip::LinkCircle),
        Err(source) => return Entry::failed(path, LoadError::read(path, source)),
    };
    if !target.starts_with(&root.real) {
        return Entry::skipped(path, Skip::LinkOutside);
    }
    match std::fs::metadata(&target) {
        Err(source) => Entry::failed(path, LoadError::read(path, source)),
        Ok(metadata) if metadata.is_dir() => Entry::skipped(path, Skip::LinkToFolder),
        Ok(metadata) => match special(metadata.file_type()) {
            Some(what) => Entry::skipped(path, Skip::Special(what)),
            None => file(number, path, relative, Links::Within, metadata.len()),
        },
    }
}

fn is_circle(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn file(root: u32, path: &Path, relative: &Path, links: Links, bytes: u64) -> Entry {
    match (Kind::of(relative), relative.to_str()) {
        (Err(reason), _) => Entry::skipped(path, reason),
        (Ok(_), None) => Entry::failed(path, LoadError::Name(show(path))),
        (Ok(kind), Some(relative)) => Entry::File(File {
            root,
            relative: relative.into(),
            kind,
            links,
            bytes,
        }),
    }
}

/// What `file_type` is when it is neither a file, a folder nor a link.
fn special(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() || file_type.is_dir() || file_type.is_symlink() {
        return None;
    }
    Some(if file_type.is_fifo() {
        "a pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else {
        "a device"
    })
}
