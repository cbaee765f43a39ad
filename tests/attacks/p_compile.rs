//! Group P, compiling: shapes that hurt a compiler, and a compiler that fails.

use super::m_memory::{leb, with_section};
use crate::support::guests::{self, Guest, WHOLE_TEXT};
use crate::support::process::{Held, alone};
use crate::support::stage::*;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use stockade::config::Config;
use stockade::error::{Blame, Failure};
use stockade::plugin::{CompileProfile, PluginError};
use stockade::policy::Wasi;
use stockade::runtime::Guests;

/// A core module of these sections, hung into a component that is a chunker otherwise. Nothing instantiates it: compiling
/// it is the attack.
fn bomb(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, contents) in sections {
        module = with_section(&module, *id, contents);
    }
    with_section(&guests::chunker(WHOLE_TEXT), 1, &module)
}

/// A vector of `count` equal entries.
fn vector(count: usize, entry: &[u8]) -> Vec<u8> {
    let mut all = vec![];
    leb(&mut all, count);
    all.extend(entry.repeat(count));
    all
}

/// `count` functions without parameters, each with this body (locals and code, without the last `end`).
fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let mut entry = vec![];
    leb(&mut entry, body.len() + 1);
    entry.extend_from_slice(body);
    entry.push(0x0b);
    bomb(&[
        (1, vec![1, 0x60, 0, 0]),
        (3, vector(count, &[0])),
        (10, vector(count, &entry)),
    ])
}

/// A body of no locals and `code`.
fn code(code: &[u8]) -> Vec<u8> {
    [&[0], code].concat()
}

/// `count` locals of 128 bits.
fn locals(count: usize) -> Vec<u8> {
    let mut body = vec![1];
    leb(&mut body, count);
    body.push(0x7b);
    body
}

/// A branch table of `count` targets.
fn branch_table(count: usize) -> Vec<u8> {
    let mut body = vec![0, 0x41, 0, 0x0e];
    leb(&mut body, count);
    body.extend(vec![0; count + 1]);
    body
}

/// `count` exports of one function.
fn exports(count: usize) -> Vec<u8> {
    let mut all = vec![];
    leb(&mut all, count);
    for n in 0..count {
        let name = format!("{n:x}");
        leb(&mut all, name.len());
        all.extend(name.bytes());
        all.extend([0, 0]);
    }
    let body = vector(1, &[2, 0, 0x0b]);
    bomb(&[
        (1, vec![1, 0x60, 0, 0]),
        (3, vec![1, 0]),
        (7, all),
        (10, body),
    ])
}

/// Types that double in size with each step.
fn doubling() -> Vec<u8> {
    let mut text = "(component (type $t0 u8)".to_owned();
    for n in 0..60 {
        text.push_str(&format!("(type $t{} (tuple $t{n} $t{n}))", n + 1));
    }
    let nested = wat::parse_str(text + ")").unwrap();
    with_section(&guests::chunker(WHOLE_TEXT), 4, &nested)
}

fn load(bytes: &[u8]) -> Result<(), PluginError> {
    stage().guests.loader.load(bytes, Wasi::None).map(|_| ())
}

/// Bombs that are refused unread, by the word for what they have too much of.
fn unread() -> Vec<(Vec<u8>, &'static str)> {
    let segments = vector(32_000, &[1, 1, 0]);
    let globals = vector(100_000, &[0x7f, 0, 0x41, 0, 0x0b]);
    let wide = |form: u8, count: usize, entry: &[u8]| {
        let mut types = vec![1, form];
        types.extend(vector(count, entry));
        with_section(&guests::chunker(WHOLE_TEXT), 7, &types)
    };
    vec![
        (functions(1, &code(&[0x01; 300 << 10])), "a function body"),
        (functions(1_000_000, &[0]), "functions"),
        (functions(1, &locals(50_000)), "locals in one function"),
        (functions(1, &branch_table(50_000)), "branch table targets"),
        (bomb(&[(5, vec![1, 0, 1]), (11, segments)]), "data segments"),
        (bomb(&[(6, globals)]), "globals"),
        (exports(300_000), "core imports and exports"),
        (bomb(&[(1, vector(1_000_000, &[0x60, 0, 0]))]), "types"),
        (wide(0x72, 1_000, &[1, b'a', 0x7d]), "a type of parts"),
        (wide(0x6f, 1_000, &[0x7d]), "a type of parts"),
        (wide(0x6d, 1_000, &[1, b'a']), "a type of parts"),
    ]
}

/// Bombs below every limit on shape: compiled, or refused by the compiler, or stopped within the child's limits.
fn compiled() -> Vec<Vec<u8>> {
    let nested = [&[0x02u8, 0x40].repeat(80_000)[..], &[0x0b].repeat(80_000)].concat();
    let adds = [&[0x41, 0][..], &[0x41, 1, 0x6a].repeat(80_000), &[0x1a]].concat();
    let huge = [&[1, 1][..], &vector(6 << 20, &[7])].concat();
    vec![
        functions(1, &code(&nested)),
        functions(1, &code(&adds)),
        functions(2_000, &locals(200)),
        functions(200, &locals(2_000)),
        exports(9_000),
        bomb(&[(5, vec![1, 0, 1]), (11, huge)]),
        doubling(),
    ]
}

/// One huge function, a million functions, 50,000 locals, a giant branch table, 32,000 data segments, exports, globals, types,
/// wide types (row P-16): refused before anything is compiled.
#[test]
fn p_06_shapes_that_hurt_a_compiler_are_refused_unread() {
    for (bytes, word) in unread() {
        let refused = load(&bytes).unwrap_err();
        assert!(
            matches!(refused, PluginError::StructureLimit { what, .. } if what.starts_with(word)),
            "{word}: {refused}"
        );
    }
}

/// Deep nesting, one long expression, many functions of many locals, 9,000 exports, huge data, types that double:
/// whatever comes of compiling them is an answer, and the host's own memory stays as it was.
#[test]
fn p_06_compile_bombs_end_in_the_child_and_leave_the_hosts_memory_alone() {
    alone(
        "attacks::p_compile::p_06_compile_bombs_end_in_the_child_and_leave_the_hosts_memory_alone",
        || {
            let bombs = compiled();
            assert!(load(&guests::chunker(WHOLE_TEXT)).is_ok());
            let before = Held::now();
            for bytes in bombs {
                if let Err(refused) = load(&bytes) {
                    let failure = Failure::from(refused);
                    assert_eq!(failure.blame, Blame::Guest, "{failure:?}");
                }
            }
            let after = Held::now();
            let more = after.peak_kib.saturating_sub(before.peak_kib);
            assert!(more < 64 << 10, "{before:?} {after:?}");
        },
    );
}

/// Proposals that no plugin needs are off: code that asks for one is refused by the compiler.
#[test]
fn proposals_that_no_plugin_needs_are_off() {
    let using = [
        "(memory $shared 1 1 shared)",
        "(memory 1) (memory 1)",
        "(memory $wide i64 1)",
        "(tag $t)",
        "(type (struct (field i32)))",
        "(func (param externref))",
        "(func (param (ref null func)) (drop (ref.as_non_null (local.get 0))))",
        "(func (param v128) (result v128)
            (i32x4.relaxed_trunc_f32x4_s (local.get 0)))",
        "(func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))",
        "(func (drop (i32.atomic.load (i32.const 0))))",
    ];
    let plain = guests::chunker(WHOLE_TEXT);
    for field in using {
        let module = wat::parse_str(format!("(module {field})"));
        let module = module.unwrap_or_else(|error| panic!("{field}: {error}"));
        let outcome = load(&with_section(&plain, 1, &module));
        assert!(
            matches!(
                outcome,
                Err(PluginError::Invalid(_) | PluginError::Malformed { .. })
            ),
            "{field}: {outcome:?}"
        );
    }
}

/// Nested components with code of their own would make the compiler fuse adapters: refused unread.
#[test]
fn p_07_nested_components_with_code_are_refused() {
    let plain = guests::chunker(WHOLE_TEXT);
    let nested = [
        "(component (core module (func)))",
        r#"(component (import "f" (func $f)) (core func (canon lower (func $f))))"#,
        "(component (component (core module)))",
    ];
    for text in nested {
        let inner = wat::parse_str(text).unwrap();
        let refused = load(&with_section(&plain, 4, &inner)).unwrap_err();
        assert!(
            matches!(refused, PluginError::NestedCode { .. }),
            "{text}: {refused}"
        );
    }
    let empty = wat::parse_str("(component)").unwrap();
    let many = (0..20).fold(plain, |all, _| with_section(&all, 4, &empty));
    assert!(matches!(
        load(&many),
        Err(PluginError::StructureLimit {
            what: "nested components",
            ..
        })
    ));
}

/// The compiler crashes, uses up its CPU, fails, or returns rubbish: each is a typed error, and the host loads the next
/// plugin. It gets no environment.
#[test]
fn p_08_a_compiler_that_fails_is_a_typed_error() {
    let folder = tempfile::tempdir().unwrap();
    let environment = folder.path().join("environment");
    let seen = format!("env > {}; exit 3", environment.display());
    let cases = [
        ("kill -SEGV $$", "plugin-compiler-crash", Blame::Guest),
        ("kill -ABRT $$", "plugin-compiler-crash", Blame::Guest),
        ("kill -XCPU $$", "plugin-compile-limit", Blame::Guest),
        (
            "echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$",
            "plugin-compile-limit",
            Blame::Guest,
        ),
        ("exit 1", "plugin-compiler-crash", Blame::Guest),
        ("echo rubbish > $3", "plugin-cache", Blame::Host),
        (seen.as_str(), "plugin-compiler-crash", Blame::Guest),
    ];
    let plain = guests::chunker(WHOLE_TEXT);
    for (number, (script, code, blame)) in cases.into_iter().enumerate() {
        let compiler = folder.path().join(format!("compiler-{number}"));
        std::fs::write(&compiler, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&compiler, PermissionsExt::from_mode(0o700)).unwrap();
        let cache = folder.path().join(format!("cache-{number}"));
        let guests = Guests::start_with(&Config::default(), &cache, compiler).unwrap();
        let failure = Failure::from(guests.loader.load(&plain, Wasi::None).unwrap_err());
        assert_eq!(
            (&*failure.code, failure.blame),
            (code, blame),
            "{script}: {failure:?}"
        );
    }
    let environment = std::fs::read_to_string(environment).unwrap();
    let own = |line: &&str| {
        !["PWD=", "SHLVL=", "_="]
            .iter()
            .any(|own| line.starts_with(own))
    };
    assert_eq!(environment.lines().filter(own).count(), 0, "{environment}");
    assert!(load(&Guest::chunker("(nop) (i32.const 32)").build().unwrap()).is_ok());
}

/// The compile child has limited itself before it reads a byte: CPU, address space, no core file.
#[test]
fn the_compile_child_limits_itself_before_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_stockade"))
        .args(["__compile", "none"])
        .arg(folder.path().join("out"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let profile = CompileProfile::of(Wasi::None);
    let limits = format!("/proc/{}/limits", child.id());
    let holds = |name: &str, value: u64| {
        let text = std::fs::read_to_string(&limits).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .all(|word| word == value.to_string())
    };
    crate::support::wait_until(|| holds("Max file size", 512 << 20));
    assert!(holds("Max cpu time", profile.cpu_s));
    assert!(holds("Max address space", profile.memory));
    assert!(holds("Max core file size", 0));
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success(), "nothing is no component");
}
