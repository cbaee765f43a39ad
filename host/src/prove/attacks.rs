//! Every key's attack, by section of the policy.
//!
//! To add one: a key, a sentence, what must come of it, the highest value at which it is tried, and either two
//! guests of a few lines (over the limit, just under it) or a flood.

mod agent;
mod breaker;
mod call;
mod chunker;
mod ingest;
mod tenant;
mod wasi;

use super::attack::{Attack, Expected, Flood, Means, Pair, Target};
use super::ground::Ground;
use crate::attack::Guest;
use crate::error::Blame;
use crate::plugin::PluginKind;
use crate::task::Reason;

/// How often a short limit is tried: where the machine is too busy to be in time, it is not the limit that failed.
const TRIES: u32 = 5;

/// Every attack, in no order.
pub(super) fn all() -> Vec<Attack> {
    let mut all = call::attacks();
    all.extend(wasi::attacks());
    all.extend(chunker::attacks());
    all.extend(agent::attacks());
    all.extend(ingest::attacks());
    all.extend(tenant::attacks());
    all.extend(breaker::attacks());
    all
}

/// The value is never too high to be tried.
const ANY: u64 = u64::MAX;

fn expect(reason: Reason, blame: Blame) -> Expected {
    Expected::Stop(reason, blame)
}

/// An attack by guests on one key.
fn guests(
    key: &str,
    sentence: &'static str,
    expected: Expected,
    most: u64,
    pair: fn(&Target) -> Pair,
) -> Attack {
    Attack {
        key: key.to_owned(),
        sentence,
        expected,
        most,
        means: Means::Guests(pair),
    }
}

/// The same attack on a key that chunkers and agents both have.
fn both(
    name: &str,
    sentence: &'static str,
    expected: Expected,
    most: u64,
    pair: fn(&Target) -> Pair,
) -> [Attack; 2] {
    let of = |section| guests(&format!("{section}.{name}"), sentence, expected, most, pair);
    [of("chunker"), of("agent")]
}

/// An attack by a flood on one key.
fn flood(
    key: &str,
    sentence: &'static str,
    expected: &'static str,
    most: u64,
    run: for<'a> fn(&'a Ground, &'a Target) -> Flood<'a>,
) -> Attack {
    Attack {
        key: key.to_owned(),
        sentence,
        expected: Expected::Words(expected),
        most,
        means: Means::Flood(run),
    }
}

/// A guest of either kind.
fn of_kind(kind: PluginKind, imports: &str, body: &str) -> Guest {
    let guest = match kind {
        PluginKind::Chunker => Guest::chunker(body),
        PluginKind::Agent => Guest::agent(body),
    };
    guest.importing(imports)
}
