//! Agent `rules`: searches as rules say that its user writes, and says for each passage which rules spoke. Rules
//! choose the way to search, narrow it, prefer some documents, require words, and say what to do when nothing is
//! found. How they are written stands in `grammar`; it knows nothing of what the documents are about.

mod grammar;
mod route;
mod words;

use route::Route;
use stockade_guest::{
    Agent, Answer, OptionSpec, Options, Retrieval, Setting, export_agent, filter_option, k_option,
};

const RULES: Setting<String> = Setting::text(
    "rules",
    "",
    16_384,
    "Rules, one a line or separated by semicolons, such as: when \"invoice\": filter {\"team\": \"billing\"}",
);
const DEPTH: Setting<usize> = Setting::count(
    "depth",
    50,
    1..=200,
    "How many passages are found before boosts and required words choose among them.",
);

/// The agent.
#[derive(Debug)]
pub struct RulesAgent;

export_agent!(RulesAgent);

impl Agent for RulesAgent {
    fn options() -> Vec<OptionSpec> {
        vec![k_option(), filter_option(), RULES.spec(), DEPTH.spec()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let passages = options.passages()? as usize;
        let rules = grammar::parse(&options.get(&RULES)?)?;
        let spoke = |rule: &&grammar::Rule| words::holds(&rule.when, question);
        let rules: Vec<&grammar::Rule> = rules.iter().filter(spoke).collect();
        let route = Route::of(&rules, options.filter()?);
        let depth = options.get(&DEPTH)?.max(passages);
        route.answer(question, passages, depth as u32, documents)
    }
}

#[cfg(test)]
mod tests;
