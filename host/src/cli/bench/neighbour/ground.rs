//! Where the victim and its neighbours live: a data folder of its own, with a real host, real tenants and real
//! documents, gone at the end. It measures nothing.

use super::load::{Kind, Work};
use super::victim::Victim;
use crate::attack::{Class, Guest, compile_bomb};
use crate::cli::bench::stage::{copy_configuration, write_error};
use crate::cli::bench::workload::Words;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::policy::Policy;
use crate::runtime::{IngestRequest, Progress, Runtime, builtin_component};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Documents of the victim, and of neighbours that search.
pub(super) const DOCUMENTS: u32 = 200;

/// Words of a document: about a chunk.
const WORDS: usize = 120;

/// Words of a document that is to be embedded many times over.
const WORDS_OF_A_FLOOD: usize = 1_500;

/// Different questions; then they come again.
pub(super) const QUESTIONS: usize = 100;

/// The neighbours' policy is the default one. Its breaker is as patient as a policy can make it, so that an
/// attack lasts as long as the measurement.
const PATIENT: &str = "extends = \"default\"\n[breaker]\nstops_max = 1_000\nstops_ratio_max = 1.0\n\
                       window_s = 1\ncooldown_s = 1\n";

/// A host with its tenants.
pub(super) struct Ground {
    pub(super) runtime: Arc<Runtime>,
    pub(super) victim: Arc<Victim>,
    pub(super) policy: Policy,
    folder: TempDir,
}

/// What the two neighbours of a class do.
pub(super) struct Neighbours {
    pub(super) honest: Arc<Work>,
    pub(super) hostile: Arc<Work>,
}

impl Ground {
    pub(super) async fn set(data: &Path, seed: u64) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("stockade-bench-").tempdir();
        let folder = folder.map_err(|source| write_error(&std::env::temp_dir(), source))?;
        let own = folder.path().join("data");
        copy_configuration(data, &own)?;
        let runtime = Arc::new(Runtime::open(&own)?);
        let tenant = TenantId::new("victim")?;
        runtime.add_tenant(&tenant, &Runtime::find_policy(None)?)?;
        let victim = Arc::new(Victim {
            tenant,
            questions: Words::new(!seed).texts(QUESTIONS, 10),
        });
        let policy = Policy::from_toml("neighbour.toml", PATIENT)?;
        let ground = Self {
            runtime,
            victim,
            policy,
            folder,
        };
        ground.fill(&ground.victim.tenant, seed).await?;
        Ok(ground)
    }

    async fn fill(&self, tenant: &TenantId, seed: u64) -> Result<(), Failure> {
        let file = self.path(&format!("{tenant}.jsonl"));
        let written = Words::new(seed).write(&file, "doc-", DOCUMENTS, WORDS);
        written.map_err(|source| write_error(&file, source))?;
        let request = IngestRequest::of(file);
        let progress = Arc::new(Progress::default());
        let never = CancellationToken::new();
        let report = self
            .runtime
            .ingest(tenant, &request, &progress, &never)
            .await?;
        match report.failures.into_iter().next() {
            Some(failure) => Err(failure.failure),
            None => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two tenants with the same policy, and the plugins that they need.
    pub(super) async fn neighbours(&self, class: Class) -> Result<Neighbours, Failure> {
        let tenant = |kind: &str| TenantId::new(&format!("{kind}-{}", class.as_str()));
        let (honest, hostile) = (tenant("honest")?, tenant("hostile")?);
        for tenant in [&honest, &hostile] {
            self.runtime.add_tenant(tenant, &self.policy)?;
            if class == Class::HostCalls {
                self.fill(tenant, 7).await?;
            }
        }
        Ok(Neighbours {
            honest: self.honest(class, honest).await?,
            hostile: self.hostile(class, hostile).await?,
        })
    }

    async fn honest(&self, class: Class, tenant: TenantId) -> Result<Arc<Work>, Failure> {
        if let Some(guest) = class.honest(&self.policy) {
            self.use_guest(&tenant, &guest).await?;
        }
        let task = match class {
            Class::Cpu | Class::Memory | Class::HostCalls => {
                Kind::Question("a question".to_owned())
            }
            Class::Embedder => Kind::Documents(WORDS),
            Class::Compile => {
                Kind::Plugin(builtin_component("recursive").unwrap_or_default().to_vec())
            }
        };
        Ok(self.work(tenant, task))
    }

    async fn hostile(&self, class: Class, tenant: TenantId) -> Result<Arc<Work>, Failure> {
        if let Some(guest) = class.hostile(&self.policy) {
            self.use_guest(&tenant, &guest).await?;
        }
        let task = match class {
            Class::Cpu | Class::Memory | Class::HostCalls => {
                Kind::Question(format!("{} a question", Class::SIGNAL))
            }
            Class::Embedder => {
                self.use_guest(&tenant, &Class::flooding_chunker()).await?;
                Kind::Documents(WORDS_OF_A_FLOOD)
            }
            Class::Compile => Kind::Plugin(compile_bomb(20, 20_000).build()?),
        };
        Ok(self.work(tenant, task))
    }

    fn work(&self, tenant: TenantId, task: Kind) -> Arc<Work> {
        Arc::new(Work {
            tenant,
            task,
            folder: self.folder.path().to_owned(),
            begun: AtomicU64::new(0),
        })
    }

    async fn use_guest(&self, tenant: &TenantId, guest: &Guest) -> Result<(), Failure> {
        let file = self.path(&format!("{tenant}.wasm"));
        std::fs::write(&file, guest.build()?).map_err(|source| write_error(&file, source))?;
        self.runtime
            .install_plugin(tenant, &file, Some("own"))
            .await?;
        self.runtime.use_plugin(tenant, "own", &[], &vec![]).await?;
        Ok(())
    }
}
