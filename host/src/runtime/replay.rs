//! A receipt asked again: the same question, options and version of the agent, on the usual way through admission,
//! policy and meters; and what differs from then.
//!
//! A receipt is a stranger's word. Nothing is believed but what was asked; the rest is only compared.

use super::receipt::{CitedPassage, Inquiry, Receipt};
use super::resolve::{Manner, Version};
use super::{QueryOutcome, QueryRequest, Runtime, RuntimeError, builtin};
use crate::corpus::shorten;
use crate::error::Failure;
use crate::plugin::{Digest, Options};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Scores of the same answer differ by no more than this.
const SCORE_DIFFERENCE: f64 = 1e-6;

/// What a receipt says, as far as it is asked again or compared.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What was asked.
    pub inquiry: Inquiry,
    /// The agent's retrieval calls.
    pub hops: Vec<RecordedHop>,
    /// What was denied, clamped, dropped or answered by a fallback.
    pub degraded: Vec<String>,
    /// The guest's instructions.
    pub fuel: u64,
    /// The answer.
    pub passages: Vec<CitedPassage>,
}

/// One retrieval call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedHop {
    /// The function.
    pub call: String,
    /// How many results it gave.
    pub results: usize,
    /// Why it was not carried out.
    pub denied: Option<String>,
}

impl Recorded {
    fn of(receipt: &Receipt) -> Self {
        let hop = |hop: &crate::agent::Hop| RecordedHop {
            call: hop.call.to_owned(),
            results: hop.results,
            denied: hop.denied.clone(),
        };
        Self {
            inquiry: receipt.inquiry.clone(),
            hops: receipt.hops.iter().map(hop).collect(),
            degraded: receipt.degraded.clone(),
            fuel: receipt.usage.fuel,
            passages: receipt.answer.passages.clone(),
        }
    }
}

/// What became of the version that a receipt names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// It is the one in use.
    InUse,
    /// The tenant's history has it; another one, or none, is in use.
    Kept,
    /// The tenant has it no more.
    Gone,
}

impl VersionState {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in-use",
            Self::Kept => "kept",
            Self::Gone => "gone",
        }
    }
}

/// Something that is not as the receipt says.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// `plugin`, `policy`, `model`, `index`, `options`, `passages`, `order`, `scores`, `degraded`, `hops` or `fuel`.
    pub what: &'static str,
    /// What the receipt says.
    pub was: Value,
    /// What is now.
    pub now: Value,
    /// A sentence for people.
    pub detail: String,
}

impl Change {
    fn new(what: &'static str, was: impl Into<Value>, now: impl Into<Value>, detail: &str) -> Self {
        Self {
            what,
            was: was.into(),
            now: now.into(),
            detail: detail.to_owned(),
        }
    }
}

/// A receipt that was asked again.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// The same chunks in the same order, scores within 1e-6.
    pub same_answer: bool,
    /// The same fuel.
    pub same_fuel: bool,
    /// What became of the receipt's version.
    pub version: VersionState,
    /// The version that answered now.
    pub replayed: Digest,
    /// The version that the label stands for now, if any.
    pub in_use: Option<Digest>,
    /// What differs: what was asked of first, then what came of it. Empty when nothing does.
    pub changes: Vec<Change>,
    /// The answer of now.
    pub now: QueryOutcome,
}

/// Which version is asked again.
struct Chosen {
    state: VersionState,
    replayed: Digest,
    in_use: Option<Digest>,
}

impl Runtime {
    /// Asks a receipt's question again, of the version that it names where the tenant still has it, else of the
    /// one in use; refused where there is neither.
    pub async fn replay(&self, recorded: &Recorded) -> Result<Replayed, Failure> {
        let asked = &recorded.inquiry;
        self.catalog.tenant(&asked.tenant)?;
        let chosen = self.version_of(asked)?;
        let options = match chosen.state {
            VersionState::Gone => self.that_it_takes(asked).await?,
            VersionState::InUse | VersionState::Kept => asked.options.clone(),
        };
        let request = QueryRequest {
            question: asked.question.clone(),
            agent: Some(asked.agent.clone()),
            k: asked.k,
            filter: asked.filter.clone(),
            options: options.clone(),
        };
        let manner = Manner::trying(Version::Kept(chosen.replayed));
        let now = self.ask(&asked.tenant, &request, &manner).await?;
        let after = Recorded::of(&now.receipt);
        let mut changes: Vec<Change> = plugin_change(asked, &chosen).into_iter().collect();
        changes.extend(circumstances(asked, &after.inquiry));
        changes.extend(self.options_change(asked, &options).await);
        changes.extend(answer_change(&recorded.passages, &after.passages));
        changes.extend(consequences(recorded, &after));
        let differs = |what: &[&str]| changes.iter().any(|change| what.contains(&change.what));
        Ok(Replayed {
            same_answer: !differs(&["passages", "order", "scores"]),
            same_fuel: !differs(&["fuel"]),
            version: chosen.state,
            replayed: chosen.replayed,
            in_use: chosen.in_use,
            changes,
            now,
        })
    }

    fn version_of(&self, asked: &Inquiry) -> Result<Chosen, Failure> {
        let (tenant, label) = (&asked.tenant, &asked.agent);
        let in_use = match builtin::find(label) {
            Some(builtin) => Some(Digest::of(builtin.bytes)),
            None => {
                let installed = self.catalog.plugins(tenant)?.into_iter();
                let mut of_label = installed.filter(|plugin| plugin.label == *label);
                of_label.next().map(|plugin| plugin.digest)
            }
        };
        let kept = self.catalog.kept_version(tenant, &asked.plugin)?;
        let (state, replayed) = match in_use {
            Some(in_use) if in_use == asked.plugin => (VersionState::InUse, in_use),
            _ if kept.is_some() => (VersionState::Kept, asked.plugin),
            Some(in_use) => (VersionState::Gone, in_use),
            None => {
                return Err(RuntimeError::VersionGone {
                    tenant: tenant.clone(),
                    label: shorten(label, 80),
                    plugin: asked.plugin.short(),
                }
                .into());
            }
        };
        Ok(Chosen {
            state,
            replayed,
            in_use,
        })
    }

    /// Those of the receipt's options that the version in use declares, and that fit it.
    async fn that_it_takes(&self, asked: &Inquiry) -> Result<Options, Failure> {
        let (tenant, label) = (&asked.tenant, &asked.agent);
        let (_, specs) = self.kind_and_options(tenant, label).await?;
        let fits = |(name, value): &&(String, String)| {
            let spec = specs.iter().find(|spec| spec.name == *name);
            spec.is_some_and(|spec| spec.check(value).is_ok())
        };
        Ok(asked.options.iter().filter(fits).cloned().collect())
    }

    /// Where the same question would be asked with other options today: the tenant's or the plugin's have changed.
    async fn options_change(&self, asked: &Inquiry, given: &Options) -> Option<Change> {
        let request = QueryRequest {
            question: asked.question.clone(),
            agent: Some(asked.agent.clone()),
            k: asked.k,
            filter: None,
            options: asked.options_given.clone(),
        };
        let today = self.options_today(&asked.tenant, &asked.agent, &request);
        let was = sorted(&asked.options);
        let (now, detail) = match today.await {
            Ok(today) => (
                json!(sorted(&today)),
                "the same question has other options today",
            ),
            // Without a version in use there is nothing to compare with, and the plugin's change says so.
            Err(failure) if failure.code == "no-plugin" => return None,
            Err(failure) => (
                json!(failure.message),
                "the version in use refuses the options",
            ),
        };
        if now == json!(was) && sorted(given) == was {
            return None;
        }
        let with = match sorted(given) == was {
            true => "; it was asked with the receipt's",
            false => "; it was asked with those of the receipt that are left",
        };
        Some(Change::new(
            "options",
            json!(was),
            now,
            &format!("{detail}{with}"),
        ))
    }
}

fn sorted(options: &Options) -> BTreeMap<&str, &str> {
    let pairs = options.iter();
    pairs
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

fn plugin_change(asked: &Inquiry, chosen: &Chosen) -> Option<Change> {
    let (was, label) = (asked.plugin, &asked.agent);
    let in_use = chosen.in_use.map(String::from);
    let detail = match (chosen.state, &chosen.in_use) {
        (VersionState::InUse, _) => return None,
        (VersionState::Kept, Some(now)) => format!(
            "'{label}' is version {} now; the receipt's, {}, is in the history and was asked",
            now.short(),
            was.short()
        ),
        (VersionState::Kept, None) => format!(
            "'{label}' was removed; version {} is in the history under another label, and was asked",
            was.short()
        ),
        (VersionState::Gone, _) => format!(
            "version {} of '{label}' is gone; {} was asked, which is in use",
            was.short(),
            chosen.replayed.short()
        ),
    };
    Some(Change::new("plugin", was.to_string(), in_use, &detail))
}

/// What an answer depends on besides its agent.
fn circumstances(was: &Inquiry, now: &Inquiry) -> Vec<Change> {
    let mut changes = vec![];
    if was.policy != now.policy {
        let detail = "the tenant is under a policy of other values";
        changes.push(Change::new("policy", &*was.policy, &*now.policy, detail));
    }
    if was.model != now.model {
        let detail = "another model embeds";
        changes.push(Change::new("model", &*was.model, &*now.model, detail));
    }
    let (then, today) = (was.index_generation, now.index_generation);
    if then != today {
        let detail = match today > then {
            true => "documents were added, replaced or deleted since",
            false => "the index is in an earlier state, or another one",
        };
        changes.push(Change::new("index", then, today, detail));
    }
    changes
}

/// How another answer differs: by its passages, else by their order, else by their scores.
fn answer_change(was: &[CitedPassage], now: &[CitedPassage]) -> Option<Change> {
    let chunks = |passages: &[CitedPassage]| passages.iter().map(|p| p.chunk).collect::<Vec<_>>();
    let (then, today) = (chunks(was), chunks(now));
    if then == today {
        return scores_change(was, now);
    }
    let order = |mut ids: Vec<u64>| {
        ids.sort_unstable();
        ids
    };
    if order(then.clone()) == order(today.clone()) {
        let detail = "the same passages in another order";
        return Some(Change::new("order", then, today, detail));
    }
    let documents =
        |all: &[CitedPassage]| all.iter().map(|p| p.document.clone()).collect::<Vec<_>>();
    let detail = match documents(was) == documents(now) {
        true => "the same documents in the same order, ingested again since: their chunks have other ids".to_owned(),
        false => first_difference(was, now),
    };
    Some(Change::new("passages", then, today, &detail))
}

fn first_difference(was: &[CitedPassage], now: &[CitedPassage]) -> String {
    let same = |(was, now): &(&CitedPassage, &CitedPassage)| was.chunk == now.chunk;
    let at = was.iter().zip(now).take_while(same).count();
    let name = |passages: &[CitedPassage]| match passages.get(at) {
        Some(passage) => {
            let document = shorten(&passage.document, 120);
            format!("'{document}' (chunk {})", passage.chunk)
        }
        None => "nothing".to_owned(),
    };
    format!("passage {} was {}, and is {}", at + 1, name(was), name(now))
}

fn scores_change(was: &[CitedPassage], now: &[CitedPassage]) -> Option<Change> {
    let scores = |passages: &[CitedPassage]| passages.iter().map(|p| p.score).collect::<Vec<_>>();
    let (then, today) = (scores(was), scores(now));
    let difference = |(was, now): (&f32, &f32)| (f64::from(*was) - f64::from(*now)).abs();
    let differences = then.iter().zip(&today).map(difference);
    // What is not a number is no score of ours, and not within anything.
    let largest = differences.fold(0.0, |a: f64, b| match b.is_nan() {
        true => f64::INFINITY,
        false => a.max(b),
    });
    if largest <= SCORE_DIFFERENCE {
        return None;
    }
    let detail = format!("they differ by up to {largest:.3e}");
    Some(Change::new("scores", json!(then), json!(today), &detail))
}

/// What came of it besides the answer.
fn consequences(was: &Recorded, now: &Recorded) -> Vec<Change> {
    let mut changes = vec![];
    if was.degraded != now.degraded {
        let detail = match (was.degraded.is_empty(), now.degraded.is_empty()) {
            (true, _) => "something was denied or left out that was not then",
            (_, true) => "nothing was denied or left out this time",
            _ => "other things were denied or left out",
        };
        let (then, today) = (json!(was.degraded), json!(now.degraded));
        changes.push(Change::new("degraded", then, today, detail));
    }
    if was.hops != now.hops {
        let same = was.hops.iter().zip(&now.hops);
        let at = same.take_while(|(was, now)| was == now).count();
        let name = |hops: &[RecordedHop]| match hops.get(at) {
            Some(hop) => format!("{} with {} results", shorten(&hop.call, 40), hop.results),
            None => "none".to_owned(),
        };
        let detail = format!(
            "hop {} was {}, and is {}",
            at + 1,
            name(&was.hops),
            name(&now.hops)
        );
        changes.push(Change::new("hops", was.hops.len(), now.hops.len(), &detail));
    }
    if was.fuel != now.fuel {
        let percent = (now.fuel as f64 / was.fuel.max(1) as f64 - 1.0) * 100.0;
        let detail = format!("{percent:+.2} %");
        changes.push(Change::new("fuel", was.fuel, now.fuel, &detail));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passages(given: &[(u64, f32)]) -> Vec<CitedPassage> {
        let one = |&(chunk, score): &(u64, f32)| CitedPassage {
            chunk,
            document: format!("d{}", chunk % 10),
            score,
        };
        given.iter().map(one).collect()
    }

    fn change(was: &[(u64, f32)], now: &[(u64, f32)]) -> Option<(&'static str, String)> {
        let change = answer_change(&passages(was), &passages(now));
        change.map(|change| (change.what, change.detail))
    }

    #[test]
    fn the_same_answer_has_the_same_ids_in_the_same_order_and_scores_within_a_millionth() {
        let was = [(1, 0.5), (2, 0.25)];
        assert_eq!(change(&was, &was), None);
        assert_eq!(change(&was, &[(1, 0.500_000_9), (2, 0.25)]), None);
        assert_eq!(change(&[], &[]), None);
        let scores = change(&was, &[(1, 0.500_01), (2, 0.25)]).unwrap();
        assert_eq!(scores.0, "scores");
        assert_eq!(change(&was, &[(2, 0.25), (1, 0.5)]).unwrap().0, "order");
        let (what, detail) = change(&was, &[(1, 0.5), (3, 0.25)]).unwrap();
        assert_eq!(what, "passages");
        assert!(
            detail.contains("passage 2 was 'd2' (chunk 2), and is 'd3'"),
            "{detail}"
        );
        let (_, detail) = change(&was, &was[..1]).unwrap();
        assert!(detail.ends_with("and is nothing"), "{detail}");
        let (what, detail) = change(&was, &[(11, 0.5), (12, 0.25)]).unwrap();
        assert!(
            what == "passages" && detail.contains("ingested again"),
            "{detail}"
        );
    }

    #[test]
    fn scores_that_are_no_numbers_are_never_the_same() {
        for odd in [f32::NAN, f32::INFINITY] {
            assert_eq!(change(&[(1, odd)], &[(1, 0.5)]).unwrap().0, "scores");
            assert_eq!(change(&[(1, odd)], &[(1, odd)]).unwrap().0, "scores");
        }
    }
}
