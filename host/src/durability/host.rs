//! A host's own records: tenants that come, change and go with their documents, and plugins with their bytes.

use super::child::{Range, Scenario};
use crate::ablation::compiler;
use crate::attack::Guest;
use crate::catalog::NewPlugin;
use crate::config::Config;
use crate::corpus::TenantId;
use crate::error::Failure;
use crate::index::tests::support::{document, put};
use crate::plugin::{Digest, PluginKind};
use crate::policy::{Policy, Wasi};
use crate::runtime::{Guests, Runtime};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "host",
        steps: STEPS.len(),
        work,
        check,
    }
}

/// Plugins that are compiled.
pub(super) fn plugins() -> Scenario {
    Scenario {
        name: "plugins",
        steps: 2,
        work: compile,
        check: check_compiled,
    }
}

enum Step {
    Add(&'static str, &'static str),
    Policy(&'static str, &'static str),
    Install(&'static str, &'static str, &'static [u8]),
    Uninstall(&'static str, &'static str),
    Document(&'static str, &'static str),
    Remove(&'static str),
}

const STEPS: &[Step] = &[
    Step::Add("acme", "default"),
    Step::Add("beta", "strict"),
    Step::Document("acme", "one"),
    Step::Document("beta", "one"),
    Step::Install("acme", "bot", b"first"),
    Step::Install("acme", "bot", b"second"),
    Step::Install("beta", "cut", b"first"),
    Step::Policy("acme", "trusted"),
    Step::Document("acme", "two"),
    Step::Uninstall("acme", "bot"),
    Step::Remove("acme"),
    Step::Add("acme", "strict"),
    Step::Document("acme", "three"),
    Step::Remove("beta"),
];

/// A tenant as it is seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    policy: String,
    plugins: BTreeMap<String, Digest>,
    documents: Vec<String>,
}

type World = BTreeMap<String, Seen>;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn work(folder: &Path, range: Range<'_>) {
    let runtime = Runtime::open(folder).unwrap();
    range.each(|number| {
        // A step that was done before the crash may say so.
        match do_step(&runtime, &STEPS[number]) {
            Err(failure) if !is_done_before(&failure) => panic!("step {number}: {failure}"),
            _ => {}
        }
    });
}

fn is_done_before(failure: &Failure) -> bool {
    let known = ["tenant-exists", "no-tenant", "no-plugin"];
    known.contains(&failure.code.as_ref())
}

fn do_step(runtime: &Runtime, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Add(name, policy) => {
            runtime.add_tenant(&tenant(name), &Policy::shipped(policy).unwrap())
        }
        Step::Policy(name, policy) => {
            runtime.set_policy(&tenant(name), &Policy::shipped(policy).unwrap())
        }
        Step::Install(name, label, bytes) => {
            let plugin = NewPlugin {
                digest: Digest::of(bytes),
                kind: PluginKind::Agent,
                options: &[],
            };
            runtime.keep_plugin(&tenant(name), label, &plugin, bytes, 32)
        }
        Step::Uninstall(name, label) => runtime.remove_plugin(&tenant(name), label),
        Step::Document(name, id) => {
            put(
                &*runtime.index(&tenant(name))?,
                &document(id, "", "a line\n", "{}"),
            );
            Ok(())
        }
        Step::Remove(name) => runtime.remove_tenant(&tenant(name)),
    }
}

/// What so many steps leave.
fn expected(done: usize) -> World {
    let mut world = World::new();
    for step in STEPS.iter().take(done) {
        match step {
            Step::Add(name, policy) => {
                let seen = Seen {
                    policy: (*policy).to_owned(),
                    ..Seen::default()
                };
                world.insert((*name).to_owned(), seen);
            }
            Step::Policy(name, policy) => {
                (*policy).clone_into(&mut world.get_mut(*name).unwrap().policy);
            }
            Step::Install(name, label, bytes) => {
                let plugins = &mut world.get_mut(*name).unwrap().plugins;
                plugins.insert((*label).to_owned(), Digest::of(bytes));
            }
            Step::Uninstall(name, label) => {
                world.get_mut(*name).unwrap().plugins.remove(*label);
            }
            Step::Document(name, id) => {
                world
                    .get_mut(*name)
                    .unwrap()
                    .documents
                    .push((*id).to_owned());
            }
            Step::Remove(name) => drop(world.remove(*name)),
        }
    }
    world.values_mut().for_each(|seen| seen.documents.sort());
    world
}

fn seen(runtime: &Runtime) -> World {
    let mut world = World::new();
    for info in runtime.tenants().unwrap() {
        let mut plugins = BTreeMap::new();
        for plugin in runtime.plugins_of(&info.name).unwrap() {
            let bytes = std::fs::read(runtime.plugin_file(&plugin.digest));
            assert_eq!(Digest::of(&bytes.unwrap()), plugin.digest);
            plugins.insert(plugin.label, plugin.digest);
        }
        let index = runtime.index(&info.name).unwrap();
        let sound = index.check(&crate::db::Interrupt::never()).unwrap();
        assert!(sound.is_empty(), "{sound:?}");
        let seen = Seen {
            policy: info.policy,
            plugins,
            documents: index.document_ids("", None, 100).unwrap(),
        };
        world.insert(info.name.to_string(), seen);
    }
    world
}

fn check(folder: &Path, done: usize) {
    let runtime = Runtime::open(folder).unwrap();
    let found = seen(&runtime);
    let either = [done, done + 1].map(expected);
    assert!(
        either.contains(&found),
        "after {done}: {found:#?}\n{either:#?}"
    );
    let folders = std::fs::read_dir(folder.join("tenants"))
        .into_iter()
        .flatten();
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(found.contains_key(&name), "nobody's folder {name}");
    }
}

/// Two components, one after the other, through a new cache and a compiler of their own.
fn compile(folder: &Path, range: Range<'_>) {
    // What every scenario opens first.
    drop(Runtime::open(&folder.join("host")).unwrap());
    let guests = guests(folder);
    range.each(|number| load(&guests, number));
}

fn guests(folder: &Path) -> Guests {
    // Written once and early: a file that somebody may still be writing cannot be run.
    static SCRIPT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let script = SCRIPT.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let program = match script.join("compiler") {
        there if there.exists() => there,
        _ => compiler(script),
    };
    Guests::start_with(&Config::default(), &folder.join("cache"), program).unwrap()
}

fn load(guests: &Guests, number: usize) {
    let bytes = Guest::chunker(crate::attack::WHOLE_TEXT)
        .first(&"(nop)".repeat(number))
        .build()
        .unwrap();
    guests.loader.load(&bytes, Wasi::None).unwrap();
}

fn check_compiled(folder: &Path, done: usize) {
    let guests = guests(folder);
    (0..done.max(1)).for_each(|number| load(&guests, number));
}
