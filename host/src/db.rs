//! A database is one SQLite file, opened the one way in which nothing acknowledged is lost, with one
//! writer at a time and any number of readers.
//!
//! This is the only module that names `rusqlite`; the schemas that others keep in their files are
//! not known here.

mod bound;
mod error;
mod log;
mod peek;
mod readers;
mod whole;

#[cfg(test)]
mod tests;

pub use error::DbError;
pub use peek::{peek, salvage};
pub use whole::replace;

use crate::cut::{self, Point};
use crate::law::{self, Law};
use readers::Readers;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{OpenFlags, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use rusqlite::types::ValueRef;
pub use rusqlite::{
    CachedStatement, Connection, Error as SqlError, OptionalExtension, Row, Rows, Transaction,
    params,
};

/// The oldest SQLite that is used: earlier ones have a data race in the write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long one process waits for another that holds the file's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The log is copied into the database when it reaches this many pages.
const CHECKPOINT_PAGES: i32 = 1_000;

/// What a log that grew during a long read is cut to afterwards, in bytes.
const LOG_BYTES_KEPT: i64 = 32 << 20;

/// Virtual machine steps of SQLite between two looks at the interrupt: well under 1 ms.
const STEPS_PER_CHECK: i32 = 1_000;

/// Whose file it is and how its schema came about.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// What the file is called in messages.
    pub name: &'static str,
    /// Tells our files from any other SQLite file.
    pub application_id: i32,
    /// SQL that brings the schema from version n to n + 1, in order, starting with an empty file.
    pub migrations: &'static [&'static str],
    /// SQL that every new connection runs: temporary tables. May be empty.
    pub connection_sql: &'static str,
    /// Size of a page in a new file: a power of two, 512 to 65,536.
    pub page_bytes: u32,
    /// Page cache of one connection.
    pub cache_kib: i32,
}

/// Tells native work that its task is over. Cheap to clone and to ask.
#[derive(Clone)]
pub struct Interrupt(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Interrupt {
    /// Interrupted as soon as `over` says so. It is asked often, from the thread that works.
    pub fn new(over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(over)))
    }

    /// Never interrupted.
    pub fn never() -> Self {
        Self(None)
    }

    /// Whether to stop.
    pub fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|over| over())
    }

    /// [`DbError::Interrupted`] when it is time to stop.
    pub fn check(&self) -> Result<(), DbError> {
        if self.is_set() {
            Err(DbError::Interrupted)
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Interrupt").field(&self.is_set()).finish()
    }
}

/// An open file. Shared by reference: writers wait for each other, readers for nobody.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    kind: Kind,
    sync: Syncing,
    /// Dropped before the writer: the last connection to close empties the write-ahead log, and a reader
    /// cannot.
    readers: Readers,
    writer: Mutex<Writer>,
    /// [`bound::LOG_BYTES`], but for tests.
    log_bytes: (u64, u64),
}

/// How a commit reaches the disk.
#[derive(Debug, Clone, Copy)]
enum Syncing {
    /// `synchronous=FULL`: NORMAL may lose the last commits when the power goes.
    Full,
    /// `synchronous=OFF`, to measure what FULL costs.
    Never,
}

impl Syncing {
    fn pragma(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Never => "OFF",
        }
    }
}

#[derive(Debug)]
struct Writer {
    connection: Option<Connection>,
    bytes_max: Option<u64>,
}

impl Database {
    /// Opens the file at `path`, or makes it where its folder exists, and brings its schema up to
    /// date in one transaction. Refuses a file of another kind or of a newer schema.
    pub fn open(path: &Path, kind: &Kind) -> Result<Self, DbError> {
        Self::open_syncing(path, kind, Syncing::Full)
    }

    /// As [`Database::open`], but what is acknowledged may be lost when the power goes. It is there to measure
    /// what durability costs: a test looks that nothing else calls it.
    pub fn open_without_sync_for_bench(path: &Path, kind: &Kind) -> Result<Self, DbError> {
        Self::open_syncing(path, kind, Syncing::Never)
    }

    fn open_syncing(path: &Path, kind: &Kind, sync: Syncing) -> Result<Self, DbError> {
        check_library()?;
        let is_new = !path.exists();
        whole::check_log(path)?;
        let mut connection = connect(path, kind, sync)?;
        cut::here(Point::Connected);
        check_kind(&connection, path, kind)?;
        migrate(&mut connection, kind)?;
        cut::here(Point::Migrated);
        connection.execute_batch(kind.connection_sql)?;
        if is_new {
            sync_folder(path)?;
        }
        let writer = Writer {
            connection: Some(connection),
            bytes_max: None,
        };
        Ok(Self {
            path: path.to_owned(),
            kind: *kind,
            sync,
            writer: Mutex::new(writer),
            readers: Readers::default(),
            log_bytes: bound::LOG_BYTES,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in a write transaction: all of it is on disk when this returns `Ok`, and none of it
    /// is visible when it returns an error. Waits for other writers.
    ///
    /// After an error the connection is closed and the next write gets a new one, so that no state
    /// of a failed write, of a full disk or of a bad one lives on.
    pub fn write<T, E: From<DbError>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut writer = lock(&self.writer);
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.writing_connection(writer.bytes_max)?,
        };
        let outcome = transact(&mut connection, work);
        if outcome.is_ok() {
            self.bound_log(&connection);
            writer.connection = Some(connection);
        }
        outcome
    }

    /// Begins a read: one unchanging state of the database, until the [`Reader`] is dropped. Statements
    /// end with [`DbError::Interrupted`] within a millisecond of `interrupt`.
    ///
    /// The write-ahead log cannot be reset while a read lasts: keep it short.
    pub fn read(&self, interrupt: &Interrupt) -> Result<Reader<'_>, DbError> {
        let idle = self.readers.begin();
        self.begin(idle, interrupt)
    }

    /// Begins a read for one that [`Readers`] counts already, with `idle` or a new connection.
    fn begin(
        &self,
        idle: Option<Connection>,
        interrupt: &Interrupt,
    ) -> Result<Reader<'_>, DbError> {
        // Counted until dropped, whatever fails below.
        let mut reader = Reader {
            database: self,
            connection: idle,
        };
        let connection = match reader.connection.take() {
            Some(connection) => connection,
            None => self.reading_connection()?,
        };
        let connection = reader.connection.insert(connection);
        let watch = interrupt.clone();
        if watch.0.is_some() {
            connection.progress_handler(STEPS_PER_CHECK, Some(move || watch.is_set()))?;
        }
        connection.execute_batch("BEGIN")?;
        Ok(reader)
    }

    /// Refuses writes that would grow the file beyond `bytes`, with [`DbError::Full`]. `None`: the disk
    /// is the limit.
    pub fn limit_bytes(&self, bytes: Option<u64>) -> Result<(), DbError> {
        let mut writer = lock(&self.writer);
        if writer.bytes_max == bytes {
            return Ok(());
        }
        writer.bytes_max = bytes;
        match &writer.connection {
            Some(connection) => limit_pages(connection, bytes),
            None => Ok(()),
        }
    }

    /// Bytes of the database, which [`Database::limit_bytes`] limits: its pages, wherever they lie now.
    pub fn bytes(&self) -> Result<u64, DbError> {
        let reader = self.read(&Interrupt::never())?;
        let number = |name: &str| reader.query_row(name, [], |row| row.get::<_, i64>(0));
        let (pages, size) = (number("PRAGMA page_count")?, number("PRAGMA page_size")?);
        Ok(pages.unsigned_abs() * size.unsigned_abs())
    }

    /// Bytes on disk: the database and its write-ahead log.
    pub fn bytes_on_disk(&self) -> u64 {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        size(&self.path) + size(Path::new(&log))
    }

    /// Copies the write-ahead log into the database and empties it, as far as readers allow.
    pub fn checkpoint(&self) -> Result<(), DbError> {
        let writer = lock(&self.writer);
        if let Some(connection) = &writer.connection {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// What SQLite's own check of the file's structure finds: empty when it is sound. Reads all of it.
    pub fn quick_check(&self, interrupt: &Interrupt) -> Result<Vec<String>, DbError> {
        self.pragma_check("PRAGMA quick_check(100)", interrupt)
    }

    /// As [`Database::quick_check`], with every index held against its table: several times as long.
    pub fn integrity_check(&self, interrupt: &Interrupt) -> Result<Vec<String>, DbError> {
        self.pragma_check("PRAGMA integrity_check(100)", interrupt)
    }

    fn pragma_check(&self, sql: &str, interrupt: &Interrupt) -> Result<Vec<String>, DbError> {
        // A new connection: what one remembers of the text index from before another's write is checked as if it
        // were in the file, and found damaged.
        drop(self.readers.begin());
        let reader = self.begin(None, interrupt)?;
        let mut statement = reader.prepare(sql)?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut findings = lines.collect::<Result<Vec<_>, _>>()?;
        findings.retain(|line| line != "ok");
        Ok(findings)
    }

    /// Writes a copy of one unchanging state to `target`, which must not exist, while others read and
    /// write. What there is of `target` after an error is of no use.
    pub fn backup(&self, target: &Path, interrupt: &Interrupt) -> Result<(), DbError> {
        let reader = self.read(interrupt)?;
        // The read begins with the first statement, and pins the state that is copied.
        reader.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        drop(std::fs::File::create_new(target)?);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(target, flags)?;
        let backup = rusqlite::backup::Backup::new(&reader, &mut copy)?;
        while backup.step(256)? != rusqlite::backup::StepResult::Done {
            interrupt.check()?;
        }
        drop(backup);
        drop(copy);
        std::fs::File::open(target)?.sync_all()?;
        sync_folder(target)
    }

    fn writing_connection(&self, bytes_max: Option<u64>) -> Result<Connection, DbError> {
        let connection = connect(&self.path, &self.kind, self.sync)?;
        connection.execute_batch(self.kind.connection_sql)?;
        limit_pages(&connection, bytes_max)?;
        Ok(connection)
    }

    fn reading_connection(&self) -> Result<Connection, DbError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        configure(&connection, &self.kind)?;
        connection.execute_batch(self.kind.connection_sql)?;
        Ok(connection)
    }
}

/// One unchanging state of a database.
#[derive(Debug)]
pub struct Reader<'a> {
    database: &'a Database,
    connection: Option<Connection>,
}

impl std::ops::Deref for Reader<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        match &self.connection {
            Some(connection) => connection,
            None => unreachable!("taken only by drop"),
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let usable = self.connection.take().filter(|connection| {
            let quiet = connection.progress_handler(0, None::<fn() -> bool>).is_ok();
            quiet && connection.execute_batch("ROLLBACK").is_ok()
        });
        self.database.readers.end(usable);
    }
}

/// Memory is never left half-changed under these locks, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_library() -> Result<(), DbError> {
    match rusqlite::version_number() {
        found if found < OLDEST_SQLITE => Err(DbError::Library {
            found: rusqlite::version(),
        }),
        _ => Ok(()),
    }
}

fn connect(path: &Path, kind: &Kind, sync: Syncing) -> Result<Connection, DbError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Has an effect on an empty file only.
    connection.pragma_update(None, "page_size", kind.page_bytes)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(DbError::Log { mode });
    }
    connection.pragma_update(None, "synchronous", sync.pragma())?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
    configure(&connection, kind)?;
    Ok(connection)
}

/// What holds for readers and writers alike.
fn configure(connection: &Connection, kind: &Kind) -> Result<(), DbError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "cache_size", -kind.cache_kib)?;
    // Mapped pages would count as our memory, and a read error would be a signal.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn check_kind(connection: &Connection, path: &Path, kind: &Kind) -> Result<(), DbError> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |r| r.get::<_, i32>(0));
    let id = number("application_id")?;
    let version = number("user_version")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = id == 0 && version == 0 && tables == 0;
    if id != kind.application_id && !is_empty {
        return Err(DbError::Foreign {
            path: path.to_owned(),
            name: kind.name,
        });
    }
    let known = kind.migrations.len();
    match usize::try_from(version) {
        Ok(found) if found <= known => Ok(()),
        _ => Err(DbError::Newer {
            path: path.to_owned(),
            found: version,
            known,
        }),
    }
}

fn migrate(connection: &mut Connection, kind: &Kind) -> Result<(), DbError> {
    let read = |row: &Row<'_>| row.get::<_, u32>(0);
    let version = |c: &Connection| c.pragma_query_value(None, "user_version", read);
    let newest = kind.migrations.len() as u32;
    if version(connection)? >= newest {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for sql in kind.migrations.iter().skip(version(&transaction)? as usize) {
        transaction.execute_batch(sql)?;
    }
    transaction.pragma_update(None, "application_id", kind.application_id)?;
    transaction.pragma_update(None, "user_version", newest)?;
    cut::here(Point::Migrating);
    Ok(transaction.commit()?)
}

fn transact<T, E: From<DbError>>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    if !law::holds(Law::CommitFirst) && !connection.is_autocommit() {
        connection.execute_batch("COMMIT").map_err(DbError::from)?;
    }
    let mut transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(DbError::from)?;
    cut::here(Point::Begun);
    // Dropped without a commit, it rolls back, unless SQLite already has.
    let value = work(&transaction)?;
    cut::here(Point::BeforeCommit);
    if !law::holds(Law::CommitFirst) {
        transaction.set_drop_behavior(rusqlite::DropBehavior::Ignore);
        return Ok(value);
    }
    transaction.commit().map_err(DbError::from)?;
    cut::here(Point::AfterCommit);
    Ok(value)
}

fn limit_pages(connection: &Connection, bytes: Option<u64>) -> Result<(), DbError> {
    let page: u32 = connection.pragma_query_value(None, "page_size", |r| r.get(0))?;
    let most = u32::MAX - 1;
    let fit = |bytes: u64| u32::try_from(bytes / u64::from(page.max(1))).unwrap_or(most);
    let pages = bytes.map_or(most, |b| fit(b).clamp(1, most));
    connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    Ok(())
}

/// A new file is durable when its folder is.
fn sync_folder(path: &Path) -> Result<(), DbError> {
    if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}
