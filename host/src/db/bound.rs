//! The write-ahead log stays bounded, whoever reads.
//!
//! What is read and written is not its business.

use super::{Database, log};
use rusqlite::Connection;
use std::time::{Duration, Instant};

/// From the first size on, in bytes, writers look for a moment in which nobody reads, so that the log begins anew; at
/// the second they wait for that moment, and the log grows no further.
pub(super) const LOG_BYTES: (u64, u64) = (64 << 20, 256 << 20);

/// How long new readers are held up at once for that moment: twice as long at each trial.
const PAUSE: std::ops::Range<Duration> = Duration::from_millis(5)..Duration::from_secs(2);

/// How long writers wait at most: a backup of a large database reads for that long.
const WRITERS_WAIT: Duration = Duration::from_secs(120);

impl Database {
    /// Lets a log that has grown begin anew. Readers that overlap would forbid it for ever, so new ones are held up for
    /// a moment; one that reads for long is waited for, by writers alone, where the log must not grow further.
    pub(super) fn bound_log(&self, connection: &Connection) {
        let (soft, hard) = self.log_bytes;
        let mut pause = PAUSE.start;
        let deadline = Instant::now() + WRITERS_WAIT;
        while self.log_bytes() >= soft {
            let truncate =
                || connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            match self.readers.without(pause, truncate) {
                // What is wrong with the file is told by who reads or writes it next.
                Some(_) => return,
                None if self.log_bytes() < hard => return,
                None if Instant::now() >= deadline => {
                    tracing::warn!(file = %self.path.display(), "a long read keeps the write-ahead log growing");
                    return;
                }
                None => {
                    self.readers.wait(pause);
                    pause = (2 * pause).min(PAUSE.end);
                }
            }
        }
    }

    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(log::path_of(&self.path)).map_or(0, |log| log.len())
    }
}
