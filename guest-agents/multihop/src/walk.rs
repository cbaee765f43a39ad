//! The walk: from the question's own passages along mentions, hop by hop, with what each passage on the way
//! covers of the question. In what order passages are shown is decided elsewhere.

use crate::cover::{Cover, Words};
use crate::seeds::Seeds;
use crate::{Plan, note, order};
use std::collections::{BTreeMap, HashMap};
use stockade_guest::{Answer, ChunkId, Denied, NeighbourKind, Passage, Retrieval};

/// Seeds that are read, to know which words are common among them.
const READ_FIRST: usize = 20;

/// Neighbours of each kind that are looked at.
const MENTIONS: u32 = 8;
const MENTIONED_BY: u32 = 5;

/// Passages from which the second hop and later ones go on.
const BEAM_LATER: usize = 2;

/// Passages taken of what is asked again.
const ASKED: u32 = 5;

/// Less of the question than this is no gain: a passage that adds less is not followed, and what is open then is
/// not asked for.
const GAIN_MIN: f64 = 0.05;

/// How a passage was reached from another.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) hop: usize,
    pub(crate) how: How,
    /// How much of the question it covers that those before it left open, from 0 to 1.
    pub(crate) gain: f64,
    /// That, in words.
    pub(crate) adds: String,
}

/// In which way, and from which document's passage.
#[derive(Clone, Debug)]
pub(crate) enum How {
    Mentioned { by: String },
    Mentions { title: String },
    Asked { text: String },
}

/// A passage that was read.
#[derive(Debug)]
struct Known {
    /// Its document's title, or its id where there is none.
    name: String,
    title: String,
    cover: Cover,
}

/// One question on its way.
pub(crate) struct Walk<'a, R: Retrieval> {
    documents: &'a R,
    plan: &'a Plan<'a>,
    words: Words,
    pub(crate) seeds: Seeds<R::Vector>,
    known: HashMap<ChunkId, Known>,
    /// What is covered on the way to a passage, itself included.
    paths: BTreeMap<ChunkId, Cover>,
    pub(crate) links: BTreeMap<ChunkId, Link>,
    /// Where the next hop begins.
    frontier: Vec<ChunkId>,
    asked: Vec<String>,
    pub(crate) degraded: Vec<String>,
}

impl<'a, R: Retrieval> Walk<'a, R> {
    pub(crate) fn begin(
        question: &str,
        plan: &'a Plan<'a>,
        documents: &'a R,
    ) -> Result<Self, String> {
        let mut degraded = Vec::new();
        let seeds = Seeds::find(question, plan.filter, documents, &mut degraded)?;
        let first = seeds.ranked.iter().map(|(chunk, _)| *chunk);
        let first: Vec<ChunkId> = first.take(READ_FIRST).collect();
        let mut walk = Self {
            documents,
            plan,
            words: Words::of(question),
            seeds,
            known: HashMap::new(),
            paths: BTreeMap::new(),
            links: BTreeMap::new(),
            frontier: first.iter().take(plan.beam).copied().collect(),
            asked: Vec::new(),
            degraded,
        };
        if plan.hops > 0 {
            walk.read(&first);
        }
        Ok(walk)
    }

    pub(crate) fn passages_wanted(&self) -> usize {
        self.plan.passages
    }

    pub(crate) fn documents(&self) -> &R {
        self.documents
    }

    pub(crate) fn answer(mut self) -> Answer {
        order::answer(&mut self)
    }

    /// One hop. `false` when there is nowhere to go on from.
    pub(crate) fn go_on(&mut self, hop: usize) -> bool {
        let reached = self.neighbours(hop);
        let new: Vec<ChunkId> = reached.keys().copied().collect();
        self.read(&new);
        if hop == 1 {
            let covers: Vec<Cover> = self.known.values().map(|known| known.cover).collect();
            self.words.weigh(&covers);
            for seed in &self.frontier {
                let cover = self.known.get(seed).map(|known| known.cover);
                self.paths.insert(*seed, cover.unwrap_or_default());
            }
        }
        let followed = self.link(reached, hop);
        if self.plan.ask_again {
            self.ask_again(hop, &followed);
        }
        self.frontier = followed;
        !self.frontier.is_empty()
    }

    /// What the frontier mentions; in the first hop also what mentions it.
    fn neighbours(&mut self, hop: usize) -> BTreeMap<ChunkId, Vec<(ChunkId, NeighbourKind)>> {
        let mut reached: BTreeMap<ChunkId, Vec<_>> = BTreeMap::new();
        if self.plan.filter.is_some() {
            // The host holds neighbours to the asker's filter, not to an option of ours.
            let said = "Mentions were not followed: the option `filter` is set.".to_owned();
            if !self.degraded.contains(&said) {
                self.degraded.push(said);
            }
            return reached;
        }
        let kinds = [
            (NeighbourKind::Mention, MENTIONS),
            (NeighbourKind::MentionedBy, MENTIONED_BY),
        ];
        for &from in &self.frontier {
            for (kind, k) in kinds.into_iter().take(if hop == 1 { 2 } else { 1 }) {
                match self.documents.neighbours(from, kind, k) {
                    Ok(hits) => {
                        for hit in hits {
                            reached.entry(hit.chunk).or_default().push((from, kind));
                        }
                    }
                    // Deleted meanwhile.
                    Err(Denied::NotFound) => {}
                    Err(denied) => {
                        note(
                            &mut self.degraded,
                            "Not all mentions were followed",
                            &denied,
                        );
                        return reached;
                    }
                }
            }
        }
        reached
    }

    /// Reads what is not known yet; where not all can be read, what can.
    fn read(&mut self, chunks: &[ChunkId]) {
        let unknown = chunks
            .iter()
            .filter(|chunk| !self.known.contains_key(chunk));
        let unknown: Vec<ChunkId> = unknown.copied().collect();
        if unknown.is_empty() {
            return;
        }
        let passages = match self.documents.read(&unknown) {
            Ok(passages) => passages,
            Err(denied) => {
                if denied != Denied::NotFound {
                    note(&mut self.degraded, "Not all passages were read", &denied);
                }
                let one_by_one = unknown.iter().map(|chunk| self.documents.read(&[*chunk]));
                one_by_one.filter_map(Result::ok).flatten().collect()
            }
        };
        for passage in passages {
            let cover = self.words.in_text(&passage.text);
            self.known.insert(passage.chunk, Known::of(passage, cover));
        }
    }

    /// Notes how each passage was reached, by the way that gains most, and returns those to follow: the ones on
    /// whose way most of the question is covered.
    fn link(
        &mut self,
        reached: BTreeMap<ChunkId, Vec<(ChunkId, NeighbourKind)>>,
        hop: usize,
    ) -> Vec<ChunkId> {
        let mut gaining = Vec::new();
        for (chunk, ways) in reached {
            let Some(cover) = self.known.get(&chunk).map(|known| known.cover) else {
                continue;
            };
            let before = |from: &ChunkId| self.paths.get(from).copied().unwrap_or_default();
            let gain = |from: &ChunkId| self.words.share(cover.without(before(from)));
            let best = ways.iter().max_by(|a, b| gain(&a.0).total_cmp(&gain(&b.0)));
            let Some((from, kind)) = best else { continue };
            let (gain, path) = (gain(from), before(from));
            let known = self.links.get(&chunk);
            if known.is_some_and(|link| link.gain >= gain) || (hop > 1 && gain < GAIN_MIN) {
                continue;
            }
            let adds = self.words.that_count(cover.without(path)).join(", ");
            let how = self.how(*from, *kind);
            self.links.insert(
                chunk,
                Link {
                    hop,
                    how,
                    gain,
                    adds,
                },
            );
            let path = path.with(cover);
            self.paths.entry(chunk).or_insert(path);
            if gain >= GAIN_MIN && !self.frontier.contains(&chunk) {
                gaining.push((self.words.share(path), chunk));
            }
        }
        gaining.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let first = gaining.into_iter().take(BEAM_LATER);
        first.map(|(_, chunk)| chunk).collect()
    }

    fn how(&self, from: ChunkId, kind: NeighbourKind) -> How {
        let name = self.known.get(&from).map(|known| known.name.clone());
        let name = name.unwrap_or_default();
        match kind {
            NeighbourKind::Mention => How::Mentioned { by: name },
            _ => How::Mentions { title: name },
        }
    }

    /// Searches for what the best way so far leaves open, together with the title that it leads to.
    fn ask_again(&mut self, hop: usize, followed: &[ChunkId]) {
        let share = |chunk: &ChunkId| self.words.share(self.path(*chunk));
        let ways = self.frontier.iter().chain(followed);
        // The earliest of equals.
        let best = ways.rev().max_by(|a, b| share(a).total_cmp(&share(b)));
        let Some(best) = best.copied() else { return };
        let open = self.words.all().without(self.path(best));
        if self.words.share(open) < GAIN_MIN {
            return;
        }
        let title = self.known.get(&best).map(|known| known.title.as_str());
        let words = self.words.that_count(open).join(" ");
        let text = format!("{words} {}", title.unwrap_or_default());
        let text = text.trim().to_owned();
        if self.asked.contains(&text) {
            return;
        }
        self.asked.push(text.clone());
        let hits = match self.documents.search_hybrid(&text, ASKED, self.plan.filter) {
            Ok(hits) => hits,
            Err(denied) => return note(&mut self.degraded, "Did not ask again", &denied),
        };
        let found: Vec<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        self.read(&found);
        for chunk in found {
            let Some(known) = self.known.get(&chunk) else {
                continue;
            };
            let new = known.cover.without(self.path(best));
            let link = Link {
                hop,
                how: How::Asked { text: text.clone() },
                gain: self.words.share(new),
                adds: self.words.that_count(new).join(", "),
            };
            self.links.entry(chunk).or_insert(link);
        }
    }

    fn path(&self, chunk: ChunkId) -> Cover {
        self.paths.get(&chunk).copied().unwrap_or_default()
    }
}

impl Known {
    fn of(passage: Passage, cover: Cover) -> Self {
        let title = passage.title;
        let name = match title.is_empty() {
            true => passage.document,
            false => title.clone(),
        };
        Self { name, title, cover }
    }
}
