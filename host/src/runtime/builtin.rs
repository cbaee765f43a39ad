//! The built-in plugins: components that the set-up built, compiled into the program by `build.rs`.
//!
//! They run in the same sandbox as a stranger's; nothing here trusts them more.

use crate::plugin::PluginKind;

/// A plugin that every tenant has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Builtin {
    pub(super) label: &'static str,
    pub(super) kind: PluginKind,
    pub(super) bytes: &'static [u8],
    /// An option that the label itself sets.
    pub(super) preset: Option<(&'static str, &'static str)>,
}

macro_rules! component {
    ($name:literal) => {
        include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".wasm"))
    };
}

const CHUNKER: &[u8] = component!("chunker");

const fn chunker(label: &'static str) -> Builtin {
    let preset = Some(("strategy", label));
    Builtin {
        label,
        kind: PluginKind::Chunker,
        bytes: CHUNKER,
        preset,
    }
}

const fn agent(label: &'static str, bytes: &'static [u8]) -> Builtin {
    Builtin {
        label,
        kind: PluginKind::Agent,
        bytes,
        preset: None,
    }
}

/// All of them. The first agent is the default one.
pub(super) const BUILTINS: &[Builtin] = &[
    chunker("recursive"),
    chunker("markdown"),
    chunker("fixed"),
    agent("hybrid", component!("agent-hybrid")),
    agent("vector", component!("agent-vector")),
    agent("text", component!("agent-text")),
    agent("multihop", component!("agent-multihop")),
    agent("rules", component!("agent-rules")),
];

pub(super) fn find(label: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.label == label)
}

/// The bytes of a built-in plugin.
pub fn component(label: &str) -> Option<&'static [u8]> {
    find(label).map(|builtin| builtin.bytes)
}

/// Labels that no tenant may give to a plugin of its own.
pub(super) fn is_reserved(label: &str) -> bool {
    find(label).is_some()
}

/// The chunker of a media type for which the tenant chose none.
pub(super) fn default_chunker(media_type: &str) -> &'static str {
    match media_type {
        "text/markdown" => "markdown",
        _ => "recursive",
    }
}

/// The agent of a tenant that chose none.
pub(super) const DEFAULT_AGENT: &str = "hybrid";
