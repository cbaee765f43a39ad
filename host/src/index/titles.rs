//! Titles and texts as sequences of plain words, so that a mention is found whatever its case and
//! punctuation. It does not know where titles are kept.

/// Longer titles are not looked for in texts.
pub(super) const TITLE_WORDS_MAX: usize = 16;

/// The words of `text`: runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
}

/// The forms under which a title can be mentioned: all its words, and those before a closing
/// parenthesis of the kind "Mercury (planet)". Words are joined by one space. None for a title
/// without words or with more than [`TITLE_WORDS_MAX`].
pub(super) fn forms(title: &str) -> Vec<String> {
    let mut forms = Vec::new();
    let bare = title
        .trim_end()
        .strip_suffix(')')
        .and_then(|t| t.rsplit_once('('));
    for form in [Some(title), bare.map(|(before, _)| before)]
        .into_iter()
        .flatten()
    {
        let words: Vec<String> = words(form).take(TITLE_WORDS_MAX + 1).collect();
        if (1..=TITLE_WORDS_MAX).contains(&words.len()) {
            forms.push(words.join(" "));
        }
    }
    forms.dedup();
    forms
}

/// The words that `a` and `b` begin with alike, joined by one space.
pub(super) fn common_start<'a>(a: &'a str, b: &str) -> &'a str {
    let equal = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let ends_word = |s: &str| s.len() == equal || s.as_bytes()[equal] == b' ';
    if ends_word(a) && ends_word(b) {
        return &a[..equal];
    }
    let end = a.as_bytes()[..equal]
        .iter()
        .rposition(|&c| c == b' ')
        .unwrap_or(0);
    &a[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_fold_case_punctuation_and_a_closing_parenthesis() {
        assert_eq!(forms("  O'Brien's Über-Café!"), ["o brien s über café"]);
        assert_eq!(forms("Mercury (planet)"), ["mercury planet", "mercury"]);
        assert_eq!(forms("(500) Days"), ["500 days"]);
        assert_eq!(forms("(x)"), ["x"]);
        assert!(forms("—").is_empty());
        assert!(forms("").is_empty());
        assert!(forms(&"word ".repeat(TITLE_WORDS_MAX + 1)).is_empty());
    }

    #[test]
    fn the_common_start_ends_with_a_word() {
        assert_eq!(common_start("new york city", "new york"), "new york");
        assert_eq!(common_start("new york", "new york"), "new york");
        assert_eq!(common_start("new yorker", "new york"), "new");
        assert_eq!(common_start("new", "old"), "");
        assert_eq!(common_start("é a", "è a"), "");
    }
}
