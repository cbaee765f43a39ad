//! `ingest --acks FILE`: a line of JSON for every document, as soon as what became of it is on disk, for whoever
//! must know what need not be sent again.
//!
//! A line is written whole, in the order in which documents end. It does not know what the documents are.

use crate::api::AckJson;
use crate::error::Failure;
use crate::runtime::{Progress, RuntimeError};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Where acknowledgements go.
pub(super) struct Acks {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

struct State {
    to: Box<dyn Write + Send>,
    /// The first failure: nobody is told of anything after it.
    failed: Option<std::io::Error>,
}

impl Acks {
    /// Appends to `path`, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let to: Box<dyn Write + Send> = match path == Path::new("-") {
            true => Box::new(std::io::stdout()),
            false => Box::new(append(path).map_err(|source| failed(path, source))?),
        };
        let state = Arc::new(Mutex::new(State { to, failed: None }));
        Ok(Self {
            path: path.to_owned(),
            state,
        })
    }

    /// What an ingest tells is written.
    pub(super) fn progress(&self) -> Progress {
        let state = self.state.clone();
        Progress::telling(move |ack| {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.failed.is_none() {
                state.failed = state.write(&AckJson::from(ack)).err();
            }
        })
    }

    /// An ingest whose acknowledgements could not be written has not failed, but its caller must hear of it.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.failed.take() {
            Some(source) => Err(failed(&self.path, source)),
            None => Ok(()),
        }
    }
}

impl State {
    fn write(&mut self, ack: &AckJson<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(ack)?;
        line.push(b'\n');
        self.to.write_all(&line)?;
        self.to.flush()
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    File::options().append(true).create(true).open(path)
}

fn failed(path: &Path, source: std::io::Error) -> Failure {
    let path = path.to_owned();
    RuntimeError::Acks { path, source }.into()
}
