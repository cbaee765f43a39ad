//! The fair queue: texts of many tenants wait here, and leave as batches.
//!
//! Within a class (express, interactive, bulk) tenants share by deficit round-robin in tokens, by weight.
//! Interactive texts go first, the short ones before the long, but bulk ages: a quarter of the tokens stays
//! its own. A pure data structure: no threads, no clock, no model.

use super::batch::{self, Item};
use super::{Lane, Priority};
use crate::corpus::TenantId;
use crate::guard::{self, Guard};
use std::collections::{HashMap, VecDeque};

/// Tokens that a tenant of weight 1 may send each time its turn comes. Small, so that a heavy tenant's
/// turn is short.
const QUANTUM: usize = 32;

/// Batches' worth of bulk texts from which texts of like length are picked.
const WINDOW_BATCHES: usize = 8;

/// Interactive tokens that may go for one of bulk that waits.
const INTERACTIVE_TO_BULK: usize = 3;

/// The part of the queue kept for long interactive texts: one in so many.
const INTERACTIVE_PART: usize = 8;

/// The part kept for short interactive texts: one in so many.
const EXPRESS_PART: usize = 16;

/// Tokens of the longest interactive text that travels express, and of an express worker's batch. A question
/// has about 20; a batch of 64 takes a quarter of the time of one of 256.
const EXPRESS_TOKENS: usize = 64;

/// A tenant's largest part of its class: one in so many.
const TENANT_PART: usize = 4;

/// Which worker asks for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draw {
    /// One that reads every text.
    Any,
    /// One that reads short interactive texts alone, so that it is never long in reading what came before.
    Express,
}

/// The classes, the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rank {
    /// Interactive texts of at most [`EXPRESS_TOKENS`].
    Express,
    /// All other interactive texts.
    Interactive,
    Bulk,
}

impl Rank {
    fn of(priority: Priority, cost: usize) -> Self {
        match priority {
            Priority::Interactive if cost <= EXPRESS_TOKENS => Self::Express,
            Priority::Interactive => Self::Interactive,
            Priority::Bulk => Self::Bulk,
        }
    }

    /// The classes that texts of this priority may be in.
    fn all_of(priority: Priority) -> &'static [Self] {
        match priority {
            Priority::Interactive => &[Self::Express, Self::Interactive],
            Priority::Bulk => &[Self::Bulk],
        }
    }
}

/// Everything that waits.
pub(super) struct Queue {
    express: Class,
    interactive: Class,
    bulk: Class,
    /// Interactive tokens that went before bulk that waited, beyond what bulk got for them.
    passed: usize,
    batch_tokens: usize,
}

impl Queue {
    /// An empty queue for at most `tokens_max` tokens that gives batches of about `batch_tokens`.
    pub(super) fn new(batch_tokens: usize, tokens_max: usize) -> Self {
        let (interactive, express) = (tokens_max / INTERACTIVE_PART, tokens_max / EXPRESS_PART);
        let bulk = tokens_max - interactive - express;
        Self {
            // A window of one small batch: what one tenant sends at once is never in front of another's question.
            express: Class::new(EXPRESS_TOKENS, express),
            interactive: Class::new(batch_tokens, interactive),
            bulk: Class::new(WINDOW_BATCHES * batch_tokens, bulk),
            passed: 0,
            batch_tokens,
        }
    }

    /// Takes from the front of `items` what there is room for.
    pub(super) fn offer(&mut self, lane: &Lane, call: u64, items: &mut VecDeque<Item>) {
        while let Some(item) = items.pop_front() {
            let rank = Rank::of(lane.priority, item.cost());
            if let Err(item) = self.class_mut(rank).offer(lane, call, item) {
                items.push_front(item);
                return;
            }
        }
    }

    /// Whether all of `items` would be taken.
    pub(super) fn has_room(&self, lane: &Lane, items: &VecDeque<Item>) -> bool {
        Rank::all_of(lane.priority).iter().all(|&rank| {
            let costs = items.iter().map(Item::cost);
            let cost = costs
                .filter(|&cost| Rank::of(lane.priority, cost) == rank)
                .sum();
            self.class(rank).has_room(&lane.tenant, cost)
        })
    }

    /// The next batch for this kind of worker: never empty, and within the token budget unless it is a single
    /// text.
    pub(super) fn take(&mut self, draw: Draw) -> Option<Vec<Item>> {
        let bulk_is_due = self.passed >= INTERACTIVE_TO_BULK * self.batch_tokens;
        let (order, budget): (&[Rank], _) = match draw {
            Draw::Express => (&[Rank::Express], EXPRESS_TOKENS),
            Draw::Any if bulk_is_due => (
                &[Rank::Bulk, Rank::Express, Rank::Interactive],
                self.batch_tokens,
            ),
            Draw::Any => (
                &[Rank::Express, Rank::Interactive, Rank::Bulk],
                self.batch_tokens,
            ),
        };
        for &rank in order {
            let batch = self.class_mut(rank).take(budget);
            if !batch.is_empty() {
                // What the express worker reads takes no other worker's turn.
                if draw == Draw::Any {
                    self.age(rank, &batch);
                }
                return Some(batch);
            }
        }
        None
    }

    fn age(&mut self, went: Rank, batch: &[Item]) {
        let tokens = batch.iter().map(Item::cost).sum::<usize>();
        if self.bulk.tokens == 0 {
            self.passed = 0;
        } else if went == Rank::Bulk {
            self.passed = self.passed.saturating_sub(INTERACTIVE_TO_BULK * tokens);
        } else {
            self.passed += tokens;
        }
    }

    /// Removes what is left of a call.
    pub(super) fn withdraw(&mut self, lane: &Lane, call: u64) {
        for &rank in Rank::all_of(lane.priority) {
            self.class_mut(rank).withdraw(&lane.tenant, call);
        }
    }

    /// Removes everything.
    pub(super) fn clear(&mut self) {
        for class in [&mut self.express, &mut self.interactive, &mut self.bulk] {
            *class = Class::new(class.window_max, class.max);
        }
    }

    /// Tokens that wait with this priority.
    pub(super) fn tokens(&self, priority: Priority) -> usize {
        let ranks = Rank::all_of(priority).iter();
        ranks.map(|&rank| self.class(rank).tokens).sum()
    }

    /// Whether an express worker would find something.
    pub(super) fn has_express(&self) -> bool {
        self.express.tokens > 0
    }

    /// Whether no text waits.
    pub(super) fn is_empty(&self) -> bool {
        self.express.tokens + self.interactive.tokens + self.bulk.tokens == 0
    }

    fn class(&self, rank: Rank) -> &Class {
        match rank {
            Rank::Express => &self.express,
            Rank::Interactive => &self.interactive,
            Rank::Bulk => &self.bulk,
        }
    }

    fn class_mut(&mut self, rank: Rank) -> &mut Class {
        match rank {
            Rank::Express => &mut self.express,
            Rank::Interactive => &mut self.interactive,
            Rank::Bulk => &mut self.bulk,
        }
    }
}

/// Texts of one class: first in their tenant's line, then, chosen in turn, in the window.
struct Class {
    lines: HashMap<TenantId, Line>,
    /// The tenants with a line, next first.
    turns: VecDeque<TenantId>,
    /// Texts whose turn has come, oldest first; batches are picked from here.
    window: Vec<Item>,
    window_max: usize,
    /// Tokens that wait, the window's included.
    tokens: usize,
    max: usize,
}

/// What one tenant waits for.
struct Line {
    calls: VecDeque<Call>,
    share: usize,
    /// Tokens that the tenant may still send in this turn.
    credit: usize,
    tokens: usize,
}

/// One request's texts that have not been chosen yet.
struct Call {
    id: u64,
    items: VecDeque<Item>,
}

impl Class {
    fn new(window_max: usize, max: usize) -> Self {
        let (lines, turns, window) = (HashMap::new(), VecDeque::new(), vec![]);
        Self {
            lines,
            turns,
            window,
            window_max,
            tokens: 0,
            max,
        }
    }

    /// A tenant may use as much as is still free, and a quarter at most: however many flood the queue,
    /// there is room for one more.
    fn has_room(&self, tenant: &TenantId, cost: usize) -> bool {
        let own = self.lines.get(tenant).map_or(0, |line| line.tokens);
        let free = self.max.saturating_sub(self.tokens);
        if !guard::stands(Guard::QueuePart) {
            return cost <= free;
        }
        own + cost <= free.min(self.max / TENANT_PART)
    }

    /// Takes the text, or gives it back where there is no room.
    fn offer(&mut self, lane: &Lane, call: u64, item: Item) -> Result<(), Item> {
        let cost = item.cost();
        if !self.has_room(&lane.tenant, cost) {
            return Err(item);
        }
        self.tokens += cost;
        self.line(lane).push(call, item);
        Ok(())
    }

    fn line(&mut self, lane: &Lane) -> &mut Line {
        let share = (lane.share as usize).clamp(1, 1_000);
        let line = self.lines.entry(lane.tenant.clone()).or_insert_with(|| {
            self.turns.push_back(lane.tenant.clone());
            Line {
                calls: VecDeque::new(),
                share,
                credit: QUANTUM * share,
                tokens: 0,
            }
        });
        line.share = share;
        line
    }

    /// A batch from the window, after filling it up; empty when nothing waits.
    fn take(&mut self, budget: usize) -> Vec<Item> {
        self.drop_from_window(Item::withdrawn);
        self.fill_window();
        let batch = batch::pick(&mut self.window, budget);
        self.tokens -= batch.iter().map(Item::cost).sum::<usize>();
        batch
    }

    /// Deficit round-robin: a turn lasts while the tenant's credit does, and credit comes with each turn.
    fn fill_window(&mut self) {
        let mut filled: usize = self.window.iter().map(Item::cost).sum();
        while filled < self.window_max {
            let Some(tenant) = self.turns.front() else {
                return;
            };
            let Some(line) = self.lines.get_mut(tenant) else {
                self.turns.pop_front();
                continue;
            };
            self.tokens -= line.drop_withdrawn();
            match line.next_cost() {
                None => {
                    self.lines.remove(tenant);
                    self.turns.pop_front();
                }
                Some(cost) if cost > line.credit => {
                    line.credit += QUANTUM * line.share;
                    self.turns
                        .rotate_left(usize::from(guard::stands(Guard::FairTurns)));
                }
                Some(cost) => {
                    filled += cost;
                    self.window.extend(line.pop());
                }
            }
        }
    }

    fn withdraw(&mut self, tenant: &TenantId, call: u64) {
        self.drop_from_window(|item| item.call() == call);
        if let Some(line) = self.lines.get_mut(tenant) {
            self.tokens -= line.withdraw(call);
        }
    }

    fn drop_from_window(&mut self, gone: impl Fn(&Item) -> bool) {
        let tokens = &mut self.tokens;
        self.window.retain(|item| {
            let gone = gone(item);
            *tokens -= if gone { item.cost() } else { 0 };
            !gone
        });
    }
}

impl Line {
    fn push(&mut self, call: u64, item: Item) {
        self.tokens += item.cost();
        match self.calls.back_mut() {
            Some(last) if last.id == call => last.items.push_back(item),
            _ => self.calls.push_back(Call {
                id: call,
                items: VecDeque::from([item]),
            }),
        }
    }

    fn next_cost(&self) -> Option<usize> {
        self.calls.front()?.items.front().map(Item::cost)
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.calls.front_mut()?.items.pop_front()?;
        self.tokens -= item.cost();
        self.credit -= item.cost();
        Some(item)
    }

    /// Drops withdrawn texts and empty calls from the front; the tokens dropped.
    fn drop_withdrawn(&mut self) -> usize {
        let before = self.tokens;
        while let Some(call) = self.calls.front_mut() {
            match call.items.front() {
                None => drop(self.calls.pop_front()),
                Some(item) if item.withdrawn() => {
                    self.tokens -= item.cost();
                    call.items.pop_front();
                }
                Some(_) => break,
            }
        }
        before - self.tokens
    }

    /// Drops a call; the tokens dropped.
    fn withdraw(&mut self, id: u64) -> usize {
        let before = self.tokens;
        for call in self.calls.iter().filter(|call| call.id == id) {
            self.tokens -= call.items.iter().map(Item::cost).sum::<usize>();
        }
        self.calls.retain(|call| call.id != id);
        before - self.tokens
    }
}

#[cfg(test)]
pub(crate) mod flood;
#[cfg(test)]
mod tests;
