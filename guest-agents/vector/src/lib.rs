//! Agent `vector`: the passages whose meaning is nearest to the question's, by exact cosine. It knows
//! no other way, so without the budget for it there is no answer.

use stockade_guest::{
    Agent, Answer, OptionSpec, Options, Retrieval, export_agent, filter_option, k_option,
};

/// The agent.
#[derive(Debug)]
pub struct VectorAgent;

export_agent!(VectorAgent);

impl Agent for VectorAgent {
    fn options() -> Vec<OptionSpec> {
        vec![k_option(), filter_option()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let (k, filter) = (options.passages()?, options.filter()?);
        let question = documents
            .embed(question)
            .map_err(|denied| format!("The question was not embedded: {}.", denied.reason()))?;
        let hits = documents
            .search_vector(&question, k, filter)
            .map_err(|denied| format!("The search by meaning was refused: {}.", denied.reason()))?;
        let reason = |score| format!("cosine {score:.2} with the question");
        Ok(Answer::from_hits(&hits, reason))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;
    use stockade_guest::testing::Scripted;
    use stockade_guest::{Denied, Meter};

    fn ask(documents: &Scripted) -> Result<Answer, String> {
        let options = Options::defaults(&VectorAgent::options()).with("filter", "{}");
        VectorAgent::retrieve("why?", &options, documents)
    }

    #[test]
    fn hits_become_passages_with_a_reason() {
        let documents = Scripted::default().vector(Ok(vec![(7, 0.734), (3, 0.5)]));
        let answer = ask(&documents).unwrap();
        assert_eq!(answer.passages[0].chunk, 7);
        assert_eq!(answer.passages[0].reason, "cosine 0.73 with the question");
        assert_eq!(documents.calls(), ["embed why?", "vector 5 {}"]);
    }

    #[test]
    fn a_spent_budget_is_an_error_sentence() {
        let documents = Scripted::default().embedding(Err(Denied::BudgetSpent(Meter::EmbedTokens)));
        let error = ask(&documents).unwrap_err();
        assert_eq!(
            error,
            "The question was not embedded: the budget `embed_tokens_max` is spent."
        );
    }
}
