//! Plugins on disk: an installed one's bytes under their own name, and beside them what was compiled. What no
//! tenant's history names goes.
//!
//! It neither checks nor compiles plugins. What is removed from the disk stays usable where it is loaded.

use super::builtin::BUILTINS;
use super::{Runtime, lock};
use crate::catalog::NewPlugin;
use crate::corpus::TenantId;
use crate::cut::{self, Point};
use crate::error::Failure;
use crate::law::{self, Law};
use crate::plugin::{Digest, PluginError, sweep_artefacts};
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// An installation under way. Whatever becomes of it, what nobody needs goes when this is dropped.
pub(super) struct Installing<'a> {
    runtime: &'a Runtime,
    digest: Digest,
}

impl Drop for Installing<'_> {
    fn drop(&mut self) {
        let mut installing = lock(&self.runtime.installing);
        if let Some(at) = installing.iter().position(|other| *other == self.digest) {
            installing.swap_remove(at);
        }
        drop(installing);
        if let Err(failure) = self.runtime.sweep_plugins() {
            tracing::warn!(error = %failure.message, "files of plugins are left");
        }
    }
}

impl Runtime {
    /// From here on what is compiled of this plugin is needed.
    pub(super) fn installing(&self, digest: Digest) -> Installing<'_> {
        lock(&self.installing).push(digest);
        Installing {
            runtime: self,
            digest,
        }
    }

    /// Writes a plugin's bytes, then the row that names them; nobody sweeps in between.
    pub(crate) fn keep_plugin(
        &self,
        tenant: &TenantId,
        label: &str,
        plugin: &NewPlugin<'_>,
        bytes: &[u8],
        labels_max: u64,
    ) -> Result<(), Failure> {
        let _nobody_sweeps = lock(&self.installing);
        let tell = || self.catalog.install(tenant, label, plugin, labels_max);
        if !law::holds(Law::BytesBeforeRow) {
            self.breakers.forget(tenant, tell)?;
        }
        self.write_plugin(&plugin.digest, bytes)?;
        if law::holds(Law::BytesBeforeRow) {
            self.breakers.forget(tenant, tell)?;
        }
        cut::here(Point::PluginNamed);
        Ok(())
    }

    /// Writes a plugin's bytes, which stay as long as a row names them or they are being installed.
    pub(super) fn write_plugin(&self, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.plugin_file(digest);
        write(&path, bytes).map_err(|source| PluginError::Io {
            what: "write",
            path,
            source,
        })?;
        cut::here(Point::PluginMoved);
        Ok(())
    }

    pub(crate) fn plugin_file(&self, digest: &Digest) -> PathBuf {
        self.data().join("plugins").join(format!("{digest}.wasm"))
    }

    /// Removes the files of plugins that no tenant's history names any more, compiled ones too.
    pub(super) fn sweep_plugins(&self) -> Result<(), Failure> {
        let installing = lock(&self.installing);
        let mut needed: HashSet<String> = self.catalog.digests()?.into_iter().collect();
        needed.extend(installing.iter().map(Digest::to_string));
        if let Ok(files) = std::fs::read_dir(self.data().join("plugins")) {
            for file in files.flatten() {
                let name = file.file_name().to_string_lossy().into_owned();
                let digest = name.strip_suffix(".wasm").unwrap_or_default();
                if !needed.contains(digest) {
                    let _ = std::fs::remove_file(file.path());
                }
            }
        }
        needed.extend(BUILTINS.iter().map(|b| Digest::of(b.bytes).to_string()));
        sweep_artefacts(&self.data().join("cache"), &|digest| {
            needed.contains(digest)
        });
        Ok(())
    }
}

/// Whole or not at all, and on disk when this returns.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        std::fs::create_dir_all(folder)?;
        sync_folder(folder.parent())?;
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    cut::here(Point::PluginWritten);
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(Some(folder))
}

/// A name in a folder is durable when the folder is.
pub(super) fn sync_folder(folder: Option<&Path>) -> std::io::Result<()> {
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::PluginKind;
    use crate::policy::Policy;

    fn runtime(folder: &Path) -> (Runtime, TenantId) {
        let runtime = Runtime::open(folder).unwrap();
        let tenant = TenantId::new("acme").unwrap();
        let policy = Policy::shipped("default").unwrap();
        runtime.add_tenant(&tenant, &policy).unwrap();
        (runtime, tenant)
    }

    /// A file where the cache keeps what was compiled of these bytes.
    fn artefact(runtime: &Runtime, bytes: &[u8]) -> PathBuf {
        let cache = runtime.data().join("cache");
        std::fs::create_dir_all(&cache).unwrap();
        let path = cache.join(format!("{}-0123456789abcdef.cwasm", Digest::of(bytes)));
        std::fs::write(&path, b"code").unwrap();
        path
    }

    fn keep(runtime: &Runtime, tenant: &TenantId, label: &str, bytes: &[u8]) {
        let plugin = NewPlugin {
            digest: Digest::of(bytes),
            kind: PluginKind::Agent,
            options: &[],
        };
        runtime
            .keep_plugin(tenant, label, &plugin, bytes, 32)
            .unwrap();
    }

    #[test]
    fn what_no_history_names_goes_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, tenant) = runtime(folder.path());
        keep(&runtime, &tenant, "bot", b"kept");
        let key = runtime.data().join("cache").join("key");
        let kept = [
            runtime.plugin_file(&Digest::of(b"kept")),
            artefact(&runtime, b"kept"),
            artefact(&runtime, BUILTINS[0].bytes),
            artefact(&runtime, b"tried"),
        ];
        std::fs::write(&key, b"key").unwrap();
        let gone = artefact(&runtime, b"gone");
        let installing = runtime.installing(Digest::of(b"tried"));
        runtime.sweep_plugins().unwrap();
        assert!(kept.iter().all(|path| path.exists()) && key.exists());
        assert!(!gone.exists());
        drop(installing);
        assert!(!kept[3].exists(), "it was refused");
        runtime.remove_plugin(&tenant, "bot").unwrap();
        assert!(!kept[0].exists() && !kept[1].exists());
        assert!(kept[2].exists() && key.exists());
    }

    #[test]
    fn an_old_version_goes_with_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, tenant) = runtime(folder.path());
        for version in 0..30_u8 {
            keep(&runtime, &tenant, "bot", &[version]);
            artefact(&runtime, &[version]);
            drop(runtime.installing(Digest::of(&[version])));
        }
        for kept in ["plugins", "cache"] {
            let files = std::fs::read_dir(runtime.data().join(kept)).unwrap();
            assert_eq!(files.count(), 10, "{kept}");
        }
        assert!(runtime.plugin_file(&Digest::of(&[29])).exists());
    }

    #[test]
    fn nobody_sweeps_a_plugin_that_is_being_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, tenant) = runtime(folder.path());
        std::thread::scope(|scope| {
            let keeping = scope.spawn(|| {
                (0..100_u8).find(|version| {
                    keep(&runtime, &tenant, "bot", &[*version]);
                    !runtime.plugin_file(&Digest::of(&[*version])).exists()
                })
            });
            while !keeping.is_finished() {
                runtime.sweep_plugins().unwrap();
            }
            assert_eq!(keeping.join().unwrap(), None);
        });
    }
}
