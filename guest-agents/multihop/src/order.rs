//! In what order passages are shown, and why each is there.
//!
//! The seeds keep their fused scores. A linked passage is given a share of a further rank, as large as what it
//! adds to the question; so it passes seeds where it adds much, and none where it adds nothing. Behind the
//! first five, linked passages and seeds take turns, since the second passage of a question often shares
//! no word with it.

use crate::note;
use crate::seeds::RANK_CONSTANT;
use crate::walk::{How, Link, Walk};
use std::collections::{HashMap, HashSet, VecDeque};
use stockade_guest::{Answer, ChunkId, Citation, Retrieval};

/// Places that are decided by score alone.
const HEAD: usize = 5;

/// What a linked passage can win, in ranks of a search.
const WEIGHT: f64 = 1.5;

/// Who adds this share of the question wins all of it.
const GAIN_FULL: f64 = 0.25;

pub(crate) fn answer<R: Retrieval>(walk: &mut Walk<'_, R>) -> Answer {
    let linked = by_nearness(walk);
    let place: HashMap<ChunkId, usize> = (1..).zip(&linked).map(|(n, c)| (*c, n)).collect();
    let mut scores: HashMap<ChunkId, f64> = walk.seeds.ranked.iter().copied().collect();
    for (chunk, link) in &walk.links {
        if let (false, Some(place)) = (link.was_asked(), place.get(chunk)) {
            let won = WEIGHT * (link.gain / GAIN_FULL).min(1.0);
            *scores.entry(*chunk).or_default() += won / (RANK_CONSTANT + *place as f64);
        }
    }
    let mut order: Vec<ChunkId> = scores.keys().copied().collect();
    let first = walk.seeds.ranked.first().map(|(chunk, _)| *chunk);
    order.sort_by(|a, b| {
        let first = (Some(*b) == first).cmp(&(Some(*a) == first));
        let score = scores[b].total_cmp(&scores[a]);
        first.then(score).then(a.cmp(b))
    });
    let tail = order.split_off(order.len().min(HEAD));
    let behind = take_turns(walk, &order, tail, &linked);
    order.extend(behind);
    order.truncate(walk.passages_wanted());
    cite(walk, &order)
}

/// The linked passages, those nearest to the question first: by cosine and by words, fused.
fn by_nearness<R: Retrieval>(walk: &mut Walk<'_, R>) -> Vec<ChunkId> {
    let chunks: Vec<ChunkId> = walk.links.keys().copied().collect();
    let mut sums: HashMap<ChunkId, f64> = chunks.iter().map(|chunk| (*chunk, 0.0)).collect();
    let words = |chunk: &ChunkId| walk.seeds.by_words.get(chunk).copied().unwrap_or(0.0);
    add_ranks(&mut sums, chunks.iter().map(|chunk| (*chunk, words(chunk))));
    let cosines = match &walk.seeds.vector {
        Some(vector) if !chunks.is_empty() => walk.documents().similarities(vector, &chunks),
        _ => Ok(Vec::new()),
    };
    match cosines {
        Ok(cosines) => add_ranks(&mut sums, chunks.iter().copied().zip(cosines)),
        Err(denied) => note(
            &mut walk.degraded,
            "Linked passages were not compared with the question",
            &denied,
        ),
    }
    let mut order = chunks;
    order.sort_by(|a, b| sums[b].total_cmp(&sums[a]).then(a.cmp(b)));
    order
}

fn add_ranks(sums: &mut HashMap<ChunkId, f64>, scored: impl Iterator<Item = (ChunkId, f32)>) {
    let mut scored: Vec<(ChunkId, f32)> = scored.collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    for (rank, (chunk, _)) in (1_u32..).zip(scored) {
        *sums.entry(chunk).or_default() += 1.0 / (RANK_CONSTANT + f64::from(rank));
    }
}

/// What follows the head: a linked passage, a seed, a linked one that was asked for, a seed, and again.
fn take_turns<R: Retrieval>(
    walk: &Walk<'_, R>,
    head: &[ChunkId],
    tail: Vec<ChunkId>,
    linked: &[ChunkId],
) -> Vec<ChunkId> {
    let head: HashSet<ChunkId> = head.iter().copied().collect();
    let (mut followed, mut asked) = (VecDeque::new(), VecDeque::new());
    for chunk in linked.iter().filter(|chunk| !head.contains(chunk)) {
        let link = &walk.links[chunk];
        match link.was_asked() {
            false => followed.push_back(*chunk),
            true if link.gain >= GAIN_FULL => asked.push_back(*chunk),
            true => {}
        }
    }
    let turned: HashSet<ChunkId> = followed.iter().chain(&asked).copied().collect();
    let seeds = tail.into_iter().filter(|chunk| !turned.contains(chunk));
    let mut seeds: VecDeque<ChunkId> = seeds.collect();
    let mut order = Vec::with_capacity(seeds.len() + turned.len());
    for turn in 0.. {
        let next = match turn % 4 {
            0 => followed.pop_front(),
            2 => asked.pop_front().or_else(|| followed.pop_front()),
            _ => None,
        };
        let next = next.or_else(|| seeds.pop_front());
        let Some(next) = next.or_else(|| followed.pop_front().or_else(|| asked.pop_front())) else {
            break;
        };
        order.push(next);
    }
    order
}

/// The host orders an answer by score, so scores follow the order.
fn cite<R: Retrieval>(walk: &mut Walk<'_, R>, order: &[ChunkId]) -> Answer {
    let ranked = walk.seeds.ranked.iter();
    let ranks: HashMap<ChunkId, usize> = (1..).zip(ranked).map(|(n, (c, _))| (*c, n)).collect();
    let cite = |(place, chunk): (u16, &ChunkId)| Citation {
        chunk: *chunk,
        score: 1.0 / (RANK_CONSTANT as f32 + f32::from(place)),
        reason: reason(ranks.get(chunk), walk.links.get(chunk)),
    };
    Answer {
        passages: (1..).zip(order).map(cite).collect(),
        degraded: std::mem::take(&mut walk.degraded),
    }
}

fn reason(rank: Option<&usize>, link: Option<&Link>) -> String {
    let found = rank.map(|rank| format!("place {rank} by meaning and words"));
    let reached = link.map(Link::sentence);
    let parts: Vec<String> = found.into_iter().chain(reached).collect();
    parts.join("; ")
}

impl Link {
    fn was_asked(&self) -> bool {
        matches!(self.how, How::Asked { .. })
    }

    fn sentence(&self) -> String {
        let hop = self.hop;
        let how = match &self.how {
            How::Mentioned { by } => format!("mentioned by \"{by}\""),
            How::Mentions { title } => format!("mentions \"{title}\""),
            How::Asked { text } => format!("asked again for \"{text}\""),
        };
        match self.adds.as_str() {
            "" => format!("hop {hop}: {how}"),
            adds => format!("hop {hop}: {how}, adds {adds}"),
        }
    }
}
