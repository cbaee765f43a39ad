//! Hostile guests for tests: the host's own builder, which must not fail on what a test wrote.

pub use stockade::attack::{Guest, NO_PASSAGES, WHOLE_TEXT};

/// A chunker of this body, as [`Guest::chunker`] says.
pub fn chunker(body: &str) -> Vec<u8> {
    Guest::chunker(body).build().unwrap()
}

/// An agent of this body, as [`Guest::agent`] says.
pub fn agent(body: &str) -> Vec<u8> {
    Guest::agent(body).build().unwrap()
}
