//! Guests in pairs: for each class of attack one that attacks, and one that does honest work of the same kind
//! and needs nearly all that the policy allows it.
//!
//! Those that attack do so only when asked to, by a question that begins with [`Class::SIGNAL`]: a plugin that
//! is stopped on its trial is never installed. It does not know who runs them, nor beside whom.

use super::imports::{EMBED, SEARCH_HYBRID};
use super::{Guest, NO_PASSAGES, WHOLE_TEXT};
use crate::policy::Policy;

/// What is taken from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The guests' threads.
    Cpu,
    /// Memory, and the time to fill it.
    Memory,
    /// The host's work for guests.
    HostCalls,
    /// The model.
    Embedder,
    /// The compiler.
    Compile,
}

/// Fuel of one round of a loop that only counts.
const FUEL_PER_ROUND: u64 = 5;

/// A loop around `work` that runs `$i` times.
fn repeat(times: u64, work: &str) -> String {
    format!(
        "(local.set $i (i32.const {times}))
        (loop $again {work}
            (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))"
    )
}

/// `attack` where the question begins with the signal; otherwise, and afterwards, no passages.
fn on_signal(attack: &str) -> String {
    let signal = Class::SIGNAL as u32;
    format!(
        "(if (i32.eq (i32.load8_u (local.get 0)) (i32.const {signal})) (then {attack}))
        {NO_PASSAGES}"
    )
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Memory,
        Self::HostCalls,
        Self::Embedder,
        Self::Compile,
    ];

    /// A question that begins with it tells a guest to attack.
    pub const SIGNAL: char = '!';

    /// The class's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::HostCalls => "host-calls",
            Self::Embedder => "embedder",
            Self::Compile => "compile",
        }
    }

    /// An agent that uses nearly all of its quota and is never stopped; none where the class's work is not a
    /// question's.
    pub fn honest(self, policy: &Policy) -> Option<Guest> {
        let limits = &policy.agent;
        match self {
            Self::Cpu => {
                // A tenth is left for what the question itself costs.
                let rounds = limits.call.fuel_max * 9 / 10 / FUEL_PER_ROUND;
                let work = repeat(rounds.min(u64::from(u32::MAX >> 1)), "");
                Some(Guest::agent(&format!("{work} {NO_PASSAGES}")))
            }
            Self::Memory => {
                let pages = pages(limits.call.memory_mib_max) - 32;
                // Page by page, so that it can be interrupted in between.
                let page = "(memory.fill (i32.mul (local.get $n) (i32.const 65536))
                    (i32.const 7) (i32.const 65536))";
                let fill = format!(
                    "(local.set $n (memory.size))
                    (drop (memory.grow (i32.const {pages})))
                    (loop $page {page}
                        (local.set $n (i32.add (local.get $n) (i32.const 1)))
                        (br_if $page (i32.lt_u (local.get $n) (memory.size))))
                    {NO_PASSAGES}"
                );
                Some(Guest::agent(&fill))
            }
            Self::HostCalls => {
                let searches = repeat(limits.searches_max, &search(HONEST_WORDS.len(), 10));
                Some(calling(&format!("{searches} {NO_PASSAGES}")))
            }
            Self::Embedder | Self::Compile => None,
        }
    }

    /// An agent that takes what it can until it is stopped; none where the class's work is not a question's.
    pub fn hostile(self, policy: &Policy) -> Option<Guest> {
        let limits = &policy.agent;
        match self {
            Self::Cpu => Some(Guest::agent(&on_signal("(loop $ever (br $ever))"))),
            Self::Memory => {
                let pages = pages(limits.call.memory_mib_max) - 32;
                // All of it in one instruction, which nothing can interrupt, again and again.
                let attack = format!(
                    "(drop (memory.grow (i32.const {pages})))
                    (loop $ever
                        (memory.fill (i32.const 131072) (i32.const 7)
                            (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 131072)))
                        (br $ever))"
                );
                Some(Guest::agent(&on_signal(&attack)))
            }
            Self::HostCalls => {
                // The longest texts first, then searches for as much as there is, then whatever is denied.
                let embeds = repeat(
                    16,
                    "(call $embed (i32.const 4096) (i32.const 1500) (i32.const 256))",
                );
                let calls = limits.call.host_calls_max;
                let attack = format!("{embeds} {}", repeat(calls, &search(1_500, 1_000)));
                Some(calling(&on_signal(&attack)))
            }
            Self::Embedder | Self::Compile => None,
        }
    }

    /// A chunker whose chunks overlap as much as the policy allows, each of the model's full length: every
    /// document is embedded several times over.
    pub fn flooding_chunker() -> Guest {
        let flood = format!(
            "(if (result i32) (i32.lt_u (local.get 7) (i32.const 3000))
            (then {WHOLE_TEXT})
            (else
                (local.set $n (i32.div_u (i32.sub (local.get 7) (i32.const 1500)) (i32.const 400)))
                (local.set 0 (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
                    (i32.mul (local.get $n) (i32.const 16))))
                (local.set 1 (local.get 0))
                (loop $piece
                    (i32.store (local.get 1) (i32.mul (local.get $i) (i32.const 400)))
                    (i32.store offset=4 (local.get 1)
                        (i32.add (i32.mul (local.get $i) (i32.const 400)) (i32.const 1500)))
                    (local.set 1 (i32.add (local.get 1) (i32.const 16)))
                    (br_if $piece (i32.lt_u
                        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
                (i32.store (i32.const 36) (local.get 0))
                (i32.store (i32.const 40) (local.get $n))
                (i32.const 32)))"
        );
        Guest::chunker(&flood)
    }
}

fn pages(mib: u64) -> u64 {
    mib * 16
}

/// What an honest guest searches for: about 50 tokens, so that its budgets of tokens and of searches end
/// together.
const HONEST_WORDS: &str = "Which documents describe how the resource limits of one tenant protect the other \
    tenants of the same machine, and what becomes of a plugin that exceeds its processor time, its memory or \
    its storage while the remaining customers continue with their own questions";

/// A search by words and meaning for `bytes` of the text at 4,096.
fn search(bytes: usize, k: u32) -> String {
    format!(
        "(call $search_hybrid (i32.const 4096) (i32.const {bytes}) (i32.const {k})
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 256))"
    )
}

/// An agent that can embed and search. What the host gives it always lands at the same place: it reads none
/// of it.
fn calling(body: &str) -> Guest {
    let text: String = HONEST_WORDS
        .chars()
        .chain(" ".chars())
        .cycle()
        .take(1_500)
        .collect();
    let mut guest = Guest::agent(body)
        .importing(&format!("{EMBED} {SEARCH_HYBRID}"))
        .with(&format!(r#"(data (i32.const 4096) "{text}")"#));
    guest.pages = 4;
    guest.realloc = "(i32.const 131072)".to_owned();
    guest
}

/// A chunker that works, with as much beside it as the compiler may be given: functions of the largest size,
/// made of what register allocation likes least.
pub fn compile_bomb(functions: u32, values: u32) -> Guest {
    let pushes: String = (0..values)
        .map(|n| format!("(i64.mul (local.get {}) (i64.const {n}))", n % 16))
        .collect();
    let sums = "i64.xor ".repeat(values.saturating_sub(1) as usize);
    let function = format!(
        "(func (param {}) (result i64) {pushes} {sums})",
        "i64 ".repeat(16)
    );
    Guest::chunker(WHOLE_TEXT).with(&function.repeat(functions as usize))
}

/// The same component with other bytes: a custom section that nothing reads, with this number in it.
pub fn distinct(component: &[u8], number: u64) -> Vec<u8> {
    let mut bytes = component.to_vec();
    // Section 0, 13 bytes: a name of 4 and the number.
    bytes.extend([0, 13, 4]);
    bytes.extend(b"copy");
    bytes.extend(number.to_le_bytes());
    bytes
}
