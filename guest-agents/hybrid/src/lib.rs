//! Agent `hybrid`: passages found by meaning and by words, fused. Where the budget for meaning is spent
//! it answers by words alone and says so; it knows nothing of how the host fuses.

use stockade_guest::{
    Agent, Answer, Denied, OptionSpec, Options, Retrieval, export_agent, filter_option, k_option,
};

/// The agent.
#[derive(Debug)]
pub struct HybridAgent;

export_agent!(HybridAgent);

impl Agent for HybridAgent {
    fn options() -> Vec<OptionSpec> {
        vec![k_option(), filter_option()]
    }

    fn retrieve(
        question: &str,
        options: &Options,
        documents: &impl Retrieval,
    ) -> Result<Answer, String> {
        let (k, filter) = (options.passages()?, options.filter()?);
        match documents.search_hybrid(question, k, filter) {
            Ok(hits) => {
                let reason = |score| format!("found by meaning and words, fused score {score:.3}");
                Ok(Answer::from_hits(&hits, reason))
            }
            Err(denied @ Denied::BudgetSpent(_)) => {
                by_words(question, k, filter, documents, &denied)
            }
            Err(denied) => Err(format!("The search was refused: {}.", denied.reason())),
        }
    }
}

/// The answer when the hybrid search was `denied`.
fn by_words(
    question: &str,
    k: u32,
    filter: Option<&str>,
    documents: &impl Retrieval,
    denied: &Denied,
) -> Result<Answer, String> {
    let hits = documents
        .search_text(question, k, filter)
        .map_err(|denied| format!("The search was refused: {}.", denied.reason()))?;
    let reason = |score| format!("words of the question, BM25 {score:.1}");
    let mut answer = Answer::from_hits(&hits, reason);
    let said = format!("Answered by words alone: {}.", denied.reason());
    answer.degraded.push(said);
    Ok(answer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;
    use stockade_guest::Meter;
    use stockade_guest::testing::Scripted;

    fn ask(documents: &Scripted) -> Result<Answer, String> {
        let options = Options::defaults(&HybridAgent::options());
        HybridAgent::retrieve("why?", &options, documents)
    }

    #[test]
    fn hits_become_passages_with_a_reason() {
        let documents = Scripted::default().hybrid(Ok(vec![(7, 0.0323)]));
        let answer = ask(&documents).unwrap();
        assert_eq!(
            answer.passages[0].reason,
            "found by meaning and words, fused score 0.032"
        );
        assert!(answer.degraded.is_empty());
    }

    #[test]
    fn a_spent_budget_falls_back_to_words_and_says_so() {
        let documents = Scripted::default()
            .hybrid(Err(Denied::BudgetSpent(Meter::EmbedTokens)))
            .text(Ok(vec![(7, 12.31)]));
        let answer = ask(&documents).unwrap();
        assert_eq!(answer.passages[0].chunk, 7);
        assert_eq!(
            answer.degraded,
            ["Answered by words alone: the budget `embed_tokens_max` is spent."]
        );
        assert_eq!(documents.calls(), ["hybrid why? 5 -", "text why? 5 -"]);
    }

    #[test]
    fn two_refusals_are_an_error_sentence() {
        let spent = || Err(Denied::BudgetSpent(Meter::Searches));
        let documents = Scripted::default().hybrid(spent()).text(spent());
        assert_eq!(
            ask(&documents).unwrap_err(),
            "The search was refused: the budget `searches_max` is spent."
        );
    }

    #[test]
    fn a_wrong_filter_is_not_retried() {
        let wrong = Denied::InvalidArgument("field `x` is no object".to_owned());
        let documents = Scripted::default().hybrid(Err(wrong));
        assert!(ask(&documents).unwrap_err().contains("field `x`"));
        assert_eq!(documents.calls(), ["hybrid why? 5 -"]);
    }
}
