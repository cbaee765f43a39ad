//! The body of one function in the text format, made into a real component.
//!
//! It does not know what the body is up to.

use crate::error::{Blame, Explain};
use crate::plugin::{PluginError, PluginKind, componentize, componentize_with};

/// One chunk: the whole text. For guests whose point is elsewhere.
pub const WHOLE_TEXT: &str = "
    (i32.store (i32.const 64) (i32.const 0))            ;; start
    (i32.store (i32.const 68) (local.get 7))            ;; end
    (i32.store (i32.const 36) (i32.const 64))           ;; the list's address
    (i32.store (i32.const 40) (i32.const 1))            ;; its length
    (i32.const 32)";

/// An answer without passages, or no chunks.
pub const NO_PASSAGES: &str = "(i32.const 32)";

/// As much of the system interface as hostile guests ask for.
const WASI: &str = "
    package stockade:attack;
    package wasi:io@0.2.0 {
        interface streams { resource output-stream; }
        interface poll { resource pollable { block: func(); } }
    }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(nanoseconds: u64) -> pollable;
        }
    }
    package wasi:filesystem@0.2.0 {
        interface types { resource descriptor; }
        interface preopens {
            use types.{descriptor};
            get-directories: func() -> list<tuple<descriptor, string>>;
        }
    }
    package wasi:cli@0.2.0 {
        interface environment { get-environment: func() -> list<tuple<string, string>>; }
        interface stdout {
            use wasi:io/streams@0.2.0.{output-stream};
            get-stdout: func() -> output-stream;
        }
    }
    world chunker {
        include stockade:plugin/chunker;
        import wasi:io/poll@0.2.0;
        import wasi:clocks/monotonic-clock@0.2.0;
        import wasi:filesystem/preopens@0.2.0;
        import wasi:cli/environment@0.2.0;
        import wasi:cli/stdout@0.2.0;
    }";

/// A core module in the making. Addresses below 1,024 are free and zero: a result at 32 is an empty one.
#[derive(Debug, Clone)]
pub struct Guest {
    kind: PluginKind,
    /// Imports, such as `(import "stockade:plugin/host" "log" (func $log (param i32 i32 i32)))`.
    pub imports: String,
    /// Whether it is a chunker that may import `wasi:cli` (environment, stdout), `wasi:filesystem` (preopens)
    /// and timers (`wasi:clocks`, `wasi:io/poll`), version 0.2.0.
    pub wasi: bool,
    /// Pages of memory that it declares.
    pub pages: u32,
    /// Whatever else the module has: functions, tables, globals, data.
    pub fields: String,
    /// The body of `cabi_realloc`, by which the host asks for room.
    pub realloc: String,
    /// The body of `describe`; without options at first.
    pub describe: String,
    body: String,
}

const REALLOC: &str = "
    (global.set $heap (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get 2) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get 2))))
    (local.set 4 (global.get $heap))
    (global.set $heap (i32.add (global.get $heap) (local.get 3)))
    (block (loop
        (br_if 1 (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
        (br_if 1 (i32.eq (memory.grow (i32.const 1)) (i32.const -1)))
        (br 0)))
    (local.get 4)";

impl Guest {
    /// A chunker whose `chunk` has this body. Parameters: id 0 1, title 2 3, media type 4 5, text 6 7,
    /// options 8 9, each a pointer and a length; `$i` and `$n` are free locals. It returns the address of
    /// a result.
    pub fn chunker(body: &str) -> Self {
        Self::new(PluginKind::Chunker, body)
    }

    /// An agent whose `retrieve` has this body. Parameters: question 0 1, options 2 3; `$i` and `$n` are
    /// free.
    pub fn agent(body: &str) -> Self {
        Self::new(PluginKind::Agent, body)
    }

    fn new(kind: PluginKind, body: &str) -> Self {
        Self {
            kind,
            imports: String::new(),
            wasi: false,
            pages: 1,
            fields: String::new(),
            realloc: REALLOC.to_owned(),
            describe: "(i32.const 16)".to_owned(),
            body: body.to_owned(),
        }
    }

    /// Chunker or agent.
    pub fn kind(&self) -> PluginKind {
        self.kind
    }

    /// With these imports.
    pub fn importing(mut self, imports: &str) -> Self {
        imports.clone_into(&mut self.imports);
        self
    }

    /// With these fields.
    pub fn with(mut self, fields: &str) -> Self {
        fields.clone_into(&mut self.fields);
        self
    }

    /// With this before all that its body does.
    pub fn first(mut self, code: &str) -> Self {
        self.body.insert_str(0, code);
        self
    }

    /// The core module's text.
    pub fn text(&self) -> String {
        let (name, parameters) = match self.kind {
            PluginKind::Chunker => ("stockade:plugin/chunking#chunk", "i32 ".repeat(10)),
            PluginKind::Agent => ("stockade:plugin/answering#retrieve", "i32 ".repeat(4)),
        };
        let Self {
            imports,
            pages,
            fields,
            realloc,
            describe,
            body,
            ..
        } = self;
        format!(
            r#"(module {imports}
                (memory (export "memory") {pages})
                (global $heap (mut i32) (i32.const 1024))
                {fields}
                (func $realloc (export "cabi_realloc")
                    (param i32 i32 i32 i32) (result i32) (local i32) {realloc})
                (func (export "describe") (result i32) {describe})
                (func (export "{name}") (param {parameters}) (result i32)
                    (local $i i32) (local $n i32) {body}))"#
        )
    }

    /// The component's bytes.
    pub fn build(&self) -> Result<Vec<u8>, GuestError> {
        let module = wat::parse_str(self.text()).map_err(|e| GuestError::Text(e.to_string()))?;
        Ok(match self.wasi {
            true => componentize_with(&module, self.kind, WASI)?,
            false => componentize(&module, self.kind)?,
        })
    }
}

/// A guest's text makes no component: a mistake in whoever wrote it.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Not the text format.
    #[error("the guest's text is wrong: {0}")]
    Text(String),
    /// A module that fits no world.
    #[error(transparent)]
    World(#[from] PluginError),
}

impl Explain for GuestError {
    fn code(&self) -> &'static str {
        "guest-text"
    }
    fn blame(&self) -> Blame {
        Blame::Host
    }
}
