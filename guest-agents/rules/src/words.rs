//! Texts as words: whether a question passes tests, whether a passage has words. Case and punctuation do not
//! matter.

use crate::grammar::{About, Test};

/// Whether one of the clauses holds, or there is none.
pub(crate) fn holds(clauses: &[Vec<Test>], question: &str) -> bool {
    let question = folded(question);
    let test = |test: &Test| passes(&test.about, &question) != test.not;
    clauses.is_empty() || clauses.iter().any(|clause| clause.iter().all(test))
}

/// Whether `text` has all these words, one after the other.
pub(crate) fn has(text: &str, words: &str) -> bool {
    folded(text).contains(&folded(words))
}

fn passes(about: &About, question: &str) -> bool {
    let words = question.split(' ').filter(|word| !word.is_empty()).count();
    match about {
        About::Has(text) => question.contains(&folded(text)),
        About::Starts(text) => question.starts_with(&folded(text)),
        About::Fewer(than) => words < *than,
        About::More(than) => words > *than,
    }
}

/// Every word in lower case, a space around each.
fn folded(text: &str) -> String {
    let mut folded = String::from(" ");
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            folded.push_str(&word.to_lowercase());
            folded.push(' ');
        }
    }
    folded
}
