//! Tenants on their way out of a catalog and into another: all that it knows of one, and the note of what remains to be
//! done with folders when the catalog has decided.
//!
//! It moves no folder and reads no plugin. A transaction decides, the note in it outlives a killed process, and whoever
//! opens the data folder next does what it says.

use super::{Catalog, CatalogError, seal};
use crate::corpus::TenantId;
use crate::db::{Connection, Interrupt, Row, SqlError, Transaction, params};
use serde::{Deserialize, Serialize};

/// All that a catalog knows of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantSnapshot {
    /// Its policy with every file that it extends, as the policy module wrote it.
    pub policy: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// Every version of every label, oldest first.
    pub plugins: Vec<VersionRow>,
    /// What it uses.
    pub uses: Vec<UseRow>,
    /// What its breakers know.
    pub breakers: Vec<BreakerRow>,
    /// Versions of documents that were stopped by their chunker's fault, oldest first.
    pub stopped: Vec<StoppedRow>,
}

/// A version of a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// What its tenant calls it.
    pub label: String,
    /// BLAKE3 of its bytes, hexadecimal.
    pub digest: String,
    /// `chunker` or `agent`.
    pub kind: String,
    /// The options that it declared: JSON.
    pub options: String,
    /// It was taken back.
    pub retired: bool,
    /// It completed a task.
    pub worked: bool,
    /// When the breaker took it out of use; `None` where it did not.
    pub put_back_ms: Option<i64>,
}

/// A plugin in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseRow {
    /// `agent`, `chunker` or `chunker:<media type>`.
    pub role: String,
    /// Which plugin.
    pub label: String,
    /// What the user set: JSON.
    pub options: String,
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerRow {
    /// Of the plugin.
    pub digest: String,
    /// It is open.
    pub open: bool,
    /// All that it knows: JSON.
    pub state: String,
}

/// A version of a document that was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedRow {
    /// The hash that decides a version.
    pub version: [u8; 32],
    /// Its id at the time.
    pub document: String,
    /// How often.
    pub stops: u32,
    /// The last one: JSON.
    pub stop: String,
}

/// What remains to be done with a tenant's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Whose folder goes.
    pub tenant: TenantId,
    /// The folder beside it that takes its place; `None`: nothing does.
    pub source: Option<String>,
}

impl Catalog {
    /// All that there is of a tenant, at one moment.
    pub fn snapshot(&self, tenant: &TenantId) -> Result<TenantSnapshot, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        match read_tenant(&reader, tenant)? {
            Some(snapshot) => snapshot.complete(&reader, tenant),
            None => Err(CatalogError::NoTenant(tenant.clone())),
        }
    }

    /// Makes a tenant what `snapshot` says, in the place of the one of that name where `replace` allows it. `source` is
    /// the folder that is to become the tenant's.
    pub fn restore(
        &self,
        tenant: &TenantId,
        snapshot: &TenantSnapshot,
        replace: bool,
        source: Option<&str>,
    ) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            let there = tx.execute("DELETE FROM tenants WHERE name = ?1", [tenant.as_str()])?;
            if there > 0 && !replace {
                return Err(CatalogError::TenantExists(tenant.clone()));
            }
            insert(tx, tenant, snapshot)?;
            note_move(tx, tenant, source)
        })
    }

    /// What remains to be done with folders.
    pub fn moves(&self) -> Result<Vec<Move>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached("SELECT tenant, source FROM moves")?;
        let rows = statement.query_map([], |row| {
            Ok(Move {
                tenant: tenant_of(row)?,
                source: row.get(1)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// It is done.
    pub fn moved(&self, tenant: &TenantId) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            tx.execute("DELETE FROM moves WHERE tenant = ?1", [tenant.as_str()])?;
            Ok(())
        })
    }
}

fn note_move(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    source: Option<&str>,
) -> Result<(), CatalogError> {
    let sql = "INSERT OR REPLACE INTO moves (tenant, source) VALUES (?1, ?2)";
    tx.execute(sql, params![tenant.as_str(), source])?;
    Ok(())
}

fn tenant_of(row: &Row<'_>) -> Result<TenantId, SqlError> {
    let name: String = row.get(0)?;
    TenantId::new(&name).map_err(|_| SqlError::InvalidQuery)
}

/// A tenant's own row, and nothing that refers to it.
pub(super) fn read_tenant(
    connection: &Connection,
    tenant: &TenantId,
) -> Result<Option<TenantSnapshot>, SqlError> {
    use crate::db::OptionalExtension;
    let sql = "SELECT policy, suspended FROM tenants WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        Ok(TenantSnapshot {
            policy: row.get(0)?,
            suspended: row.get(1)?,
            plugins: vec![],
            uses: vec![],
            breakers: vec![],
            stopped: vec![],
        })
    };
    statement.query_row([tenant.as_str()], read).optional()
}

impl TenantSnapshot {
    fn complete(
        mut self,
        connection: &Connection,
        tenant: &TenantId,
    ) -> Result<Self, CatalogError> {
        self.plugins = plugins(connection, tenant)?;
        self.uses = uses(connection, tenant)?;
        self.breakers = breakers(connection, tenant)?;
        self.stopped = stopped(connection, tenant)?;
        Ok(self)
    }

    /// As much as can be read; false where something could not.
    pub(super) fn salvage(&mut self, connection: &Connection, tenant: &TenantId) -> bool {
        let mut whole = true;
        let mut or_none = |read: bool| whole &= read;
        or_none(
            plugins(connection, tenant)
                .map(|found| self.plugins = found)
                .is_ok(),
        );
        or_none(
            uses(connection, tenant)
                .map(|found| self.uses = found)
                .is_ok(),
        );
        or_none(
            breakers(connection, tenant)
                .map(|found| self.breakers = found)
                .is_ok(),
        );
        or_none(
            stopped(connection, tenant)
                .map(|found| self.stopped = found)
                .is_ok(),
        );
        whole
    }
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    tenant: &TenantId,
    read: impl FnMut(&Row<'_>) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([tenant.as_str()], read)?;
    rows.collect()
}

fn plugins(connection: &Connection, tenant: &TenantId) -> Result<Vec<VersionRow>, SqlError> {
    let sql = "SELECT label, digest, kind, options, retired, worked, put_back_ms FROM plugins \
               WHERE tenant = ?1 ORDER BY id";
    rows(connection, sql, tenant, |row| {
        Ok(VersionRow {
            label: row.get(0)?,
            digest: row.get(1)?,
            kind: row.get(2)?,
            options: row.get(3)?,
            retired: row.get(4)?,
            worked: row.get(5)?,
            put_back_ms: row.get(6)?,
        })
    })
}

fn uses(connection: &Connection, tenant: &TenantId) -> Result<Vec<UseRow>, SqlError> {
    let sql = "SELECT role, label, options FROM uses WHERE tenant = ?1 ORDER BY role";
    rows(connection, sql, tenant, |row| {
        Ok(UseRow {
            role: row.get(0)?,
            label: row.get(1)?,
            options: row.get(2)?,
        })
    })
}

fn breakers(connection: &Connection, tenant: &TenantId) -> Result<Vec<BreakerRow>, SqlError> {
    let sql = "SELECT digest, open, state FROM breakers WHERE tenant = ?1 ORDER BY digest";
    rows(connection, sql, tenant, |row| {
        Ok(BreakerRow {
            digest: row.get(0)?,
            open: row.get(1)?,
            state: row.get(2)?,
        })
    })
}

fn stopped(connection: &Connection, tenant: &TenantId) -> Result<Vec<StoppedRow>, SqlError> {
    let sql = "SELECT version, document, stops, stop FROM stopped WHERE tenant = ?1 ORDER BY id";
    rows(connection, sql, tenant, |row| {
        Ok(StoppedRow {
            version: row.get(0)?,
            document: row.get(1)?,
            stops: row.get(2)?,
            stop: row.get(3)?,
        })
    })
}

pub(super) fn insert(
    tx: &Transaction<'_>,
    tenant: &TenantId,
    snapshot: &TenantSnapshot,
) -> Result<(), CatalogError> {
    let (name, policy) = (tenant.as_str(), snapshot.policy.as_str());
    tx.execute(
        "INSERT INTO tenants (name, policy, suspended, seal) VALUES (?1, ?2, ?3, ?4)",
        params![name, policy, snapshot.suspended, seal(tenant, policy)],
    )?;
    for p in &snapshot.plugins {
        tx.prepare_cached(
            "INSERT INTO plugins (tenant, label, digest, kind, options, retired, worked, put_back_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            name, p.label, p.digest, p.kind, p.options, p.retired, p.worked, p.put_back_ms
        ])?;
    }
    for u in &snapshot.uses {
        tx.execute(
            "INSERT INTO uses (tenant, role, label, options) VALUES (?1, ?2, ?3, ?4)",
            params![name, u.role, u.label, u.options],
        )?;
    }
    for b in &snapshot.breakers {
        tx.execute(
            "INSERT INTO breakers (tenant, digest, open, state) VALUES (?1, ?2, ?3, ?4)",
            params![name, b.digest, b.open, b.state],
        )?;
    }
    for s in &snapshot.stopped {
        tx.prepare_cached(
            "INSERT INTO stopped (tenant, version, document, stops, stop) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![name, s.version, s.document, s.stops, s.stop])?;
    }
    Ok(())
}
