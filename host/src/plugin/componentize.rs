//! From a core module to a component of one of the worlds, for authors without other tools.
//!
//! It adds types and adapters and checks nothing else: what it makes goes through the same checks as any
//! stranger's file.

use super::{PluginError, PluginKind};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// The package that plugins are written against.
const WIT: &str = concat!(
    include_str!("../../../wit/types.wit"),
    include_str!("../../../wit/chunker.wit"),
    include_str!("../../../wit/agent.wit"),
);

/// What a core module would be as a plugin, by the functions that it exports; none where it exports those of
/// neither world, or of both.
pub fn kind_of_module(module: &[u8]) -> Option<PluginKind> {
    let mut kinds = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(module).flatten() {
        if let wasmparser::Payload::ExportSection(exports) = payload {
            for export in exports.into_iter().flatten() {
                match export.name {
                    "stockade:plugin/chunking#chunk" => kinds.push(PluginKind::Chunker),
                    "stockade:plugin/answering#retrieve" => kinds.push(PluginKind::Agent),
                    _ => {}
                }
            }
        }
    }
    match kinds[..] {
        [kind] => Some(kind),
        _ => None,
    }
}

/// The component of a core module that has the world's imports and exports by their canonical names. A
/// module built with `wit-bindgen` carries its own types, which are then used.
pub fn componentize(module: &[u8], kind: PluginKind) -> Result<Vec<u8>, PluginError> {
    encode(module, kind, None)
}

/// As [`componentize`], for a module with other imports besides: `wit` declares them, in a package of its
/// own whose world has the kind's name and includes the kind's world.
pub fn componentize_with(
    module: &[u8],
    kind: PluginKind,
    wit: &str,
) -> Result<Vec<u8>, PluginError> {
    encode(module, kind, Some(wit))
}

fn encode(module: &[u8], kind: PluginKind, besides: Option<&str>) -> Result<Vec<u8>, PluginError> {
    let wrong = |error: &dyn std::fmt::Display| PluginError::Componentize(format!("{error:#}"));
    let mut module = module.to_vec();
    let carries_types = wasmparser::Parser::new(0)
        .parse_all(&module)
        .flatten()
        .any(|payload| {
            matches!(payload, wasmparser::Payload::CustomSection(section)
            if section.name().starts_with("component-type"))
        });
    if !carries_types {
        let (resolve, world) = world(kind, besides).map_err(PluginError::Componentize)?;
        let encoding = StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, encoding)
            .map_err(|error| wrong(&error))?;
    }
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| wrong(&error))
}

fn world(
    kind: PluginKind,
    besides: Option<&str>,
) -> Result<(Resolve, wit_parser::WorldId), String> {
    let mut resolve = Resolve::default();
    let mut push = |name, wit| {
        let pushed = resolve.push_source(name, wit);
        pushed.map_err(|error| format!("{error:#}"))
    };
    let mut package = push("stockade.wit", WIT)?;
    if let Some(wit) = besides {
        package = push("besides.wit", wit)?;
    }
    let world = resolve.select_world(&[package], Some(kind.as_str()));
    world
        .map(|world| (resolve, world))
        .map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_shows_its_kind_by_what_it_exports() {
        let module = |names: &[&str]| {
            let exports: String = names
                .iter()
                .map(|name| format!("(func (export \"{name}\"))"))
                .collect();
            kind_of_module(&wat::parse_str(format!("(module {exports})")).unwrap())
        };
        let (chunk, retrieve) = (
            "stockade:plugin/chunking#chunk",
            "stockade:plugin/answering#retrieve",
        );
        assert_eq!(module(&["describe", chunk]), Some(PluginKind::Chunker));
        assert_eq!(module(&[retrieve]), Some(PluginKind::Agent));
        assert_eq!(module(&[chunk, retrieve]), None);
        assert_eq!(module(&["describe"]), None);
        assert_eq!(kind_of_module(b"no module"), None);
    }
}
