//! Agent `multihop`: for questions that one passage does not answer. It begins with the passages that a hybrid
//! search finds, follows what they mention and what mentions them, asks again for what is still open, and ends
//! when nothing more is gained or a budget is spent.
//!
//! The first passage of the search stays first, and a passage from elsewhere passes others only for words of the
//! question that the passage before it left open: on questions that one passage answers, little changes. It knows
//! nothing of what the documents are about.

mod cover;
mod order;
mod seeds;
mod walk;

use stockade_guest::{
    Agent, Answer, Denied, OptionSpec, Options, Retrieval, Setting, export_agent, filter_option,
    k_option,
};
use walk::Walk;

const HOPS: Setting<usize> = Setting::count(
    "hops",
    2,
    0..=4,
    "How many times to follow mentions and ask again; 0 is a hybrid search.",
);
const BEAM: Setting<usize> = Setting::count(
    "beam",
    5,
    1..=10,
    "How many of the first passages are followed.",
);
const ASK_AGAIN: Setting<bool> = Setting::boolean(
    "ask-again",
    true,
    "Whether to search for what is still open after a hop.",
);

/// The agent.
#[derive(Debug)]
pub struct MultihopAgent;

export_agent!(MultihopAgent);

/// How far to go.
#[derive(Debug)]
struct Plan<'a> {
    passages: usize,
    filter: Option<&'a str>,
    hops: usize,
    beam: usize,
    ask_again: bool,
}

impl<'a> Plan<'a> {
    fn of(options: &'a Options) -> Result<Self, String> {
        Ok(Self {
            passages: options.passages()? as usize,
            filter: options.filter()?,
            hops: options.get(&HOPS)?,
            beam: options.get(&BEAM)?,
            ask_again: options.get(&ASK_AGAIN)?,
        })
    }
}

impl Agent for MultihopAgent {
    fn options() -> Vec<OptionSpec> {
        vec![
            k_option(),
            filter_option(),
            HOPS.spec(),
            BEAM.spec(),
            ASK_AGAIN.spec(),
        ]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let plan = Plan::of(options)?;
        let mut walk = Walk::begin(question, &plan, documents)?;
        let mut hop = 1;
        while hop <= plan.hops && walk.go_on(hop) {
            hop += 1;
        }
        Ok(walk.answer())
    }
}

/// What a denial means for the answer: noted, for the receipt.
fn note(degraded: &mut Vec<String>, what: &str, denied: &Denied) {
    let sentence = format!("{what}: {}.", denied.reason());
    if !degraded.contains(&sentence) {
        degraded.push(sentence);
    }
}

#[cfg(test)]
mod tests;
