//! Texts as words: what the searches in memory compare. It knows nothing of documents.

/// Longer titles are not looked for in texts.
pub(super) const TITLE_WORDS_MAX: usize = 16;

/// Bytes of a word that make one token, about.
const TOKEN_BYTES: usize = 6;

/// The words of `text`: runs of letters and digits, in lower case.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The words of `text` as searches compare them: without the commonest English endings.
pub(super) fn stems(text: &str) -> impl Iterator<Item = String> + '_ {
    words(text).map(|word| stem(&word))
}

/// A plural without its `s`, a verb without `ing` or `ed`. Much simpler than the host's stemmer.
pub(super) fn stem(word: &str) -> String {
    let endings = [
        ("ies", "y"),
        ("sses", "ss"),
        ("ing", ""),
        ("ed", ""),
        ("s", ""),
    ];
    for (ending, instead) in endings {
        match word.strip_suffix(ending) {
            Some(rest) if rest.len() >= 3 && !rest.ends_with('s') => {
                return format!("{rest}{instead}");
            }
            _ => {}
        }
    }
    word.to_owned()
}

/// The forms under which a title can be mentioned: all its words, and those before a closing parenthesis. None
/// for a title without words or with very many.
pub(super) fn forms(title: &str) -> Vec<String> {
    let bare = title
        .trim_end()
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('));
    let mut forms = Vec::new();
    for form in [Some(title), bare.map(|(before, _)| before)]
        .into_iter()
        .flatten()
    {
        let words: Vec<String> = words(form).collect();
        if (1..=TITLE_WORDS_MAX).contains(&words.len()) {
            forms.push(words.join(" "));
        }
    }
    forms.dedup();
    forms
}

/// Where tokens end, about as many as the model makes of English: a word has one for every six bytes, and
/// everything else that is no space has one of its own.
pub fn token_ends(text: &str) -> Vec<u32> {
    let mut ends = Vec::new();
    // Bytes of the token that the last letter or digit belongs to.
    let mut open = 0;
    for (start, c) in text.char_indices() {
        let end = u32::try_from(start + c.len_utf8()).unwrap_or(u32::MAX);
        if !c.is_alphanumeric() {
            open = 0;
            if !c.is_whitespace() {
                ends.push(end);
            }
            continue;
        }
        match ends.last_mut() {
            Some(last) if open > 0 && open < TOKEN_BYTES => *last = end,
            _ => {
                open = 0;
                ends.push(end);
            }
        }
        open += c.len_utf8();
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_where_characters_end_and_in_order() {
        let text = "The harbourmaster’s 日本 pilot, 3.5 m!";
        let ends = token_ends(text);
        assert!(ends.is_sorted_by(|a, b| a < b));
        assert!(ends.iter().all(|&end| text.is_char_boundary(end as usize)));
        assert_eq!(ends.last(), Some(&u32::try_from(text.len()).unwrap_or(0)));
        assert_eq!(token_ends("one two"), [3, 7]);
        assert_eq!(token_ends("harbourmaster"), [6, 12, 13]);
        assert!(token_ends(" \n").is_empty());
    }

    #[test]
    fn endings_are_taken_off_and_short_words_left() {
        let stemmed: Vec<String> = stems("Tides berthing moored ferries is this grass").collect();
        assert_eq!(
            stemmed,
            ["tide", "berth", "moor", "ferry", "is", "thi", "grass"]
        );
    }
}
