//! Is everything there and whole? Model, runtime, databases, caches: each finding with its fix.
//!
//! Asked to, it makes anew what can be made of what is whole, and says what that left out. It removes nothing that
//! cannot be made again: a damaged file stays beside the one that takes its place.

mod tenants;

use super::Runtime;
use super::folder::DataFolder;
use crate::catalog::{Rescued, rescue, tenant_folders};
use crate::config::Config;
use crate::db::Interrupt;
use crate::embedder::Embedder;
use crate::error::{Explain, Failure, chain};
use crate::policy::Policy;
use std::path::Path;

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
    /// What was done about it.
    pub repaired: Option<String>,
}

impl Finding {
    fn good(subject: &str, message: String) -> Self {
        Self {
            subject: subject.to_owned(),
            ok: true,
            message,
            fix: None,
            repaired: None,
        }
    }

    /// What was wrong, and is no more.
    fn repaired(subject: &str, message: String, repaired: String) -> Self {
        let repaired = Some(repaired);
        Self {
            repaired,
            ..Self::good(subject, message)
        }
    }

    fn bad(subject: &str, message: String, fix: &str) -> Self {
        let fix = Some(fix.to_owned());
        Self {
            subject: subject.to_owned(),
            ok: false,
            message,
            fix,
            repaired: None,
        }
    }

    fn warning(subject: &str, message: String, fix: &str) -> Self {
        Self {
            ok: true,
            ..Self::bad(subject, message, fix)
        }
    }

    fn of<T>(subject: &str, outcome: Result<T, Failure>, said: impl Fn(T) -> String) -> Self {
        match outcome {
            Ok(value) => Self::good(subject, said(value)),
            Err(failure) => Self {
                subject: subject.to_owned(),
                ok: false,
                message: failure.message,
                fix: failure.hint,
                repaired: None,
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
            repaired: None,
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
    if let Err(error) = embedder.prepare() {
        return Finding::bad("model", chain(&error), SETUP);
    }
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

/// Looks at everything in and around a data folder, and repairs what can be if `repair` says so. Fails only where the
/// folder cannot be had.
pub async fn examine(data: &Path, repair: bool) -> Result<Vec<Finding>, Failure> {
    let socket = check_socket(data, repair)?;
    let mut findings = match Runtime::open(data) {
        Ok(runtime) => runtime.doctor(repair).await,
        Err(failure) if failure.code == "data-folder-held" => return Err(failure),
        Err(failure) => without_runtime(data, &failure, repair).await,
    };
    let damaged = |finding: &Finding| finding.subject == CATALOG && !finding.ok;
    if repair && findings.iter().any(damaged) {
        findings = make_catalog_anew(data, findings).await?;
    }
    findings.extend(socket);
    Ok(findings)
}

const CATALOG: &str = "catalog";

/// The data folder cannot be used as it is.
async fn without_runtime(data: &Path, failure: &Failure, repair: bool) -> Vec<Finding> {
    let (config, mut findings) = match Config::load(data) {
        Ok(config) => (config, vec![]),
        Err(error) => {
            let wrong = Finding::of("stockade.toml", Err::<(), _>(error.into()), |()| {
                String::new()
            });
            (Config::default(), vec![wrong])
        }
    };
    findings.extend(machine(&config).await);
    let is_catalog = matches!(
        &*failure.code,
        "catalog-damaged" | "storage-corrupt" | "storage-foreign"
    );
    if findings
        .iter()
        .all(|finding| finding.subject != "stockade.toml")
        || is_catalog
    {
        let subject = if is_catalog { CATALOG } else { "data folder" };
        let fix = match is_catalog && !repair {
            true => Some(CATALOG_FIX.to_owned()),
            false => failure.hint.clone(),
        };
        findings.push(Finding {
            fix,
            ..Finding::of(subject, Err::<(), _>(failure.clone()), |()| String::new())
        });
    }
    findings
}

const CATALOG_FIX: &str = "Put it back from a copy, or let `stockade doctor --repair` make it anew: of what can be read, \
    and of the tenants' folders. Documents are not in it.";

/// Makes the catalog anew, and looks at everything again.
async fn make_catalog_anew(data: &Path, before: Vec<Finding>) -> Result<Vec<Finding>, Failure> {
    let was = before
        .into_iter()
        .find(|finding| finding.subject == CATALOG);
    let was = was.map_or_else(String::new, |finding| finding.message);
    let held = DataFolder::take(data)?;
    let strict = Policy::shipped("strict")?.bundle().to_json();
    let rescued = rescue(data, &tenant_folders(data), &strict);
    drop(held);
    let rescued = match rescued {
        Ok(rescued) => rescued,
        Err(error) => {
            let failure = Failure::from(error);
            let message = format!("{was}; {}", failure.message);
            return Ok(vec![Finding::bad(CATALOG, message, CATALOG_FIX)]);
        }
    };
    let mut findings = Runtime::open(data)?.doctor(true).await;
    findings.retain(|finding| finding.subject != CATALOG || !finding.ok);
    findings.push(Finding::repaired(CATALOG, was, said(&rescued)));
    findings.extend(incomplete(&rescued));
    Ok(findings)
}

fn said(rescued: &Rescued) -> String {
    let kept = format!("made anew; {} tenants as they were", rescued.whole.len());
    match &rescued.aside {
        Some(aside) => format!("{kept}; the damaged one is {}", aside.display()),
        None => kept,
    }
}

/// Tenants that have to be looked after: nothing runs for them until somebody did.
fn incomplete(rescued: &Rescued) -> Vec<Finding> {
    let torn = rescued.torn.iter().map(|name| {
        let what = "some of its plugins, their uses or their breakers are lost; it is suspended";
        let fix = format!("Look at `stockade plugin list {name}`, install what is missing, then `stockade tenant resume {name}`.");
        Finding::warning(&format!("tenant {name}"), what.to_owned(), &fix)
    });
    let adopted = rescued.adopted.iter().map(|name| {
        let what = "its policy and plugins are lost, its documents are there; it is suspended under policy strict";
        let fix = format!("Give it its policy with `stockade tenant policy {name} FILE` and its plugins, then `stockade tenant resume {name}`.");
        Finding::warning(&format!("tenant {name}"), what.to_owned(), &fix)
    });
    torn.chain(adopted).collect()
}

/// A socket that nobody listens on: whoever held the folder was killed.
fn check_socket(data: &Path, repair: bool) -> Result<Option<Finding>, Failure> {
    let path = data.join("control.sock");
    if !path.exists() {
        return Ok(None);
    }
    // Where somebody listens, the folder is held.
    let _held = DataFolder::take(data)?;
    let message = "left by a process that was killed".to_owned();
    if !repair {
        let fix = "Nothing: the next command that listens takes its place.";
        return Ok(Some(Finding::warning("control.sock", message, fix)));
    }
    Ok(match std::fs::remove_file(&path) {
        Ok(()) => Some(Finding::repaired(
            "control.sock",
            message,
            "removed".to_owned(),
        )),
        Err(error) => Some(Finding::bad(
            "control.sock",
            error.to_string(),
            "Remove it.",
        )),
    })
}

impl Runtime {
    /// Looks at everything, and repairs what of it does not need the catalog to be closed.
    async fn doctor(&self, repair: bool) -> Vec<Finding> {
        let mut findings = machine(&self.config).await;
        findings.push(Finding::of("engine", self.guests(), |_| {
            format!("{} guest threads", self.config.guest_threads)
        }));
        findings.push(self.check_catalog(repair));
        findings.extend(self.check_plugins());
        findings.extend(self.check_artefacts(repair));
        findings.extend(self.check_tenants(repair));
        findings.extend(self.check_folders(repair));
        findings.push(self.check_memory());
        findings
    }

    fn check_artefacts(&self, repair: bool) -> Option<Finding> {
        let (whole, broken) = self.guests().ok()?.loader.check_cache(repair);
        let subject = "compiled plugins";
        if broken == 0 {
            return Some(Finding::good(subject, format!("{whole} verify")));
        }
        let message = format!("{broken} do not verify, {whole} do");
        if repair {
            return Some(Finding::repaired(subject, message, "removed".to_owned()));
        }
        let fix = "Nothing: they are never loaded, and compiled again when they are needed.";
        Some(Finding::warning(subject, message, fix))
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

    fn check_catalog(&self, repair: bool) -> Finding {
        let database = self.catalog.database();
        match database.quick_check(&Interrupt::never()) {
            Ok(problems) if problems.is_empty() => {
                if repair {
                    // What is left to copy is copied by whoever comes next.
                    let _ = database.checkpoint();
                }
                Finding::good(CATALOG, database.path().display().to_string())
            }
            Ok(problems) => Finding::bad(CATALOG, problems.join("; "), CATALOG_FIX),
            Err(error) => Finding::bad(CATALOG, chain(&error), CATALOG_FIX),
        }
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
