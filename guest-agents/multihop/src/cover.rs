//! Which words of the question a passage covers, and how much each counts. It knows nothing of passages but
//! their texts.

/// Different words of a question that are looked at: a bit each.
const WORDS_MAX: usize = 64;

/// Letters that are compared of a long word, so that its endings do not matter.
const LETTERS: usize = 5;

/// The words of a question that some text has, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cover(u64);

impl Cover {
    /// What either has.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What this has and `other` lacks.
    #[must_use]
    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn has(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }
}

/// A question as weighted words.
#[derive(Debug)]
pub(crate) struct Words {
    /// As the question has them, and as they are compared.
    words: Vec<(String, String)>,
    /// Shares of the whole; they add up to 1, or are all 0.
    weights: Vec<f64>,
}

impl Words {
    /// The question's words, none of which counts yet.
    pub(crate) fn of(question: &str) -> Self {
        let mut words: Vec<(String, String)> = Vec::new();
        for word in plain(question) {
            let folded = fold(&word);
            if words.len() < WORDS_MAX && !words.iter().any(|(_, known)| *known == folded) {
                words.push((word, folded));
            }
        }
        let weights = vec![0.0; words.len()];
        Self { words, weights }
    }

    /// The words that `text` has.
    pub(crate) fn in_text(&self, text: &str) -> Cover {
        let mut cover = 0;
        for word in plain(text) {
            let folded = fold(&word);
            let place = self.words.iter().position(|(_, known)| *known == folded);
            cover |= place.map_or(0, |place| 1 << place);
        }
        Cover(cover)
    }

    /// Weighs each word by how few of the passages at hand have it. What more than half have, or none, says
    /// nothing.
    pub(crate) fn weigh(&mut self, passages: &[Cover]) {
        let all = passages.len() as f64;
        let weigh = |place| {
            let with = passages.iter().filter(|cover| cover.has(place)).count() as f64;
            match with > 0.0 && with <= all / 2.0 {
                true => (1.0 + all / (with + 0.5)).ln(),
                false => 0.0,
            }
        };
        self.weights = (0..self.words.len()).map(weigh).collect();
        let sum: f64 = self.weights.iter().sum();
        if sum > 0.0 {
            self.weights.iter_mut().for_each(|weight| *weight /= sum);
        }
    }

    /// How much of the question is covered, from 0 to 1.
    pub(crate) fn share(&self, cover: Cover) -> f64 {
        let covered = self.weights.iter().enumerate();
        covered
            .filter(|(place, _)| cover.has(*place))
            .map(|(_, weight)| weight)
            .sum()
    }

    /// The words that count and are in `cover`, as the question has them.
    pub(crate) fn that_count(&self, cover: Cover) -> Vec<&str> {
        let words = self.words.iter().zip(&self.weights).enumerate();
        let counts = words.filter(|(place, (_, weight))| **weight > 0.0 && cover.has(*place));
        counts.map(|(_, ((word, _), _))| word.as_str()).collect()
    }

    /// All words.
    pub(crate) fn all(&self) -> Cover {
        Cover(match self.words.len() {
            64.. => u64::MAX,
            few => (1 << few) - 1,
        })
    }
}

/// Runs of letters and digits, in lower case.
fn plain(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// The beginning of a long word; a short one without its plural `s`.
fn fold(word: &str) -> String {
    let letters = word.chars().count();
    match word.strip_suffix('s') {
        Some(rest) if (4..=LETTERS).contains(&letters) => rest.to_owned(),
        _ => word.chars().take(LETTERS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_case_and_punctuation_do_not_matter() {
        let words = Words::of("Which FERRIES berthed at the piers?");
        let cover = words.in_text("A ferry was berthing by one pier.");
        let mut weighed = words;
        weighed.weigh(&[cover, Cover::default(), Cover::default()]);
        assert_eq!(weighed.that_count(weighed.all()), ["berthed", "piers"]);
        assert_eq!(weighed.that_count(cover), ["berthed", "piers"]);
    }

    #[test]
    fn rare_words_count_more_and_common_ones_nothing() {
        let mut words = Words::of("the old lighthouse");
        let passages = ["the old", "the old lighthouse", "the", "the", "the"];
        let covers: Vec<Cover> = passages.iter().map(|text| words.in_text(text)).collect();
        words.weigh(&covers);
        assert_eq!(words.share(words.in_text("the")), 0.0);
        let (old, light) = (words.in_text("old"), words.in_text("lighthouse"));
        assert!(words.share(light) > words.share(old));
        assert!((words.share(light.with(old)) - 1.0).abs() < 1e-9);
        assert_eq!(words.that_count(words.all().without(old)), ["lighthouse"]);
    }

    #[test]
    fn a_question_of_any_length_and_script_is_taken() {
        let long: String = (0..500).map(|n| format!("w{n}x ")).collect();
        for question in ["", "?!", &long, "日本の首都は", "é\u{301}"] {
            let mut words = Words::of(question);
            let cover = words.in_text(question);
            words.weigh(&[cover, Cover::default()]);
            assert!(words.share(cover) <= 1.0 + 1e-9);
            assert_eq!(words.all().without(cover), Cover::default());
        }
    }
}
