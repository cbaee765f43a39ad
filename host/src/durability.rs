//! What is left of a write that was cut short, found no room, or was made wrong on purpose.
//!
//! Child processes of this test program work in a folder and keep a journal outside of it: they end by SIGKILL
//! at a point of `cut`, find the file system full, or work under a broken `law`. What they leave is held against
//! what the journal says. Docs/durability.md has what is shown here.

mod child;
mod cuts;
mod documents;
mod full;
mod history;
mod host;
mod laws;
mod schema;
