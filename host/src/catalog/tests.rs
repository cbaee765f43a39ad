//! What the catalog keeps of plugins' and documents' health, on a real file.

use super::{BreakerRecord, Catalog, NewPlugin, Role, Use};
use crate::corpus::TenantId;
use crate::plugin::{Digest, PluginKind};
use crate::task::{Phase, Reason, Stop};

struct Bench {
    catalog: Catalog,
    tenant: TenantId,
    _folder: tempfile::TempDir,
}

fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(folder.path()).unwrap();
    let tenant = TenantId::new("acme").unwrap();
    catalog.add_tenant(&tenant, "{}").unwrap();
    Bench {
        catalog,
        tenant,
        _folder: folder,
    }
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn open() -> BreakerRecord {
    BreakerRecord {
        open: true,
        state: "{}".to_owned(),
    }
}

impl Bench {
    /// Installs versions of `label`, oldest first; those marked have completed a task.
    fn versions(&self, label: &str, versions: &[(u8, bool)]) {
        for (number, worked) in versions {
            let plugin = NewPlugin {
                digest: digest(*number),
                kind: PluginKind::Chunker,
                options: &[],
            };
            self.catalog
                .install(&self.tenant, label, &plugin, 10)
                .unwrap();
            if *worked {
                self.catalog
                    .mark_worked(&self.tenant, &digest(*number))
                    .unwrap();
            }
        }
    }

    fn opens(&self, number: u8) -> Vec<(String, Digest)> {
        let put_back = self
            .catalog
            .open_breaker(&self.tenant, &digest(number), &open(), 1_000);
        let put_back = put_back.unwrap().into_iter();
        put_back.map(|put| (put.label, put.to)).collect()
    }

    fn in_use(&self, label: &str) -> (Digest, Option<Digest>) {
        let plugin = self.catalog.plugin(&self.tenant, label).unwrap();
        (plugin.digest, plugin.put_back_from)
    }
}

#[test]
fn the_last_version_that_worked_comes_back_and_a_resume_undoes_it() {
    let bench = bench();
    bench.versions("lines", &[(1, true), (2, false), (3, false)]);
    assert_eq!(bench.opens(3), [("lines".to_owned(), digest(1))]);
    assert_eq!(bench.in_use("lines"), (digest(1), Some(digest(3))));
    let digests = bench.catalog.resume_plugin(&bench.tenant, "lines").unwrap();
    assert_eq!(digests.len(), 3);
    assert_eq!(bench.in_use("lines"), (digest(3), None));
    let breaker = bench.catalog.breaker(&bench.tenant, &digest(3)).unwrap();
    assert_eq!(breaker, None);
}

#[test]
fn where_none_worked_the_version_in_use_stays() {
    let bench = bench();
    bench.versions("lines", &[(1, false), (2, true)]);
    assert_eq!(bench.opens(2), []);
    assert_eq!(bench.in_use("lines"), (digest(2), None));
}

#[test]
fn a_version_whose_own_breaker_is_open_does_not_come_back() {
    let bench = bench();
    bench.versions("lines", &[(1, true), (2, true), (3, false)]);
    bench
        .catalog
        .keep_breaker(&bench.tenant, &digest(2), &open())
        .unwrap();
    assert_eq!(bench.opens(3), [("lines".to_owned(), digest(1))]);
}

#[test]
fn a_version_that_lacks_the_options_in_use_does_not_come_back() {
    let bench = bench();
    bench.versions("lines", &[(1, true), (2, false)]);
    let chosen = Use {
        role: Role::Chunker,
        label: "lines".to_owned(),
        options: vec![("size".to_owned(), "9".to_owned())],
    };
    bench.catalog.set_use(&bench.tenant, &chosen).unwrap();
    assert_eq!(bench.opens(2), []);
}

#[test]
fn every_label_that_uses_the_version_goes_back_and_a_new_install_ends_the_matter() {
    let bench = bench();
    bench.versions("a", &[(1, true), (9, false)]);
    bench.versions("b", &[(2, true), (9, false)]);
    let mut back = bench.opens(9);
    back.sort();
    assert_eq!(
        back,
        [("a".to_owned(), digest(1)), ("b".to_owned(), digest(2))]
    );
    bench.versions("a", &[(4, false)]);
    assert_eq!(bench.in_use("a"), (digest(4), None));
    bench.catalog.resume_plugin(&bench.tenant, "a").unwrap();
    assert_eq!(bench.in_use("a"), (digest(4), None));
}

#[test]
fn the_oldest_stopped_documents_go_first_and_the_tenant_takes_all_along() {
    let bench = bench();
    let stop = Stop::new(Reason::Fuel, Phase::Call, 1.0, 2.0, "");
    for number in 0..5_u8 {
        bench
            .catalog
            .count_stop_within(&bench.tenant, &[number; 32], "doc", &stop, 3)
            .unwrap();
    }
    let stops = |number: u8| {
        let known = bench.catalog.stopped(&bench.tenant, &[number; 32]).unwrap();
        known.map(|known| known.stops)
    };
    assert_eq!((0..5).map(stops).filter(Option::is_some).count(), 3);
    assert_eq!((stops(1), stops(2)), (None, Some(1)));
    bench
        .catalog
        .count_stop(&bench.tenant, &[4; 32], "doc", &stop)
        .unwrap();
    assert_eq!(stops(4), Some(2));
    assert_eq!(bench.catalog.stopped_count(&bench.tenant, 2).unwrap(), 1);
    bench.catalog.remove_tenant(&bench.tenant).unwrap();
    assert_eq!(stops(4), None);
}

#[test]
fn a_label_keeps_ten_versions_and_among_them_the_one_that_would_come_back() {
    let bench = bench();
    bench.versions("lines", &[(0, true), (1, true), (2, false)]);
    let opened = open();
    let breaker = |number| bench.catalog.breaker(&bench.tenant, &digest(number));
    for number in [1, 2] {
        bench
            .catalog
            .keep_breaker(&bench.tenant, &digest(number), &opened)
            .unwrap();
    }
    for number in 3..40 {
        bench.versions("lines", &[(number, false)]);
        let digests = bench.catalog.digests().unwrap();
        assert!(digests.len() <= 10, "{}", digests.len());
        assert_eq!(bench.in_use("lines").0, digest(number));
    }
    let kept = bench.catalog.digests().unwrap();
    let expected = (31..40).chain([0]).map(|number| digest(number).to_string());
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    assert_eq!(kept, expected);
    assert_eq!((breaker(1).unwrap(), breaker(2).unwrap()), (None, None));
    assert_eq!(bench.opens(39), [("lines".to_owned(), digest(0))]);
}

#[test]
fn versions_that_were_taken_back_are_forgotten_first() {
    let bench = bench();
    let all: Vec<_> = (0..10).map(|number| (number, false)).collect();
    bench.versions("lines", &all);
    for _ in 0..3 {
        bench.catalog.rollback(&bench.tenant, "lines").unwrap();
    }
    bench.versions("lines", &[(10, false), (11, false), (12, false)]);
    let kept = bench.catalog.digests().unwrap();
    let expected = (0..7)
        .chain(10..13)
        .map(|number| digest(number).to_string());
    let mut expected: Vec<_> = expected.collect();
    expected.sort();
    assert_eq!(kept, expected);
    let installed = bench.catalog.plugin(&bench.tenant, "lines").unwrap();
    assert_eq!((installed.digest, installed.versions), (digest(12), 10));
}

#[test]
fn a_version_that_another_label_has_too_is_not_gone() {
    let bench = bench();
    bench.versions("other", &[(0, false)]);
    let plugin = |number| NewPlugin {
        digest: digest(number),
        kind: PluginKind::Chunker,
        options: &[],
    };
    let install = |number| {
        let new = plugin(number);
        bench.catalog.install(&bench.tenant, "lines", &new, 10)
    };
    let gone: Vec<_> = (0..12).map(|number| install(number).unwrap()).collect();
    assert_eq!(gone.concat(), [digest(1)]);
}

#[test]
fn a_full_house_of_plugins_is_a_stop_of_its_own() {
    use crate::error::Failure;
    let bench = bench();
    bench.versions("a", &[(1, false)]);
    let plugin = NewPlugin {
        digest: digest(2),
        kind: PluginKind::Chunker,
        options: &[],
    };
    let refused = bench.catalog.install(&bench.tenant, "b", &plugin, 1);
    let failure = Failure::from(refused.unwrap_err());
    let stop = failure.stop.unwrap();
    assert_eq!(
        (
            stop["reason"].as_str(),
            stop["limit"].as_u64(),
            stop["blame"].as_str()
        ),
        (Some("plugins"), Some(1), Some("limit"))
    );
}
