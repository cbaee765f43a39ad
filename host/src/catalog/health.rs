//! What is known of plugins' and documents' health: breakers, versions that worked, versions that a
//! breaker put back, documents that were stopped.
//!
//! When a breaker opens and what is quarantined is decided elsewhere.

use super::{Catalog, CatalogError, from_json};
use crate::corpus::TenantId;
use crate::db::{Interrupt, OptionalExtension, Transaction, params};
use crate::plugin::{Digest, OptionSpec, Options, resolve};
use crate::task::Stop;

/// Stopped documents that are remembered for one tenant; the oldest go first.
pub(super) const STOPPED_MAX: u32 = 100_000;

/// A breaker as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerRecord {
    /// It is open.
    pub open: bool,
    /// All that it knows: JSON.
    pub state: String,
}

/// A version that a breaker took out of use, and the one that it put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// Whose label.
    pub label: String,
    /// The version that was in use.
    pub from: Digest,
    /// The version that is in use now.
    pub to: Digest,
}

/// A version of a document that was stopped by its chunker's fault.
#[derive(Debug, Clone, PartialEq)]
pub struct StoppedDocument {
    /// How often.
    pub stops: u32,
    /// The last time.
    pub stop: Stop,
}

/// A version of a label, with its number in the history.
struct Version {
    id: i64,
    digest: String,
    options: String,
    worked: bool,
}

impl Catalog {
    /// The breaker of a tenant's plugin, where anything was ever written of it.
    pub fn breaker(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<BreakerRecord>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let found = reader
            .prepare_cached("SELECT open, state FROM breakers WHERE tenant = ?1 AND digest = ?2")?
            .query_row(params![tenant.as_str(), digest.to_string()], |row| {
                Ok(BreakerRecord {
                    open: row.get(0)?,
                    state: row.get(1)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// Writes a breaker.
    pub fn keep_breaker(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        record: &BreakerRecord,
    ) -> Result<(), CatalogError> {
        self.db
            .write(|tx| Ok(keep_breaker(tx, tenant, digest, record)?))
    }

    /// Writes a breaker that has opened, and puts the last good version of every label whose version in
    /// use is `digest` back: one that completed a task, has no open breaker and takes the options in use.
    pub fn open_breaker(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        record: &BreakerRecord,
        now_ms: u64,
    ) -> Result<Vec<PutBack>, CatalogError> {
        self.db.write(|tx| {
            keep_breaker(tx, tenant, digest, record)?;
            let mut put_back = vec![];
            for label in labels_in_use(tx, tenant, digest)? {
                if let Some(to) = put_back_one(tx, tenant, &label, digest, now_ms)? {
                    put_back.push(PutBack {
                        label,
                        from: *digest,
                        to,
                    });
                }
            }
            Ok(put_back)
        })
    }

    /// Forgets the breakers of all versions of `label`, and puts those that a breaker took out of use in
    /// use again. All digests of its history.
    pub fn resume_plugin(
        &self,
        tenant: &TenantId,
        label: &str,
    ) -> Result<Vec<Digest>, CatalogError> {
        let digests = self.db.write(|tx| {
            let of_label = params![tenant.as_str(), label];
            tx.execute(
                "UPDATE plugins SET retired = 0, put_back_ms = NULL WHERE put_back_ms IS NOT NULL
                 AND tenant = ?1 AND label = ?2 AND id > (SELECT max(id) FROM plugins
                 WHERE tenant = ?1 AND label = ?2 AND retired = 0)",
                of_label,
            )?;
            tx.execute(
                "DELETE FROM breakers WHERE tenant = ?1 AND digest IN
                 (SELECT digest FROM plugins WHERE tenant = ?1 AND label = ?2)",
                of_label,
            )?;
            let mut statement =
                tx.prepare("SELECT DISTINCT digest FROM plugins WHERE tenant = ?1 AND label = ?2")?;
            let rows = statement.query_map(of_label, |row| row.get::<_, String>(0))?;
            Ok::<_, CatalogError>(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        match digests.is_empty() {
            true => Err(CatalogError::NoPlugin {
                label: label.to_owned(),
            }),
            false => digests.into_iter().map(digest_of).collect(),
        }
    }

    /// Forgets the breaker of one plugin.
    pub fn forget_breaker(&self, tenant: &TenantId, digest: &Digest) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            tx.execute(
                "DELETE FROM breakers WHERE tenant = ?1 AND digest = ?2",
                params![tenant.as_str(), digest.to_string()],
            )?;
            Ok(())
        })
    }

    /// Remembers that a version completed a task. Written once; after that nothing changes on disk.
    pub fn mark_worked(&self, tenant: &TenantId, digest: &Digest) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            tx.execute(
                "UPDATE plugins SET worked = 1 WHERE tenant = ?1 AND digest = ?2 AND worked = 0",
                params![tenant.as_str(), digest.to_string()],
            )?;
            Ok(())
        })
    }

    /// What is known of a version of a document; `None`: it was not stopped.
    pub fn stopped(
        &self,
        tenant: &TenantId,
        version: &[u8; 32],
    ) -> Result<Option<StoppedDocument>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let found = reader
            .prepare_cached("SELECT stops, stop FROM stopped WHERE tenant = ?1 AND version = ?2")?
            .query_row(params![tenant.as_str(), version], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let Some((stops, stop)) = found else {
            return Ok(None);
        };
        let stop = from_json(&stop)?;
        Ok(Some(StoppedDocument { stops, stop }))
    }

    /// Counts a stop of a version of a document.
    pub fn count_stop(
        &self,
        tenant: &TenantId,
        version: &[u8; 32],
        document: &str,
        stop: &Stop,
    ) -> Result<(), CatalogError> {
        self.count_stop_within(tenant, version, document, stop, STOPPED_MAX)
    }

    /// As [`Catalog::count_stop`], remembering the newest `most`.
    pub(super) fn count_stop_within(
        &self,
        tenant: &TenantId,
        version: &[u8; 32],
        document: &str,
        stop: &Stop,
        most: u32,
    ) -> Result<(), CatalogError> {
        let stop = super::to_json(stop)?;
        self.db.write(|tx| {
            tx.execute(
                "INSERT INTO stopped (tenant, version, document, stops, stop) VALUES (?1, ?2, ?3, 1, ?4)
                 ON CONFLICT (tenant, version) DO UPDATE SET stops = stops + 1, document = ?3, stop = ?4",
                params![tenant.as_str(), version, document, stop],
            )?;
            tx.execute(
                "DELETE FROM stopped WHERE tenant = ?1 AND id <= (SELECT id FROM stopped
                 WHERE tenant = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                params![tenant.as_str(), most],
            )?;
            Ok(())
        })
    }

    /// Forgets that a version of a document was stopped.
    pub fn forget_stops(&self, tenant: &TenantId, version: &[u8; 32]) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            tx.execute(
                "DELETE FROM stopped WHERE tenant = ?1 AND version = ?2",
                params![tenant.as_str(), version],
            )?;
            Ok(())
        })
    }

    /// How many of a tenant's versions were stopped at least `stops` times.
    pub fn stopped_count(&self, tenant: &TenantId, stops: u32) -> Result<u64, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let sql = "SELECT count(*) FROM stopped WHERE tenant = ?1 AND stops >= ?2";
        let counted: i64 = reader
            .prepare_cached(sql)?
            .query_row(params![tenant.as_str(), stops], |row| row.get(0))?;
        Ok(counted.unsigned_abs())
    }
}

fn keep_breaker(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    digest: &Digest,
    record: &BreakerRecord,
) -> Result<(), crate::db::SqlError> {
    tx.execute(
        "INSERT INTO breakers (tenant, digest, open, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, digest) DO UPDATE SET open = ?3, state = ?4",
        params![
            tenant.as_str(),
            digest.to_string(),
            record.open,
            record.state
        ],
    )?;
    Ok(())
}

fn labels_in_use(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    digest: &Digest,
) -> Result<Vec<String>, CatalogError> {
    let mut statement = tx.prepare(
        "SELECT label FROM (SELECT label, digest, max(id) FROM plugins
         WHERE tenant = ?1 AND retired = 0 GROUP BY label) WHERE digest = ?2",
    )?;
    let rows = statement.query_map(params![tenant.as_str(), digest.to_string()], |row| {
        row.get(0)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put_back_one(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    label: &str,
    bad: &Digest,
    now_ms: u64,
) -> Result<Option<Digest>, CatalogError> {
    let given = options_in_use(tx, tenant, label)?;
    let bad = bad.to_string();
    for version in versions(tx, tenant, label)? {
        if !version.worked || version.digest == bad || is_open(tx, tenant, &version.digest)? {
            continue;
        }
        let specs: Vec<OptionSpec> = from_json(&version.options)?;
        if given
            .iter()
            .any(|options| resolve(&specs, options).is_err())
        {
            continue;
        }
        let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
        tx.execute(
            "UPDATE plugins SET retired = 1, put_back_ms = ?4
             WHERE tenant = ?1 AND label = ?2 AND id > ?3 AND retired = 0",
            params![tenant.as_str(), label, version.id, now],
        )?;
        return Ok(Some(digest_of(version.digest)?));
    }
    Ok(None)
}

/// The versions of a label that are not retired, newest first.
fn versions(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    label: &str,
) -> Result<Vec<Version>, CatalogError> {
    let mut statement = tx.prepare(
        "SELECT id, digest, options, worked FROM plugins
         WHERE tenant = ?1 AND label = ?2 AND retired = 0 ORDER BY id DESC",
    )?;
    let rows = statement.query_map(params![tenant.as_str(), label], |row| {
        Ok(Version {
            id: row.get(0)?,
            digest: row.get(1)?,
            options: row.get(2)?,
            worked: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn options_in_use(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    label: &str,
) -> Result<Vec<Options>, CatalogError> {
    let mut statement = tx.prepare("SELECT options FROM uses WHERE tenant = ?1 AND label = ?2")?;
    let rows = statement.query_map(params![tenant.as_str(), label], |row| {
        row.get::<_, String>(0)
    })?;
    rows.map(|json| from_json(&json?)).collect()
}

fn is_open(tx: &Transaction<'_>, tenant: &TenantId, digest: &str) -> Result<bool, CatalogError> {
    let found = tx
        .prepare_cached("SELECT open FROM breakers WHERE tenant = ?1 AND digest = ?2")?
        .query_row(params![tenant.as_str(), digest], |row| row.get(0))
        .optional()?;
    Ok(found.unwrap_or(false))
}

pub(super) fn digest_of(hex: String) -> Result<Digest, CatalogError> {
    Digest::try_from(hex).map_err(|what| CatalogError::Damaged { what })
}
