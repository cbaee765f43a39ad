//! Hosts for native tests. [`Memory`] has documents and answers an agent by its own searches, under budgets that
//! can be set; [`Scripted`] answers as a test wrote down; [`cut`] runs a chunker and holds its chunks to the host's
//! rules. What they do follows the host closely enough to test an agent's logic, not the quality of what it
//! finds: there is no model here.
//!
//! A test that is wrong itself, such as one that names a document it did not add, panics and says so.
//!
//! ```
//! use stockade_guest::testing::{Memory, Stored};
//! use stockade_guest::{Agent, Answer, OptionSpec, Options, Retrieval, k_option};
//!
//! struct Words;
//!
//! impl Agent for Words {
//!     fn options() -> Vec<OptionSpec> {
//!         vec![k_option()]
//!     }
//!
//!     fn retrieve(question: &str, options: &Options, documents: &impl Retrieval) -> Result<Answer, String> {
//!         let hits = documents
//!             .search_text(question, options.passages()?, None)
//!             .map_err(|denied| denied.reason())?;
//!         Ok(Answer::from_hits(&hits, |score| format!("BM25 {score:.1}")))
//!     }
//! }
//!
//! let documents = Memory::default()
//!     .with(Stored::new("tides", "Tide Table", &["High water at the ferry.", "Low water."]))
//!     .with(Stored::new("cranes", "Cranes", &["How much a crane lifts."]));
//! let reply = documents.ask::<Words>("When is high water?", &[]).unwrap();
//! assert_eq!(reply.documents(), ["tides", "tides"]);
//! ```
#![allow(clippy::panic, reason = "a test that is wrong itself says so")]

mod corpus;
mod cutting;
mod filter;
mod graph;
mod memory;
mod meters;
mod reply;
mod scripted;
#[cfg(test)]
mod tests;
mod words;

pub use corpus::{Stored, Vector};
pub use cutting::{ChunkRules, cut, document, texts, token_ends};
pub use memory::Memory;
pub use meters::Spent;
pub use reply::{Found, Reply};
pub use scripted::{Scores, Scripted};
