//! HTTP over the data folder: the router with its answers, the control socket that it listens on while a
//! command runs, and what a second process asks through it.
//!
//! It does not know the command line. What a request does is the runtime's business; a network server is
//! the same router on another listener.

mod answer;
mod ask;
mod error;
mod listen;
mod questions;
mod routes;

pub use ask::{Ask, Unreachable, ask_here, ask_holder};
pub use error::ServerError;
pub use listen::{Listening, SOCKET};
pub use routes::router;
