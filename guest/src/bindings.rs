//! The code that `wit-bindgen` writes for the two worlds of `stockade:plugin`. Nobody names it but
//! this crate's modules and its export macros.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    reason = "generated: the component ABI passes raw memory, and its style is the generator's"
)]

/// World `chunker`.
pub mod chunker {
    wit_bindgen::generate!({
        world: "chunker",
        path: "../wit",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_world",
    });
}

/// World `agent`; what both worlds have is `chunker`'s, so that a plugin sees each type once.
pub mod agent {
    wit_bindgen::generate!({
        world: "agent",
        path: "../wit",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_world",
        with: {
            "stockade:plugin/options": super::chunker::stockade::plugin::options,
            "stockade:plugin/host": super::chunker::stockade::plugin::host,
        },
    });
}
