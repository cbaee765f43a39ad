//! What a Stockade plugin is written with: two traits, typed options, and the calls that the host
//! answers. It knows nothing of how the host stores, limits or runs anything.
//!
//! A chunker implements [`Chunker`] and names itself to [`export_chunker!`]; an agent does the same
//! with [`Agent`] and [`export_agent!`]. Both get what they may ask of the host as an argument, so
//! that their logic runs in an ordinary native test:
//!
//! ```
//! use stockade_guest::{Chunk, Chunker, Document, OptionSpec, Options, Setting, Tokens, export_chunker};
//!
//! struct Lines;
//!
//! const LINES: Setting<usize> = Setting::count("lines", 1, 1..=100, "Lines a chunk.");
//!
//! impl Chunker for Lines {
//!     fn options() -> Vec<OptionSpec> {
//!         vec![LINES.spec()]
//!     }
//!
//!     fn chunk(document: &Document, options: &Options, _: &impl Tokens) -> Result<Vec<Chunk>, String> {
//!         let lines = options.get(&LINES)?;
//!         let mut chunks = Vec::new();
//!         let (mut start, mut end) = (0, 0);
//!         for (index, line) in document.text.split_inclusive('\n').enumerate() {
//!             end += line.len();
//!             if index % lines == lines - 1 {
//!                 chunks.push(Chunk::new(start..end));
//!                 start = end;
//!             }
//!         }
//!         if start < end {
//!             chunks.push(Chunk::new(start..end));
//!         }
//!         Ok(chunks)
//!     }
//! }
//!
//! export_chunker!(Lines);
//! ```
//!
//! In a native test, [`testing`] has hosts to run it on.

mod agent;
#[doc(hidden)]
pub mod bindings;
mod chunker;
mod host;
mod options;
mod setting;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

#[doc(hidden)]
pub use agent::ExportedAgent;
pub use agent::{
    Agent, Answer, ChunkId, Citation, Denied, Hit, HostRetrieval, Meter, NeighbourKind, Passage,
    Retrieval, filter_option, k_option,
};
#[doc(hidden)]
pub use chunker::ExportedChunker;
pub use chunker::{Chunk, Chunker, Document, HostTokens, Tokens};
pub use host::{Level, Remaining, budget, log};
pub use options::{OptionSpec, OptionType, Options};
pub use setting::Setting;
