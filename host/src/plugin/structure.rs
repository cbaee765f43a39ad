//! What a component's bytes show before anything is compiled: its world, its imports, its shape.
//!
//! One linear pass without validation: the compile child validates. The limits stand well above what
//! honest tools produce and well below what hurts a compiler.

use super::{PluginError, PluginKind};
use crate::guard::{self, Guard};
use crate::policy::Wasi;
use serde::{Deserialize, Serialize};
use wasmparser::{
    ComponentDefinedType, ComponentExternalKind, ComponentInstance, ComponentType,
    ComponentTypeDeclaration, ComponentTypeRef, Encoding, FunctionBody, Instance,
    InstanceTypeDeclaration, Operator, Parser, Payload,
};

/// Prefix of the interfaces that every plugin may import.
const OWN: &str = "stockade:plugin/";

/// Fields, cases, names or parameters of one component type. The widest honest one has some forty.
const WIDTH_MAX: u64 = 256;

/// What a component's bytes showed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Structure {
    /// Which world it is of.
    pub kind: PluginKind,
    /// Names of its imports.
    pub imports: Vec<String>,
    /// Names of its exports.
    pub exports: Vec<String>,
    /// Size in bytes.
    pub size: u64,
    /// Functions with code.
    pub functions: u64,
    /// The largest function body, in bytes.
    pub largest_function: u64,
    /// Core instances that an instantiation makes.
    pub instances: u64,
}

/// The largest shape that is compiled, for one kind of plugin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) size: u64,
    body: u64,
    functions: u64,
    instances: u64,
    locals: u64,
    br_table: u64,
    data_segments: u64,
    globals: u64,
    table_places: u64,
    types: u64,
    /// Names that core modules import and export. The host keeps them all while the plugin is loaded.
    names: u64,
    components: u64,
}

pub(super) fn shape(wasi: Wasi) -> Shape {
    let small = Shape {
        size: 8 << 20,
        body: 256 << 10,
        functions: 20_000,
        instances: 8,
        locals: 2_000,
        br_table: 4_096,
        data_segments: 10_000,
        globals: 10_000,
        table_places: 100_000,
        types: 10_000,
        names: 10_000,
        components: 8,
    };
    match wasi {
        Wasi::None => small,
        Wasi::Sandboxed => Shape {
            size: 32 << 20,
            body: 1 << 20,
            functions: 60_000,
            instances: 32,
            names: 100_000,
            ..small
        },
    }
}

#[derive(Default)]
struct Seen {
    imports: Vec<String>,
    exports: Vec<String>,
    functions: u64,
    largest_function: u64,
    instances: u64,
    data_segments: u64,
    globals: u64,
    table_places: u64,
    types: u64,
    names: u64,
    components: u64,
}

/// Checks that `bytes` are a component of one of the worlds, of an honest shape, that asks for nothing
/// that a plugin under `wasi` may not have.
pub fn inspect(bytes: &[u8], wasi: Wasi) -> Result<Structure, PluginError> {
    let shape = shape(wasi);
    if bytes.len() as u64 > shape.size && guard::stands(Guard::PluginSize) {
        return Err(PluginError::TooLarge {
            size: bytes.len() as u64,
            limit: shape.size,
        });
    }
    check_header(bytes)?;
    let mut seen = Seen::default();
    let mut nesting = vec![];
    for payload in Parser::new(0).parse_all(bytes) {
        seen.take(payload.map_err(malformed)?, &mut nesting, &shape)?;
    }
    let kind = kind_of(&seen.exports)?;
    for import in seen
        .imports
        .iter()
        .filter(|_| guard::stands(Guard::Imports))
    {
        check_import(import, kind, wasi)?;
    }
    Ok(Structure {
        kind,
        imports: seen.imports,
        exports: seen.exports,
        size: bytes.len() as u64,
        functions: seen.functions,
        largest_function: seen.largest_function,
        instances: seen.instances,
    })
}

fn check_header(bytes: &[u8]) -> Result<(), PluginError> {
    let what = match bytes {
        [] => "the file is empty",
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => "it is a core module",
        [0, b'a', b's', b'm', ..] => "it has an unknown version",
        [0x7f, b'E', b'L', b'F', ..] => {
            "it is a native or precompiled file, and those are never accepted"
        }
        [0x1f, 0x8b, ..] => "it is compressed with gzip",
        [b'(', ..] => "it is in the text format; encode it first",
        _ => "it does not begin with the magic number",
    };
    Err(PluginError::NotComponent(what))
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Component,
    Module,
}

impl Seen {
    fn take(
        &mut self,
        payload: Payload<'_>,
        nesting: &mut Vec<Level>,
        shape: &Shape,
    ) -> Result<(), PluginError> {
        // The outermost component is one level; a nested one is the second.
        let nested = nesting
            .iter()
            .filter(|&&level| level == Level::Component)
            .count()
            > 1;
        match payload {
            Payload::Version {
                encoding, range, ..
            } => {
                if encoding == Encoding::Module && nested {
                    return Err(PluginError::NestedCode {
                        offset: range.start as u64,
                    });
                }
                nesting.push(match encoding {
                    Encoding::Module => Level::Module,
                    Encoding::Component => Level::Component,
                });
                self.components += u64::from(encoding == Encoding::Component);
                limit("nested components", self.components, shape.components)
            }
            Payload::End(_) => {
                nesting.pop();
                Ok(())
            }
            Payload::ComponentCanonicalSection(section) if nested && section.count() > 0 => {
                Err(PluginError::NestedCode {
                    offset: section.range().start as u64,
                })
            }
            Payload::ComponentImportSection(section) if nesting.len() == 1 => {
                for import in section {
                    let import = import.map_err(malformed)?;
                    // A type gives nothing but a name to a shape.
                    if matches!(import.ty, ComponentTypeRef::Type(_)) {
                        continue;
                    }
                    self.imports.push(import.name.name.to_owned());
                    limit("imports", self.imports.len() as u64, 256)?;
                }
                Ok(())
            }
            Payload::ComponentExportSection(section) if nesting.len() == 1 => {
                for export in section {
                    let export = export.map_err(malformed)?;
                    if export.kind != ComponentExternalKind::Type {
                        self.exports.push(export.name.name.to_owned());
                    }
                    limit("exports", self.exports.len() as u64, 256)?;
                }
                Ok(())
            }
            other => self.count(other, shape),
        }
    }

    fn count(&mut self, payload: Payload<'_>, shape: &Shape) -> Result<(), PluginError> {
        match payload {
            Payload::InstanceSection(section) => {
                for instance in section {
                    let made = matches!(instance.map_err(malformed)?, Instance::Instantiate { .. });
                    self.instances += u64::from(made);
                }
                limit("core instances", self.instances, shape.instances)
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section {
                    let made = matches!(
                        instance.map_err(malformed)?,
                        ComponentInstance::Instantiate { .. }
                    );
                    self.components += u64::from(made);
                }
                limit("component instances", self.components, shape.components * 8)
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions += u64::from(count);
                limit("functions", self.functions, shape.functions)
            }
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len() as u64;
                self.largest_function = self.largest_function.max(size);
                limit("a function body of bytes", size, shape.body)?;
                check_body(&body, shape)
            }
            Payload::DataSection(section) => {
                self.data_segments += u64::from(section.count());
                limit("data segments", self.data_segments, shape.data_segments)
            }
            Payload::GlobalSection(section) => {
                self.globals += u64::from(section.count());
                limit("globals", self.globals, shape.globals)
            }
            Payload::ImportSection(section) => self.count_names(section.count(), shape),
            Payload::ExportSection(section) => self.count_names(section.count(), shape),
            // The compiler makes a list of all places of a table of which one is taken.
            Payload::TableSection(section) => {
                for table in section {
                    let places = table.map_err(malformed)?.ty.initial;
                    self.table_places = self.table_places.saturating_add(places);
                }
                limit("table places", self.table_places, shape.table_places)
            }
            Payload::TypeSection(section) => {
                self.types += u64::from(section.count());
                limit("types", self.types, shape.types)
            }
            Payload::ComponentTypeSection(section) => {
                for defined in section {
                    self.count_type(&defined.map_err(malformed)?, shape)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count_names(&mut self, more: u32, shape: &Shape) -> Result<(), PluginError> {
        self.names += u64::from(more);
        limit("core imports and exports", self.names, shape.names)
    }

    /// A type with all types in it. The parser bounds the depth.
    fn count_type(
        &mut self,
        defined: &ComponentType<'_>,
        shape: &Shape,
    ) -> Result<(), PluginError> {
        self.types += 1;
        limit("types", self.types, shape.types)?;
        match defined {
            ComponentType::Defined(value) => limit("a type of parts", width(value), WIDTH_MAX),
            ComponentType::Func(function) => {
                limit("a type of parts", function.params.len() as u64, WIDTH_MAX)
            }
            ComponentType::Component(inner) => inner.iter().try_for_each(|part| match part {
                ComponentTypeDeclaration::Type(inner) => self.count_type(inner, shape),
                _ => Ok(()),
            }),
            ComponentType::Instance(inner) => inner.iter().try_for_each(|part| match part {
                InstanceTypeDeclaration::Type(inner) => self.count_type(inner, shape),
                _ => Ok(()),
            }),
            ComponentType::Resource { .. } => Ok(()),
        }
    }
}

/// How many parts a value's type has side by side.
fn width(value: &ComponentDefinedType<'_>) -> u64 {
    let parts = match value {
        ComponentDefinedType::Record(fields) => fields.len(),
        ComponentDefinedType::Variant(cases) => cases.len(),
        ComponentDefinedType::Tuple(types) => types.len(),
        ComponentDefinedType::Flags(names) | ComponentDefinedType::Enum(names) => names.len(),
        _ => 1,
    };
    parts as u64
}

/// Locals and branch tables: small in bytes, large in the compiler.
fn check_body(body: &FunctionBody<'_>, shape: &Shape) -> Result<(), PluginError> {
    let mut locals = 0u64;
    for group in body.get_locals_reader().map_err(malformed)? {
        let (count, _) = group.map_err(malformed)?;
        locals += u64::from(count);
        limit("locals in one function", locals, shape.locals)?;
    }
    let mut operators = body.get_operators_reader().map_err(malformed)?;
    while !operators.eof() {
        if let Operator::BrTable { targets } = operators.read().map_err(malformed)? {
            limit(
                "branch table targets",
                u64::from(targets.len()),
                shape.br_table,
            )?;
        }
    }
    Ok(())
}

fn limit(what: &'static str, found: u64, limit: u64) -> Result<(), PluginError> {
    if found > limit && guard::stands(Guard::Structure) {
        return Err(PluginError::StructureLimit { what, found, limit });
    }
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn malformed(error: wasmparser::BinaryReaderError) -> PluginError {
    PluginError::Malformed {
        offset: error.offset() as u64,
        message: error.message().to_owned(),
    }
}

fn kind_of(exports: &[String]) -> Result<PluginKind, PluginError> {
    let exports_own = |name: &str| exports.iter().any(|e| e.strip_prefix(OWN) == Some(name));
    match (exports_own("chunking"), exports_own("answering")) {
        (true, false) => Ok(PluginKind::Chunker),
        (false, true) => Ok(PluginKind::Agent),
        _ => {
            let names = if exports.is_empty() {
                "nothing".to_owned()
            } else {
                exports.join(", ")
            };
            Err(PluginError::WrongWorld {
                exports: crate::corpus::shorten(&names, 300),
            })
        }
    }
}

fn check_import(import: &str, kind: PluginKind, wasi: Wasi) -> Result<(), PluginError> {
    let forbidden = |why| PluginError::ForbiddenImport {
        import: crate::corpus::shorten(import, 200),
        why,
    };
    if let Some(own) = import.strip_prefix(OWN) {
        let known = match kind {
            PluginKind::Chunker => ["host", "options", "tokens", "chunking"],
            PluginKind::Agent => ["host", "options", "retrieval", "answering"],
        };
        return match known.contains(&own) {
            true => Ok(()),
            false => Err(forbidden("its world does not have")),
        };
    }
    match wasi {
        Wasi::Sandboxed if import.starts_with("wasi:") => check_wasi(import, forbidden),
        Wasi::None if import.starts_with("wasi:") => {
            Err(forbidden("the policy does not allow (wasi = \"none\")"))
        }
        _ => Err(forbidden("no plugin may have")),
    }
}

/// The packages that the empty system interface provides.
fn check_wasi(
    import: &str,
    forbidden: impl Fn(&'static str) -> PluginError,
) -> Result<(), PluginError> {
    const PROVIDED: [&str; 6] = [
        "wasi:io/",
        "wasi:clocks/",
        "wasi:random/",
        "wasi:cli/",
        "wasi:filesystem/",
        "wasi:sockets/",
    ];
    match PROVIDED.iter().any(|package| import.starts_with(package)) {
        true => Ok(()),
        false => Err(forbidden("the sandboxed system interface does not have")),
    }
}
