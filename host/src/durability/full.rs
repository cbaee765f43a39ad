//! No room: at every page that a write would need, in the index and in the catalog, and by the process's own limit
//! on the size of files.
//!
//! Each time the write fails whole and says so, what was there is read as before, and the same write works as soon
//! as there is room, without anything being opened again.

use super::child::Place;
use crate::catalog::{Catalog, CatalogError};
use crate::corpus::TenantId;
use crate::db::{Database, DbError, Interrupt};
use crate::error::{Explain, STORAGE_FULL};
use crate::index::tests::support::{document, open, put, try_put, vector_for};
use crate::index::{Index, IndexError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::Command;

const FOLDER: &str = "STOCKADE_FULL_FOLDER";

fn never() -> Interrupt {
    Interrupt::never()
}

/// Gives `database` one page more until `write` succeeds; how often it failed, which must be whole each time.
fn sweep<E: Explain>(
    database: &Database,
    page: u64,
    mut write: impl FnMut() -> Result<(), E>,
    unchanged: impl Fn(),
) -> u32 {
    let bytes = database.bytes().unwrap();
    let mut failed = 0;
    loop {
        database
            .limit_bytes(Some(bytes + u64::from(failed) * page))
            .unwrap();
        match write() {
            Ok(()) => break,
            Err(error) => assert_eq!(error.code(), STORAGE_FULL, "{error}"),
        }
        unchanged();
        failed += 1;
        assert!(failed < 10_000, "it never fits");
    }
    database.limit_bytes(None).unwrap();
    failed
}

/// All that a search can find, and that the file is sound.
fn seen(index: &Index) -> String {
    let sound = index.check(&never()).unwrap();
    assert!(sound.is_empty(), "{sound:?}");
    let near = index.search_vector(&vector_for("x"), 1_000, None, &never());
    let words = index.search_text("line word", 1_000, None, &never());
    let documents = index.documents(None, 100).unwrap();
    format!(
        "{documents:?} {:?} {:?}",
        near.unwrap(),
        words.unwrap().hits
    )
}

#[test]
fn an_index_without_room_for_any_page_of_a_write_is_as_before_and_takes_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let index = open(folder.path(), "full");
    let text =
        |lines: u32| -> String { (0..lines).map(|n| format!("line {n} word{n}\n")).collect() };
    put(&index, &document("old", "Old", &text(30), "{}"));
    let versions = [
        ("new", "New", 40),
        ("old", "Newer", 60),
        ("old", "Newest", 1),
    ];
    let mut failed = vec![];
    for (id, title, lines) in versions {
        let before = seen(&index);
        let version = document(id, title, &text(lines), "{}");
        let write = || try_put(&index, &version).map(drop);
        let unchanged = || assert_eq!(seen(&index), before);
        failed.push(sweep(index.database(), 8_192, write, unchanged));
        assert_eq!(index.document_text(id).unwrap(), Some(text(lines)));
    }
    assert!(failed[0] >= 5 && failed[1] >= 2, "{failed:?}");
    let before = seen(&index);
    index.database().limit_bytes(Some(8_192)).unwrap();
    let deleted = index.delete(&["new".to_owned()]);
    match deleted {
        Ok(_) => {}
        Err(error) => {
            assert!(error.is_full(), "{error}");
            assert_eq!(seen(&index), before);
            index.database().limit_bytes(None).unwrap();
            index.delete(&["new".to_owned()]).unwrap();
        }
    }
    assert!(index.document_text("new").unwrap().is_none());
}

#[test]
fn a_catalog_without_room_for_any_page_of_a_write_is_as_before_and_takes_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
    let tenant = |name: &str| TenantId::new(name).unwrap();
    catalog.add_tenant(&tenant("acme"), "small").unwrap();
    let seen = || format!("{:?}", catalog.tenants().unwrap());
    let large = "x".repeat(60_000);
    let writes: [&dyn Fn() -> Result<(), CatalogError>; 2] =
        [&|| catalog.add_tenant(&tenant("beta"), &large), &|| {
            catalog.set_policy(&tenant("acme"), &large)
        }];
    for write in writes {
        let before = seen();
        let unchanged = || assert_eq!(seen(), before);
        let failed = sweep(catalog.database(), 4_096, write, unchanged);
        assert!(failed > 5, "{failed}");
        assert_ne!(seen(), before);
    }
}

#[test]
fn files_that_may_not_grow_fail_writes_whole_and_writing_goes_on_when_they_may() {
    let place = Place::new();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "durability::full::in_files_that_may_not_grow",
            "--ignored",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(FOLDER, place.data())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

/// The largest file that this process may write from now on.
fn largest_file(bytes: u64) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = Some(bytes);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[tokio::test]
#[ignore = "a child of the test above: the limit is the whole process's"]
async fn in_files_that_may_not_grow() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // Handled, the signal does not end the process, and the write fails.
    let too_large = tokio::signal::unix::SignalKind::from_raw(25);
    let _handled = tokio::signal::unix::signal(too_large).unwrap();
    let index = open(folder.as_ref(), "full");
    put(&index, &document("old", "Old", "line word\n", "{}"));
    let text: String = (0..300).map(|n| format!("line {n} word{n}\n")).collect();
    let (mut failed, mut number) = (0, 0);
    // Less than a write needs, and more than the file by which a connection of a check sees the log.
    let mut room = 65_536_u64;
    loop {
        let before = seen(&index);
        number += 1;
        let version = document(&format!("d{number}"), "New", &text, "{}");
        largest_file(room);
        let written = try_put(&index, &version);
        let now = seen(&index);
        largest_file(1 << 40);
        match written {
            Ok(_) => break,
            Err(IndexError::Storage(DbError::File(_) | DbError::Full(_))) => {}
            Err(other) => panic!("{other}"),
        }
        assert_eq!(now, before);
        // There is room again, and nothing was opened anew.
        put(
            &index,
            &document("old", "Old", &format!("line word{number}\n"), "{}"),
        );
        failed += 1;
        room += room / 2;
        index.database().checkpoint().unwrap();
    }
    assert!(failed > 3, "{failed}");
}
