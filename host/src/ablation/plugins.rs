//! Attacks by a plugin's bytes, before anything of it runs, and by whoever can write to the cache.

use super::{Arena, Attack, Outcome};
use crate::attack::{Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::config::Config;
use crate::error::{Explain, Failure};
use crate::guard::Guard;
use crate::ingest::Chunker;
use crate::plugin::Digest;
use crate::policy::Wasi;
use crate::runtime::Guests;
use crate::task::Kind;
use std::path::{Path, PathBuf};

pub(super) fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "large-plugin",
            what: "a plugin larger than its profile allows",
            against: &[Guard::PluginSize],
            run: |arena| {
                let mut component = Guest::chunker(WHOLE_TEXT).build().unwrap();
                component.extend(custom_section(9 << 20));
                loaded(arena, &component)
            },
        },
        Attack {
            name: "shape",
            what: "a function of 20,000 locals for the compiler",
            against: &[Guard::Structure],
            run: |arena| {
                let locals = format!("(func (local {}))", "i32 ".repeat(20_000));
                loaded(
                    arena,
                    &Guest::chunker(WHOLE_TEXT).with(&locals).build().unwrap(),
                )
            },
        },
        Attack {
            name: "compile-bomb",
            what: "95 tables in two kilobytes that take a gigabyte to compile",
            against: &[Guard::Structure, Guard::CompileLimits],
            run: compile_bomb,
        },
        Attack {
            name: "import",
            what: "an import that the world does not have",
            against: &[Guard::Imports],
            run: |arena| {
                let mut component = Guest::chunker(WHOLE_TEXT).build().unwrap();
                let text = r#"(component
                    (import "wasi:sockets/tcp@0.2.0" (instance (export "connect" (func)))))"#;
                // Sections of a component may follow in any order.
                component.extend_from_slice(&wat::parse_str(text).unwrap()[8..]);
                loaded(arena, &component)
            },
        },
        Attack {
            name: "foreign-artefact",
            what: "one plugin's compiled code put in the place of another's, with its MAC",
            against: &[Guard::ArtefactMac],
            run: foreign_artefact,
        },
    ]
}

/// Whether a plugin is compiled, loaded and linked.
fn loaded(arena: &Arena, component: &[u8]) -> Outcome {
    match arena.stage.chunker(component, Wasi::None) {
        Ok(_) => Outcome::Succeeds,
        Err(refused) => Outcome::stopped(&refused.code),
    }
}

/// A custom section of so many bytes and a few.
fn custom_section(bytes: usize) -> Vec<u8> {
    let mut section = vec![0];
    let mut size = bytes + 2;
    while size > 0 {
        let more = if size > 0x7f { 0x80 } else { 0 };
        section.push((size & 0x7f) as u8 | more);
        size >>= 7;
    }
    section.extend([1, b'x']);
    section.resize(section.len() + bytes, 0);
    section
}

/// Tables of a million places of which the last is taken: some bytes each in the module, and one list of
/// all places each in the compiler and in the artefact.
fn bomb() -> Vec<u8> {
    let table = "(table 1048576 funcref)".repeat(BOMB_TABLES);
    let mut fields = format!("(func $f) {table}");
    for number in 0..BOMB_TABLES {
        fields += &format!("(elem (table {number}) (i32.const 1048575) func $f)");
    }
    Guest::chunker(WHOLE_TEXT).with(&fields).build().unwrap()
}

const BOMB_TABLES: usize = 95;

/// With a cache of its own: what another child compiled would be loaded from the shared one.
fn compile_bomb(arena: &Arena) -> Outcome {
    let (cache, compiler) = (tempfile::tempdir().unwrap(), arena.compiler.clone());
    let guests = Guests::start_with(&Config::default(), cache.path(), compiler).unwrap();
    match guests.loader.load(&bomb(), Wasi::None) {
        Ok(_) => Outcome::Succeeds,
        Err(refused) => Outcome::stopped(refused.code()),
    }
}

/// The whole text is one chunk by the first plugin, and none by the second.
fn foreign_artefact(arena: &Arena) -> Outcome {
    let first = Guest::chunker(WHOLE_TEXT).build().unwrap();
    let second = Guest::chunker(NO_PASSAGES).build().unwrap();
    let cache = tempfile::tempdir().unwrap();
    for component in [&first, &second] {
        chunks(arena, cache.path(), component).unwrap();
    }
    let place = |component: &[u8]| artefact(cache.path(), &Digest::of(component));
    std::fs::copy(place(&first), place(&second)).unwrap();
    let found = chunks(arena, cache.path(), &second).unwrap();
    Outcome::of(found == 1, "compiled again")
}

fn artefact(cache: &Path, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    let mut files = std::fs::read_dir(cache)
        .unwrap()
        .map(|file| file.unwrap().path());
    let is_it = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(&name)
    };
    files.find(is_it).unwrap()
}

/// How many chunks a plugin that is loaded from `cache` makes.
fn chunks(arena: &Arena, cache: &Path, component: &[u8]) -> Result<usize, Failure> {
    let guests = Guests::start_with(&Config::default(), cache, arena.compiler.clone())?;
    let loaded = guests.loader.load(component, Wasi::None)?;
    let chunker = Chunker::link(guests.sandbox.engine(), &loaded, Wasi::None)?;
    let task = arena.stage.task(Kind::Ingest, &super::policy(""));
    let document = crate::attack::document("doc", "text");
    let (embedder, options) = (&arena.stage.embedder, vec![]);
    let call = chunker.chunk(&guests.sandbox, embedder, &task, &document, &options);
    Ok(arena.executor.block_on(call)?.len())
}
