//! Whether there was an index before: a file beside it that stays when the index itself is lost.
//!
//! Without it a database that somebody removed, or cut to nothing, would be begun anew, and the tenant's documents would
//! be gone without a word.

use super::error::IndexError;
use crate::db::DbError;
use std::path::{Path, PathBuf};

const NAME: &str = "index.made";

/// What was found beside an index before it is opened.
pub(super) struct Made {
    mark: PathBuf,
    before: bool,
}

impl Made {
    /// Refuses an index that was there and is no more.
    pub(super) fn look(folder: &Path) -> Result<Self, IndexError> {
        let mark = folder.join(NAME);
        let before = mark.exists();
        let file = folder.join("index.db");
        let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        if before && bytes == 0 {
            let what = format!("{} is gone or empty", file.display());
            return Err(IndexError::Damaged(what));
        }
        Ok(Self { mark, before })
    }

    pub(super) fn before(&self) -> bool {
        self.before
    }

    /// From here on the index is not made anew.
    pub(super) fn remember(&self) -> Result<(), IndexError> {
        if self.before {
            return Ok(());
        }
        let remember = || -> std::io::Result<()> {
            std::fs::File::create(&self.mark)?.sync_all()?;
            match self.mark.parent() {
                Some(folder) => std::fs::File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        };
        remember().map_err(|error| DbError::from(error).into())
    }
}
