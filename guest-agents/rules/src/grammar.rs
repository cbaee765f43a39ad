//! Rules as their user writes them, one a line or separated by semicolons:
//!
//! ```text
//! rules     = rule { (";" | newline) rule }
//! rule      = [ "when" condition ":" ] action { "," action }
//! condition = clause { "or" clause }
//! clause    = test { "and" test }
//! test      = [ "not" ] ( "text" | "starts" "text" | "words" ("<" | ">") number )
//! action    = "by" ("hybrid" | "text" | "vector")
//!           | "filter" {…}
//!           | "boost" number {…}
//!           | "require" "text"
//!           | "otherwise" ("unfiltered" | "hybrid" | "text" | "vector" | "nothing")
//! ```
//!
//! Texts stand in double quotes; `{…}` is a filter as everywhere; `#` begins a comment. It knows nothing of what
//! rules do.

mod lexer;

use lexer::{Lexer, Token};

/// Rules that are read at most.
const RULES_MAX: usize = 100;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// From 1, as sentences name it.
    pub(crate) number: usize,
    /// Holds when one of the clauses does; none is always.
    pub(crate) when: Vec<Vec<Test>>,
    /// In the order written; not empty.
    pub(crate) actions: Vec<Action>,
}

/// What is asked of the question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Test {
    /// Whether the opposite is asked.
    pub(crate) not: bool,
    /// What.
    pub(crate) about: About,
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum About {
    /// The question has these words, one after the other.
    Has(String),
    /// It begins with them.
    Starts(String),
    /// It has fewer words than this.
    Fewer(usize),
    /// It has more.
    More(usize),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// How to search; of several rules the first says it.
    By(Way),
    /// Only documents that this filter chooses.
    Filter(String),
    /// Documents that this filter chooses have their scores multiplied.
    Boost(f64, String),
    /// Only passages that have these words.
    Require(String),
    /// What to do when nothing is found; of several rules the first says it.
    Otherwise(Fallback),
}

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By meaning and words.
    Hybrid,
    /// By words.
    Text,
    /// By meaning.
    Vector,
}

/// What to do when nothing is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// The same without the rules' filters and required words.
    Unfiltered,
    /// Another way, with the same filters.
    By(Way),
    /// An empty answer.
    Nothing,
}

/// Reads rules. The error is a sentence that names the rule and what was expected.
pub(crate) fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        number: 1,
    };
    let mut rules = Vec::new();
    loop {
        while parser.lexer.peek() == Token::End {
            parser.lexer.next();
        }
        if parser.lexer.peek() == Token::Eof {
            return Ok(rules);
        }
        if rules.len() == RULES_MAX {
            return Err(format!("There are more than {RULES_MAX} rules."));
        }
        parser.number = rules.len() + 1;
        rules.push(parser.rule()?);
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    number: usize,
}

impl Parser<'_> {
    fn rule(&mut self) -> Result<Rule, String> {
        let when = match self.lexer.peek() {
            Token::Word("when") => {
                self.lexer.next();
                self.condition()?
            }
            _ => Vec::new(),
        };
        let mut actions = vec![self.action()?];
        loop {
            match self.lexer.next() {
                Token::Comma => actions.push(self.action()?),
                Token::End | Token::Eof => break,
                other => return self.expected("`,`, `;` or the end of the rule", &other),
            }
        }
        Ok(Rule {
            number: self.number,
            when,
            actions,
        })
    }

    fn condition(&mut self) -> Result<Vec<Vec<Test>>, String> {
        let (mut clauses, mut clause) = (Vec::new(), vec![self.test()?]);
        loop {
            match self.lexer.next() {
                Token::Word("and") => clause.push(self.test()?),
                Token::Word("or") => {
                    clauses.push(std::mem::take(&mut clause));
                    clause.push(self.test()?);
                }
                Token::Colon => {
                    clauses.push(clause);
                    return Ok(clauses);
                }
                other => return self.expected("`and`, `or` or `:`", &other),
            }
        }
    }

    fn test(&mut self) -> Result<Test, String> {
        let mut token = self.lexer.next();
        let not = token == Token::Word("not");
        if not {
            token = self.lexer.next();
        }
        let about = match token {
            Token::Text(text) => About::Has(self.some(text)?),
            Token::Word("starts") => {
                let text = self.text()?;
                About::Starts(self.some(text)?)
            }
            Token::Word("words") => match self.lexer.next() {
                Token::Less => About::Fewer(self.number()? as usize),
                Token::Greater => About::More(self.number()? as usize),
                other => return self.expected("`<` or `>`", &other),
            },
            other => {
                return self.expected("a text in quotes, `starts`, `words` or `not`", &other);
            }
        };
        Ok(Test { not, about })
    }

    fn action(&mut self) -> Result<Action, String> {
        Ok(match self.lexer.next() {
            Token::Word("by") => match self.lexer.next() {
                Token::Word(word) if way(word).is_some() => {
                    Action::By(way(word).unwrap_or(Way::Hybrid))
                }
                other => return self.expected("`hybrid`, `text` or `vector`", &other),
            },
            Token::Word("filter") => Action::Filter(self.filter()?),
            Token::Word("boost") => {
                let factor = self.number()?;
                if !(0.01..=100.0).contains(&factor) {
                    return Err(self.wrong("a boost is a number from 0.01 to 100"));
                }
                Action::Boost(factor, self.filter()?)
            }
            Token::Word("require") => {
                let text = self.text()?;
                Action::Require(self.some(text)?)
            }
            Token::Word("otherwise") => Action::Otherwise(self.fallback()?),
            other => {
                let what = "`when`, `by`, `filter`, `boost`, `require` or `otherwise`";
                return self.expected(what, &other);
            }
        })
    }

    fn fallback(&mut self) -> Result<Fallback, String> {
        Ok(match self.lexer.next() {
            Token::Word("unfiltered") => Fallback::Unfiltered,
            Token::Word("nothing") => Fallback::Nothing,
            Token::Word(word) if way(word).is_some() => {
                Fallback::By(way(word).unwrap_or(Way::Hybrid))
            }
            other => {
                let what = "`unfiltered`, `hybrid`, `text`, `vector` or `nothing`";
                return self.expected(what, &other);
            }
        })
    }

    fn text(&mut self) -> Result<String, String> {
        match self.lexer.next() {
            Token::Text(text) => Ok(text),
            other => self.expected("a text in double quotes", &other),
        }
    }

    /// A text must have something to look for.
    fn some(&self, text: String) -> Result<String, String> {
        match text.chars().any(char::is_alphanumeric) {
            true => Ok(text),
            false => Err(self.wrong("a text needs a letter or digit")),
        }
    }

    fn filter(&mut self) -> Result<String, String> {
        match self.lexer.next() {
            Token::Filter(json) => Ok(json.to_owned()),
            other => self.expected("a filter such as {\"lang\": \"en\"}", &other),
        }
    }

    fn number(&mut self) -> Result<f64, String> {
        match self.lexer.next() {
            Token::Number(number) => Ok(number),
            other => self.expected("a number", &other),
        }
    }

    fn expected<T>(&self, what: &str, found: &Token<'_>) -> Result<T, String> {
        Err(self.wrong(&format!("expected {what}, not {found}")))
    }

    fn wrong(&self, what: &str) -> String {
        let number = self.number;
        format!("Rule {number} cannot be read: {what}.")
    }
}

fn way(word: &str) -> Option<Way> {
    match word {
        "hybrid" => Some(Way::Hybrid),
        "text" => Some(Way::Text),
        "vector" => Some(Way::Vector),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let rules = parse(
            "# billing\n\
             when \"invoice\" and not \"draft\" or starts \"how\": filter {\"a}\": \"x\\\"}\"}, by text\n\
             boost 2.5 {\"year\": {\"gte\": 2024}}; when words > 3: require \"VAT\", otherwise unfiltered",
        )
        .unwrap();
        assert_eq!(rules.len(), 3);
        let has = |not, text: &str| Test {
            not,
            about: About::Has(text.to_owned()),
        };
        let starts = Test {
            not: false,
            about: About::Starts("how".to_owned()),
        };
        let clauses = vec![
            vec![has(false, "invoice"), has(true, "draft")],
            vec![starts],
        ];
        assert_eq!(rules[0].when, clauses);
        let filter = Action::Filter(r#"{"a}": "x\"}"}"#.to_owned());
        assert_eq!(rules[0].actions, [filter, Action::By(Way::Text)]);
        let boost = Action::Boost(2.5, r#"{"year": {"gte": 2024}}"#.to_owned());
        assert_eq!((rules[1].when.len(), &rules[1].actions), (0, &vec![boost]));
        assert_eq!(rules[2].number, 3);
        assert_eq!(rules[2].actions[1], Action::Otherwise(Fallback::Unfiltered));
    }

    #[test]
    fn nothing_is_no_rules() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse(" \n;; # only a comment\n").unwrap(), []);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_rule() {
        for (text, words) in [
            (
                "by text; when x: by text",
                "Rule 2 cannot be read: expected a text in quotes",
            ),
            (
                "when \"a\" by text",
                "expected `and`, `or` or `:`, not `by`",
            ),
            (
                "by magic",
                "expected `hybrid`, `text` or `vector`, not `magic`",
            ),
            ("filter", "not the end"),
            ("filter {\"a\": 1", "not `{\"a\": 1`, which has no end"),
            ("require \"vat", "not `\"vat`, which has no end"),
            ("boost 0 {}", "from 0.01 to 100"),
            ("boost x {}", "expected a number, not `x`"),
            ("require \"?!\"", "needs a letter or digit"),
            ("by text by vector", "expected `,`, `;`"),
            ("when words = 3: by text", "`<` or `>`"),
            ("when words < -3: by text", "expected a number"),
            ("otherwise maybe", "`unfiltered`"),
            ("by text,", "not the end"),
            ("💥", "not `💥`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        let many = "by text;".repeat(101);
        assert!(parse(&many).unwrap_err().contains("100 rules"));
    }
}
