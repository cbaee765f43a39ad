//! Answers as machines read them, and whether two are the same: the same passages in the same order,
//! scores within a millionth. It does not know who asked, or when.

use anyhow::{Context as _, Result, anyhow};
use serde_json::Value;

/// How far two scores of the same answer may lie apart.
const TOLERANCE: f64 = 1e-6;

/// What two answers are compared by.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    passages: Vec<Passage>,
}

#[derive(Debug, Clone, PartialEq)]
struct Passage {
    document: String,
    chunk: u64,
    text: String,
    score: f64,
}

impl Answer {
    /// Reads what `stockade --json query` printed.
    pub(super) fn parse(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).context("the answer is not JSON")?;
        let passages = value["passages"].as_array();
        let passages = passages.ok_or_else(|| anyhow!("the answer has no list `passages`"))?;
        let passages = passages.iter().map(Passage::read).collect::<Result<_>>()?;
        Ok(Self { passages })
    }

    /// How many passages it has.
    pub(super) fn len(&self) -> usize {
        self.passages.len()
    }

    /// Fails with what is not the same as in an earlier answer.
    pub(super) fn same_as(&self, earlier: &Self) -> Result<(), String> {
        if self.len() != earlier.len() {
            let (before, now) = (earlier.len(), self.len());
            return Err(format!("it had {before} passages and has {now}"));
        }
        let pairs = earlier.passages.iter().zip(&self.passages);
        for (at, (before, now)) in pairs.enumerate() {
            let same = before.stays(now);
            same.map_err(|what| format!("passage {}: {what}", at + 1))?;
        }
        Ok(())
    }
}

impl Passage {
    fn read(value: &Value) -> Result<Self> {
        let missing = |field| move || anyhow!("a passage has no `{field}`");
        let text = |field| value[field].as_str().map(str::to_owned);
        Ok(Self {
            document: text("document").ok_or_else(missing("document"))?,
            chunk: value["chunk"].as_u64().ok_or_else(missing("chunk"))?,
            text: text("text").ok_or_else(missing("text"))?,
            score: value["score"].as_f64().ok_or_else(missing("score"))?,
        })
    }

    fn stays(&self, now: &Self) -> Result<(), String> {
        if (&self.document, self.chunk) != (&now.document, now.chunk) {
            return Err(format!(
                "it was chunk {} of {} and is chunk {} of {}",
                self.chunk, self.document, now.chunk, now.document
            ));
        }
        if self.text != now.text {
            return Err(format!(
                "chunk {} of {} reads otherwise",
                now.chunk, now.document
            ));
        }
        // Written so that a score which is no number is never the same.
        if (self.score - now.score).abs() <= TOLERANCE {
            Ok(())
        } else {
            Err(format!("its score was {} and is {}", self.score, now.score))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(passages: &[(&str, u64, f64)]) -> Answer {
        let passages = passages.iter().map(|&(document, chunk, score)| {
            serde_json::json!({"document": document, "chunk": chunk, "score": score, "text": "t"})
        });
        let json = serde_json::json!({"passages": passages.collect::<Vec<_>>(), "usage": {}});
        Answer::parse(&json.to_string()).unwrap()
    }

    #[test]
    fn an_answer_is_the_same_within_a_millionth() {
        let before = answer(&[("a", 1, 0.5), ("b", 2, 0.25)]);
        let now = answer(&[("a", 1, 0.5), ("b", 2, 0.250_000_5)]);
        assert_eq!(now.same_as(&before), Ok(()));
    }

    #[test]
    fn two_empty_answers_are_the_same() {
        assert_eq!(answer(&[]).same_as(&answer(&[])), Ok(()));
    }

    #[test]
    fn an_answer_that_changed_says_how() {
        let before = answer(&[("a", 1, 0.5), ("b", 2, 0.25)]);
        let cases = [
            (answer(&[("a", 1, 0.5)]), "2 passages and has 1"),
            (
                answer(&[("b", 2, 0.25), ("a", 1, 0.5)]),
                "passage 1: it was chunk 1 of a",
            ),
            (
                answer(&[("a", 1, 0.5), ("b", 2, 0.3)]),
                "passage 2: its score was 0.25 and is 0.3",
            ),
        ];
        for (now, expected) in cases {
            let said = now.same_as(&before).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_text_that_changed_is_noticed() {
        let before = answer(&[("a", 1, 0.5)]);
        let mut now = before.clone();
        now.passages[0].text.push('!');
        assert!(
            now.same_as(&before)
                .unwrap_err()
                .contains("reads otherwise")
        );
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"passages": [{"document": "a"}]}"#,
            "error: no",
        ] {
            assert!(Answer::parse(json).is_err(), "{json}");
        }
    }
}
