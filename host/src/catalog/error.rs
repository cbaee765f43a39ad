//! What the catalog could not do, and whose fault that is.

use crate::corpus::TenantId;
use crate::db::DbError;
use crate::error::{Blame, Exit, Explain};
use crate::task::{Phase, Reason, Stop, count};
use std::path::PathBuf;

/// What the catalog could not do.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No tenant of that name.
    #[error("there is no tenant '{0}'")]
    NoTenant(TenantId),
    /// One of that name is there.
    #[error("there is a tenant '{0}' already")]
    TenantExists(TenantId),
    /// No plugin of that label.
    #[error("the tenant has no plugin '{label}'")]
    NoPlugin {
        /// The label.
        label: String,
    },
    /// Nothing to go back to.
    #[error("the plugin '{label}' has no earlier version")]
    NoEarlier {
        /// The label.
        label: String,
    },
    /// The plugin is the tenant's chunker or agent.
    #[error("the plugin '{label}' is in use")]
    InUse {
        /// The label.
        label: String,
    },
    /// As many plugins as the policy allows.
    #[error("the tenant has {limit} plugins, as many as plugins_max allows")]
    Plugins {
        /// The policy's limit.
        limit: u64,
    },
    /// A row that we did not write like that.
    #[error("the catalog is damaged: {what}")]
    Damaged {
        /// What does not make sense.
        what: String,
    },
    /// A tenant's policy that is not as it was written.
    #[error("the stored policy of tenant '{0}' is damaged")]
    Policy(TenantId),
    /// The catalog is gone, and tenants' folders are there.
    #[error("the catalog {path} is gone, but there are folders of {tenants} tenants")]
    Gone {
        /// Where it should be.
        path: PathBuf,
        /// How many folders there are.
        tenants: usize,
    },
    /// The database below.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<crate::db::SqlError> for CatalogError {
    fn from(error: crate::db::SqlError) -> Self {
        Self::Db(error.into())
    }
}

impl Explain for CatalogError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoTenant(_) => "no-tenant",
            Self::TenantExists(_) => "tenant-exists",
            Self::NoPlugin { .. } => "no-plugin",
            Self::NoEarlier { .. } => "no-earlier-version",
            Self::InUse { .. } => "plugin-in-use",
            Self::Plugins { .. } => "plugins",
            Self::Damaged { .. } | Self::Gone { .. } => "catalog-damaged",
            Self::Policy(_) => "policy-damaged",
            Self::Db(error) => error.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Plugins { .. } => Blame::Limit,
            Self::Damaged { .. } | Self::Policy(_) | Self::Gone { .. } => Blame::Host,
            Self::Db(error) => error.blame(),
            _ => Blame::Caller,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Plugins { .. } => Exit::Refused,
            Self::Damaged { .. } | Self::Policy(_) | Self::Gone { .. } => Exit::HostFault,
            Self::Db(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoTenant(name) => format!("Add it with `stockade tenant add {name}`."),
            Self::NoPlugin { .. } => "See `stockade plugin list`.".to_owned(),
            Self::InUse { .. } => "Use another with `stockade plugin use` first.".to_owned(),
            Self::Plugins { .. } => {
                "Remove one with `stockade plugin remove`, or raise plugins_max.".to_owned()
            }
            Self::Damaged { .. } => "Run `stockade doctor`.".to_owned(),
            Self::Policy(name) => {
                format!("Give it again with `stockade tenant policy {name} FILE`.")
            }
            Self::Gone { .. } => {
                "Put it back from a copy, or make it anew with `stockade doctor --repair`."
                    .to_owned()
            }
            Self::Db(error) => return error.hint(),
            _ => return None,
        })
    }

    fn stop(&self) -> Option<serde_json::Value> {
        match self {
            Self::Plugins { limit } => {
                let (limit, used) = (count(*limit), count(limit.saturating_add(1)));
                let detail = "the tenant has as many plugins as the policy allows";
                let stop = Stop::new(Reason::Plugins, Phase::Queued, limit, used, detail);
                Explain::stop(&stop)
            }
            _ => None,
        }
    }
}
