//! Attacks without a guest: by names, files, vectors and policies, and by too many at once.

use super::{Attack, Outcome, tenant};
use crate::corpus::{DIMENSIONS, Embedding, TenantId};
use crate::embedder::flood as texts;
use crate::error::Explain;
use crate::guard::Guard;
use crate::index::{Index, IndexOptions, MatrixCache, NewVersion};
use crate::policy::Policy;
use crate::runtime::flood as tasks;
use crate::task::Reason;

pub(super) fn attacks() -> Vec<Attack> {
    let mut all = data();
    all.extend(floods());
    all
}

fn data() -> Vec<Attack> {
    vec![
        Attack {
            name: "foreign-file",
            what: "one tenant's index file in another tenant's folder",
            against: &[Guard::TenantFile],
            run: |_| foreign_file(),
        },
        Attack {
            name: "tenant-name",
            what: "a tenant's name that is a path to another's folder",
            against: &[Guard::TenantName],
            run: |_| refused(TenantId::new("../acme")),
        },
        Attack {
            name: "vector-nan",
            what: "a vector of a number that is none",
            against: &[Guard::FiniteVector],
            run: |_| vector(f32::NAN),
        },
        Attack {
            name: "vector-length",
            what: "a vector that is longer than the others and so is found first",
            against: &[Guard::UnitVector],
            run: |_| vector(100.0),
        },
        Attack {
            name: "policy-key",
            what: "a misspelt limit, which would mean that of the default",
            against: &[Guard::PolicyKeys],
            run: |_| refused(Policy::from_toml("attack.toml", "[chunker]\nfule_max = 1")),
        },
    ]
}

fn floods() -> Vec<Attack> {
    vec![
        Attack {
            name: "queue-turns",
            what: "a tenant's 2,000 texts before another tenant's one",
            against: &[Guard::FairTurns],
            run: |_| Outcome::of(!texts::a_late_text_goes_early(), "takes turns"),
        },
        Attack {
            name: "queue-room",
            what: "a tenant's texts fill the model's queue",
            against: &[Guard::QueuePart],
            run: |_| Outcome::of(!texts::a_late_text_finds_room(), "room is left"),
        },
        Attack {
            name: "tasks-running",
            what: "a second task of a tenant that may run one",
            against: &[Guard::Places],
            run: |arena| Outcome::of(arena.executor.block_on(tasks::of_places()), "waits"),
        },
        Attack {
            name: "tasks-queued",
            what: "four requests of a tenant of which two may wait",
            against: &[Guard::QueueLength],
            run: |arena| ended(arena.executor.block_on(tasks::of_requests())),
        },
        Attack {
            name: "tasks-waiting",
            what: "a request that waits for ever",
            against: &[Guard::QueueTime],
            run: |arena| ended(arena.executor.block_on(tasks::of_time())),
        },
    ]
}

fn ended(reason: Option<Reason>) -> Outcome {
    reason.map_or(Outcome::Succeeds, |reason| {
        Outcome::stopped(reason.as_str())
    })
}

fn refused<T, E: Explain>(outcome: Result<T, E>) -> Outcome {
    match outcome {
        Ok(_) => Outcome::Succeeds,
        Err(error) => Outcome::stopped(error.code()),
    }
}

fn vector(first: f32) -> Outcome {
    let mut values = vec![0.0; DIMENSIONS];
    values[0] = first;
    refused(Embedding::new(values))
}

/// Whether a tenant sees a document that another stored.
fn foreign_file() -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let options = || IndexOptions {
        model: "model".to_owned(),
        cache: MatrixCache::new(1 << 20),
    };
    let own = Index::open(folder.path(), &tenant("acme"), options()).unwrap();
    let version = NewVersion {
        document: &crate::attack::document("secret", "text"),
        hash: [0; 32],
        chunker: "attack",
        chunks: &[],
    };
    own.put(&version).unwrap();
    drop(own);
    match Index::open(folder.path(), &tenant("rival"), options()) {
        Ok(index) => Outcome::of(index.stored("secret").unwrap().is_some(), "not found"),
        Err(error) => Outcome::stopped(error.code()),
    }
}
