//! Plugin files: any bytes are refused by name, or become a plugin that runs under limits. A child
//! compiles, as it does for every stranger's plugin.

use crate::driver::Target;
use arbitrary::Unstructured;
use std::sync::OnceLock;
use stockade::attack::{Guest, Stage, WHOLE_TEXT};
use stockade::config::Config;
use stockade::corpus::TenantId;
use stockade::error::Explain;
use stockade::plugin::{PluginKind, componentize, inspect};
use stockade::policy::{Policy, Wasi};
use stockade::task::Kind;

#[derive(Default)]
pub(crate) struct Plugins {
    stage: OnceLock<(Stage, tokio::runtime::Runtime)>,
}

/// Tight, so that a hostile case costs milliseconds.
const POLICY: &str = "
[ingest]
document_kib_max = 64
[chunker]
fuel_max = 1_000_000
cpu_ms_max = 50
wall_ms_max = 1_000
memory_mib_max = 8
[agent]
fuel_max = 1_000_000
cpu_ms_max = 50
wall_ms_max = 1_000
memory_mib_max = 8
";

/// What the first byte of an input says that the rest is.
const COMPONENT: u8 = 0;
const MODULE: u8 = 1;
const TEXT: u8 = 2;
const SMITH: u8 = 3;

impl Target for Plugins {
    fn name(&self) -> &'static str {
        "plugins"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = vec![];
        for guest in guests() {
            let kinds = [
                (TEXT, guest.text().into_bytes()),
                (COMPONENT, guest.build().unwrap()),
            ];
            let module = wat::parse_str(guest.text()).unwrap();
            for (kind, bytes) in kinds.into_iter().chain([(MODULE, module)]) {
                seeds.push([vec![kind], bytes].concat());
            }
        }
        let mut random = crate::mutate::Random::new(7);
        seeds.extend((0..8).map(|_| [vec![SMITH], random.bytes(2_000)].concat()));
        seeds
    }

    fn words(&self) -> &'static [&'static str] {
        &[
            "(memory.grow (i32.const 100)) drop ",
            "(loop (br 0)) ",
            "unreachable ",
            "(i32.const -1) ",
            "(memory 1) ",
            "(table 10 funcref) ",
            "(data (i32.const 0) \"x\") ",
            "(global (mut i64) (i64.const 0)) ",
            "(start 0) ",
            "(func (loop (br 0))) ",
            "\u{0}asm",
            "(i64.const 9223372036854775807) ",
            "(v128.const i64x2 1 2) ",
        ]
    }

    fn read(&self, input: &[u8]) -> String {
        let (&kind, rest) = input.split_first().unwrap_or((&0, &[]));
        let wasi = if kind & 0x80 == 0 {
            Wasi::None
        } else {
            Wasi::Sandboxed
        };
        match kind & 3 {
            COMPONENT => self.component(rest, wasi),
            MODULE => self.module(rest, wasi),
            TEXT => match wat::parse_bytes(rest) {
                Ok(module) => self.module(&module, wasi),
                Err(_) => "no text format".to_owned(),
            },
            _ => match smith(rest) {
                Some(component) => format!("made {}", self.component(&component, wasi)),
                None => "too short for the generator".to_owned(),
            },
        }
    }

    fn short_run(&self) -> u64 {
        1_000
    }
}

fn guests() -> [Guest; 4] {
    let log = r#"(import "stockade:plugin/host" "log" (func $log (param i32 i32 i32)))"#;
    let grower =
        "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (i32.const 32)";
    [
        Guest::chunker(WHOLE_TEXT),
        Guest::agent("(i32.const 32)"),
        Guest::chunker(grower).with("(table 4 funcref) (data (i32.const 2000) \"abc\")"),
        Guest::chunker("(call $log (i32.const 1) (i32.const 0) (i32.const 64)) (i32.const 32)")
            .importing(log),
    ]
}

/// A component from the generator, which fits no world; or a chunker that instantiates a module from the
/// generator before its own work, which the compiler and the start function's limits have to stand.
fn smith(bytes: &[u8]) -> Option<Vec<u8>> {
    let (&first, rest) = bytes.split_first()?;
    let mut source = Unstructured::new(rest);
    if first.is_multiple_of(4) {
        let component = wasm_smith::Component::new(wasm_smith::Config::default(), &mut source);
        return Some(component.ok()?.to_bytes());
    }
    let config = wasm_smith::Config {
        max_imports: 0,
        max_memories: 1,
        max_memory32_bytes: 100 << 16,
        memory64_enabled: false,
        gc_enabled: false,
        exceptions_enabled: false,
        threads_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        tail_call_enabled: first.is_multiple_of(3),
        ..wasm_smith::Config::default()
    };
    let module = wasm_smith::Module::new(config, &mut source)
        .ok()?
        .to_bytes();
    let chunker = Guest::chunker(WHOLE_TEXT).build().ok()?;
    Some(with_module(chunker, &module))
}

/// The component with one more core module, which is instantiated without arguments.
fn with_module(mut component: Vec<u8>, module: &[u8]) -> Vec<u8> {
    let modules = section_ids(&component).filter(|&id| id == 1).count();
    component.push(1);
    component.extend(leb(module.len()));
    component.extend_from_slice(module);
    let instance = [vec![1, 0], leb(modules), vec![0]].concat();
    component.push(2);
    component.extend(leb(instance.len()));
    component.extend(instance);
    component
}

/// The sections of a component, in order.
fn section_ids(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = component.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&id, after) = rest.split_first()?;
        let digits = after.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let size = after[..digits]
            .iter()
            .rev()
            .fold(0, |size, byte| size << 7 | usize::from(byte & 0x7f));
        rest = after.get(digits + size..)?;
        Some(id)
    })
}

/// An unsigned number in LEB128, as the binary format writes it.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = vec![];
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

impl Plugins {
    fn module(&self, module: &[u8], wasi: Wasi) -> String {
        let mut said = String::new();
        for kind in [PluginKind::Chunker, PluginKind::Agent] {
            match componentize(module, kind) {
                Ok(component) => return self.component(&component, wasi),
                Err(error) => said = format!("{}: {error}", error.code()),
            }
        }
        said
    }

    fn component(&self, bytes: &[u8], wasi: Wasi) -> String {
        if let Err(error) = inspect(bytes, wasi) {
            return format!("{}: {error}", error.code());
        }
        let (stage, executor) = self.stage.get_or_init(start);
        let loaded = match stage.guests.loader.load(bytes, wasi) {
            Ok(loaded) => loaded,
            Err(error) => return format!("{}: {error}", error.code()),
        };
        let policy = Policy::from_toml("fuzz.toml", POLICY).unwrap();
        executor.block_on(async {
            match loaded.structure.kind {
                PluginKind::Chunker => chunk(stage, bytes, wasi, &policy).await,
                PluginKind::Agent => ask(stage, bytes, wasi, &policy).await,
            }
        })
    }
}

async fn chunk(stage: &Stage, bytes: &[u8], wasi: Wasi, policy: &Policy) -> String {
    let chunker = match stage.chunker(bytes, wasi) {
        Ok(chunker) => chunker,
        Err(failure) => return failure.message,
    };
    let task = stage.task(Kind::Ingest, policy);
    match stage.chunk(&chunker, &task, "Some text, é.", &vec![]).await {
        Ok(chunks) if chunks.is_empty() => "no chunks".to_owned(),
        Ok(_) => "chunks".to_owned(),
        Err(stop) => ended(&stop),
    }
}

async fn ask(stage: &Stage, bytes: &[u8], wasi: Wasi, policy: &Policy) -> String {
    let agent = match stage.agent(bytes, wasi) {
        Ok(agent) => agent,
        Err(failure) => return failure.message,
    };
    let task = stage.task(Kind::Query, policy);
    let index = stage.index(&task, &["One text."]).await.unwrap();
    match stage
        .ask(&agent, &task, &index.index, "Which?", &vec![])
        .await
    {
        Ok(_) => "an answer".to_owned(),
        Err(stockade::agent::AgentError::Stop(stop)) => ended(&stop),
        Err(other) => other.to_string(),
    }
}

/// A stop is an outcome; one that blames the host is a crash.
fn ended(stop: &stockade::task::Stop) -> String {
    assert_ne!(stop.blame, stockade::error::Blame::Host, "{stop}");
    format!(
        "{} in {}: {}",
        stop.reason.as_str(),
        stop.phase,
        stop.detail
    )
}

fn start() -> (Stage, tokio::runtime::Runtime) {
    let tenant = TenantId::new("fuzz").unwrap();
    let executor = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    (
        Stage::start(&Config::default(), &tenant, None).unwrap(),
        executor.unwrap(),
    )
}
