//! The census of a plan: how many documents there are, and whether two would have one id. It reads the
//! ids of lines and nothing else of any file.

use super::context::Context;
use super::error::LoadError;
use super::walk::{Entry, File, Kind};
use super::{jsonl, place, read};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

/// What there is to load.
#[derive(Debug)]
pub(super) struct Census {
    /// Documents, and whatever is skipped or fails before it can be one.
    pub(super) items: usize,
    /// Bytes of all files.
    pub(super) bytes: u64,
    /// Fingerprints of all ids, sorted.
    pub(super) prints: Vec<u128>,
}

/// Counts what `entries` hold, standard input left out, and refuses ids that occur twice.
pub(super) fn take(entries: &[Entry], context: &Context) -> Result<Census, LoadError> {
    let mut prints = Vec::new();
    let mut nameless = 0;
    let _ = each_id(entries, context, |id, _| {
        match id {
            Some(id) => prints.push(fingerprint(id)),
            None => nameless += 1,
        }
        ControlFlow::Continue(())
    });
    prints.sort_unstable();
    let twice = prints.windows(2).filter(|pair| pair[0] == pair[1]);
    let doubled: HashSet<u128> = twice.map(|pair| pair[0]).collect();
    if !doubled.is_empty() {
        return Err(duplicate(entries, context, &doubled));
    }
    let bytes = entries.iter().map(|entry| match entry {
        Entry::File(file) => file.bytes,
        _ => 0,
    });
    Ok(Census {
        items: prints.len() + nameless,
        bytes: bytes.sum(),
        prints,
    })
}

/// An id in 16 bytes; two ids with the same will not be met.
pub(super) fn fingerprint(id: &str) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    u128::from_le_bytes(bytes)
}

/// Where an id stands. Written out only for messages.
#[derive(Clone, Copy)]
enum Place<'a> {
    Nowhere,
    File(&'a Path),
    Line(&'a Path, u64),
}

impl Place<'_> {
    fn show(self) -> String {
        match self {
            Self::Nowhere => String::new(),
            Self::File(path) => place::show(path),
            Self::Line(path, number) => place::line(path, number),
        }
    }
}

/// Visits every item: with its id, where that is known, and where it stands.
fn each_id(
    entries: &[Entry],
    context: &Context,
    mut visit: impl FnMut(Option<&str>, Place<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for entry in entries {
        match entry {
            Entry::Stdin => {}
            Entry::Settled(_) => visit(None, Place::Nowhere)?,
            Entry::File(file) if file.kind == Kind::JsonLines => {
                each_line_id(file, context, &mut visit)?;
            }
            Entry::File(file) => {
                let path = context.path(file);
                visit(Some(&context.id(&file.relative)), Place::File(&path))?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn each_line_id(
    file: &File,
    context: &Context,
    visit: &mut impl FnMut(Option<&str>, Place<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let path = context.path(file);
    // What is wrong with the file is told when its turn comes; it counts as one item, as it will then.
    let Ok(reader) = read::lines(file, context) else {
        return visit(None, Place::Nowhere);
    };
    let mut lines = jsonl::Lines::new(reader, jsonl::line_bytes_max(context.document_bytes_max));
    loop {
        match lines.next() {
            Err(_) => return visit(None, Place::Nowhere),
            Ok(None) => return ControlFlow::Continue(()),
            Ok(Some(line)) => {
                let id = line.bytes.and_then(jsonl::id).map(|id| context.id(&id));
                visit(id.as_deref(), Place::Line(&path, line.number))?;
            }
        }
    }
}

/// The first id of `doubled` that occurs again, and where.
fn duplicate(entries: &[Entry], context: &Context, doubled: &HashSet<u128>) -> LoadError {
    let mut firsts = HashMap::new();
    let mut found = None;
    let _ = each_id(entries, context, |id, place| {
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
