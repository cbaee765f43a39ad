//! How much of a label's history is kept: enough to go back, not what whoever installs may fill a disk with.
//!
//! The files of versions are not its business.

use super::health::digest_of;
use super::{Catalog, CatalogError, from_json};
use crate::corpus::TenantId;
use crate::db::{Interrupt, OptionalExtension, Transaction, params};
use crate::plugin::{Digest, OptionSpec, PluginKind};

/// Versions of one label.
pub(super) const VERSIONS_MAX: u32 = 10;

/// A version that a tenant's history has, in use or not.
#[derive(Debug, Clone)]
pub struct KeptVersion {
    /// The label whose version it is; the first in the alphabet where several have it.
    pub label: String,
    /// Chunker or agent.
    pub kind: PluginKind,
    /// The options that it declared.
    pub options: Vec<OptionSpec>,
}

impl Catalog {
    /// A version by its digest, under whichever label; `None` where the tenant's history has it no more.
    pub fn kept_version(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<KeptVersion>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let found = reader
            .prepare_cached(
                "SELECT label, kind, options FROM plugins WHERE tenant = ?1 AND digest = ?2
                 ORDER BY label, id DESC LIMIT 1",
            )?
            .query_row(params![tenant.as_str(), digest.to_string()], |row| {
                let kind: String = row.get(1)?;
                Ok((row.get(0)?, kind, row.get::<_, String>(2)?))
            })
            .optional()?;
        let Some((label, kind, options)) = found else {
            return Ok(None);
        };
        Ok(Some(KeptVersion {
            label,
            kind: match kind.as_str() {
                "agent" => PluginKind::Agent,
                _ => PluginKind::Chunker,
            },
            options: from_json(&options)?,
        }))
    }
}

/// Forgets the oldest versions beyond the limit, those first that were taken out of use. Never the one in use, nor
/// the one that a breaker would put back. The digests that the tenant's history does not name any more.
pub(super) fn prune(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    label: &str,
) -> Result<Vec<Digest>, CatalogError> {
    let mut statement = tx.prepare(
        "WITH history AS (
             SELECT id, digest, retired, worked FROM plugins WHERE tenant = ?1 AND label = ?2),
         used AS (
             SELECT id, digest FROM history WHERE retired = 0 ORDER BY id DESC LIMIT 1),
         good AS (
             SELECT id FROM history WHERE retired = 0 AND worked = 1
             AND digest <> (SELECT digest FROM used)
             AND digest NOT IN (SELECT digest FROM breakers WHERE tenant = ?1 AND open = 1)
             ORDER BY id DESC LIMIT 1)
         DELETE FROM plugins WHERE id IN (
             SELECT id FROM history
             ORDER BY id IN (SELECT id FROM used) DESC, id IN (SELECT id FROM good) DESC,
                 retired, id DESC
             LIMIT -1 OFFSET ?3)
         RETURNING digest",
    )?;
    let of_label = params![tenant.as_str(), label, VERSIONS_MAX];
    let rows = statement.query_map(of_label, |row| row.get::<_, String>(0))?;
    let mut pruned = rows.collect::<Result<Vec<_>, _>>()?;
    pruned.sort();
    pruned.dedup();
    let mut gone = vec![];
    for digest in pruned {
        let of_digest = params![tenant.as_str(), digest];
        let sql = "SELECT count(*) FROM plugins WHERE tenant = ?1 AND digest = ?2";
        let named: u32 = tx.query_row(sql, of_digest, |row| row.get(0))?;
        if named == 0 {
            let sql = "DELETE FROM breakers WHERE tenant = ?1 AND digest = ?2";
            tx.execute(sql, of_digest)?;
            gone.push(digest_of(digest)?);
        }
    }
    Ok(gone)
}
