//! `stockade embed`: JSON lines in, JSON lines out, in order, through the same queue and model.

use super::Session;
use crate::api::EmbedJson;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::embedder::{Embedder, Lane, Priority, Tokens};
use crate::error::{Exit, Failure};
use crate::runtime::RuntimeError;
use serde::Deserialize;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Lines embedded together: enough to fill the workers' batches.
const WINDOW: usize = 128;

/// The longest line, in bytes.
const LINE_MAX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Line {
    text: String,
}

pub(super) async fn run(session: &Session, file: PathBuf) -> Result<Exit, Failure> {
    let embedder = Embedder::start(&Config::load(&session.data)?)?;
    let lane = Lane {
        tenant: TenantId::new("embed")?,
        share: 1,
        priority: Priority::Bulk,
        cancel: super::documents::interrupted_by_user(),
    };
    let mut lines = Lines::open(&file)?;
    let mut output = BufWriter::new(std::io::stdout());
    loop {
        let window = tokio::task::block_in_place(|| lines.window(&embedder))?;
        if window.is_empty() {
            break;
        }
        let facts: Vec<_> = window.iter().map(|t| (t.full(), t.truncated())).collect();
        let vectors = match embedder.embed(&lane, window).await {
            Err(crate::embedder::EmbedError::Cancelled) => return Ok(Exit::Interrupted),
            vectors => vectors?,
        };
        for ((tokens, truncated), vector) in facts.into_iter().zip(vectors) {
            let vector = vector?.values().to_vec();
            let said = EmbedJson {
                tokens,
                truncated,
                vector,
            };
            let text = serde_json::to_string(&said).unwrap_or_default();
            if writeln!(output, "{text}").is_err() {
                return Ok(Exit::Done);
            }
        }
        // A program at the other end of a pipe may wait for its answers.
        if output.flush().is_err() {
            return Ok(Exit::Done);
        }
    }
    Ok(Exit::Done)
}

struct Lines {
    name: PathBuf,
    input: BufReader<Box<dyn Read + Send>>,
    number: usize,
}

impl Lines {
    fn open(file: &Path) -> Result<Self, Failure> {
        let wrong = |source| RuntimeError::Read {
            path: file.to_owned(),
            source,
        };
        let input: Box<dyn Read + Send> = match file.to_str() {
            Some("-") => Box::new(std::io::stdin()),
            _ => Box::new(std::fs::File::open(file).map_err(wrong)?),
        };
        Ok(Self {
            name: file.to_owned(),
            input: BufReader::new(input),
            number: 0,
        })
    }

    /// The next lines: as many as there are without waiting, at least one unless it is the end.
    fn window(&mut self, embedder: &Embedder) -> Result<Vec<Tokens>, Failure> {
        let mut window = vec![];
        while window.len() < WINDOW {
            let Some(text) = self.next()? else { break };
            window.push(embedder.tokenize(&text));
            if self.input.buffer().is_empty() {
                break;
            }
        }
        Ok(window)
    }

    fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            self.number += 1;
            let mut line = vec![];
            let mut limited = (&mut self.input).take(LINE_MAX);
            let read = limited.read_until(b'\n', &mut line);
            let read = read.map_err(|source| RuntimeError::Read {
                path: self.name.clone(),
                source,
            })?;
            if read == 0 {
                return Ok(None);
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let parsed: Result<Line, _> = serde_json::from_slice(&line);
            let parsed = parsed.map_err(|error| RuntimeError::Queries {
                path: self.name.clone(),
                line: self.number,
                message: format!("not a JSON line with a `text`: {error}"),
            })?;
            return Ok(Some(parsed.text));
        }
    }
}
