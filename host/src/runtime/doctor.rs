//! Is everything there and whole? Model, runtime, databases, caches: each finding with its fix.
//!
//! It looks and tells; it repairs nothing.

use super::Runtime;
use crate::config::Config;
use crate::db::Interrupt;
use crate::embedder::Embedder;
use crate::error::{Explain, chain};

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What.
    pub subject: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// What to do, where something is to be done. On a finding that is `ok` it is a warning.
    pub fix: Option<String>,
}

impl Finding {
    fn good(subject: &str, message: String) -> Self {
        Self {
            subject: subject.to_owned(),
            ok: true,
            message,
            fix: None,
        }
    }

    fn bad(subject: &str, message: String, fix: &str) -> Self {
        let fix = Some(fix.to_owned());
        Self {
            subject: subject.to_owned(),
            ok: false,
            message,
            fix,
        }
    }

    fn warning(subject: &str, message: String, fix: &str) -> Self {
        Self {
            ok: true,
            ..Self::bad(subject, message, fix)
        }
    }

    fn of<T>(
        subject: &str,
        outcome: Result<T, crate::error::Failure>,
        said: impl Fn(T) -> String,
    ) -> Self {
        match outcome {
            Ok(value) => Self::good(subject, said(value)),
            Err(failure) => Self {
                subject: subject.to_owned(),
                ok: false,
                message: failure.message,
                fix: failure.hint,
            },
        }
    }
}

const SETUP: &str = "Run `cargo xtask setup`.";

/// Looks at what every command needs, without a data folder.
pub(super) async fn machine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![];
    let library = &config.onnxruntime;
    findings.push(match library.is_file() {
        true => Finding::good("onnxruntime", library.display().to_string()),
        false => Finding::bad(
            "onnxruntime",
            format!("{} is missing", library.display()),
            SETUP,
        ),
    });
    findings.push(match Embedder::start(config) {
        Ok(embedder) => try_model(&embedder).await,
        Err(error) => Finding {
            subject: "model".to_owned(),
            ok: false,
            message: chain(&error),
            fix: Some(error.hint().unwrap_or_else(|| SETUP.to_owned())),
        },
    });
    findings
}

/// One text through the whole model.
async fn try_model(embedder: &Embedder) -> Finding {
    use crate::embedder::{Lane, Priority};
    let Ok(tenant) = crate::corpus::TenantId::new("doctor") else {
        return Finding::bad("model", "no tenant to try it with".to_owned(), SETUP);
    };
    let cancel = tokio_util::sync::CancellationToken::new();
    let lane = Lane {
        tenant,
        share: 1,
        priority: Priority::Interactive,
        cancel,
    };
    let tokens = embedder.tokenize("Is everything there and whole?");
    let model = embedder.model();
    match embedder.embed(&lane, vec![tokens]).await {
        Ok(vectors) if vectors.iter().all(Result::is_ok) => {
            let digest = &model.digest[..12.min(model.digest.len())];
            let message = format!(
                "{} {digest}, {} dimensions, embeds",
                model.name, model.dimensions
            );
            Finding::good("model", message)
        }
        Ok(_) => Finding::bad("model", "it gives no vector".to_owned(), SETUP),
        Err(error) => Finding::bad("model", chain(&error), SETUP),
    }
}

/// Memory of the machine, in MiB, where the kernel says it.
fn machine_memory_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

impl Runtime {
    /// Looks at everything.
    pub async fn doctor(&self) -> Vec<Finding> {
        let mut findings = machine(&self.config).await;
        findings.push(Finding::of("engine", self.guests(), |_| {
            format!("{} guest threads", self.config.guest_threads)
        }));
        findings.push(self.check_database("catalog", self.catalog.database()));
        findings.extend(self.check_plugins());
        findings.extend(self.check_tenants());
        findings.push(self.check_memory());
        findings
    }

    /// Whether the machine has the memory that the policies promise to guests, should all ask at once.
    fn check_memory(&self) -> Finding {
        let host = self.config.tasks_running_max as u64;
        let records = self.catalog.tenants().unwrap_or_default();
        let policies = records
            .iter()
            .filter_map(|record| self.policy(&record.name).ok());
        let promised = policies.map(|policy| {
            let task = policy
                .chunker
                .call
                .memory_mib_max
                .max(policy.agent.call.memory_mib_max);
            task.saturating_mul(policy.tenant.tasks_running_max.min(host))
        });
        let promised: u64 = promised.fold(0, u64::saturating_add);
        let subject = "guest memory";
        let Some(machine) = machine_memory_mib() else {
            return Finding::good(
                subject,
                format!("at most {promised} MiB; the machine's is unknown"),
            );
        };
        let message = format!("at most {promised} MiB by the policies; the machine has {machine}");
        if promised <= machine {
            return Finding::good(subject, message);
        }
        let fix = "Lower memory_mib_max or tasks_running_max of the tenants, or tasks_running_max in stockade.toml.";
        Finding::warning(subject, message, fix)
    }

    fn check_database(&self, subject: &str, database: &crate::db::Database) -> Finding {
        let fix = "Restore it from a backup; other files are not touched.";
        match database.quick_check(&Interrupt::never()) {
            Ok(problems) if problems.is_empty() => {
                Finding::good(subject, database.path().display().to_string())
            }
            Ok(problems) => Finding::bad(subject, problems.join("; "), fix),
            Err(error) => Finding::bad(subject, chain(&error), fix),
        }
    }

    fn check_tenants(&self) -> Vec<Finding> {
        let records = match self.catalog.tenants() {
            Ok(records) => records,
            Err(error) => {
                let fix = "Restore the catalog from a backup.";
                return vec![Finding::bad("tenants", chain(&error), fix)];
            }
        };
        let mut findings = vec![];
        for record in records {
            let policy = self.policy(&record.name).map(|policy| policy.name.clone());
            findings.push(Finding::of(
                &format!("policy of {}", record.name),
                policy,
                |name| name,
            ));
            if self.tenant_folder(&record.name).join("index.db").exists() {
                let subject = format!("index of {}", record.name);
                findings.push(match self.index(&record.name) {
                    Ok(index) => self.check_database(&subject, index.database()),
                    Err(failure) => {
                        Finding::of(&subject, Err::<(), _>(failure), |()| String::new())
                    }
                });
            }
        }
        findings
    }

    fn check_plugins(&self) -> Vec<Finding> {
        let digests = self.catalog.digests().unwrap_or_default();
        let fix = "Install the plugin again with `stockade plugin install`.";
        let check = |hex: String| {
            let path = self.data().join("plugins").join(format!("{hex}.wasm"));
            let subject = format!("plugin {}", &hex[..12.min(hex.len())]);
            match std::fs::read(&path) {
                Ok(bytes) if crate::plugin::Digest::of(&bytes).to_string() == hex => {
                    Finding::good(&subject, format!("{} bytes", bytes.len()))
                }
                Ok(_) => Finding::bad(&subject, "the file is damaged".to_owned(), fix),
                Err(error) => Finding::bad(&subject, error.to_string(), fix),
            }
        };
        digests.into_iter().map(check).collect()
    }
}
