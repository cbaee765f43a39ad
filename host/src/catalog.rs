//! The host's own database: tenants and their policies, installed plugins with their history, and what
//! each tenant uses.
//!
//! It stores what others decided. It runs no guest and opens no index.

mod answers;
mod error;
mod health;
mod history;
mod rescue;
mod schema;
mod transfer;

#[cfg(test)]
mod tests;

pub use answers::{AgentVersion, AnswerCounts};
pub use error::CatalogError;
pub use health::{BreakerRecord, PutBack, StoppedDocument};
pub use history::KeptVersion;
pub use rescue::{Rescued, rescue, tenant_folders};
pub use transfer::{Move, TenantSnapshot};

use crate::corpus::TenantId;
use crate::db::{Database, Interrupt, OptionalExtension, Row, Transaction, params};
use crate::plugin::{Digest, OptionSpec, Options, PluginKind};
use serde::Serialize;
use std::path::Path;

/// The catalog of one data folder.
#[derive(Debug)]
pub struct Catalog {
    db: Database,
}

/// A tenant as stored.
#[derive(Debug, Clone)]
pub struct TenantRecord {
    /// Its name.
    pub name: TenantId,
    /// Its policy with every file that it extends, as the policy module wrote it.
    pub policy: String,
    /// No new tasks are admitted.
    pub suspended: bool,
    /// The policy is as it was written.
    pub sound: bool,
}

/// One installed plugin: the version of a label that is in use.
#[derive(Debug, Clone)]
pub struct Installed {
    /// What its tenant calls it.
    pub label: String,
    /// Its bytes' name.
    pub digest: Digest,
    /// Chunker or agent.
    pub kind: PluginKind,
    /// The options that it declared.
    pub options: Vec<OptionSpec>,
    /// How many versions of the label are kept that were not taken back.
    pub versions: u32,
    /// The newer version that the breaker took out of use.
    pub put_back_from: Option<Digest>,
}

/// What a plugin is used for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The default agent.
    Agent,
    /// The chunker of every media type that has none of its own.
    Chunker,
    /// The chunker of one media type.
    ChunkerFor(String),
}

impl Role {
    fn key(&self) -> String {
        match self {
            Self::Agent => "agent".to_owned(),
            Self::Chunker => "chunker".to_owned(),
            Self::ChunkerFor(media_type) => format!("chunker:{media_type}"),
        }
    }

    fn of_key(key: &str) -> Self {
        match key.strip_prefix("chunker:") {
            Some(media_type) => Self::ChunkerFor(media_type.to_owned()),
            None if key == "agent" => Self::Agent,
            None => Self::Chunker,
        }
    }
}

/// A plugin in use, with the options that the user set.
#[derive(Debug, Clone)]
pub struct Use {
    /// For what.
    pub role: Role,
    /// Which plugin: a label of the tenant's or a built-in one.
    pub label: String,
    /// What the user set; the rest has its default.
    pub options: Options,
}

impl Catalog {
    /// Opens `<data>/catalog.db`, or makes it, unless there are tenants that one knew: they are not forgotten in silence.
    pub fn open(data: &Path) -> Result<Self, CatalogError> {
        let path = data.join("catalog.db");
        if std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
            let tenants = tenant_folders(data).len();
            if tenants > 0 {
                return Err(CatalogError::Gone { path, tenants });
            }
        }
        let db = Database::open(&path, &schema::KIND)?;
        Ok(Self { db })
    }

    /// The database, for health checks.
    pub fn database(&self) -> &Database {
        &self.db
    }

    /// Adds a tenant.
    pub fn add_tenant(&self, name: &TenantId, policy: &str) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            let added = tx.execute(
                "INSERT INTO tenants (name, policy, seal) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![name.as_str(), policy, seal(name, policy)],
            )?;
            match added {
                0 => Err(CatalogError::TenantExists(name.clone())),
                _ => Ok(()),
            }
        })
    }

    /// Removes a tenant with everything that the catalog knows of it.
    pub fn remove_tenant(&self, name: &TenantId) -> Result<(), CatalogError> {
        self.change_tenant(name, |tx| {
            tx.execute("DELETE FROM tenants WHERE name = ?1", [name.as_str()])
        })
    }

    /// Replaces a tenant's policy.
    pub fn set_policy(&self, name: &TenantId, policy: &str) -> Result<(), CatalogError> {
        self.change_tenant(name, |tx| {
            tx.execute(
                "UPDATE tenants SET policy = ?2, seal = ?3 WHERE name = ?1",
                params![name.as_str(), policy, seal(name, policy)],
            )
        })
    }

    /// Suspends or resumes a tenant.
    pub fn set_suspended(&self, name: &TenantId, suspended: bool) -> Result<(), CatalogError> {
        self.change_tenant(name, |tx| {
            tx.execute(
                "UPDATE tenants SET suspended = ?2 WHERE name = ?1",
                params![name.as_str(), suspended],
            )
        })
    }

    fn change_tenant(
        &self,
        name: &TenantId,
        change: impl FnOnce(&Transaction<'_>) -> Result<usize, crate::db::SqlError>,
    ) -> Result<(), CatalogError> {
        self.db.write(|tx| match change(tx)? {
            0 => Err(CatalogError::NoTenant(name.clone())),
            _ => Ok(()),
        })
    }

    /// One tenant.
    pub fn tenant(&self, name: &TenantId) -> Result<TenantRecord, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let found = reader
            .prepare_cached("SELECT name, policy, suspended, seal FROM tenants WHERE name = ?1")?
            .query_row([name.as_str()], tenant_record)
            .optional()?;
        found.ok_or_else(|| CatalogError::NoTenant(name.clone()))
    }

    /// All tenants, by name.
    pub fn tenants(&self) -> Result<Vec<TenantRecord>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement = reader
            .prepare_cached("SELECT name, policy, suspended, seal FROM tenants ORDER BY name")?;
        let rows = statement.query_map([], tenant_record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes `digest` the version of `label` in use. Refuses to go beyond `labels_max` labels. A label keeps its
    /// last ten versions; those that the tenant has no more.
    pub fn install(
        &self,
        tenant: &TenantId,
        label: &str,
        plugin: &NewPlugin<'_>,
        labels_max: u64,
    ) -> Result<Vec<Digest>, CatalogError> {
        let options = to_json(plugin.options)?;
        self.db.write(|tx| {
            let others: u32 = tx.query_row(
                "SELECT count(DISTINCT label) FROM plugins WHERE tenant = ?1 AND label <> ?2",
                params![tenant.as_str(), label],
                |row| row.get(0),
            )?;
            if u64::from(others) >= labels_max {
                return Err(CatalogError::Plugins { limit: labels_max });
            }
            tx.execute(
                "INSERT INTO plugins (tenant, label, digest, kind, options, worked)
                 SELECT ?1, ?2, ?3, ?4, ?5, coalesce(max(worked), 0) FROM plugins
                 WHERE tenant = ?1 AND digest = ?3",
                params![
                    tenant.as_str(),
                    label,
                    plugin.digest.to_string(),
                    plugin.kind.as_str(),
                    options
                ],
            )?;
            history::prune(tx, tenant, label)
        })
    }

    /// Puts the version before the one in use back. The newer one is kept in the history.
    pub fn rollback(&self, tenant: &TenantId, label: &str) -> Result<Installed, CatalogError> {
        self.db.write(|tx| {
            let retired = tx.execute(
                "UPDATE plugins SET retired = 1 WHERE id = (SELECT max(id) FROM plugins
                 WHERE tenant = ?1 AND label = ?2 AND retired = 0)
                 AND (SELECT count(*) FROM plugins WHERE tenant = ?1 AND label = ?2 AND retired = 0) > 1",
                params![tenant.as_str(), label],
            )?;
            match retired {
                0 => Err(CatalogError::NoEarlier { label: label.to_owned() }),
                _ => Ok(()),
            }
        })?;
        self.plugin(tenant, label)
    }

    /// Removes a label with its history.
    pub fn remove_plugin(&self, tenant: &TenantId, label: &str) -> Result<(), CatalogError> {
        self.db.write(|tx| {
            let used: u32 = tx.query_row(
                "SELECT count(*) FROM uses WHERE tenant = ?1 AND label = ?2",
                params![tenant.as_str(), label],
                |row| row.get(0),
            )?;
            if used > 0 {
                return Err(CatalogError::InUse {
                    label: label.to_owned(),
                });
            }
            tx.execute(
                "DELETE FROM breakers WHERE tenant = ?1 AND digest IN
                 (SELECT digest FROM plugins WHERE tenant = ?1 AND label = ?2)",
                params![tenant.as_str(), label],
            )?;
            tx.execute(
                "DELETE FROM answers WHERE tenant = ?1 AND label = ?2",
                params![tenant.as_str(), label],
            )?;
            let removed = tx.execute(
                "DELETE FROM plugins WHERE tenant = ?1 AND label = ?2",
                params![tenant.as_str(), label],
            )?;
            match removed {
                0 => Err(CatalogError::NoPlugin {
                    label: label.to_owned(),
                }),
                _ => Ok(()),
            }
        })
    }

    /// The version of `label` in use.
    pub fn plugin(&self, tenant: &TenantId, label: &str) -> Result<Installed, CatalogError> {
        let all = self.plugins(tenant)?;
        let found = all.into_iter().find(|plugin| plugin.label == label);
        found.ok_or_else(|| CatalogError::NoPlugin {
            label: label.to_owned(),
        })
    }

    /// A tenant's plugins, by label.
    pub fn plugins(&self, tenant: &TenantId) -> Result<Vec<Installed>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(
            "SELECT label, digest, kind, options, id, versions,
                 (SELECT newer.digest FROM plugins newer WHERE newer.tenant = ?1
                  AND newer.label = used.label AND newer.id > used.id
                  AND newer.put_back_ms IS NOT NULL ORDER BY newer.id DESC LIMIT 1)
             FROM (SELECT label, digest, kind, options, max(id) AS id, count(*) AS versions
                   FROM plugins WHERE tenant = ?1 AND retired = 0 GROUP BY label) used
             ORDER BY label",
        )?;
        let rows = statement.query_map([tenant.as_str()], |row| Ok(installed(row)))?;
        rows.map(|row| row?).collect()
    }

    /// Digests that any tenant's history names: their files are needed.
    pub fn digests(&self) -> Result<Vec<String>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement =
            reader.prepare("SELECT DISTINCT digest FROM plugins ORDER BY digest")?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Uses a plugin for a role.
    pub fn set_use(&self, tenant: &TenantId, chosen: &Use) -> Result<(), CatalogError> {
        let options = to_json(&chosen.options)?;
        self.db.write(|tx| {
            tx.execute(
                "INSERT INTO uses (tenant, role, label, options) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tenant, role) DO UPDATE SET label = ?3, options = ?4",
                params![tenant.as_str(), chosen.role.key(), chosen.label, options],
            )?;
            Ok(())
        })
    }

    /// What a tenant uses, where it chose.
    pub fn uses(&self, tenant: &TenantId) -> Result<Vec<Use>, CatalogError> {
        let reader = self.db.read(&Interrupt::never())?;
        let mut statement = reader.prepare_cached(
            "SELECT role, label, options FROM uses WHERE tenant = ?1 ORDER BY role",
        )?;
        let rows = statement.query_map([tenant.as_str()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get(1)?,
                row.get::<_, String>(2)?,
            ))
        })?;
        let read = |row: Result<(String, String, String), crate::db::SqlError>| {
            let (role, label, options) = row?;
            let options = from_json(&options)?;
            Ok(Use {
                role: Role::of_key(&role),
                label,
                options,
            })
        };
        rows.map(read).collect()
    }
}

/// A plugin that was checked and is about to be installed.
#[derive(Debug)]
pub struct NewPlugin<'a> {
    /// Its bytes' name.
    pub digest: Digest,
    /// Chunker or agent.
    pub kind: PluginKind,
    /// The options that it declares.
    pub options: &'a [OptionSpec],
}

fn tenant_record(row: &Row<'_>) -> Result<TenantRecord, crate::db::SqlError> {
    let name: String = row.get(0)?;
    let name = TenantId::new(&name).map_err(|_| crate::db::SqlError::InvalidQuery)?;
    let policy: String = row.get(1)?;
    let written: Option<Vec<u8>> = row.get(3)?;
    Ok(TenantRecord {
        sound: written.is_none_or(|written| written == seal(&name, &policy)),
        name,
        policy,
        suspended: row.get(2)?,
    })
}

/// Of a tenant's policy: BLAKE3. What was written before there were seals has none.
fn seal(tenant: &TenantId, policy: &str) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tenant.as_str().as_bytes()).update(b"\n");
    hasher.update(policy.as_bytes());
    hasher.finalize().as_bytes().to_vec()
}

fn installed(row: &Row<'_>) -> Result<Installed, CatalogError> {
    let damaged = |what: String| CatalogError::Damaged { what };
    let kind: String = row.get(2)?;
    Ok(Installed {
        label: row.get(0)?,
        digest: Digest::try_from(row.get::<_, String>(1)?).map_err(damaged)?,
        kind: match kind.as_str() {
            "agent" => PluginKind::Agent,
            _ => PluginKind::Chunker,
        },
        options: from_json(&row.get::<_, String>(3)?)?,
        versions: row.get(5)?,
        put_back_from: match row.get::<_, Option<String>>(6)? {
            Some(digest) => Some(Digest::try_from(digest).map_err(damaged)?),
            None => None,
        },
    })
}

fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String, CatalogError> {
    serde_json::to_string(value).map_err(|error| CatalogError::Damaged {
        what: error.to_string(),
    })
}

fn from_json<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, CatalogError> {
    serde_json::from_str(json).map_err(|error| CatalogError::Damaged {
        what: error.to_string(),
    })
}
