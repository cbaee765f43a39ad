//! Guests of a few lines: the body of one function in the text format, made into a real component.

use stockade::plugin::{PluginKind, componentize};

/// A chunker whose `chunk` has this body. Parameters: id 0 1, title 2 3, media type 4 5, text 6 7,
/// options 8 9, each a pointer and a length; `$i` and `$n` are free locals. It returns the address of a
/// result.
pub fn chunker(body: &str) -> Vec<u8> {
    Guest::chunker(body).build()
}

/// An agent whose `retrieve` has this body. Parameters: question 0 1, options 2 3; `$i` and `$n` are free.
pub fn agent(body: &str) -> Vec<u8> {
    Guest::agent(body).build()
}

/// One chunk: the whole text. For tests whose point is elsewhere.
pub const WHOLE_TEXT: &str = "
    (i32.store (i32.const 64) (i32.const 0))            ;; start
    (i32.store (i32.const 68) (local.get 7))            ;; end
    (i32.store (i32.const 36) (i32.const 64))           ;; the list's address
    (i32.store (i32.const 40) (i32.const 1))            ;; its length
    (i32.const 32)";

/// An answer without passages.
pub const NO_PASSAGES: &str = "(i32.const 32)";

/// A core module in the making. Addresses below 1,024 are free and zero: a result at 32 is an empty one.
pub struct Guest {
    kind: PluginKind,
    pub imports: String,
    pub pages: u32,
    pub fields: String,
    pub realloc: String,
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
    pub fn chunker(body: &str) -> Self {
        Self::new(PluginKind::Chunker, body)
    }

    pub fn agent(body: &str) -> Self {
        Self::new(PluginKind::Agent, body)
    }

    fn new(kind: PluginKind, body: &str) -> Self {
        Self {
            kind,
            imports: String::new(),
            pages: 1,
            fields: String::new(),
            realloc: REALLOC.to_owned(),
            describe: "(i32.const 16)".to_owned(),
            body: body.to_owned(),
        }
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

    /// The component.
    pub fn build(&self) -> Vec<u8> {
        let module = wat::parse_str(self.text()).unwrap();
        componentize(&module, self.kind).unwrap()
    }
}
