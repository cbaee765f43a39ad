//! Is a write-ahead log whole? SQLite reads one up to the first frame whose checksum is wrong and is silent
//! about what lies behind: after a crash that is right, after damage it would lose what was acknowledged.
//!
//! It reads the file format that SQLite documents, and changes nothing.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// What a log that somebody left behind holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LogState {
    /// Commits that SQLite will read.
    pub(super) commits: u64,
    /// Commits of the same log behind a frame that is damaged: SQLite will not read them.
    pub(super) lost: u64,
}

impl LogState {
    /// At least one commit before the last one is behind the damage. The last one alone may have been under way
    /// when the power went: nobody was told that it is durable.
    pub(super) fn lost_what_was_acknowledged(self) -> bool {
        self.lost > 1
    }
}

/// The log's path beside its database.
pub(super) fn path_of(database: &Path) -> PathBuf {
    beside(database, "-wal")
}

/// A file that SQLite keeps beside `database`.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.to_owned().into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

/// Looks at the log of `database`. A missing or empty one holds nothing.
pub(super) fn look(database: &Path) -> std::io::Result<LogState> {
    let file = match File::open(path_of(database)) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(LogState::default());
        }
        Err(error) => return Err(error),
    };
    let frames = file.metadata()?.len().saturating_sub(HEADER as u64);
    let mut reader = BufReader::with_capacity(256 << 10, file);
    let mut header = [0; HEADER];
    if !fill(&mut reader, &mut header)? {
        return Ok(LogState::default());
    }
    let Some(log) = Header::read(&header) else {
        // Its frames cannot be told apart; a log of no frames has nothing to lose.
        let lost = if frames == 0 { 0 } else { u64::MAX };
        return Ok(LogState { commits: 0, lost });
    };
    log.frames(&mut reader)
}

struct Header {
    big_endian: bool,
    page: usize,
    salt: [u8; 8],
    sums: (u32, u32),
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let word = |at: usize| big(&bytes[at..]);
        let page = usize::try_from(word(8)).ok()?;
        let big_endian = word(0) & 1 == 1;
        let sums = sum(big_endian, (0, 0), &bytes[..24]);
        let whole = word(0) & !1 == MAGIC
            && page.is_power_of_two()
            && (512..=65_536).contains(&page)
            && sums == (word(24), word(28));
        let mut salt = [0; 8];
        salt.copy_from_slice(&bytes[16..24]);
        whole.then_some(Self {
            big_endian,
            page,
            salt,
            sums,
        })
    }

    /// Frames of an earlier use of the file, which have other salts, end it: that is no damage.
    fn frames(&self, reader: &mut impl Read) -> std::io::Result<LogState> {
        let mut state = LogState::default();
        let (mut sums, mut whole) = (self.sums, true);
        let mut frame = vec![0; FRAME_HEADER + self.page];
        while fill(reader, &mut frame)? {
            let is_commit = big(&frame[4..]) > 0;
            let is_ours = frame[8..16] == self.salt;
            if whole {
                sums = sum(self.big_endian, sums, &frame[..8]);
                sums = sum(self.big_endian, sums, &frame[FRAME_HEADER..]);
                whole = is_ours && sums == (big(&frame[16..]), big(&frame[20..]));
            }
            match (whole, is_commit && is_ours) {
                (true, true) => state.commits += 1,
                (false, true) => state.lost += 1,
                _ => {}
            }
        }
        Ok(state)
    }
}

/// Fills `buffer`, or says that the file ended before it was full.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn big(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[..4]);
    u32::from_be_bytes(word)
}

/// SQLite's checksum of a log, carried on over `bytes`.
fn sum(big_endian: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let read = match big_endian {
        true => u32::from_be_bytes,
        false => u32::from_le_bytes,
    };
    let (words, _) = bytes.as_chunks::<4>();
    for pair in words.chunks_exact(2) {
        a = a.wrapping_add(read(pair[0])).wrapping_add(b);
        b = b.wrapping_add(read(pair[1])).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    /// A database with `commits` in its log, as a process leaves it that was killed: copies, made while it was open.
    fn left_behind(folder: &Path, commits: u32) -> PathBuf {
        let live = folder.join("live.db");
        let connection = Connection::open(&live).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection
            .pragma_update(None, "wal_autocheckpoint", 0)
            .unwrap();
        connection.execute_batch("CREATE TABLE t(x)").unwrap();
        for number in 1..commits {
            connection
                .execute("INSERT INTO t VALUES (?1)", [number])
                .unwrap();
        }
        let copy = folder.join("copy.db");
        std::fs::copy(&live, &copy).unwrap();
        std::fs::copy(path_of(&live), path_of(&copy)).unwrap();
        drop(connection);
        copy
    }

    #[test]
    fn a_whole_log_has_all_its_commits_and_none_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let database = left_behind(folder.path(), 5);
        let state = look(&database).unwrap();
        assert_eq!(
            state,
            LogState {
                commits: 5,
                lost: 0
            }
        );
        std::fs::remove_file(path_of(&database)).unwrap();
        assert_eq!(look(&database).unwrap(), LogState::default());
    }

    #[test]
    fn a_log_that_ends_early_has_lost_nothing_that_can_be_seen() {
        let folder = tempfile::tempdir().unwrap();
        let database = left_behind(folder.path(), 5);
        let log = std::fs::read(path_of(&database)).unwrap();
        for cut in [0, 20, HEADER, HEADER + 100, log.len() - 1] {
            std::fs::write(path_of(&database), &log[..cut]).unwrap();
            assert_eq!(look(&database).unwrap().lost, 0, "{cut}");
        }
    }

    #[test]
    fn every_flipped_bit_before_the_last_commit_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let database = left_behind(folder.path(), 5);
        let log = std::fs::read(path_of(&database)).unwrap();
        let page = usize::try_from(big(&log[8..])).unwrap();
        let last = log.len() - (FRAME_HEADER + page);
        for at in (0..last).step_by(97) {
            let mut damaged = log.clone();
            damaged[at] ^= 1 << (at % 8);
            std::fs::write(path_of(&database), &damaged).unwrap();
            let state = look(&database).unwrap();
            assert!(state.lost > 0, "byte {at}: {state:?}");
        }
    }
}
