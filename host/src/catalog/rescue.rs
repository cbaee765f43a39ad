//! A new catalog from what can be read of a damaged one, and from the tenants whose folders are there.
//!
//! The damaged file is only read, and stays beside the new one. Nobody may have it open.

use super::transfer::{TenantSnapshot, insert, read_tenant};
use super::{CatalogError, schema};
use crate::corpus::TenantId;
use crate::db::{Connection, Database, DbError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What became of a catalog that was made anew.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rescued {
    /// Tenants that are as they were.
    pub whole: Vec<TenantId>,
    /// Tenants whose policy is there, and of whose plugins or health something is lost. They are suspended.
    pub torn: Vec<TenantId>,
    /// Tenants of whom nothing but their folder is left. They are suspended, under the policy given.
    pub adopted: Vec<TenantId>,
    /// Where the damaged file is; `None` where there was none.
    pub aside: Option<PathBuf>,
}

/// Makes `<data>/catalog.db` anew. `folders` are the tenants whose folders are there; those that the old catalog does
/// not tell of come under `policy`, suspended.
pub fn rescue(data: &Path, folders: &[TenantId], policy: &str) -> Result<Rescued, CatalogError> {
    let (old, new) = (data.join("catalog.db"), data.join("catalog.db.rebuilt"));
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(data.join(format!("catalog.db.rebuilt{suffix}")));
    }
    let mut found = BTreeMap::new();
    if old.exists() {
        crate::db::salvage(&old, |damaged| collect(damaged, folders, &mut found)).unwrap_or(());
    }
    let mut rescued = Rescued::default();
    for (tenant, (snapshot, whole)) in &mut found {
        match whole {
            true => rescued.whole.push(tenant.clone()),
            false => {
                snapshot.suspended = true;
                rescued.torn.push(tenant.clone());
            }
        }
    }
    for tenant in folders.iter().filter(|name| !found.contains_key(*name)) {
        rescued.adopted.push(tenant.clone());
    }
    let database = Database::open(&new, &schema::KIND)?;
    database.write(|tx| {
        for (tenant, (snapshot, _)) in &found {
            insert(tx, tenant, snapshot)?;
        }
        for tenant in &rescued.adopted {
            insert(tx, tenant, &suspended(policy))?;
        }
        Ok::<_, CatalogError>(())
    })?;
    database.checkpoint()?;
    drop(database);
    rescued.aside = match old.exists() {
        true => Some(crate::db::replace(&old, &new)?),
        false => {
            std::fs::rename(&new, &old).map_err(DbError::from)?;
            None
        }
    };
    Ok(rescued)
}

type Found = BTreeMap<TenantId, (TenantSnapshot, bool)>;

fn suspended(policy: &str) -> TenantSnapshot {
    TenantSnapshot {
        policy: policy.to_owned(),
        suspended: true,
        plugins: vec![],
        uses: vec![],
        breakers: vec![],
        stopped: vec![],
    }
}

fn collect(damaged: &Connection, folders: &[TenantId], found: &mut Found) {
    let mut names = folders.to_vec();
    // From both ends, as far as a damaged place lets us.
    for order in ["ASC", "DESC"] {
        names.extend(names_of(damaged, order));
    }
    for name in names {
        if found.contains_key(&name) {
            continue;
        }
        if let Ok(Some(mut snapshot)) = read_tenant(damaged, &name)
            && sealed(damaged, &name, &snapshot.policy)
        {
            let whole = snapshot.salvage(damaged, &name);
            found.insert(name, (snapshot, whole));
        }
    }
}

fn names_of(damaged: &Connection, order: &str) -> Vec<TenantId> {
    let sql = format!("SELECT name FROM tenants ORDER BY name {order}");
    let Ok(mut statement) = damaged.prepare(&sql) else {
        return vec![];
    };
    let Ok(rows) = statement.query_map([], |row| row.get::<_, String>(0)) else {
        return vec![];
    };
    let readable = rows.map_while(Result::ok);
    readable
        .filter_map(|name| TenantId::new(&name).ok())
        .collect()
}

/// A policy that is not as it was written is none.
fn sealed(damaged: &Connection, tenant: &TenantId, policy: &str) -> bool {
    let sql = "SELECT seal FROM tenants WHERE name = ?1";
    let seal = damaged.query_row(sql, [tenant.as_str()], |row| {
        row.get::<_, Option<Vec<u8>>>(0)
    });
    match seal {
        Ok(Some(seal)) => seal == super::seal(tenant, policy),
        _ => true,
    }
}

/// Tenants whose folders with an index are in a data folder, by name.
pub fn tenant_folders(data: &Path) -> Vec<TenantId> {
    let Ok(entries) = std::fs::read_dir(data.join("tenants")) else {
        return vec![];
    };
    let has_index = |folder: &Path| {
        let files = ["index.db", "index.made"];
        files.iter().any(|name| folder.join(name).exists())
    };
    let folders = entries.flatten().filter(|entry| has_index(&entry.path()));
    let names = folders.filter_map(|entry| TenantId::new(entry.file_name().to_str()?).ok());
    let mut names: Vec<TenantId> = names.collect();
    names.sort();
    names
}
