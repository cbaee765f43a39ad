//! Documents that answer as a test wrote them down. No search happens here, and nothing is charged.

use std::cell::RefCell;

use crate::{ChunkId, Denied, Hit, NeighbourKind, Passage, Retrieval};

/// What a scripted call answers: chunk ids with their scores, or why it was denied.
pub type Scores = Result<Vec<(ChunkId, f32)>, Denied>;

/// A [`Retrieval`] whose answers a test sets one by one, and which notes each call. Where nothing
/// was set, an embedding succeeds and a search finds nothing.
#[derive(Debug)]
pub struct Scripted {
    embedding: Result<(), Denied>,
    vector: Scores,
    text: Scores,
    hybrid: Scores,
    calls: RefCell<Vec<String>>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            embedding: Ok(()),
            vector: Ok(Vec::new()),
            text: Ok(Vec::new()),
            hybrid: Ok(Vec::new()),
            calls: RefCell::default(),
        }
    }
}

impl Scripted {
    /// Sets how `embed` ends.
    #[must_use]
    pub fn embedding(self, embedding: Result<(), Denied>) -> Self {
        Self { embedding, ..self }
    }

    /// Sets what `search_vector` answers.
    #[must_use]
    pub fn vector(self, vector: Scores) -> Self {
        Self { vector, ..self }
    }

    /// Sets what `search_text` answers.
    #[must_use]
    pub fn text(self, text: Scores) -> Self {
        Self { text, ..self }
    }

    /// Sets what `search_hybrid` answers.
    #[must_use]
    pub fn hybrid(self, hybrid: Scores) -> Self {
        Self { hybrid, ..self }
    }

    /// The calls so far: `embed why?`, `vector 5 -`, `text why? 5 {"filter":1}`; `-` is no filter.
    pub fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }

    fn note(&self, call: String) {
        self.calls.borrow_mut().push(call);
    }
}

impl Retrieval for Scripted {
    type Vector = ();

    fn embed(&self, text: &str) -> Result<(), Denied> {
        self.note(format!("embed {text}"));
        self.embedding.clone()
    }

    fn vector_of(&self, chunk: ChunkId) -> Result<(), Denied> {
        self.note(format!("vector-of {chunk}"));
        Ok(())
    }

    fn similarities(&self, (): &(), chunks: &[ChunkId]) -> Result<Vec<f32>, Denied> {
        self.note(format!("similarities {chunks:?}"));
        Ok(vec![0.0; chunks.len()])
    }

    fn search_vector(&self, (): &(), k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        self.note(format!("vector {k} {}", filter.unwrap_or("-")));
        hits(&self.vector)
    }

    fn search_text(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        self.note(format!("text {query} {k} {}", filter.unwrap_or("-")));
        hits(&self.text)
    }

    fn search_hybrid(&self, query: &str, k: u32, filter: Option<&str>) -> Result<Vec<Hit>, Denied> {
        self.note(format!("hybrid {query} {k} {}", filter.unwrap_or("-")));
        hits(&self.hybrid)
    }

    fn neighbours(&self, chunk: ChunkId, kind: NeighbourKind, k: u32) -> Result<Vec<Hit>, Denied> {
        self.note(format!("neighbours {chunk} {kind:?} {k}"));
        Ok(Vec::new())
    }

    fn read(&self, chunks: &[ChunkId]) -> Result<Vec<Passage>, Denied> {
        self.note(format!("read {chunks:?}"));
        Err(Denied::NotFound)
    }
}

fn hits(scores: &Scores) -> Result<Vec<Hit>, Denied> {
    let hit = |&(chunk, score): &(ChunkId, f32)| Hit { chunk, score };
    scores
        .as_ref()
        .map(|scores| scores.iter().map(hit).collect())
        .map_err(Clone::clone)
}
