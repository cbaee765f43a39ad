//! An agent: what it may ask of the tenant's documents, what it answers, and how it becomes a
//! component. It knows nothing of any strategy, and of no tenant but the one that runs it.

use std::marker::PhantomData;

use crate::bindings::agent as world;
use crate::{OptionSpec, Options};

pub use world::exports::stockade::plugin::answering::{Answer, Citation};
use world::stockade::plugin::retrieval::{self as imports, Vector};
pub use world::stockade::plugin::retrieval::{ChunkId, Denied, Hit, Meter, NeighbourKind, Passage};

/// Answers questions with passages.
pub trait Agent {
    /// The options that `retrieve` understands. One named `k` gets the number of passages that the
    /// caller asked for.
    fn options() -> Vec<OptionSpec>;

    /// Finds passages for `question`, best first. The error is a sentence for the person who asked.
    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String>;
}

/// The tenant's documents, as far as an agent may reach them. `filter` is a JSON filter over metadata;
/// `None` matches all. Each call may be [`Denied`], and the agent goes on.
pub trait Retrieval {
    /// An embedding that stays where it was made.
    type Vector;

    /// Embeds `text`; what is beyond 256 tokens is cut.
    fn embed(&self, text: &str) -> Result<Self::Vector, Denied>;

    /// The stored vector of a chunk.
    fn vector_of(&self, chunk: ChunkId) -> Result<Self::Vector, Denied>;

    /// The cosine of `vector` with each chunk's, in the order given.
    fn similarities(&self, vector: &Self::Vector, chunks: &[ChunkId]) -> Result<Vec<f32>, Denied>;

    /// The `k` chunks nearest to `vector`, best first.
    fn search_vector(
        &self,
        vector: &Self::Vector,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Denied>;

    /// The `k` best chunks by BM25 over any of the words of `query`.
    fn search_text(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied>;

    /// Both searches, fused by reciprocal rank.
    fn search_hybrid(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied>;

    /// Up to `k` neighbours of a chunk, best first.
    fn neighbours(&self, chunk: ChunkId, kind: NeighbourKind, k: u32) -> Result<Vec<Hit>, Denied>;

    /// The passages of `chunks`, in the order given: all, or none when one is unknown.
    fn read(&self, chunks: &[ChunkId]) -> Result<Vec<Passage>, Denied>;
}

/// The host's own retrieval. Only a component has a host: a native call panics.
#[derive(Clone, Copy, Debug)]
pub struct HostRetrieval;

impl Retrieval for HostRetrieval {
    type Vector = Vector;

    fn embed(&self, text: &str) -> Result<Vector, Denied> {
        imports::embed(text)
    }

    fn vector_of(&self, chunk: ChunkId) -> Result<Vector, Denied> {
        imports::vector_of(chunk)
    }

    fn similarities(&self, vector: &Vector, chunks: &[ChunkId]) -> Result<Vec<f32>, Denied> {
        imports::similarities(vector, chunks)
    }

    fn search_vector(
        &self,
        vector: &Vector,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Denied> {
        imports::search_vector(vector, k, &owned(filter))
    }

    fn search_text(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        imports::search_text(query, k, &owned(filter))
    }

    fn search_hybrid(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        imports::search_hybrid(query, k, &owned(filter))
    }

    fn neighbours(&self, chunk: ChunkId, kind: NeighbourKind, k: u32) -> Result<Vec<Hit>, Denied> {
        imports::neighbours(chunk, kind, k)
    }

    fn read(&self, chunks: &[ChunkId]) -> Result<Vec<Passage>, Denied> {
        imports::read(chunks)
    }
}

/// The generated imports take the filter as they would return it.
fn owned(filter: Option<&str>) -> Option<String> {
    filter.map(str::to_owned)
}

impl Denied {
    /// Why the call was not carried out, as part of a sentence: "the budget `searches_max` is spent".
    pub fn reason(&self) -> String {
        match self {
            Self::BudgetSpent(meter) => format!("the budget `{}` is spent", meter.policy_key()),
            Self::NotFound => "no such passage".to_owned(),
            Self::InvalidArgument(what) => what.clone(),
        }
    }
}

impl Meter {
    /// The policy key that holds the meter's limit.
    pub fn policy_key(self) -> &'static str {
        match self {
            Self::EmbedTokens => "embed_tokens_max",
            Self::Searches => "searches_max",
            Self::VectorsScanned => "vectors_scanned_max",
            Self::Read => "read_kib_max",
        }
    }
}

impl Answer {
    /// An answer of all `hits`, in their order, each with the reason that `reason` gives for its score.
    pub fn from_hits(hits: &[Hit], reason: impl Fn(f32) -> String) -> Self {
        let cite = |hit: &Hit| Citation {
            chunk: hit.chunk,
            score: hit.score,
            reason: reason(hit.score),
        };
        Self {
            passages: hits.iter().map(cite).collect(),
            degraded: Vec::new(),
        }
    }
}

/// The option `k` that every agent has: how many passages, 1 to 100, 5 by default. Read it with
/// [`Options::passages`].
pub fn k_option() -> OptionSpec {
    OptionSpec::integer("k", 5, 1..=100, "How many passages the answer has.")
}

/// The option `filter` of agents that narrow their own searches: a JSON filter, empty by default. Read
/// it with [`Options::filter`].
pub fn filter_option() -> OptionSpec {
    let help = "A JSON filter over metadata; empty for all documents.";
    OptionSpec::text("filter", "", 4_096, help)
}

impl Options {
    /// The value of [`k_option`].
    pub fn passages(&self) -> Result<u32, String> {
        let k = self.count("k")?;
        u32::try_from(k).map_err(|_| format!("option `k` must be at most 100, not {k}"))
    }

    /// The value of [`filter_option`]; `None` when it is empty.
    pub fn filter(&self) -> Result<Option<&str>, String> {
        self.text_if_any("filter")
    }
}

/// Carries `A` across the component boundary.
#[derive(Debug)]
pub struct ExportedAgent<A>(PhantomData<A>);

impl<A: Agent> world::Guest for ExportedAgent<A> {
    fn describe() -> Vec<OptionSpec> {
        A::options()
    }
}

impl<A: Agent> world::exports::stockade::plugin::answering::Guest for ExportedAgent<A> {
    fn retrieve(question: String, options: Vec<(String, String)>) -> Result<Answer, String> {
        A::retrieve(&question, &Options::new(options), &HostRetrieval)
    }
}

/// Makes a component of world `agent` out of a type that implements [`Agent`]. Outside of a Wasm
/// build it checks the type and exports nothing, so that agents can be linked into one test.
#[macro_export]
macro_rules! export_agent {
    ($agent:ty) => {
        const _: () = {
            #[allow(
                dead_code,
                reason = "natively, naming the type is all the check there is"
            )]
            type Exported = $crate::ExportedAgent<$agent>;
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::agent::export_world!(
                Exported with_types_in $crate::bindings::agent
            );
        };
    };
}
