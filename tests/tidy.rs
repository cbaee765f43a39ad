//! The manners that a machine can hold: what files look like, which module may know what, whether documents are true.

mod catalogue;
mod durability;
mod owners;
mod source;

use owners::OWNERS;
use source::{Source, files, root, sources};
use std::collections::HashMap;

/// Lines of a Rust file, and of a function.
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Fails with every offender on a line of its own.
#[track_caller]
fn none(offenders: &[String], rule: &str) {
    assert!(
        offenders.is_empty(),
        "{rule}\n  {}\n",
        offenders.join("\n  ")
    );
}

/// Every place in the code where `words` stand, save in the files named.
fn everywhere_but(words: &str, allowed: &[&str]) -> Vec<String> {
    let outside = |source: &Source| !allowed.iter().any(|path| source.path.starts_with(path));
    let places = |source: Source| {
        source
            .find(words)
            .into_iter()
            .map(|at| source.at(at))
            .collect::<Vec<_>>()
    };
    sources()
        .into_iter()
        .filter(outside)
        .flat_map(places)
        .collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The modules of the host, in the order of `lib.rs`.
fn modules() -> Vec<String> {
    let text = read("host/src/lib.rs");
    let names = text
        .lines()
        .map(|line| line.strip_prefix("pub ").unwrap_or(line))
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// Modules that `crate::…` names in the code, with their places; `crate::{a, b}` names two.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let name = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut found = Vec::new();
    for at in source.find("crate::") {
        let rest = &source.code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push((at, name(rest)));
            continue;
        };
        let mut depth = 1;
        let mut first = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => first = true,
                c if first && !c.is_whitespace() => {
                    found.push((at, name(&group[offset..])));
                    first = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    found
}

#[test]
fn every_source_file_begins_by_saying_what_it_is() {
    let silent = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|source| source.path).collect();
    none(
        &silent,
        "a Rust file begins with a `//!` header: what it is, and what it does not know",
    );
}

#[test]
fn no_source_file_is_long() {
    let lines = |source: Source| (source.text.lines().count(), source.path);
    let long = sources()
        .into_iter()
        .map(lines)
        .filter(|(lines, _)| *lines > FILE_LINES_MAX);
    let long: Vec<String> = long
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    none(
        &long,
        &format!("no Rust file has more than {FILE_LINES_MAX} lines"),
    );
}

#[test]
fn no_function_is_long() {
    let mut long = Vec::new();
    for source in sources() {
        for function in source
            .functions()
            .iter()
            .filter(|f| f.lines > FUNCTION_LINES_MAX)
        {
            let (line, name, lines) = (function.line, function.name, function.lines);
            long.push(format!(
                "{}:{line}: `{name}` has {lines} lines",
                source.path
            ));
        }
    }
    none(
        &long,
        &format!("no function has more than {FUNCTION_LINES_MAX} lines"),
    );
}

#[test]
fn modules_import_only_from_those_above_them() {
    let modules = modules();
    assert!(modules.len() >= 19, "lib.rs lists the modules: {modules:?}");
    let order: HashMap<&str, usize> = modules
        .iter()
        .enumerate()
        .map(|(at, name)| (name.as_str(), at))
        .collect();
    let mut upward = Vec::new();
    for source in sources() {
        let Some(own) = source.module().and_then(|module| order.get(module)) else {
            continue;
        };
        for (at, name) in imports(&source) {
            if order.get(name.as_str()).is_some_and(|place| place > own) {
                upward.push(format!("{} imports `{name}`", source.at(at)));
            }
        }
    }
    none(
        &upward,
        "a module imports only from those above it in lib.rs",
    );
}

#[test]
fn each_foreign_crate_is_named_by_its_owners_alone() {
    let mut strangers = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path.starts_with("host/src/"))
    {
        for (name, owners) in OWNERS {
            let owned = source
                .module()
                .is_some_and(|module| owners.contains(&module));
            let used = [format!("{name}::"), format!("use {name};")];
            let places = used.iter().flat_map(|words| source.find(words));
            for at in places.filter(|_| !owned) {
                let owners = owners.join(", ");
                strangers.push(format!(
                    "{} names `{name}`, which is for {owners}",
                    source.at(at)
                ));
            }
        }
    }
    none(&strangers, "a foreign crate is known to its owners alone");
}

#[test]
fn unsafe_code_only_loads_authenticated_artefacts() {
    let found = everywhere_but("unsafe", &["host/src/plugin/cache.rs"]);
    none(
        &found,
        "`unsafe` stands only where an authenticated artefact is loaded",
    );
}

#[test]
fn stores_are_made_by_the_sandbox_alone() {
    let mut found = everywhere_but("Store::new", &["host/src/sandbox.rs"]);
    found.extend(everywhere_but("wasmtime::Store::new", &[]));
    none(
        &found,
        "a store without limits must not exist: `sandbox` makes every store",
    );
}

#[test]
fn bindings_are_generated_in_one_place() {
    let mut found = everywhere_but("bindgen!", &[]);
    found.extend(everywhere_but(
        "wasmtime::component::bindgen!",
        &["host/src/bindings.rs"],
    ));
    none(&found, "`bindings` has the only `bindgen!`");
}

#[test]
fn generated_types_stay_where_the_worlds_are_linked() {
    let linked = [
        "host/src/ingest",
        "host/src/agent",
        "host/src/sandbox/context.rs",
    ];
    let found = everywhere_but("crate::bindings", &[&linked[..], &["guest/src"]].concat());
    none(
        &found,
        "generated WIT types are known to `ingest`, `agent` and the sandbox's context",
    );
}

#[test]
fn no_limit_is_optional() {
    let limits = "host/src/task/limits.rs";
    let source = sources()
        .into_iter()
        .find(|source| source.path == limits)
        .unwrap();
    let found: Vec<String> = source
        .find("Option")
        .into_iter()
        .map(|at| source.at(at))
        .collect();
    none(&found, "nothing is unlimited: `Limits` has no `Option`");
}

#[test]
fn no_host_call_takes_a_tenant() {
    let mut found = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.path.ends_with(".wit"))
    {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("tenant") {
                found.push(format!("{}:{}: {}", file.path, number + 1, code.trim()));
            }
        }
    }
    none(
        &found,
        "the store says whose call it is; no import or export names a tenant",
    );
}

/// What happens beyond the limit that a key sets.
fn beyond(key: &stockade::policy::Key) -> String {
    let denied = [
        "embed_tokens_max",
        "searches_max",
        "vectors_scanned_max",
        "read_kib_max",
    ];
    match (key.section, key.name) {
        ("", _) => "refused at install".to_owned(),
        ("breaker", "stops_max" | "stops_ratio_max") => "the breaker opens".to_owned(),
        ("breaker", _) => "–".to_owned(),
        ("tenant", "share") => "–".to_owned(),
        ("tenant", "plugins_max") => "refused at install".to_owned(),
        ("agent", name) if denied.contains(&name) => "denied".to_owned(),
        (_, "log_kib_max") => "cut and counted".to_owned(),
        (_, "tasks_running_max") => "waits".to_owned(),
        _ => format!("stop `{}`", key.reason().unwrap()),
    }
}

/// The table of policy keys, as docs/operators.md has to show it.
fn policy_table() -> String {
    let policy = stockade::policy::Policy::shipped("default").unwrap();
    let mut table = "| key | default | range | what it limits | beyond it |\n".to_owned();
    table.push_str("|---|---|---|---|---|\n");
    for key in stockade::policy::keys() {
        let path = key.path();
        let (value, range, beyond) = (policy.value(&path).unwrap(), key.range(), beyond(key));
        table.push_str(&format!(
            "| `{path}` | {value} | {range} | {} | {beyond} |\n",
            key.doc
        ));
    }
    table
}

#[test]
fn the_operators_guide_has_every_policy_key() {
    let guide = read("docs/operators.md");
    let table = policy_table();
    assert!(
        guide.contains(&table),
        "the table of policy keys in docs/operators.md is not the program's; it should be:\n\n{table}"
    );
}

#[test]
fn the_operators_guide_has_every_stop() {
    let guide = read("docs/operators.md");
    let reasons = stockade::task::Reason::ALL
        .iter()
        .map(|reason| reason.as_str());
    let missing = reasons.filter(|reason| !guide.contains(&format!("| `{reason}` |")));
    let missing: Vec<String> = missing.map(str::to_owned).collect();
    none(
        &missing,
        "docs/operators.md has a row for every reason of a stop",
    );
}

#[test]
fn the_architecture_names_every_module() {
    let text = read("ARCHITECTURE.md");
    let missing = modules()
        .into_iter()
        .filter(|name| !text.contains(&format!("**`{name}`**")));
    let missing: Vec<String> = missing.collect();
    none(
        &missing,
        "ARCHITECTURE.md has a paragraph for every module of lib.rs",
    );
}

/// Names of code that a document shows: `a_b_c`, `A::b`.
fn names_shown(text: &str) -> Vec<&str> {
    let spans = text.split('`').skip(1).step_by(2);
    let is_code = |span: &&str| {
        span.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
            && (span.contains("::") || span.matches('_').count() > 1)
    };
    spans.filter(is_code).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let is_edge = |c: char| !c.is_alphanumeric() && c != '_';
    text.split(is_edge).any(|found| found == word)
}

/// Whether a file has the function `name`, in an `impl` of `owner` or as the module `owner`.
fn has_function(source: &Source, owner: &str, name: &str) -> bool {
    let mut lines = source.code.lines();
    let implements = lines.any(|line| line.starts_with("impl") && has_word(line, owner));
    (implements || has_word(&source.path, owner))
        && source
            .functions()
            .iter()
            .any(|function| function.name == name)
}

/// Whether the code has what a document calls `name`.
fn exists(sources: &[Source], name: &str) -> bool {
    match name.rsplit_once("::") {
        Some((owner, function)) if function.starts_with(|c: char| c.is_lowercase()) => {
            let owner = owner.rsplit("::").next().unwrap_or(owner);
            sources
                .iter()
                .any(|source| has_function(source, owner, function))
        }
        _ => name
            .split("::")
            .all(|part| sources.iter().any(|source| has_word(&source.code, part))),
    }
}

#[test]
fn the_documents_name_what_there_is() {
    let sources = sources();
    let mut unknown = Vec::new();
    for file in files()
        .into_iter()
        .filter(|file| file.path.ends_with(".md"))
    {
        for name in names_shown(&file.text) {
            if !exists(&sources, name) {
                unknown.push(format!("{}: `{name}`", file.path));
            }
        }
    }
    none(
        &unknown,
        "functions, types and tests that documents name are in the code",
    );
}

#[test]
fn the_changelog_knows_this_version() {
    let version = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(
        read("CHANGELOG.md").contains(&version),
        "CHANGELOG.md has no `{version}`"
    );
}

/// The first block of code between two fences.
fn fenced<'a>(text: &'a str, fence: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(fence)?;
    Some(rest.split_once("```")?.0)
}

#[test]
fn the_authors_guide_shows_the_chunker_that_compiles() {
    let header: String = read("guest/src/lib.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line)))
        .collect();
    let compiled = fenced(&header, "```\n").unwrap();
    let guide = read("docs/plugin-authors.md");
    let shown = fenced(&guide, "```rust\n").unwrap();
    assert_eq!(
        shown, compiled,
        "the chunker in docs/plugin-authors.md and in guest/src/lib.rs"
    );
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["XX", "X:"].concat(),
        ["<<<", "<<<<"].concat(),
    ];
    let mut found = Vec::new();
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(&found, "what is left to do stands in the tracker");
}

#[test]
fn no_file_names_somebodys_machine() {
    let places = [["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    let mut found = Vec::new();
    for file in files() {
        for (number, line) in file.text.lines().enumerate() {
            if places.iter().any(|place| line.contains(place.as_str())) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    none(&found, "no file names a folder of somebody's machine");
}
