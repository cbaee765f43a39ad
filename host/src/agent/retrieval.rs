//! The host's side of `retrieval`: each call metered before it works, bound to the tenant's index by what the
//! store holds, and written into the ledger.
//!
//! Refusals that a guest may handle are `denied`; whatever ends the task comes out as an engine error.

use super::AgentHost;
use super::answer::matches;
use super::arguments::*;
use super::ledger::Hop;
use crate::bindings::agent::stockade::plugin::retrieval as wit;
use crate::corpus::{ChunkId, Embedding, Filter, Hit, Passage, shorten};
use crate::db::Interrupt;
use crate::embedder::EmbedError;
use crate::error::{Explain, chain};
use crate::guard::{self, Guard};
use crate::index::{Index, IndexError, NeighbourKind};
use crate::sandbox::{Context, Halted};
use crate::task::{Meter, Phase, Stop};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use wasmtime::component::Resource;

type Cost = BTreeMap<&'static str, u64>;
type Answer<T> = wasmtime::Result<Result<T, wit::Denied>>;

/// One call on its way: what it is, and what it was charged so far.
struct Call {
    name: &'static str,
    args: Value,
    cost: Cost,
}

impl Call {
    fn new(name: &'static str, args: Value) -> Self {
        Self {
            name,
            args,
            cost: Cost::new(),
        }
    }
}

impl Context<AgentHost> {
    /// Charges one meter; a spent budget is a denial, not an end.
    fn pay(&self, call: &mut Call, meter: Meter, amount: u64) -> Result<(), Refusal> {
        let (name, guest) = match meter {
            Meter::EmbedTokens => ("embed_tokens", wit::Meter::EmbedTokens),
            Meter::Searches => ("searches", wit::Meter::Searches),
            Meter::VectorsScanned => ("vectors_scanned", wit::Meter::VectorsScanned),
            _ => ("read_bytes", wit::Meter::Read),
        };
        match self.task.charge(meter, amount) {
            Ok(()) => {
                *call.cost.entry(name).or_default() += amount;
                Ok(())
            }
            Err(_) => Err(Refusal::Denied(wit::Denied::BudgetSpent(guest))),
        }
    }

    /// Runs native work off the guest's thread; a kill reaches it within a slice.
    async fn native<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Index, &Interrupt) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (index, task) = (self.host.index.clone(), self.task.clone());
        let interrupt = Interrupt::new(move || task.stop().is_some());
        let joined = tokio::task::spawn_blocking(move || work(&index, &interrupt)).await;
        let done = joined.map_err(|error| self.fault(&error.to_string()))?;
        done.map_err(|error| self.index_refusal(error))
    }

    /// Of a failure of the index the asker hears as it is; the guest's call ends with it.
    fn index_refusal(&self, error: IndexError) -> Refusal {
        match error {
            IndexError::UnknownChunk(_) => Refusal::Denied(wit::Denied::NotFound),
            IndexError::Interrupted => Halted.into(),
            error if error.blame() == crate::error::Blame::Caller => invalid(error.to_string()),
            error => {
                let refusal = self.fault(&chain(&error));
                self.host.failed.note(error);
                refusal
            }
        }
    }

    /// Ends the task for a failure of the host.
    fn fault(&self, what: &str) -> Refusal {
        self.task.end(Stop::host(self.task.phase(), what));
        Halted.into()
    }

    async fn embedding(&mut self, call: &mut Call, text: &str) -> Result<Embedding, Refusal> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(invalid(format!(
                "the text has more than {QUERY_BYTES_MAX} bytes"
            )));
        }
        let embedder = self.host.embedder.clone();
        let tokens = self.exclude_host_cpu(|| embedder.tokenize(text));
        self.pay(call, Meter::EmbedTokens, tokens.len() as u64)?;
        if tokens.truncated() {
            let (all, read) = (tokens.full(), tokens.len());
            let said = format!("of a text of {all} tokens the model read the first {read}");
            self.host.ledger.degrade(said);
        }
        let lane = self.host.lane.clone();
        let mut vectors = match embedder.embed(&lane, vec![tokens]).await {
            Ok(vectors) => vectors,
            Err(EmbedError::Cancelled) => return Err(Halted.into()),
            Err(error) => return Err(self.fault(&chain(&error))),
        };
        match vectors.pop() {
            Some(Ok(vector)) => Ok(vector),
            Some(Err(error)) => Err(self.fault(&chain(&error))),
            None => Err(self.fault("the embedder gave no vector")),
        }
    }

    fn hold(&mut self, vector: Embedding) -> Result<Resource<Embedding>, Refusal> {
        Ok(self.hand_out(vector)?)
    }

    fn vector(&self, handle: &Resource<Embedding>) -> Result<Embedding, Refusal> {
        Ok(self.table.get(handle)?.clone())
    }

    /// The caller's filter and the agent's together.
    fn scope(&self, own: Option<&str>) -> Result<Option<Filter>, Refusal> {
        let own = own
            .map(Filter::parse)
            .transpose()
            .map_err(|e| invalid(e.to_string()))?;
        let callers = self.host.filter.clone();
        let callers = callers.filter(|_| guard::stands(Guard::SearchFilter));
        Ok(match (callers, own) {
            (Some(callers), Some(own)) => Some(callers.and(own)),
            (callers, own) => callers.or(own),
        })
    }

    async fn search_by_vector(
        &mut self,
        call: &mut Call,
        handle: &Resource<Embedding>,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Refusal> {
        let (vector, k, filter) = (self.vector(handle)?, checked_k(k)?, self.scope(filter)?);
        self.pay(call, Meter::Searches, 1)?;
        self.pay_scan(call).await?;
        self.native(move |index, interrupt| {
            index.search_vector(&vector, k, filter.as_ref(), interrupt)
        })
        .await
    }

    async fn pay_scan(&mut self, call: &mut Call) -> Result<(), Refusal> {
        let cost = self.native(|index, _| index.scan_cost()).await?;
        self.pay(call, Meter::VectorsScanned, cost)
    }

    async fn search_by_text(
        &mut self,
        call: &mut Call,
        query: String,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Refusal> {
        let (k, filter) = (checked_k(k)?, self.scope(filter)?);
        checked_query(&query)?;
        self.pay(call, Meter::Searches, 1)?;
        let found = self
            .native(move |index, interrupt| {
                index.search_text(&query, k, filter.as_ref(), interrupt)
            })
            .await?;
        self.note_left_out(&found.left_out);
        Ok(found.hits)
    }

    async fn search_by_both(
        &mut self,
        call: &mut Call,
        query: String,
        k: u32,
        filter: Option<&str>,
    ) -> Result<Vec<Hit>, Refusal> {
        let (k, filter) = (checked_k(k)?, self.scope(filter)?);
        checked_query(&query)?;
        self.pay(call, Meter::Searches, 1)?;
        self.pay_scan(call).await?;
        let vector = self.embedding(call, &query).await?;
        let found = self
            .native(move |index, interrupt| {
                index.search_hybrid(&query, &vector, k, filter.as_ref(), interrupt)
            })
            .await?;
        self.note_left_out(&found.left_out);
        Ok(found.hits)
    }

    fn note_left_out(&mut self, terms: &[String]) {
        if !terms.is_empty() {
            let terms = shorten(&terms.join(", "), 200);
            self.host
                .ledger
                .degrade(format!("text search left out very frequent words: {terms}"));
        }
    }

    async fn neighbours_of(
        &mut self,
        call: &mut Call,
        chunk: ChunkId,
        kind: NeighbourKind,
        k: u32,
    ) -> Result<Vec<Hit>, Refusal> {
        let (k, filter) = (checked_k(k)?, self.scope(None)?);
        if !matches!(kind, NeighbourKind::Next | NeighbourKind::Previous) {
            self.pay(call, Meter::Searches, 1)?;
        }
        if kind == NeighbourKind::Similar {
            self.pay_scan(call).await?;
        }
        self.native(move |index, interrupt| {
            index.neighbours(chunk, kind, k, filter.as_ref(), interrupt)
        })
        .await
    }

    async fn passages(
        &mut self,
        call: &mut Call,
        chunks: Vec<ChunkId>,
    ) -> Result<Vec<Passage>, Refusal> {
        checked_count(chunks.len())?;
        let sizes = chunks.clone();
        let bytes = self.native(move |index, _| index.read_cost(&sizes)).await?;
        self.pay(call, Meter::Read, bytes)?;
        let passages = self
            .native(move |index, interrupt| index.read(&chunks, interrupt))
            .await?;
        let filter = self.host.filter.as_ref();
        if passages.iter().all(|p| matches(filter, p)) || !guard::stands(Guard::ReadFilter) {
            return Ok(passages);
        }
        Err(Refusal::Denied(wit::Denied::NotFound))
    }

    async fn cosines(
        &mut self,
        call: &mut Call,
        handle: &Resource<Embedding>,
        chunks: Vec<ChunkId>,
    ) -> Result<Vec<f32>, Refusal> {
        checked_count(chunks.len())?;
        let vector = self.vector(handle)?;
        self.pay(call, Meter::VectorsScanned, chunks.len() as u64)?;
        self.native(move |index, interrupt| index.similarities(&vector, &chunks, interrupt))
            .await
    }

    /// Writes the call into the ledger and turns its outcome into what the guest gets.
    fn close<T>(&mut self, call: Call, results: usize, outcome: Result<T, Refusal>) -> Answer<T> {
        let outcome = match outcome {
            Ok(value) => Ok(value),
            Err(Refusal::Denied(denied)) => Err(denied),
            Err(Refusal::Halt(error)) => return Err(error),
        };
        self.host.ledger.add(Hop {
            call: call.name,
            args: call.args,
            results,
            cost: call.cost,
            denied: outcome.as_ref().err().map(why),
        });
        Ok(outcome)
    }

    fn close_hits(
        &mut self,
        call: Call,
        outcome: Result<Vec<Hit>, Refusal>,
    ) -> Answer<Vec<wit::Hit>> {
        let hits = match &outcome {
            Ok(hits) => hits.as_slice(),
            Err(_) => &[],
        };
        self.cross(size_of_val(hits))?;
        self.host.ledger.show(hits.iter().map(|hit| hit.chunk));
        let results = hits.len();
        let to_wit = |hit: Hit| wit::Hit {
            chunk: hit.chunk.0,
            score: hit.score,
        };
        let outcome = outcome.map(|hits| hits.into_iter().map(to_wit).collect());
        self.close(call, results, outcome)
    }
}

impl wit::HostVector for Context<AgentHost> {
    async fn drop(&mut self, handle: Resource<Embedding>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl wit::Host for Context<AgentHost> {
    async fn embed(&mut self, text: String) -> Answer<Resource<Embedding>> {
        self.enter(Phase::HostEmbed)?;
        self.cross(text.len())?;
        let mut call = Call::new("embed", json!({ "text": shorten(&text, 200) }));
        let outcome = match self.embedding(&mut call, &text).await {
            Ok(vector) => self.hold(vector),
            Err(refusal) => Err(refusal),
        };
        let results = usize::from(outcome.is_ok());
        self.close(call, results, outcome)
    }

    async fn vector_of(&mut self, chunk: u64) -> Answer<Resource<Embedding>> {
        self.enter(Phase::HostVectorOf)?;
        self.cross(size_of::<u64>())?;
        let call = Call::new("vector-of", json!({ "chunk": chunk }));
        let found = self
            .native(move |index, _| index.vector_of(ChunkId(chunk)))
            .await;
        let outcome = match found {
            Ok(vector) => self.hold(vector),
            Err(refusal) => Err(refusal),
        };
        let results = usize::from(outcome.is_ok());
        self.close(call, results, outcome)
    }

    async fn similarities(
        &mut self,
        vector: Resource<Embedding>,
        chunks: Vec<u64>,
    ) -> Answer<Vec<f32>> {
        self.enter(Phase::HostSimilarities)?;
        self.cross(chunks.len() * 12)?;
        let mut call = Call::new("similarities", some_ids(&chunks));
        let outcome = self.cosines(&mut call, &vector, ids(&chunks)).await;
        let results = outcome.as_ref().map_or(0, Vec::len);
        self.close(call, results, outcome)
    }

    async fn search_vector(
        &mut self,
        vector: Resource<Embedding>,
        k: u32,
        filter: Option<String>,
    ) -> Answer<Vec<wit::Hit>> {
        self.enter(Phase::HostSearchVector)?;
        self.cross(filter_bytes(filter.as_ref()))?;
        let mut call = Call::new("search-vector", json!({ "k": k, "filter": filter }));
        let hits = self
            .search_by_vector(&mut call, &vector, k, filter.as_deref())
            .await;
        self.close_hits(call, hits)
    }

    async fn search_text(
        &mut self,
        query: String,
        k: u32,
        filter: Option<String>,
    ) -> Answer<Vec<wit::Hit>> {
        self.enter(Phase::HostSearchText)?;
        self.cross(query.len() + filter_bytes(filter.as_ref()))?;
        let args = json!({ "query": shorten(&query, 200), "k": k, "filter": filter });
        let mut call = Call::new("search-text", args);
        let hits = self
            .search_by_text(&mut call, query, k, filter.as_deref())
            .await;
        self.close_hits(call, hits)
    }

    async fn search_hybrid(
        &mut self,
        query: String,
        k: u32,
        filter: Option<String>,
    ) -> Answer<Vec<wit::Hit>> {
        self.enter(Phase::HostSearchHybrid)?;
        self.cross(query.len() + filter_bytes(filter.as_ref()))?;
        let args = json!({ "query": shorten(&query, 200), "k": k, "filter": filter });
        let mut call = Call::new("search-hybrid", args);
        let hits = self
            .search_by_both(&mut call, query, k, filter.as_deref())
            .await;
        self.close_hits(call, hits)
    }

    async fn neighbours(
        &mut self,
        chunk: u64,
        kind: wit::NeighbourKind,
        k: u32,
    ) -> Answer<Vec<wit::Hit>> {
        self.enter(Phase::HostNeighbours)?;
        self.cross(16)?;
        let (kind, name) = match kind {
            wit::NeighbourKind::Next => (NeighbourKind::Next, "next"),
            wit::NeighbourKind::Previous => (NeighbourKind::Previous, "previous"),
            wit::NeighbourKind::Mention => (NeighbourKind::Mention, "mention"),
            wit::NeighbourKind::MentionedBy => (NeighbourKind::MentionedBy, "mentioned-by"),
            wit::NeighbourKind::Similar => (NeighbourKind::Similar, "similar"),
        };
        let args = json!({ "chunk": chunk, "kind": name, "k": k });
        let mut call = Call::new("neighbours", args);
        let hits = self.neighbours_of(&mut call, ChunkId(chunk), kind, k).await;
        self.close_hits(call, hits)
    }

    async fn read(&mut self, chunks: Vec<u64>) -> Answer<Vec<wit::Passage>> {
        self.enter(Phase::HostRead)?;
        self.cross(chunks.len() * size_of::<u64>())?;
        let mut call = Call::new("read", some_ids(&chunks));
        let outcome = self.passages(&mut call, ids(&chunks)).await;
        let passages = outcome.as_ref().map_or(&[][..], Vec::as_slice);
        self.cross(passages.iter().map(passage_bytes).sum())?;
        self.host
            .ledger
            .show(passages.iter().map(|passage| passage.chunk));
        let results = passages.len();
        let outcome = outcome.map(|all| all.into_iter().map(to_wit).collect());
        self.close(call, results, outcome)
    }
}
