//! The files that a policy is made of: what extends what, from the disk or from a stored copy.
//!
//! A stored copy holds the operator's own files; shipped policies belong to the program and are
//! never copied, so that a key that a newer version adds has a value for everybody.

use super::error::{PolicyError, Problem};
use super::file::{self, Layer, Lines, Located};
use super::spelling;
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// Files that may extend each other in a row, shipped ones not counted.
pub const CHAIN_MAX: usize = 8;

/// The bit of a file's mode by which anybody on the machine may write to it.
const WRITABLE_BY_OTHERS: u32 = 0o002;

/// The largest policy file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 << 10;

/// The shipped policies: name, file, text. The first is the root.
const SHIPPED: [(&str, &str, &str); 4] = [
    (
        "default",
        "policies/default.toml",
        include_str!("../../../policies/default.toml"),
    ),
    (
        "strict",
        "policies/strict.toml",
        include_str!("../../../policies/strict.toml"),
    ),
    (
        "trusted",
        "policies/trusted.toml",
        include_str!("../../../policies/trusted.toml"),
    ),
    (
        "python",
        "policies/python.toml",
        include_str!("../../../policies/python.toml"),
    ),
];

const ROOT: &str = SHIPPED[0].0;

/// Names of the shipped policies.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, ..)| *name)
}

/// A policy's own text, without anything that the program ships: enough to check it again anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// The policy's name; that of a shipped policy when there are no files.
    pub(super) name: String,
    /// The file that was named, then the one that it extends, and so on.
    pub(super) files: Vec<SourceFile>,
}

/// One file of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// The path, as messages show it.
    pub name: String,
    /// Its TOML text.
    pub text: String,
}

impl PolicySource {
    /// A shipped policy. Fails when there is none of this name.
    pub(super) fn shipped(name: &str) -> Result<Self, PolicyError> {
        if shipped_names().all(|shipped| shipped != name) {
            return Err(PolicyError::Unknown {
                name: spelling::shown(name, 80),
                shipped: all_shipped(),
            });
        }
        let (name, files) = (name.to_owned(), Vec::new());
        Ok(Self { name, files })
    }

    /// One text that is in no file; `file` is what messages call it.
    pub(super) fn inline(file: &str, text: &str) -> Self {
        let (name, text) = (file.to_owned(), text.to_owned());
        Self {
            name: stem(Path::new(file)),
            files: vec![SourceFile { name, text }],
        }
    }

    /// The policy's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator's files, the one that was named first; empty for a shipped policy.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// As the catalog stores it.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "name": self.name, "files": self.files }).to_string()
    }

    /// Reads what [`Self::to_json`] wrote. The text is checked by `Policy::from_bundle`, not here.
    pub fn from_json(json: &str) -> Result<Self, PolicyError> {
        serde_json::from_str(json).map_err(|source| PolicyError::Damaged { source })
    }
}

/// What `extends` points to.
enum Link {
    Shipped(&'static str),
    File(String),
}

/// A name without `.toml` is a shipped policy's; no `extends` means the root.
fn link(extends: Option<&Located<String>>) -> Result<Link, Problem> {
    let Some(extends) = extends else {
        return Ok(Link::Shipped(ROOT));
    };
    let name = extends.value.as_str();
    if name.ends_with(".toml") {
        return Ok(Link::File(name.to_owned()));
    }
    shipped_names()
        .find(|shipped| *shipped == name)
        .map(Link::Shipped)
        .ok_or_else(|| {
            let meant = spelling::nearest(name, shipped_names());
            let meant = meant.map_or_else(String::new, |meant| format!("did you mean '{meant}'? "));
            let name = spelling::shown(name, 80);
            let all = all_shipped();
            extends.problem(format!(
            "extends = '{name}': {meant}the shipped policies are {all}; a file's name ends in .toml"
        ))
        })
}

fn all_shipped() -> String {
    shipped_names().collect::<Vec<_>>().join(", ")
}

/// Reads `path` and the files that it extends. The problem is the link that could not be followed; the
/// files up to there are still worth checking.
pub(super) fn gather(path: &Path) -> Result<(PolicySource, Option<Problem>), PolicyError> {
    let mut text = text_of(path).map_err(|fault| fault.of_first(path))?;
    let mut source = PolicySource {
        name: stem(path),
        files: Vec::new(),
    };
    let mut walk = Walk {
        at: path.to_owned(),
        seen: Vec::new(),
    };
    loop {
        walk.enter();
        let (layer, _) = file::read(&walk.name(), &text);
        source.files.push(SourceFile {
            name: walk.name(),
            text,
        });
        let (Some(extends), Ok(Link::File(target))) =
            (&layer.extends, link(layer.extends.as_ref()))
        else {
            return Ok((source, None));
        };
        match walk.step(&target) {
            Ok(next) => text = next,
            Err(why) => {
                let target = spelling::shown(&target, 80);
                let problem = extends.problem(format!("extends = '{target}': {why}"));
                return Ok((source, Some(problem)));
            }
        }
    }
}

/// Where the reading of a chain has come to.
struct Walk {
    at: PathBuf,
    /// Each file so far: what identifies it, and what the caller calls it.
    seen: Vec<(PathBuf, String)>,
}

impl Walk {
    fn name(&self) -> String {
        self.at.display().to_string()
    }

    fn enter(&mut self) {
        let identity = self.at.canonicalize().unwrap_or_else(|_| self.at.clone());
        self.seen.push((identity, self.name()));
    }

    /// Goes on to the file `target` beside this one, and returns its text.
    fn step(&mut self, target: &str) -> Result<String, String> {
        let next = beside(&self.at, target)?;
        let identity = next.canonicalize().map_err(|error| error.to_string())?;
        let folder = folder_of(&self.at)
            .canonicalize()
            .map_err(|error| error.to_string())?;
        if !identity.starts_with(&folder) {
            return Err("it leads out of this file's folder".to_owned());
        }
        if self.seen.iter().any(|(seen, _)| *seen == identity) {
            return Err(format!(
                "the files extend each other in a circle: {}",
                self.trail(&next)
            ));
        }
        if self.seen.len() >= CHAIN_MAX {
            return Err(format!(
                "more than {CHAIN_MAX} files extend each other: {}",
                self.trail(&next)
            ));
        }
        let text = text_of(&next).map_err(|fault| fault.to_string())?;
        self.at = next;
        Ok(text)
    }

    fn trail(&self, next: &Path) -> String {
        let mut names: Vec<String> = self.seen.iter().map(|(_, name)| name.clone()).collect();
        names.push(next.display().to_string());
        names.join(" -> ")
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// `target` in the folder of `file`; refused when it could lie elsewhere.
fn beside(file: &Path, target: &str) -> Result<PathBuf, String> {
    let target = Path::new(target);
    if !target
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return Err(
            "it must lie beside this file: no absolute path, no '.' and no '..'".to_owned(),
        );
    }
    Ok(file.parent().unwrap_or(Path::new("")).join(target))
}

/// The policy's name for a path: without folder and `.toml`.
fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    name.strip_suffix(".toml").unwrap_or(&name).to_owned()
}

/// Why a file's text cannot be had.
#[derive(Debug, thiserror::Error)]
enum TextFault {
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
    #[error("it is not a regular file")]
    Irregular,
    #[error("everybody may write to it, so it is nobody's policy: chmod o-w")]
    WorldWritable,
    #[error("it is larger than {} KiB", FILE_BYTES_MAX >> 10)]
    TooLarge,
    #[error("it is not UTF-8 from line {0}, column {1} on")]
    NotUtf8(usize, usize),
}

impl TextFault {
    /// As the error of the file that was asked for.
    fn of_first(self, path: &Path) -> PolicyError {
        let position = match self {
            Self::Io(source) => {
                return PolicyError::Read {
                    path: path.to_owned(),
                    source,
                };
            }
            Self::NotUtf8(line, column) => Some((line, column)),
            Self::Irregular | Self::WorldWritable | Self::TooLarge => None,
        };
        let file = path.display().to_string();
        let message = self.to_string();
        PolicyError::Invalid {
            problems: vec![Problem {
                file,
                position,
                message,
            }],
        }
    }
}

fn text_of(path: &Path) -> Result<String, TextFault> {
    // Asked first: opening a pipe would wait for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(TextFault::Irregular);
    }
    let file = std::fs::File::open(path)?;
    if file.metadata()?.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(TextFault::WorldWritable);
    }
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(TextFault::TooLarge);
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let (line, column) = Lines::new(&text).position(valid);
        TextFault::NotUtf8(line, column)
    })
}

/// All layers of a policy, the nearest first, and everything wrong with them. `broken` is the link that
/// [`gather`] could not follow.
pub(super) fn layers(
    source: &PolicySource,
    broken: Option<&Problem>,
) -> (Vec<Layer>, Vec<Problem>) {
    let (mut layers, mut problems) = (Vec::new(), Vec::new());
    let mut next = source.files.is_empty().then_some(source.name.as_str());
    for (index, file) in source.files.iter().enumerate() {
        let (layer, mut found) = match misfit(index, file) {
            Some(problem) => (Layer::default(), vec![problem]),
            None => file::read(&file.name, &file.text),
        };
        let is_last = index + 1 == source.files.len();
        match link(layer.extends.as_ref()) {
            Ok(Link::File(_)) if !is_last => {}
            Ok(Link::Shipped(name)) if is_last => next = Some(name),
            Ok(_) => found.push(broken.cloned().unwrap_or_else(|| unlinked(file, &layer))),
            Err(problem) => found.push(problem),
        }
        found.sort_by_key(|problem| problem.position.unwrap_or((usize::MAX, 0)));
        problems.extend(found);
        layers.push(layer);
    }
    if let Some(name) = next {
        shipped_layers(name, &mut layers, &mut problems);
    }
    (layers, problems)
}

/// The problem of a file that extends another than the one stored after it.
fn unlinked(file: &SourceFile, layer: &Layer) -> Problem {
    match &layer.extends {
        Some(extends) => {
            let target = spelling::shown(&extends.value, 80);
            extends.problem(format!(
                "extends = '{target}': that file is not part of this policy's text"
            ))
        }
        None => {
            let message = "it extends nothing, yet a file is stored after it".to_owned();
            Problem {
                file: file.name.clone(),
                position: None,
                message,
            }
        }
    }
}

/// What a file from a stored copy may be as little as one from the disk.
fn misfit(index: usize, file: &SourceFile) -> Option<Problem> {
    let message = if index >= CHAIN_MAX {
        format!("more than {CHAIN_MAX} files extend each other")
    } else if file.text.len() > FILE_BYTES_MAX {
        TextFault::TooLarge.to_string()
    } else {
        return None;
    };
    Some(Problem {
        file: file.name.clone(),
        position: None,
        message,
    })
}

fn shipped_layers(name: &str, layers: &mut Vec<Layer>, problems: &mut Vec<Problem>) {
    let mut next = Some(name.to_owned());
    // Each shipped policy at most once, so this ends whatever they extend.
    for _ in SHIPPED {
        let Some((name, file, text)) = SHIPPED
            .iter()
            .find(|(name, ..)| Some(*name) == next.as_deref())
        else {
            return;
        };
        let (layer, found) = file::read(file, text);
        problems.extend(found);
        next = match link(layer.extends.as_ref()) {
            Ok(Link::Shipped(parent)) if *name != ROOT => Some(parent.to_owned()),
            _ => None,
        };
        layers.push(layer);
    }
}
