//! JSON lines become documents, one line in memory at a time, however long the stream. Knows nothing
//! of folders.

use super::context::Context;
use super::error::LoadError;
use super::loaded::{Loaded, Skip};
use super::place;
use crate::corpus::{Document, Metadata, check_document_id, shorten};
use serde::Deserialize;
use std::borrow::Cow;
use std::io::{BufRead, Read as _};
use std::path::{Path, PathBuf};

/// The largest metadata of a document, in bytes when written.
const METADATA_BYTES_MAX: u64 = 64 << 10;

/// Room in a line beside title and text: id, metadata, fields that are not ours.
const LINE_ROOM: u64 = 256 << 10;

/// The longest line: a text may take three times its size when every character is escaped.
pub(super) fn line_bytes_max(document_bytes_max: u64) -> u64 {
    document_bytes_max
        .saturating_mul(3)
        .saturating_add(LINE_ROOM)
}

/// Reads lines into one buffer that never outgrows a limit.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    number: u64,
    limit: u64,
}

/// A line that is not blank.
pub(super) struct Line<'a> {
    /// Counted from 1, blank ones too.
    pub(super) number: u64,
    /// Its bytes, with the line break; `None` when it is longer than the limit.
    pub(super) bytes: Option<&'a [u8]>,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: u64) -> Self {
        Self {
            reader,
            line: Vec::new(),
            number: 0,
            limit,
        }
    }

    /// The next line that is not blank. An over-long one is passed over without being kept.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let bounded = self.limit.saturating_add(1);
            if self
                .reader
                .by_ref()
                .take(bounded)
                .read_until(b'\n', &mut self.line)?
                == 0
            {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if self.line.len() as u64 > self.limit {
                if self.line.last() != Some(&b'\n') {
                    self.reader.skip_until(b'\n')?;
                }
                return Ok(Some(Line {
                    number,
                    bytes: None,
                }));
            }
            let mark = number == 1 && self.line.starts_with(b"\xef\xbb\xbf");
            let start = if mark { 3 } else { 0 };
            if !self.line[start..].trim_ascii().is_empty() {
                return Ok(Some(Line {
                    number,
                    bytes: Some(&self.line[start..]),
                }));
            }
        }
    }
}

/// The id of a line, where it has one.
pub(super) fn id(line: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let object = line.trim_ascii_start().starts_with(b"{");
    let parsed = object.then(|| serde_json::from_slice::<Id<'_>>(line));
    parsed?.ok().map(|found| found.id)
}

/// The documents of a stream of lines.
pub(super) struct Records {
    lines: Lines<Box<dyn BufRead + Send>>,
    name: PathBuf,
    ended: bool,
}

impl Records {
    /// `name` stands for the stream in messages.
    pub(super) fn new(name: &Path, reader: Box<dyn BufRead + Send>, context: &Context) -> Self {
        let limit = line_bytes_max(context.document_bytes_max);
        Self {
            lines: Lines::new(reader, limit),
            name: name.to_owned(),
            ended: false,
        }
    }

    /// The line that was read last.
    pub(super) fn place(&self) -> String {
        place::line(&self.name, self.lines.number)
    }

    /// The next document, or why a line gave none.
    pub(super) fn next(&mut self, context: &Context) -> Option<Loaded> {
        if self.ended {
            return None;
        }
        let (name, limit) = (&self.name, self.lines.limit);
        match self.lines.next() {
            Ok(None) => None,
            Ok(Some(line)) => Some(record(&line, name, limit, context)),
            Err(source) => {
                self.ended = true;
                let error = LoadError::read(name, source);
                let document = place::show(name);
                Some(Loaded::Failed {
                    document,
                    identified: false,
                    error,
                })
            }
        }
    }
}

fn record(line: &Line<'_>, name: &Path, limit: u64, context: &Context) -> Loaded {
    let place = place::line(name, line.number);
    let Some(bytes) = line.bytes else {
        let error = LoadError::LineTooLong {
            place: place.clone(),
            limit,
        };
        return Loaded::Failed {
            document: place,
            identified: false,
            error,
        };
    };
    match document(bytes, &place, context) {
        Ok(document) if document.text.trim().is_empty() => {
            let document = Some(document.id);
            Loaded::Skipped {
                path: place,
                document,
                reason: Skip::Empty,
            }
        }
        Ok(document) => Loaded::Document(document),
        Err(error) => {
            let id = id(bytes)
                .map(|id| context.id(&id))
                .filter(|id| check_document_id(id).is_ok());
            let identified = id.is_some();
            Loaded::Failed {
                document: id.unwrap_or(place),
                identified,
                error,
            }
        }
    }
}

/// A line as it is written. Other fields are ignored.
#[derive(Deserialize)]
struct Raw {
    id: String,
    title: Option<String>,
    text: String,
    metadata: Option<Metadata>,
}

fn document(bytes: &[u8], place: &str, context: &Context) -> Result<Document, LoadError> {
    let Raw {
        id,
        title,
        text,
        metadata,
    } = parse(bytes, place)?;
    let (title, mut metadata) = (title.unwrap_or_default(), metadata.unwrap_or_default());
    if let Some(source) = &context.source {
        // What the line itself says of its source is the user's.
        let own = metadata.entry("source".to_owned());
        own.or_insert_with(|| source.as_str().into());
    }
    let id = context.id(&id);
    check_document_id(&id).map_err(|source| LoadError::Id {
        place: place.to_owned(),
        source,
    })?;
    let size = (title.len() + text.len()) as u64;
    check_size(place, "title and text", size, context.document_bytes_max)?;
    let written = serde_json::to_string(&metadata).map_or(u64::MAX, |json| json.len() as u64);
    check_size(place, "metadata", written, METADATA_BYTES_MAX)?;
    Ok(Document {
        id,
        title,
        media_type: "text/plain".to_owned(),
        text,
        metadata,
    })
}

fn check_size(place: &str, what: &'static str, bytes: u64, limit: u64) -> Result<(), LoadError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(LoadError::TooLarge {
        place: place.to_owned(),
        what,
        bytes,
        limit,
    })
}

fn parse(bytes: &[u8], place: &str) -> Result<Raw, LoadError> {
    let place = || place.to_owned();
    let text = std::str::from_utf8(bytes).map_err(|error| LoadError::Encoding {
        place: place(),
        encoding: "UTF-8",
        offset: error.valid_up_to(),
    })?;
    // A list would do for a struct, field by field; it is no document.
    if !text.trim_ascii_start().starts_with('{') {
        let problem = "not a JSON object".to_owned();
        return Err(LoadError::Json {
            place: place(),
            column: 1,
            problem,
        });
    }
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let end = message.rfind(" at line ").unwrap_or(message.len());
        let problem = shorten(&message[..end], 200);
        LoadError::Json {
            place: place(),
            column: error.column(),
            problem,
        }
    })
}

#[cfg(test)]
mod tests;
