//! Files that are new, old, foreign, full and busy.

use super::*;

fn kind(migrations: &'static [&'static str]) -> Kind {
    Kind {
        name: "test file",
        application_id: 0x0053_5401,
        migrations,
        connection_sql: "",
        page_bytes: 4_096,
        cache_kib: 256,
    }
}

fn count(db: &Database) -> i64 {
    let reader = db.read(&Interrupt::never()).unwrap();
    reader
        .query_row("SELECT count(*) FROM t", [], |r| r.get(0))
        .unwrap()
}

fn insert(db: &Database, bytes: u32) -> Result<(), DbError> {
    db.write(|tx| {
        tx.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes])?;
        Ok(())
    })
}

#[test]
fn sqlite_has_a_page_cache_for_each_connection() {
    let folder = tempfile::tempdir().unwrap();
    let kind = kind(&["CREATE TABLE t(x)"]);
    let db = Database::open(&folder.path().join("a.db"), &kind).unwrap();
    let reader = db.read(&Interrupt::never()).unwrap();
    let mut statement = reader.prepare("PRAGMA compile_options").unwrap();
    let options = statement.query_map([], |row| row.get(0)).unwrap();
    let options: Vec<String> = options.map(Result::unwrap).collect();
    // Set in .cargo/config.toml: with it, all threads would share one lock.
    assert!(!options.contains(&"ENABLE_MEMORY_MANAGEMENT".to_owned()));
}

#[test]
fn schemas_migrate_forward_and_newer_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Database::open(&path, &kind(&["CREATE TABLE t(x)"])).unwrap());
    let two = kind(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1)"]);
    for _ in 0..2 {
        assert_eq!(count(&Database::open(&path, &two).unwrap()), 1);
    }
    let newer = Database::open(&path, &kind(&["CREATE TABLE t(x)"])).unwrap_err();
    assert!(
        matches!(
            newer,
            DbError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{newer}"
    );
}

#[test]
fn a_failed_migration_leaves_the_old_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    drop(Database::open(&path, &kind(&["CREATE TABLE t(x)"])).unwrap());
    let broken = kind(&["CREATE TABLE t(x)", "INSERT INTO t VALUES (1); nonsense"]);
    assert!(Database::open(&path, &broken).is_err());
    assert_eq!(
        count(&Database::open(&path, &kind(&["CREATE TABLE t(x)"])).unwrap()),
        0
    );
}

#[test]
fn files_that_are_not_ours_are_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let ours = kind(&["CREATE TABLE t(x)"]);
    drop(
        Database::open(
            &path,
            &Kind {
                application_id: 7,
                ..ours
            },
        )
        .unwrap(),
    );
    assert!(matches!(
        Database::open(&path, &ours),
        Err(DbError::Foreign { .. })
    ));
    let junk = folder.path().join("b.db");
    std::fs::write(&junk, "x".repeat(5_000)).unwrap();
    assert!(matches!(
        Database::open(&junk, &ours),
        Err(DbError::Corrupt(_))
    ));
    assert_eq!(std::fs::read(&junk).unwrap().len(), 5_000);
}

#[test]
fn a_full_file_fails_whole_writes_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("a.db"), &kind(&["CREATE TABLE t(x)"])).unwrap();
    insert(&db, 10).unwrap();
    db.limit_bytes(Some(100_000)).unwrap();
    for _ in 0..3 {
        assert!(matches!(insert(&db, 200_000), Err(DbError::Full(_))));
    }
    assert_eq!(count(&db), 1);
    insert(&db, 10).unwrap();
    db.limit_bytes(None).unwrap();
    insert(&db, 200_000).unwrap();
    assert_eq!(count(&db), 3);
}

#[test]
fn a_panic_in_a_write_rolls_it_back_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("a.db"), &kind(&["CREATE TABLE t(x)"])).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        db.write(|tx| -> Result<(), DbError> {
            tx.execute("INSERT INTO t VALUES (1)", [])?;
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    insert(&db, 1).unwrap();
    assert_eq!(count(&db), 1);
}

#[test]
fn a_read_sees_one_state_and_can_be_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::open(&folder.path().join("a.db"), &kind(&["CREATE TABLE t(x)"])).unwrap();
    let reader = db.read(&Interrupt::never()).unwrap();
    let rows = || {
        reader
            .query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(rows(), 0);
    insert(&db, 1).unwrap();
    assert_eq!((rows(), count(&db)), (0, 1));
    let endless =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let reader = db.read(&Interrupt::new(|| true)).unwrap();
    let error = reader
        .query_row(endless, [], |r| r.get::<_, i64>(0))
        .unwrap_err();
    assert!(matches!(DbError::from(error), DbError::Interrupted));
    drop(reader);
    assert_eq!(count(&db), 1);
}

#[test]
fn a_backup_is_one_state_and_opens_as_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let ours = kind(&["CREATE TABLE t(x)"]);
    let db = Database::open(&folder.path().join("a.db"), &ours).unwrap();
    (0..20).for_each(|_| insert(&db, 5_000).unwrap());
    let copy = folder.path().join("copy.db");
    db.backup(&copy, &Interrupt::never()).unwrap();
    insert(&db, 1).unwrap();
    let copied = Database::open(&copy, &ours).unwrap();
    assert_eq!(count(&copied), 20);
    assert!(copied.quick_check(&Interrupt::never()).unwrap().is_empty());
    assert!(
        db.backup(&copy, &Interrupt::never()).is_err(),
        "does not overwrite"
    );
}

#[test]
fn readers_that_overlap_without_end_do_not_let_the_log_grow_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    let mut db = Database::open(&path, &kind(&["CREATE TABLE t(x)"])).unwrap();
    let (soft, hard) = (4 << 20, 16 << 20);
    db.log_bytes = (soft, hard);
    let over = std::sync::atomic::AtomicBool::new(false);
    let done = || over.load(std::sync::atomic::Ordering::Relaxed);
    std::thread::scope(|scope| {
        for late in [0, 10] {
            let (db, done) = (&db, &done);
            scope.spawn(move || {
                std::thread::park_timeout(Duration::from_millis(late));
                while !done() {
                    let reader = db.read(&Interrupt::never()).unwrap();
                    let _ = reader.query_row("SELECT count(*) FROM t", [], |_| Ok(()));
                    std::thread::park_timeout(Duration::from_millis(20));
                }
            });
        }
        for _ in 0..100 {
            insert(&db, 1 << 20).unwrap();
            let bytes = db.log_bytes();
            assert!(bytes < hard + (2 << 20), "{bytes}");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(count(&db), 100);
}

#[test]
fn a_log_whose_damage_would_lose_commits_is_refused_and_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (live, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let db = Database::open(&live, &kind(&["CREATE TABLE t(x)"])).unwrap();
    for _ in 0..5 {
        insert(&db, 10).unwrap();
    }
    // As a process leaves them that was killed.
    std::fs::copy(&live, &copy).unwrap();
    let log = std::fs::read(log::path_of(&live)).unwrap();
    let mut damaged = log.clone();
    damaged[log.len() / 2] ^= 1;
    std::fs::write(log::path_of(&copy), &damaged).unwrap();
    let refused = Database::open(&copy, &kind(&["CREATE TABLE t(x)"])).unwrap_err();
    assert!(matches!(refused, DbError::LogDamaged { .. }), "{refused}");
    assert_eq!(std::fs::read(log::path_of(&copy)).unwrap(), damaged);
    std::fs::write(log::path_of(&copy), &log).unwrap();
    let whole = Database::open(&copy, &kind(&["CREATE TABLE t(x)"])).unwrap();
    assert_eq!(count(&whole), 5);
}
