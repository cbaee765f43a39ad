//! A command line of the tour: as it is shown, and as the words that a shell would make of it. It
//! knows quotes and line ends, and nothing else of a shell.

/// The words of a command line. Single and double quotes keep what is between them together; a
/// backslash at the end of a line continues it. `None` where a quote is left open.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.replace("\\\n", " ").chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_question_together() {
        let words = words("query acme \"Who pays?\" --k 3").unwrap();
        assert_eq!(words, ["query", "acme", "Who pays?", "--k", "3"]);
    }

    #[test]
    fn a_filter_keeps_its_double_quotes() {
        let words = words(r#"--filter '{"year": 2024}'"#).unwrap();
        assert_eq!(words, ["--filter", r#"{"year": 2024}"#]);
    }

    #[test]
    fn a_line_goes_on_after_a_backslash() {
        let words = words("query acme \\\n    \"Why?\"").unwrap();
        assert_eq!(words, ["query", "acme", "Why?"]);
    }

    #[test]
    fn an_empty_word_is_a_word_and_an_open_quote_is_none() {
        assert_eq!(words("a '' b").unwrap(), ["a", "", "b"]);
        assert_eq!(words("a 'b"), None);
        assert_eq!(words("  ").unwrap(), Vec::<String>::new());
    }
}
