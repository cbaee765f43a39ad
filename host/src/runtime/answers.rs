//! How often each version of an agent answered, and how often worse than it could have: counted in memory, and
//! written now and then, so that no question waits for a disk.
//!
//! What a crash loses is bounded by [`ANSWERS_UNWRITTEN_MAX`] and [`UNWRITTEN_MAX`]. It does not know what a
//! receipt says.

use super::lock;
use crate::catalog::{AgentVersion, AnswerCounts, Catalog, CatalogError};
use crate::corpus::TenantId;
use crate::plugin::Digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Answers after which the counts are written.
pub(super) const ANSWERS_UNWRITTEN_MAX: u64 = 256;

/// The first question that ends this long after the last writing has them written, too.
pub(super) const UNWRITTEN_MAX: Duration = Duration::from_secs(10);

/// What one version of an agent did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAnswers {
    /// Label and version.
    pub version: AgentVersion,
    /// The label stands for this version now.
    pub in_use: bool,
    /// What came of its questions.
    pub counts: AnswerCounts,
}

/// The counts of all tenants that are not written yet.
#[derive(Debug, Clone)]
pub(super) struct Answers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    catalog: Arc<Catalog>,
    unwritten: Mutex<Unwritten>,
    /// Held while counts are on their way into the catalog, and while both are read.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct Unwritten {
    counts: HashMap<(TenantId, AgentVersion), AnswerCounts>,
    questions: u64,
    since: Instant,
}

impl Unwritten {
    fn new() -> Self {
        Self {
            counts: HashMap::new(),
            questions: 0,
            since: Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        self.questions >= ANSWERS_UNWRITTEN_MAX || self.since.elapsed() >= UNWRITTEN_MAX
    }
}

impl Answers {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self(Arc::new(Shared {
            catalog,
            unwritten: Mutex::new(Unwritten::new()),
            writing: Mutex::default(),
        }))
    }

    /// Counts one question. Writes, where it is time to, on another thread.
    pub(super) fn count(&self, tenant: &TenantId, label: &str, digest: Digest, one: &AnswerCounts) {
        let label = label.to_owned();
        let key = (tenant.clone(), AgentVersion { label, digest });
        let due = {
            let mut unwritten = lock(&self.0.unwritten);
            unwritten.counts.entry(key).or_default().add(one);
            unwritten.questions += 1;
            unwritten.is_due().then(|| {
                // Whoever comes next must not find it due as well.
                unwritten.questions = 0;
                unwritten.since = Instant::now();
            })
        };
        if due.is_some() {
            let answers = self.clone();
            drop(tokio::task::spawn_blocking(move || answers.flush()));
        }
    }

    /// Writes what is not written. Where that fails, it is kept, and tried again with the next.
    pub(super) fn flush(&self) {
        let _writing = lock(&self.0.writing);
        let taken = std::mem::replace(&mut *lock(&self.0.unwritten), Unwritten::new());
        if taken.counts.is_empty() {
            return;
        }
        let counted: Vec<_> = taken.counts.into_iter().collect();
        let rows: Vec<_> = counted
            .iter()
            .map(|((tenant, version), counts)| (tenant.clone(), version.clone(), *counts))
            .collect();
        if let Err(error) = self.0.catalog.count_answers(&rows) {
            tracing::error!(%error, "the counts of answers were not written");
            let mut unwritten = lock(&self.0.unwritten);
            for (key, counts) in counted {
                unwritten.counts.entry(key).or_default().add(&counts);
            }
        }
    }

    /// Forgets what is not written of a tenant, or of one of its labels.
    pub(super) fn forget(&self, tenant: &TenantId, label: Option<&str>) {
        let _writing = lock(&self.0.writing);
        let other = |(owner, version): &(TenantId, AgentVersion)| {
            owner != tenant || label.is_some_and(|label| version.label != label)
        };
        lock(&self.0.unwritten).counts.retain(|key, _| other(key));
    }

    /// What is known of a tenant's agents, written or not, by label and digest.
    pub(super) fn of(
        &self,
        tenant: &TenantId,
    ) -> Result<BTreeMap<AgentVersion, AnswerCounts>, CatalogError> {
        let _writing = lock(&self.0.writing);
        let written = self.0.catalog.answers(tenant)?;
        let mut all: BTreeMap<_, _> = written.into_iter().collect();
        for ((owner, version), counts) in &lock(&self.0.unwritten).counts {
            if owner == tenant {
                let sum: &mut AnswerCounts = all.entry(version.clone()).or_default();
                sum.add(counts);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(folder: &tempfile::TempDir) -> (Answers, TenantId, Arc<Catalog>) {
        let catalog = Arc::new(Catalog::open(folder.path()).unwrap());
        let tenant = TenantId::new("acme").unwrap();
        if catalog.tenant(&tenant).is_err() {
            catalog.add_tenant(&tenant, "{}").unwrap();
        }
        (Answers::new(catalog.clone()), tenant, catalog)
    }

    const EMPTY: AnswerCounts = AnswerCounts {
        answers: 1,
        empty: 1,
        degraded: 0,
        denied: 0,
        stopped: 0,
    };

    #[tokio::test]
    async fn a_question_writes_nothing_and_what_is_not_written_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (answers, tenant, catalog) = answers(&folder);
        let digest = Digest::of(b"1");
        for _ in 0..3 {
            answers.count(&tenant, "hybrid", digest, &EMPTY);
        }
        assert_eq!(catalog.answers(&tenant).unwrap(), []);
        let seen = answers.of(&tenant).unwrap();
        assert_eq!(seen.values().next().unwrap().empty, 3);
        answers.flush();
        answers.count(&tenant, "hybrid", digest, &EMPTY);
        assert_eq!(catalog.answers(&tenant).unwrap()[0].1.answers, 3);
        let seen = answers.of(&tenant).unwrap();
        assert_eq!(seen.values().next().unwrap().answers, 4);
        answers.forget(&tenant, Some("other"));
        assert_eq!(answers.of(&tenant).unwrap(), seen);
        answers.forget(&tenant, None);
        let seen = answers.of(&tenant).unwrap();
        assert_eq!(seen.values().next().unwrap().answers, 3);
    }

    #[tokio::test]
    async fn many_questions_are_written_before_the_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (answers, tenant, catalog) = answers(&folder);
        for _ in 0..ANSWERS_UNWRITTEN_MAX {
            answers.count(&tenant, "hybrid", Digest::of(b"1"), &EMPTY);
        }
        let written = || catalog.answers(&tenant).unwrap();
        while written().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(written()[0].1.answers, ANSWERS_UNWRITTEN_MAX);
    }

    #[tokio::test]
    async fn counts_that_cannot_be_written_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (answers, tenant, catalog) = answers(&folder);
        // It does not fit into the pages that there are.
        let label = "x".repeat(1 << 20);
        answers.count(&tenant, &label, Digest::of(b"1"), &EMPTY);
        catalog.database().limit_bytes(Some(1)).unwrap();
        answers.flush();
        assert_eq!(catalog.answers(&tenant).unwrap(), []);
        assert_eq!(answers.of(&tenant).unwrap().values().next(), Some(&EMPTY));
        catalog.database().limit_bytes(None).unwrap();
        answers.flush();
        assert_eq!(catalog.answers(&tenant).unwrap().len(), 1);
    }
}
