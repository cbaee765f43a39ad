//! A text that waits, and how texts of like length are picked into a batch.
//!
//! A batch costs its number of texts times its longest, since shorter texts are padded; so only texts that are
//! too short to keep a core busy are padded. Knows nothing of tenants: fairness is decided before texts come here.

use super::error::EmbedError;
use super::tokens::Tokens;
use crate::corpus::Embedding;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Texts of so many tokens go with others of exactly their length, or alone. Two of them in a batch are no faster
/// than one after the other, since the products are large enough.
const UNPADDED_TOKENS: usize = 64;

/// What becomes of one text.
pub(super) type Answer = Result<Embedding, EmbedError>;

/// One text of a call, with the way back to whoever waits for it.
pub(super) struct Item {
    call: u64,
    tokens: Tokens,
    reply: oneshot::Sender<Answer>,
    cancel: CancellationToken,
}

impl Item {
    /// A text of the call, and where its answer will arrive.
    pub(super) fn new(
        call: u64,
        tokens: Tokens,
        cancel: CancellationToken,
    ) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (
            Self {
                call,
                tokens,
                reply,
                cancel,
            },
            answer,
        )
    }

    /// Which call it belongs to.
    pub(super) fn call(&self) -> u64 {
        self.call
    }

    /// Tokens that the model reads.
    pub(super) fn cost(&self) -> usize {
        self.tokens.len()
    }

    /// The ids that the model reads.
    pub(super) fn ids(&self) -> &[u32] {
        self.tokens.ids()
    }

    /// Whether nobody waits for it any more.
    pub(super) fn withdrawn(&self) -> bool {
        self.reply.is_closed() || self.cancel.is_cancelled()
    }

    /// Hands the answer to whoever waits; nobody may.
    pub(super) fn answer(self, answer: Answer) {
        drop(self.reply.send(answer));
    }
}

/// Takes a batch out of `window`: its oldest text, and those nearest to it in length while the batch
/// stays within `budget` tokens, padding included. None of [`UNPADDED_TOKENS`] or more is padded, or the reason
/// for padding. A text longer than the budget goes alone.
pub(super) fn pick(window: &mut Vec<Item>, budget: usize) -> Vec<Item> {
    let mut by_length: Vec<usize> = (0..window.len()).collect();
    by_length.sort_by_key(|&i| window[i].cost());
    let Some(oldest) = by_length.iter().position(|&i| i == 0) else {
        return vec![];
    };
    let lengths: Vec<usize> = by_length.iter().map(|&i| window[i].cost()).collect();
    let (from, to) = widen(&lengths, oldest, budget);
    let mut chosen = vec![false; window.len()];
    for &i in &by_length[from..to] {
        chosen[i] = true;
    }
    let mut chosen = chosen.into_iter();
    window
        .extract_if(.., |_| chosen.next().unwrap_or(false))
        .collect()
}

/// The longest stretch `[from, to)` of ascending `lengths` around `start` that fits the budget, growing to
/// the side where the next length is nearer.
fn widen(lengths: &[usize], start: usize, budget: usize) -> (usize, usize) {
    let (mut from, mut to) = (start, start + 1);
    let own = lengths[start];
    let may_pad = |other: usize| own.max(other) < UNPADDED_TOKENS || own == other;
    loop {
        let fits = |count: usize, longest: usize| count * longest <= budget;
        let count = to - from + 1;
        let shorter = (from > 0 && may_pad(lengths[from - 1]) && fits(count, lengths[to - 1]))
            .then(|| own - lengths[from - 1]);
        let longer = lengths
            .get(to)
            .filter(|&&l| may_pad(l) && fits(count, l))
            .map(|l| l - own);
        match (shorter, longer) {
            (None, None) => return (from, to),
            (Some(s), Some(l)) if l < s => to += 1,
            (None, Some(_)) => to += 1,
            (Some(_), _) => from -= 1,
        }
    }
}
