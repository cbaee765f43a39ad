//! The only `bindgen!`: Rust types for the two worlds of `wit/`.
//!
//! Generated code and nothing else; what the imports do is in `ingest` and `agent`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::semicolon_if_nothing_returned,
    clippy::needless_pass_by_value,
    reason = "generated"
)]

/// World `chunker`.
pub mod chunker {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "chunker",
        imports: {
            "stockade:plugin/tokens.ends": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// World `agent`. Shares `host` and `options` with [`chunker`].
pub mod agent {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "agent",
        imports: {
            default: async | trappable,
        },
        exports: { default: async },
        with: {
            "stockade:plugin/options": super::chunker::stockade::plugin::options,
            "stockade:plugin/host": super::chunker::stockade::plugin::host,
            "stockade:plugin/retrieval.vector": crate::corpus::Embedding,
        },
        require_store_data_send: true,
    });
}
