//! Tenants' part of the examination: policies, indexes, folders.

use super::Finding;
use crate::catalog::tenant_folders;
use crate::corpus::TenantId;
use crate::db::Interrupt;
use crate::error::{Failure, chain};
use crate::index::{IndexError, Rebuilt};
use crate::ingest::stored_hash;
use crate::policy::Policy;
use crate::runtime::{Runtime, lock};

/// Ids that are named; the rest is counted.
const NAMED: usize = 20;

impl Runtime {
    pub(super) fn check_tenants(&self, repair: bool) -> Vec<Finding> {
        let records = match self.catalog.tenants() {
            Ok(records) => records,
            Err(error) => {
                return vec![Finding::bad("tenants", chain(&error), super::CATALOG_FIX)];
            }
        };
        let mut findings = vec![];
        for record in records {
            let name = record.name;
            let policy = self.policy(&name).map(|policy| policy.name.clone());
            findings.push(Finding::of(&format!("policy of {name}"), policy, |name| {
                name
            }));
            let folder = self.tenant_folder(&name);
            let files = ["index.db", "index.made"];
            if files.iter().any(|file| folder.join(file).exists()) {
                findings.push(self.check_index(&name, repair));
            }
            findings.extend(self.check_aside(&name));
        }
        findings
    }

    fn check_index(&self, name: &TenantId, repair: bool) -> Finding {
        let subject = format!("index of {name}");
        let fix = format!(
            "Restore it with `stockade restore {name} FILE --replace`, or let `stockade doctor --repair` make it anew of the documents that are whole."
        );
        let problems = match self.problems(name) {
            Ok(problems) => problems,
            Err(failure) if failure.code == "storage-corrupt" => vec![failure.message],
            Err(failure) => {
                return Finding::of(&subject, Err::<(), _>(failure), |()| String::new());
            }
        };
        let path = self.tenant_folder(name).join("index.db");
        if problems.is_empty() {
            if repair && let Ok(index) = self.index(name) {
                // What is left to copy is copied by whoever comes next.
                let _ = index.database().checkpoint();
            }
            return Finding::good(&subject, path.display().to_string());
        }
        let message = problems.join("; ");
        match repair {
            true => self.rebuild(name, &subject, message),
            false => Finding::bad(&subject, message, &fix),
        }
    }

    /// What is wrong with an index; empty where nothing is. Reads all of it.
    fn problems(&self, name: &TenantId) -> Result<Vec<String>, Failure> {
        let index = self.index(name)?;
        let never = Interrupt::never();
        let check = || -> Result<Vec<String>, IndexError> {
            let mut problems = index.check(&never)?;
            let changed = index.changed_documents(stored_hash, &never)?;
            if !changed.is_empty() {
                problems.push(format!(
                    "documents that are not as they were written: {}",
                    list(&changed)
                ));
            }
            Ok(problems)
        };
        Ok(check()?)
    }

    fn rebuild(&self, name: &TenantId, subject: &str, message: String) -> Finding {
        lock(&self.indexes).remove(name);
        let folder = self.tenant_folder(name);
        let outcome = crate::index::rebuild(&folder, name, stored_hash);
        let Rebuilt {
            kept,
            lost,
            unknown,
            aside,
        } = match outcome {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                let message = format!("{message}; nothing of it can be read ({})", chain(&error));
                let fix = format!(
                    "Restore it with `stockade restore {name} FILE --replace`. Without a backup: `stockade tenant remove {name}`, add it again, and ingest its documents."
                );
                return Finding::bad(subject, message, &fix);
            }
        };
        lock(&self.damaged).remove(name);
        let done = format!(
            "made anew with {kept} documents; the damaged file is {}",
            aside.display()
        );
        let missing = match (
            lost.is_empty(),
            unknown || message.contains("write-ahead log"),
        ) {
            (true, false) => return Finding::repaired(subject, message, done),
            (false, false) => format!("missing: {}", list(&lost)),
            (true, true) => "documents whose ids cannot be read may be missing".to_owned(),
            (false, true) => format!("missing: {}, and perhaps others", list(&lost)),
        };
        let fix = format!(
            "Ingest them again: what is there is not repeated. Or restore a backup with `stockade restore {name} FILE --replace`."
        );
        Finding {
            repaired: Some(done),
            ..Finding::bad(subject, format!("{message}; {missing}"), &fix)
        }
    }

    /// Damaged files that a repair put beside the new ones.
    fn check_aside(&self, name: &TenantId) -> Option<Finding> {
        let folder = std::fs::read_dir(self.tenant_folder(name)).ok()?;
        let is_aside = |file: &std::fs::DirEntry| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with("index.db.damaged")
        };
        let files = folder.flatten().filter(is_aside).count();
        let fix = "Remove them when nothing of them is needed any more.";
        let message = format!("{files} damaged files of {name} that were set aside");
        (files > 0).then(|| Finding::warning(&format!("files of {name}"), message, fix))
    }

    /// Folders of tenants that the catalog does not know.
    pub(super) fn check_folders(&self, repair: bool) -> Vec<Finding> {
        let unknown = |name: &TenantId| {
            matches!(
                self.catalog.tenant(name),
                Err(crate::catalog::CatalogError::NoTenant(_))
            )
        };
        let folders = tenant_folders(self.data()).into_iter().filter(unknown);
        let find = |name: TenantId| {
            let subject = format!("folder of {name}");
            let message = "there is no such tenant, but documents of one".to_owned();
            if !repair {
                let fix = "Let `stockade doctor --repair` bring the tenant back, suspended, or remove the folder.";
                return Finding::bad(&subject, message, fix);
            }
            match self.adopt(&name) {
                Ok(()) => {
                    let fix = format!(
                        "Give it its policy with `stockade tenant policy {name} FILE`, then `stockade tenant resume {name}`."
                    );
                    let done = format!("{name} is there again, suspended under policy strict");
                    Finding {
                        repaired: Some(done),
                        ..Finding::warning(&subject, message, &fix)
                    }
                }
                failed => Finding::of(&subject, failed, |()| String::new()),
            }
        };
        folders.map(find).collect()
    }

    fn adopt(&self, name: &TenantId) -> Result<(), Failure> {
        let policy = Policy::shipped("strict")?;
        self.catalog.add_tenant(name, &policy.bundle().to_json())?;
        self.set_suspended(name, true)?;
        Ok(())
    }
}

fn list(ids: &[String]) -> String {
    let named: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
    match ids.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
