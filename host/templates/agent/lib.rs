//! An agent: the best passages by meaning and words, and what the best of them mention. Replace it by your own way
//! to answer; tests/native.rs tries it without Stockade.

use stockade_guest::{
    Agent, Answer, Citation, Hit, NeighbourKind, OptionSpec, Options, Retrieval, Setting,
    export_agent,
};

/// The agent.
#[derive(Debug)]
pub struct Mentions;

export_agent!(Mentions);

const K: Setting<u32> = Setting::passages(5);
const FOLLOW: Setting<usize> = Setting::count(
    "follow",
    3,
    0..=20,
    "How many of the best passages are followed to what they mention.",
);

impl Agent for Mentions {
    fn options() -> Vec<OptionSpec> {
        vec![K.spec(), FOLLOW.spec()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let k = options.get(&K)?;
        let found = documents
            .search_hybrid(question, k, None)
            .map_err(|denied| format!("The search was refused: {}.", denied.reason()))?;
        let reason = |score| format!("found by meaning and words, fused score {score:.3}");
        let mut answer = Answer::from_hits(&found, reason);
        for seed in found.iter().take(options.get(&FOLLOW)?) {
            match documents.neighbours(seed.chunk, NeighbourKind::Mention, 1) {
                Ok(mentioned) => add(&mut answer, seed, &mentioned),
                Err(denied) => {
                    let said = format!("Not every mention was followed: {}.", denied.reason());
                    answer.degraded.push(said);
                    break;
                }
            }
        }
        answer.passages.sort_by(|a, b| b.score.total_cmp(&a.score));
        answer.passages.truncate(k as usize);
        Ok(answer)
    }
}

/// Adds what `seed` mentions right behind it, where it is not there yet.
fn add(answer: &mut Answer, seed: &Hit, mentioned: &[Hit]) {
    for hit in mentioned {
        let known = answer.passages.iter().any(|known| known.chunk == hit.chunk);
        if !known {
            answer.passages.push(Citation {
                chunk: hit.chunk,
                score: seed.score * 0.999,
                reason: "mentioned by the passage above it".to_owned(),
            });
        }
    }
}
