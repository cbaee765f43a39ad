//! What every measurement does with folders and files: a data folder configured as the user's own, and what
//! cannot be read or written said before anything runs. It knows nothing of what is measured.

use super::error::BenchError;
use crate::runtime::RuntimeError;
use std::fs::{File, OpenOptions};
use std::path::Path;

/// A new data folder with the configuration of the user's own.
pub(super) fn copy_configuration(data: &Path, own: &Path) -> Result<(), BenchError> {
    std::fs::create_dir(own).map_err(|source| write_error(own, source))?;
    let (from, to) = (data.join("stockade.toml"), own.join("stockade.toml"));
    match std::fs::copy(from, &to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(write_error(&to, error)),
        _ => Ok(()),
    }
}

/// Sets how many workers the host over the data folder `own` has.
pub(super) fn set_workers(own: &Path, workers: usize) -> Result<(), BenchError> {
    const KEY: &str = "embed_workers";
    let path = own.join("stockade.toml");
    // No file is an empty one; one that cannot be read was refused before.
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let is_key = |line: &str| {
        let rest = line.trim_start().strip_prefix(KEY);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_key(line)).collect();
    let own_line = format!("{KEY} = {workers}");
    lines.push(&own_line);
    let text = lines.join("\n") + "\n";
    std::fs::write(&path, text).map_err(|source| write_error(&path, source))
}

pub(super) fn write_error(path: &Path, source: std::io::Error) -> BenchError {
    BenchError::Write {
        path: path.to_owned(),
        source,
    }
}

/// A file is written at the end: that it can be is tried before.
pub(super) fn check_writable(path: &Path) -> Result<(), BenchError> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|source| write_error(path, source))
}

/// Writes what was measured to the file that was asked for, if one was.
pub(super) fn write_if_asked(
    path: Option<&Path>,
    content: impl FnOnce() -> String,
) -> Result<(), BenchError> {
    path.map_or(Ok(()), |path| {
        std::fs::write(path, content()).map_err(|source| write_error(path, source))
    })
}

/// A folder that is written to at the end, made where there is none.
pub(super) fn check_folder(path: &Path) -> Result<(), BenchError> {
    std::fs::create_dir_all(path).map_err(|source| write_error(path, source))
}

/// The corpus's own errors are said by the ingest; that it can be opened at all is said before anything runs.
pub(super) fn check_readable(path: &Path) -> Result<(), RuntimeError> {
    let path = path.to_owned();
    match File::open(&path) {
        Ok(_) => Ok(()),
        Err(source) => Err(RuntimeError::Read { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn workers_are_set_beside_whatever_else_is_configured() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stockade.toml");
        set_workers(folder.path(), 3).unwrap();
        assert_eq!(Config::load(folder.path()).unwrap().embed_workers, 3);
        let text = "# mine\nembed_workers = 7\nembed_batch_tokens = 512";
        std::fs::write(&file, text).unwrap();
        set_workers(folder.path(), 2).unwrap();
        let config = Config::load(folder.path()).unwrap();
        assert_eq!((config.embed_workers, config.embed_batch_tokens), (2, 512));
    }
}
