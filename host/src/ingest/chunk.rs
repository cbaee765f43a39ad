//! The guest's part of ingest: a document goes in, checked chunks come out.
//!
//! The host side of world `chunker` is here: state, imports, link, call. What becomes of the chunks
//! is not known here.

use crate::bindings::chunker::exports::stockade::plugin::chunking as guest;
use crate::bindings::chunker::stockade::plugin::{options as guest_options, tokens};
use crate::bindings::chunker::{Chunker as World, ChunkerPre};
use crate::corpus::{Chunk, Document};
use crate::embedder::Embedder;
use crate::engine::Engine;
use crate::guard::{self, Guard};
use crate::plugin::{Digest, Loaded, OptionSpec, OptionType, Options, PluginError};
use crate::policy::Wasi;
use crate::sandbox::{Context, Halted, Sandbox, link_wasi};
use crate::task::{Meter, Phase, Reason, Stop, Task, count};
use std::sync::Arc;
use wasmtime::component::{HasSelf, Linker};

/// Text up to this size is tokenised on the guest's own thread: shorter than a tick.
const INLINE_TOKENS_BYTES: usize = 16 << 10;

/// The host's side of one chunker call.
pub struct ChunkerHost {
    embedder: Embedder,
}

/// A chunker that was linked and fits its world.
#[derive(Clone)]
pub struct Chunker {
    /// The plugin's name.
    pub digest: Digest,
    pre: ChunkerPre<Context<ChunkerHost>>,
}

impl std::fmt::Debug for Chunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunker")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

impl Chunker {
    /// Links a loaded plugin; refuses one whose imports or exports have other types.
    pub fn link(engine: &Engine, plugin: &Loaded, wasi: Wasi) -> Result<Self, PluginError> {
        let link = || -> wasmtime::Result<ChunkerPre<Context<ChunkerHost>>> {
            let mut linker = Linker::new(engine.wasmtime());
            World::add_to_linker::<_, HasSelf<Context<ChunkerHost>>>(&mut linker, |c| c)?;
            if wasi == Wasi::Sandboxed {
                link_wasi(&mut linker)?;
            }
            ChunkerPre::new(linker.instantiate_pre(&plugin.component)?)
        };
        let pre = link().map_err(|error| PluginError::WrongTypes {
            world: "chunker",
            message: format!("{error:#}"),
        })?;
        Ok(Self {
            digest: plugin.digest,
            pre,
        })
    }

    /// The options that the plugin declares, as it says them.
    pub async fn describe(
        &self,
        sandbox: &Sandbox,
        embedder: &Embedder,
        task: &Arc<Task>,
    ) -> Result<Vec<OptionSpec>, Stop> {
        let pre = self.pre.clone();
        let host = ChunkerHost {
            embedder: embedder.clone(),
        };
        let specs = sandbox
            .run(task, host, move |store| {
                Box::pin(async move {
                    let world = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().instantiated();
                    world.call_describe(&mut *store).await
                })
            })
            .await?;
        let bytes =
            |s: &guest_options::OptionSpec| s.name.len() + s.help.len() + s.range.len() + 16;
        let size: usize = specs.iter().map(bytes).sum();
        task.charge_or_end(Meter::Output, size as u64)?;
        Ok(specs.into_iter().map(option_spec).collect())
    }

    /// Cuts a document: the chunks, checked against the text and the task's limits.
    pub async fn chunk(
        &self,
        sandbox: &Sandbox,
        embedder: &Embedder,
        task: &Arc<Task>,
        document: &Document,
        options: &Options,
    ) -> Result<Vec<Chunk>, Stop> {
        let said = self
            .call(sandbox, embedder, task, document, options)
            .await?;
        task.enter(Phase::Check);
        let checked = said
            .map_err(|message| refused(&message))
            .and_then(|pieces| check(task, pieces, &document.text));
        checked.inspect_err(|stop| task.end(stop.clone()))
    }

    async fn call(
        &self,
        sandbox: &Sandbox,
        embedder: &Embedder,
        task: &Arc<Task>,
        document: &Document,
        options: &Options,
    ) -> Result<Result<Vec<guest::Piece>, String>, Stop> {
        let input = guest::Document {
            id: document.id.clone(),
            title: document.title.clone(),
            media_type: document.media_type.clone(),
            text: document.text.clone(),
        };
        let options = options.clone();
        let pre = self.pre.clone();
        let host = ChunkerHost {
            embedder: embedder.clone(),
        };
        task.charge_or_end(Meter::Boundary, input_bytes(&input, &options))?;
        sandbox
            .run(task, host, move |store| {
                Box::pin(async move {
                    let world = pre.instantiate_async(&mut *store).await?;
                    store.data_mut().instantiated();
                    let chunking = world.stockade_plugin_chunking();
                    chunking.call_chunk(&mut *store, &input, &options).await
                })
            })
            .await
    }
}

fn input_bytes(input: &guest::Document, options: &Options) -> u64 {
    let document = input.id.len() + input.title.len() + input.media_type.len() + input.text.len();
    let options: usize = options
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    (document + options) as u64
}

/// What the plugin itself says of a document that it will not cut.
fn refused(message: &str) -> Stop {
    let detail = format!(
        "the chunker refused: {}",
        crate::corpus::shorten(message, 300)
    );
    Stop::new(Reason::InvalidOutput, Phase::Check, 0.0, 0.0, &detail)
}

/// Nothing of a guest's answer is used before it passed here.
fn check(task: &Task, pieces: Vec<guest::Piece>, text: &str) -> Result<Vec<Chunk>, Stop> {
    let bytes = pieces.iter().map(piece_bytes).sum::<usize>() as u64;
    task.charge_or_end(Meter::Boundary, bytes)?;
    task.charge_or_end(Meter::Output, bytes)?;
    let limits = &task.limits;
    if pieces.len() as u64 > limits.results && guard::stands(Guard::Chunks) {
        let (limit, used) = (count(limits.results), count(pieces.len() as u64));
        return Err(Stop::new(
            Reason::Chunks,
            Phase::Check,
            limit,
            used,
            "too many chunks",
        ));
    }
    let chunks: Vec<Chunk> = pieces
        .into_iter()
        .map(|piece| Chunk {
            start: piece.start,
            end: piece.end,
            labels: piece.labels,
        })
        .collect();
    check_spans(&chunks, text)?;
    let covered: u64 = chunks
        .iter()
        .map(|chunk| u64::from(chunk.end.saturating_sub(chunk.start)))
        .sum();
    let ratio = count(covered) / count(text.len().max(1) as u64);
    if ratio > limits.overlap_ratio && guard::stands(Guard::OverlapRatio) {
        let detail = "the chunks together are too much longer than the document";
        let used = (ratio * 100.0).round() / 100.0;
        return Err(Stop::new(
            Reason::OverlapRatio,
            Phase::Check,
            limits.overlap_ratio,
            used,
            detail,
        ));
    }
    Ok(chunks)
}

fn check_spans(chunks: &[Chunk], text: &str) -> Result<(), Stop> {
    match Chunk::check_all(chunks, text) {
        Err(error) if guard::stands(Guard::Spans) => {
            let detail = error.to_string();
            Err(Stop::new(
                Reason::InvalidOutput,
                Phase::Check,
                0.0,
                0.0,
                &detail,
            ))
        }
        _ => Ok(()),
    }
}

fn piece_bytes(piece: &guest::Piece) -> usize {
    let labels: usize = piece
        .labels
        .iter()
        .map(|(name, value)| name.len() + value.len() + 16)
        .sum();
    8 + labels
}

/// The declared option in the host's words.
pub(crate) fn option_spec(spec: guest_options::OptionSpec) -> OptionSpec {
    use guest_options::OptionType as Guest;
    OptionSpec {
        name: spec.name,
        kind: match spec.type_ {
            Guest::Text => OptionType::Text,
            Guest::Integer => OptionType::Integer,
            Guest::Number => OptionType::Number,
            Guest::Boolean => OptionType::Boolean,
            Guest::Choice => OptionType::Choice,
        },
        default: spec.default,
        range: spec.range,
        help: spec.help,
    }
}

impl tokens::Host for Context<ChunkerHost> {
    async fn ends(&mut self, text: String) -> wasmtime::Result<Vec<u32>> {
        self.enter(Phase::HostTokens)?;
        self.cross(text.len())?;
        let embedder = self.host.embedder.clone();
        let ends = if text.len() <= INLINE_TOKENS_BYTES {
            self.exclude_host_cpu(|| embedder.token_ends(&text))
        } else {
            let task = self.task.clone();
            let work = move || embedder.token_ends_while(&text, || task.stop().is_none());
            let Ok(ends) = tokio::task::spawn_blocking(work).await else {
                let fault = Stop::host(Phase::HostTokens, "the tokenizer failed");
                self.task.end(fault);
                return Err(Halted.into());
            };
            ends.ok_or(Halted)?
        };
        self.cross(ends.len() * size_of::<u32>())?;
        Ok(ends)
    }
}
