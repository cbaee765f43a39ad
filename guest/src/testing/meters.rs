//! What a task in memory may use, and what it used. It knows nothing of what is paid for.

use std::cell::RefCell;
use std::collections::HashSet;

use crate::host::native::{ENDLESS, LEFT};
use crate::{ChunkId, Denied, Meter, Remaining};

/// What a task used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Calls of the host, denied ones included.
    pub host_calls: u64,
    /// Tokens that were embedded.
    pub embed_tokens: u64,
    /// Searches.
    pub searches: u64,
    /// Vectors that searches and similarities scanned.
    pub vectors_scanned: u64,
    /// Bytes of passage text that were read.
    pub read_bytes: u64,
}

/// What a task may use, as the shipped policy `default` says.
const DEFAULT: Spent = Spent {
    host_calls: 10_000,
    embed_tokens: 4_096,
    searches: 64,
    vectors_scanned: 20_000_000,
    read_bytes: 1_024 << 10,
};

/// A task's meters, what it was shown, and its calls.
#[derive(Debug)]
pub(super) struct Meters {
    pub(super) limits: Spent,
    now: RefCell<Now>,
}

#[derive(Debug, Default)]
struct Now {
    spent: Spent,
    calls: Vec<String>,
    shown: HashSet<ChunkId>,
    degraded: Vec<String>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            limits: DEFAULT,
            now: RefCell::default(),
        }
    }
}

impl Meters {
    pub(super) fn set(&mut self, meter: Meter, most: u64) {
        match meter {
            Meter::EmbedTokens => self.limits.embed_tokens = most,
            Meter::Searches => self.limits.searches = most,
            Meter::VectorsScanned => self.limits.vectors_scanned = most,
            Meter::Read => self.limits.read_bytes = most,
        }
    }

    /// A new task: nothing was used yet.
    pub(super) fn begin(&self) {
        self.now.replace(Now::default());
        self.tell();
    }

    /// A call arrives. The host ends a task with too many of them, and what remains of a test then is a panic.
    pub(super) fn enter(&self, call: String) {
        let mut now = self.now.borrow_mut();
        now.spent.host_calls += 1;
        now.calls.push(call);
        let most = self.limits.host_calls;
        if now.spent.host_calls > most {
            panic!("stopped by host-calls: more than {most} calls (host_calls_max)");
        }
        drop(now);
        self.tell();
    }

    /// Charges `amount`, or denies `call` and charges nothing.
    pub(super) fn pay(&self, call: &str, meter: Meter, amount: u64) -> Result<(), Denied> {
        let mut now = self.now.borrow_mut();
        let (spent, most) = match meter {
            Meter::EmbedTokens => (&mut now.spent.embed_tokens, self.limits.embed_tokens),
            Meter::Searches => (&mut now.spent.searches, self.limits.searches),
            Meter::VectorsScanned => (&mut now.spent.vectors_scanned, self.limits.vectors_scanned),
            Meter::Read => (&mut now.spent.read_bytes, self.limits.read_bytes),
        };
        if spent.saturating_add(amount) > most {
            let said = format!("{call} was denied: {} is spent", meter.policy_key());
            if !now.degraded.contains(&said) {
                now.degraded.push(said);
            }
            return Err(Denied::BudgetSpent(meter));
        }
        *spent += amount;
        drop(now);
        self.tell();
        Ok(())
    }

    pub(super) fn show(&self, chunks: impl Iterator<Item = ChunkId>) {
        self.now.borrow_mut().shown.extend(chunks);
    }

    pub(super) fn was_shown(&self, chunk: ChunkId) -> bool {
        self.now.borrow().shown.contains(&chunk)
    }

    pub(super) fn spent(&self) -> Spent {
        self.now.borrow().spent
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.now.borrow().calls.clone()
    }

    /// What the host itself notes of an answer.
    pub(super) fn degraded(&self) -> Vec<String> {
        self.now.borrow().degraded.clone()
    }

    /// Makes `host::budget` say what is left.
    fn tell(&self) {
        let (most, spent) = (&self.limits, self.spent());
        LEFT.set(Remaining {
            host_calls: most.host_calls.saturating_sub(spent.host_calls),
            embed_tokens: most.embed_tokens - spent.embed_tokens,
            searches: most.searches - spent.searches,
            vectors_scanned: most.vectors_scanned - spent.vectors_scanned,
            read_bytes: most.read_bytes - spent.read_bytes,
            ..ENDLESS
        });
    }
}

impl Drop for Meters {
    fn drop(&mut self) {
        LEFT.set(ENDLESS);
    }
}
