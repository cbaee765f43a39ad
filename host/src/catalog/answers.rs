//! How many questions each version of an agent answered, and how many of those answers were less than they could
//! be.
//!
//! When counts are written is decided elsewhere: what is written here is added to what was there.

use super::health::digest_of;
use super::{Catalog, CatalogError};
use crate::corpus::TenantId;
use crate::db::{Interrupt, Transaction, params};
use crate::plugin::Digest;

/// Versions of agents that are counted for one tenant; those that answered longest ago go first.
pub(super) const COUNTED_MAX: u32 = 200;

/// Questions to one version of an agent, by what came of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    /// Answers.
    pub answers: u64,
    /// Answers without a passage.
    pub empty: u64,
    /// Answers whose receipt says that something was denied, left out, dropped or answered by a fallback.
    pub degraded: u64,
    /// Answers on the way to which a retrieval call was denied.
    pub denied: u64,
    /// Questions that had no answer, since the agent was stopped by its own fault.
    pub stopped: u64,
}

impl AnswerCounts {
    /// Adds those of `more`.
    pub fn add(&mut self, more: &Self) {
        self.answers += more.answers;
        self.empty += more.empty;
        self.degraded += more.degraded;
        self.denied += more.denied;
        self.stopped += more.stopped;
    }
}

/// A version of an agent: what its tenant calls it, and its bytes' name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentVersion {
    /// The label under which it answered.
    pub label: String,
    /// The version.
    pub digest: Digest,
}

impl Catalog {
    /// Adds counts, all in one transaction. Those of a tenant that is gone are dropped.
    pub fn count_answers(
        &self,
        counted: &[(TenantId, AgentVersion, AnswerCounts)],
    ) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            for (tenant, version, counts) in counted {
                add(tx, tenant, version, counts)?;
            }
            for (tenant, ..) in counted {
                forget_oldest(tx, tenant)?;
            }
            Ok(())
        })
    }

    /// What is written of a tenant's agents, by label, the version that answered last first.
    pub fn answers(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(AgentVersion, AnswerCounts)>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(
            "SELECT label, digest, answers, empty, degraded, denied, stopped FROM answers
             WHERE tenant = ?1 ORDER BY label, last DESC",
        )?;
        let rows = statement.query_map([tenant.as_str()], |row| {
            let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let counts = AnswerCounts {
                answers: count(2)?,
                empty: count(3)?,
                degraded: count(4)?,
                denied: count(5)?,
                stopped: count(6)?,
            };
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, counts))
        })?;
        let read = |row: Result<(String, String, AnswerCounts), crate::db::SqlError>| {
            let (label, digest, counts) = row?;
            let digest = digest_of(digest)?;
            Ok((AgentVersion { label, digest }, counts))
        };
        rows.map(read).collect()
    }
}

fn add(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    version: &AgentVersion,
    counts: &AnswerCounts,
) -> Result<(), CatalogError> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO answers (tenant, label, digest, answers, empty, degraded, denied, stopped, last)
         SELECT name, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
             (SELECT coalesce(max(last), 0) + 1 FROM answers WHERE tenant = ?1)
         FROM tenants WHERE name = ?1
         ON CONFLICT (tenant, label, digest) DO UPDATE SET answers = answers + ?4, empty = empty + ?5,
             degraded = degraded + ?6, denied = denied + ?7, stopped = stopped + ?8, last = excluded.last",
        params![
            tenant.as_str(),
            version.label,
            version.digest.to_string(),
            number(counts.answers),
            number(counts.empty),
            number(counts.degraded),
            number(counts.denied),
            number(counts.stopped),
        ],
    )?;
    Ok(())
}

fn forget_oldest(tx: &Transaction<'_>, tenant: &TenantId) -> Result<(), CatalogError> {
    tx.execute(
        "DELETE FROM answers WHERE tenant = ?1 AND last <= (SELECT last FROM answers
         WHERE tenant = ?1 ORDER BY last DESC LIMIT 1 OFFSET ?2)",
        params![tenant.as_str(), COUNTED_MAX],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(folder: &tempfile::TempDir) -> (Catalog, TenantId) {
        let catalog = Catalog::open(folder.path()).unwrap();
        let tenant = TenantId::new("acme").unwrap();
        catalog.add_tenant(&tenant, "{}").unwrap();
        (catalog, tenant)
    }

    fn version(label: &str, number: u32) -> AgentVersion {
        AgentVersion {
            label: label.to_owned(),
            digest: Digest::of(&number.to_le_bytes()),
        }
    }

    fn counts(answers: u64, empty: u64) -> AnswerCounts {
        AnswerCounts {
            answers,
            empty,
            ..AnswerCounts::default()
        }
    }

    #[test]
    fn counts_add_up_for_each_version_and_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, tenant) = catalog(&folder);
        let gone = TenantId::new("gone").unwrap();
        for round in 1..=2 {
            let counted = [
                (tenant.clone(), version("a", 1), counts(10, round)),
                (tenant.clone(), version("a", 2), counts(1, 0)),
                (gone.clone(), version("a", 1), counts(5, 5)),
            ];
            catalog.count_answers(&counted).unwrap();
        }
        drop(catalog);
        let catalog = Catalog::open(folder.path()).unwrap();
        let expected = [
            (version("a", 2), counts(2, 0)),
            (version("a", 1), counts(20, 3)),
        ];
        assert_eq!(catalog.answers(&tenant).unwrap(), expected);
        assert_eq!(catalog.answers(&gone).unwrap(), []);
        catalog.remove_tenant(&tenant).unwrap();
        assert_eq!(catalog.answers(&tenant).unwrap(), []);
    }

    #[test]
    fn versions_that_answered_longest_ago_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, tenant) = catalog(&folder);
        let one = |number| (tenant.clone(), version("a", number), counts(1, 0));
        for number in 0..COUNTED_MAX {
            catalog.count_answers(&[one(number)]).unwrap();
        }
        catalog.count_answers(&[one(0), one(COUNTED_MAX)]).unwrap();
        let kept = catalog.answers(&tenant).unwrap();
        assert_eq!(kept.len(), COUNTED_MAX as usize);
        let has = |number| kept.iter().any(|(kept, _)| *kept == version("a", number));
        assert!(has(0) && has(COUNTED_MAX) && !has(1));
    }

    #[test]
    fn a_label_that_is_removed_takes_its_counts_along() {
        let folder = tempfile::tempdir().unwrap();
        let (catalog, tenant) = catalog(&folder);
        let plugin = super::super::NewPlugin {
            digest: Digest::of(b"1"),
            kind: crate::plugin::PluginKind::Agent,
            options: &[],
        };
        catalog.install(&tenant, "mine", &plugin, 9).unwrap();
        let counted =
            ["mine", "hybrid"].map(|label| (tenant.clone(), version(label, 1), counts(1, 0)));
        catalog.count_answers(&counted).unwrap();
        catalog.remove_plugin(&tenant, "mine").unwrap();
        assert_eq!(
            catalog.answers(&tenant).unwrap(),
            [(version("hybrid", 1), counts(1, 0))]
        );
    }
}
