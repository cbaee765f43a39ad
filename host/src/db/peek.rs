//! Reading a database that nobody has open: quickly where it is whole, and as much as can be read where it is not.
//!
//! Neither of them writes to the file.

use super::{DbError, Kind, check_kind, log};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// What `read` says of the database at `path`, which no process may have open. `None` where it has a write-ahead log,
/// whose contents only an opened database shows.
pub fn peek<T, E: From<DbError>>(
    path: &Path,
    kind: &Kind,
    read: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<Option<T>, E> {
    let log = std::fs::metadata(log::path_of(path));
    if log.is_ok_and(|log| log.len() > 0) {
        return Ok(None);
    }
    let connection = unchanging(path).map_err(DbError::from)?;
    check_kind(&connection, path, kind)?;
    read(&connection).map(Some)
}

/// What `read` makes of a damaged file, with its log, which no process may have open. What kind of file it is is not
/// looked at: that too may be damaged. The file is not written to.
pub fn salvage<T>(path: &Path, read: impl FnOnce(&Connection) -> T) -> Result<T, DbError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(read(&connection))
}

/// No locks, no log, no shared memory: right as long as nobody writes.
fn unchanging(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                name.push(char::from(*byte));
            }
            byte => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name.push_str("?immutable=1");
    let connection = Connection::open_with_flags(name, flags)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}
