//! Agent `text`: the passages that share the question's words, by BM25. It needs no embedding and
//! knows nothing of meaning.

use stockade_guest::{
    Agent, Answer, OptionSpec, Options, Retrieval, export_agent, filter_option, k_option,
};

/// The agent.
#[derive(Debug)]
pub struct TextAgent;

export_agent!(TextAgent);

impl Agent for TextAgent {
    fn options() -> Vec<OptionSpec> {
        vec![k_option(), filter_option()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let (k, filter) = (options.passages()?, options.filter()?);
        let hits = documents
            .search_text(question, k, filter)
            .map_err(|denied| format!("The search by words was refused: {}.", denied.reason()))?;
        let reason = |score| format!("words of the question, BM25 {score:.1}");
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
        let options = Options::defaults(&TextAgent::options()).with("k", "2");
        TextAgent::retrieve("why?", &options, documents)
    }

    #[test]
    fn hits_become_passages_with_a_reason() {
        let documents = Scripted::default().text(Ok(vec![(7, 12.31)]));
        let answer = ask(&documents).unwrap();
        assert_eq!(
            answer.passages[0].reason,
            "words of the question, BM25 12.3"
        );
        assert_eq!(documents.calls(), ["text why? 2 -"]);
    }

    #[test]
    fn a_spent_budget_is_an_error_sentence() {
        let documents = Scripted::default().text(Err(Denied::BudgetSpent(Meter::Searches)));
        let error = ask(&documents).unwrap_err();
        assert_eq!(
            error,
            "The search by words was refused: the budget `searches_max` is spent."
        );
    }
}
