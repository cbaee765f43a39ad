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

/// What of the system interface a module may import without types of its own: timers. Whether a plugin may
/// have them is the policy's business.
const TIMERS: &str = "
    package wasi:io@0.2.0 {
        interface poll {
            resource pollable { block: func(); }
        }
    }
    package wasi:clocks@0.2.0 {
        interface monotonic-clock {
            use wasi:io/poll@0.2.0.{pollable};
            subscribe-duration: func(nanoseconds: u64) -> pollable;
        }
    }";

/// The component of a core module that has the world's imports and exports by their canonical names. A
/// module built with `wit-bindgen` carries its own types, which are then used.
pub fn componentize(module: &[u8], kind: PluginKind) -> Result<Vec<u8>, PluginError> {
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
        let (resolve, world) = world(kind).map_err(PluginError::Componentize)?;
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

/// The kind's world, with timers beside it: imports that a module does not use are left out of its component.
fn world(kind: PluginKind) -> Result<(Resolve, wit_parser::WorldId), String> {
    let mut resolve = Resolve::default();
    let timed = format!(
        "world timed {{
            include {kind};
            import wasi:io/poll@0.2.0;
            import wasi:clocks/monotonic-clock@0.2.0;
        }}"
    );
    let package = resolve
        .push_source("stockade.wit", &[WIT, TIMERS, &timed].concat())
        .map_err(|error| format!("{error:#}"))?;
    let world = resolve.select_world(&[package], Some("timed"));
    world
        .map(|world| (resolve, world))
        .map_err(|error| format!("{error:#}"))
}
