//! A tenant into one file, and out of it again: documents, policy, plugins with their history, breakers.
//!
//! Both go on while others work: a backup is one moment of the index, and a restoration is decided by one transaction of
//! the catalog. Compiled plugins never travel: they are checked and compiled where they arrive.

use super::archive::{Archive, ArchiveError, Manifest, PluginPart, Writing};
use super::files::Installing;
use super::moves::RESTORING;
use super::trial::check_plugin;
use super::{Runtime, tenants};
use crate::catalog::{CatalogError, TenantSnapshot};
use crate::corpus::TenantId;
use crate::db::Interrupt;
use crate::error::Failure;
use crate::plugin::Digest;
use crate::policy::{Policy, PolicySource};
use crate::task::{Phase, Stop};
use std::collections::BTreeSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A backup that was made.
#[derive(Debug, Clone)]
pub struct BackedUp {
    /// Size of the file.
    pub bytes: u64,
    /// Documents in it.
    pub documents: u64,
    /// Chunks in it.
    pub chunks: u64,
    /// Versions of plugins in it, each counted once.
    pub plugins: u64,
    /// The state of the index that it holds.
    pub index_generation: u64,
}

/// A tenant that was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Whose backup it was.
    pub from: TenantId,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Versions of plugins that passed their checks and are installed.
    pub plugins: u64,
    /// Versions of plugins that did not, and are not installed: label, digest, why.
    pub refused: Vec<Unfit>,
    /// There was a tenant of that name before.
    pub replaced: bool,
    /// It is suspended, as it was when the backup was made.
    pub suspended: bool,
    /// Its vectors are of another model than this host's: its documents have to be ingested again.
    pub other_model: bool,
}

impl Runtime {
    /// Writes all that is a tenant's into `file`. Dropping the future gives it up and leaves nothing.
    pub async fn backup(
        self: &Arc<Self>,
        tenant: &TenantId,
        file: &Path,
    ) -> Result<BackedUp, Failure> {
        let (runtime, tenant, file) = (self.clone(), tenant.clone(), file.to_owned());
        until_dropped(move |given_up| runtime.backup_now(&tenant, &file, given_up)).await
    }

    fn backup_now(
        &self,
        tenant: &TenantId,
        file: &Path,
        given_up: &CancellationToken,
    ) -> Result<BackedUp, Failure> {
        let writing = Writing::begin(file)?;
        let catalog = self.catalog.snapshot(tenant)?;
        let mut manifest = Manifest {
            stockade: env!("CARGO_PKG_VERSION").to_owned(),
            tenant: tenant.clone(),
            model: String::new(),
            documents: 0,
            chunks: 0,
            index_generation: 0,
            index_bytes: 0,
            plugins: vec![],
            catalog,
        };
        if self.tenant_folder(tenant).exists() {
            self.copy_index(tenant, writing.partial(), given_up, &mut manifest)?;
        }
        manifest.plugins = self.copy_plugins(&writing, &manifest)?;
        let bytes = writing.finish(&manifest, &|| given_up.is_cancelled())?;
        Ok(BackedUp {
            bytes,
            documents: manifest.documents,
            chunks: manifest.chunks,
            plugins: manifest.plugins.len() as u64,
            index_generation: manifest.index_generation,
        })
    }

    /// All versions' bytes; nobody removes a file meanwhile. A damaged plugin is no part of a backup.
    fn copy_plugins(
        &self,
        writing: &Writing,
        manifest: &Manifest,
    ) -> Result<Vec<PluginPart>, Failure> {
        let _nobody_sweeps = super::lock(&self.installing);
        let digests = manifest.catalog.plugins.iter().map(|row| &row.digest);
        let digests: BTreeSet<&String> = digests.collect();
        let copy = |hex: &String| -> Result<PluginPart, Failure> {
            let digest = Digest::try_from(hex.clone());
            let digest = digest.map_err(|what| CatalogError::Damaged { what })?;
            Ok(writing.plugin(digest, &self.bytes_of(&digest)?)?)
        };
        digests.into_iter().map(copy).collect()
    }

    /// One moment of the index, checked: a damaged one gives no backup.
    fn copy_index(
        &self,
        tenant: &TenantId,
        target: &Path,
        given_up: &CancellationToken,
        manifest: &mut Manifest,
    ) -> Result<(), Failure> {
        let index = self.index(tenant)?;
        let token = given_up.clone();
        let interrupt = Interrupt::new(move || token.is_cancelled());
        let copied = index.database().backup(target, &interrupt);
        copied.map_err(|error| match error {
            crate::db::DbError::Interrupted => ArchiveError::GivenUp.into(),
            other => Failure::from(other),
        })?;
        let wrong = crate::index::check_copy(target)?;
        if let Some(first) = wrong.first() {
            let (tenant, what) = (tenant.clone(), first.clone());
            return Err(ArchiveError::Source { tenant, what }.into());
        }
        let counts = crate::index::glance_at(target)?;
        let counts = counts.ok_or_else(|| ArchiveError::NotOne(target.to_owned()))?;
        manifest.model = index.model().to_owned();
        manifest.documents = counts.documents;
        manifest.chunks = counts.chunks;
        manifest.index_generation = counts.generation;
        manifest.index_bytes = counts.bytes;
        Ok(())
    }

    /// Makes `tenant` what `file` says; in the place of one of that name where `replace` allows it. The tenant is there
    /// whole when this returns, and as it was before where it fails.
    pub async fn restore(
        self: &Arc<Self>,
        tenant: &TenantId,
        file: &Path,
        replace: bool,
    ) -> Result<Restored, Failure> {
        self.refuse_existing(tenant, replace)?;
        let path = file.to_owned();
        let opened =
            until_dropped(move |given_up| Ok(Archive::open(&path, &|| given_up.is_cancelled())?));
        let mut archive = opened.await?;
        let catalog = &archive.manifest.catalog;
        let policy = Policy::from_bundle(&PolicySource::from_json(&catalog.policy)?)?;
        let (kept, refused) = self.check_all(&mut archive, &policy).await?;
        let plugins = kept.len() as u64;
        let (runtime, tenant) = (self.clone(), tenant.clone());
        let restored = until_dropped(move |given_up| {
            let restored = runtime.restore_now(&tenant, archive, &refused, replace, given_up)?;
            Ok(Restored {
                plugins,
                refused,
                ..restored
            })
        });
        let restored = restored.await;
        drop(kept);
        restored
    }

    fn refuse_existing(&self, tenant: &TenantId, replace: bool) -> Result<bool, Failure> {
        let there = match self.catalog.tenant(tenant) {
            Ok(_) => true,
            Err(CatalogError::NoTenant(_)) => false,
            Err(error) => return Err(error.into()),
        };
        match there && !replace {
            true => Err(super::RuntimeError::Exists(tenant.clone()).into()),
            false => {
                if !there {
                    super::removal::finish(&self.tenants_folder(), tenant)?;
                    self.refuse_left_folder(tenant)?;
                }
                Ok(there)
            }
        }
    }

    /// Checks every plugin as if it were installed, and writes those that pass to where they belong: these, which
    /// stay as long as what is returned does, and those that did not pass.
    async fn check_all(
        &self,
        archive: &mut Archive,
        policy: &Policy,
    ) -> Result<(Vec<Installing<'_>>, Vec<Unfit>), Failure> {
        let (mut kept, mut refused) = (vec![], vec![]);
        for place in 0..archive.manifest.plugins.len() {
            let (guests, embedder) = (self.guests()?, self.embedder()?);
            let bytes = archive.plugin(place)?;
            let digest = Digest::of(&bytes);
            let installing = self.installing(digest);
            match check_plugin(guests, &embedder, &bytes, policy).await {
                Ok(_) => {
                    self.write_plugin(&digest, &bytes)?;
                    kept.push(installing);
                }
                Err(failure) => {
                    let rows = archive.manifest.catalog.plugins.iter();
                    let mut named = rows.filter(|row| row.digest == digest.to_string());
                    let label = named.next().map(|row| row.label.clone());
                    refused.push((label.unwrap_or_default(), digest, failure));
                }
            }
        }
        Ok((kept, refused))
    }

    fn restore_now(
        &self,
        tenant: &TenantId,
        mut archive: Archive,
        refused: &[Unfit],
        replace: bool,
        given_up: &CancellationToken,
    ) -> Result<Restored, Failure> {
        let folder = self.extract(tenant, &mut archive, given_up)?;
        let manifest = archive.manifest;
        let mut snapshot = manifest.catalog;
        let gone: BTreeSet<String> = refused.iter().map(|(_, d, _)| d.to_string()).collect();
        snapshot.plugins.retain(|row| !gone.contains(&row.digest));
        let replaced = self.put_in_place(tenant, &snapshot, replace, folder)?;
        let model = self.model_digest().unwrap_or_default();
        Ok(Restored {
            from: manifest.tenant,
            documents: manifest.documents,
            chunks: manifest.chunks,
            plugins: 0,
            refused: vec![],
            replaced,
            suspended: snapshot.suspended,
            other_model: manifest.index_bytes > 0 && manifest.model != model,
        })
    }

    /// The moment in which a tenant becomes what its backup says; whether there was one before.
    fn put_in_place(
        &self,
        tenant: &TenantId,
        snapshot: &TenantSnapshot,
        replace: bool,
        folder: Option<Restoring>,
    ) -> Result<bool, Failure> {
        let _changing = super::lock(&self.changes);
        let replaced = self.refuse_existing(tenant, replace)?;
        self.finish_moves()?;
        // Whoever works for the old one ends, and nobody commits to it any more.
        self.registry.refuse(tenant, "the tenant is being replaced");
        // Nor does anybody open what is about to go.
        let mut open = super::lock(&self.indexes);
        let old = open.remove(tenant);
        let adding = old.as_ref().map(|index| index.adding());
        let source = folder.as_ref().map(Restoring::name);
        let done = self
            .catalog
            .restore(tenant, snapshot, replace, source.as_deref());
        if done.is_ok() {
            // An ingest that has nothing under way still holds it, and must not write into what is gone.
            if let Some(old) = &old {
                old.retire();
            }
            if let Some(folder) = folder {
                folder.keep();
            }
            super::lock(&self.damaged).remove(tenant);
            super::lock(&self.policies).forget(tenant);
            self.breakers.forget_tenant(tenant);
            self.answers.forget(tenant, None);
            self.finish_moves()?;
        }
        drop((adding, open));
        let record = self.catalog.tenant(tenant);
        if record.is_ok_and(|record| record.suspended) {
            self.registry.refuse(tenant, tenants::SUSPENDED);
        } else {
            self.registry.admit(tenant);
        }
        done?;
        let policy = self.policy(tenant)?;
        self.gates.resize(tenant, &policy);
        Ok(replaced)
    }

    /// The index in a folder of its own, `tenant`'s from here on; `None` where the backup has none.
    fn extract(
        &self,
        tenant: &TenantId,
        archive: &mut Archive,
        given_up: &CancellationToken,
    ) -> Result<Option<Restoring>, Failure> {
        if archive.manifest.index_bytes == 0 {
            return Ok(None);
        }
        let tenants = self.data().join("tenants");
        let folder = Restoring::make(&tenants).map_err(|source| super::RuntimeError::Folder {
            path: tenants,
            source,
        })?;
        let index = folder.0.join("index.db");
        archive.index(&index, &|| given_up.is_cancelled())?;
        crate::index::give_to(&folder.0, tenant)?;
        Ok(Some(folder))
    }
}

/// A version of a plugin that did not pass its checks: label, digest, why.
pub type Unfit = (String, Digest, Failure);

/// A folder that is to become a tenant's; gone when dropped before it was kept.
#[derive(Debug)]
struct Restoring(PathBuf);

impl Restoring {
    fn make(tenants: &Path) -> std::io::Result<Self> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(tenants)?;
        let folder = tempfile::Builder::new()
            .prefix(RESTORING)
            .tempdir_in(tenants)?;
        std::fs::File::open(tenants)?.sync_all()?;
        Ok(Self(folder.keep()))
    }

    fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn keep(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Work off the threads that answer, told when nobody waits for it any more.
async fn until_dropped<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let given_up = CancellationToken::new();
    let _dropped = given_up.clone().drop_guard();
    let joined = tokio::task::spawn_blocking(move || work(&given_up)).await;
    joined.map_err(|error| Stop::host(Phase::Commit, &error.to_string()))?
}
