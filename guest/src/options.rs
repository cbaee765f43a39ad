//! Options: how a plugin declares them and reads what its user set. Whether a value is allowed is the
//! host's business; here a wrong one is an error sentence, never a panic.

use std::ops::RangeInclusive;

pub use crate::bindings::chunker::stockade::plugin::options::{OptionSpec, OptionType};

impl OptionSpec {
    /// A whole number within `range`, both ends included.
    pub fn integer(name: &str, default: i64, range: RangeInclusive<i64>, help: &str) -> Self {
        let range = format!("{}..{}", range.start(), range.end());
        spec(name, OptionType::Integer, default.to_string(), range, help)
    }

    /// A finite decimal number within `range`, both ends included.
    pub fn number(name: &str, default: f64, range: RangeInclusive<f64>, help: &str) -> Self {
        let range = format!("{}..{}", range.start(), range.end());
        spec(name, OptionType::Number, default.to_string(), range, help)
    }

    /// `true` or `false`.
    pub fn boolean(name: &str, default: bool, help: &str) -> Self {
        spec(
            name,
            OptionType::Boolean,
            default.to_string(),
            String::new(),
            help,
        )
    }

    /// Any text of at most `bytes_max` bytes.
    pub fn text(name: &str, default: &str, bytes_max: usize, help: &str) -> Self {
        let range = format!("..{bytes_max}");
        spec(name, OptionType::Text, default.to_owned(), range, help)
    }

    /// One of `words`.
    pub fn choice(name: &str, default: &str, words: &[&str], help: &str) -> Self {
        spec(
            name,
            OptionType::Choice,
            default.to_owned(),
            words.join("|"),
            help,
        )
    }
}

impl OptionSpec {
    /// Whether `value` fits, by the host's rules; the error is the end of a sentence that begins with the
    /// option's name. For tests: what reaches a plugin has been checked.
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.type_ {
            OptionType::Text => match self.range.strip_prefix("..").map(str::parse::<usize>) {
                Some(Ok(most)) if value.len() > most => {
                    Err(format!("must have at most {most} bytes"))
                }
                _ => Ok(()),
            },
            OptionType::Boolean => match value {
                "true" | "false" => Ok(()),
                _ => Err("must be true or false".to_owned()),
            },
            OptionType::Choice => match self.range.split('|').any(|word| word == value) {
                true => Ok(()),
                false => Err(format!("must be one of {}", self.range.replace('|', ", "))),
            },
            OptionType::Integer => self.within(value.parse::<i64>().ok(), "a whole number"),
            OptionType::Number => {
                let number = value.parse::<f64>().ok();
                self.within(
                    number.filter(|number| number.is_finite()),
                    "a finite number",
                )
            }
        }
    }

    fn within<N: PartialOrd + std::str::FromStr>(
        &self,
        number: Option<N>,
        what: &str,
    ) -> Result<(), String> {
        let number = number.ok_or_else(|| format!("must be {what}"))?;
        let Some((least, most)) = self.range.split_once("..") else {
            return Ok(());
        };
        let below = least.parse::<N>().is_ok_and(|least| number < least);
        let above = most.parse::<N>().is_ok_and(|most| number > most);
        match below || above {
            true => Err(format!("must be from {least} to {most}")),
            false => Ok(()),
        }
    }
}

fn spec(name: &str, type_: OptionType, default: String, range: String, help: &str) -> OptionSpec {
    OptionSpec {
        name: name.to_owned(),
        type_,
        default,
        range,
        help: help.to_owned(),
    }
}

/// The values of a call: every option that the plugin declared, defaults filled in by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// Names and values as the host passes them.
    pub fn new(values: Vec<(String, String)>) -> Self {
        Self(values)
    }

    /// Every option at its default, for tests.
    pub fn defaults(specs: &[OptionSpec]) -> Self {
        let default = |spec: &OptionSpec| (spec.name.clone(), spec.default.clone());
        Self(specs.iter().map(default).collect())
    }

    /// As the host makes them of what a user set: every option of `specs`, with the given value or its default.
    /// Fails for a name that is not declared and a value that does not fit, as the host refuses them before a run.
    /// For tests.
    pub fn resolve(specs: &[OptionSpec], given: &[(&str, &str)]) -> Result<Self, String> {
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| !specs.iter().any(|spec| spec.name == *name))
        {
            return Err(format!("the plugin has no option '{name}'"));
        }
        let value_of = |spec: &OptionSpec| {
            let set = given.iter().find(|(name, _)| *name == spec.name);
            let value = set.map_or(spec.default.as_str(), |(_, value)| value);
            let checked = spec.check(value);
            checked.map_err(|what| format!("the option '{}' {what}", spec.name))?;
            Ok((spec.name.clone(), value.to_owned()))
        };
        specs
            .iter()
            .map(value_of)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The same with one option set to another value, for tests.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The option's text: what `text` and `choice` options are read with. Fails when the plugin did not
    /// declare it.
    pub fn text(&self, name: &str) -> Result<&str, String> {
        let found = self.0.iter().find(|(known, _)| known == name);
        match found {
            Some((_, value)) => Ok(value),
            None => Err(format!("option `{name}` was not given")),
        }
    }

    /// As [`Options::text`], with the empty text as `None`.
    pub fn text_if_any(&self, name: &str) -> Result<Option<&str>, String> {
        Ok(Some(self.text(name)?).filter(|value| !value.is_empty()))
    }

    /// A whole number. Fails when the value is not one.
    pub fn integer(&self, name: &str) -> Result<i64, String> {
        self.parse(name, "a whole number")
    }

    /// A whole number that counts something. Fails when the value is negative or not a number.
    pub fn count(&self, name: &str) -> Result<usize, String> {
        self.parse(name, "a whole number from 0")
    }

    /// A finite number. Fails when the value is not one.
    pub fn number(&self, name: &str) -> Result<f64, String> {
        let number: f64 = self.parse(name, "a number")?;
        if number.is_finite() {
            Ok(number)
        } else {
            Err(format!("option `{name}` must be finite"))
        }
    }

    /// `true` or `false`. Fails when the value is neither.
    pub fn boolean(&self, name: &str) -> Result<bool, String> {
        self.parse(name, "true or false")
    }

    fn parse<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<T, String> {
        let value = self.text(name)?;
        value
            .parse()
            .map_err(|_| format!("option `{name}` must be {what}, not `{value}`"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;

    fn options(value: &str) -> Options {
        Options::new(vec![("size".to_owned(), value.to_owned())])
    }

    #[test]
    fn a_spec_says_its_range_as_the_contract_writes_it() {
        assert_eq!(OptionSpec::integer("a", 5, 1..=100, "").range, "1..100");
        assert_eq!(OptionSpec::number("a", 0.5, 0.0..=1.5, "").range, "0..1.5");
        assert_eq!(OptionSpec::choice("a", "x", &["x", "y"], "").range, "x|y");
        assert_eq!(OptionSpec::text("a", "", 9, "").range, "..9");
        assert_eq!(OptionSpec::boolean("a", true, "").default, "true");
    }

    #[test]
    fn values_are_read_by_type() {
        assert_eq!(options("-3").integer("size"), Ok(-3));
        assert_eq!(options("3").count("size"), Ok(3));
        assert_eq!(options("2.5").number("size"), Ok(2.5));
        assert_eq!(options("true").boolean("size"), Ok(true));
        assert_eq!(options("").text_if_any("size"), Ok(None));
    }

    #[test]
    fn a_wrong_value_is_an_error_that_names_the_option() {
        for error in [
            options("x").integer("size").unwrap_err(),
            options("-1").count("size").unwrap_err(),
            options("inf").number("size").unwrap_err(),
            options("yes").boolean("size").unwrap_err(),
        ] {
            assert!(error.contains("`size`"), "{error}");
        }
        assert!(options("1").text("sise").unwrap_err().contains("`sise`"));
    }

    #[test]
    fn what_the_host_would_refuse_is_refused() {
        let specs = [
            OptionSpec::integer("k", 5, 1..=9, ""),
            OptionSpec::number("r", 0.5, 0.0..=1.0, ""),
            OptionSpec::choice("c", "x", &["x", "y"], ""),
            OptionSpec::text("t", "", 3, ""),
            OptionSpec::boolean("b", true, ""),
        ];
        let good = Options::resolve(&specs, &[("k", "9"), ("c", "y"), ("r", "1")]).unwrap();
        assert_eq!(good.count("k"), Ok(9));
        assert_eq!(good.text("t"), Ok(""));
        for (name, value, word) in [
            ("k", "0", "from 1 to 9"),
            ("k", "x", "whole number"),
            ("r", "1.5", "from 0 to 1"),
            ("r", "nan", "finite"),
            ("c", "z", "one of x, y"),
            ("t", "long", "3 bytes"),
            ("b", "yes", "true or false"),
            ("z", "1", "no option 'z'"),
        ] {
            let error = Options::resolve(&specs, &[(name, value)]).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(Options::resolve(&[OptionSpec::integer("k", 0, 1..=9, "")], &[]).is_err());
    }

    #[test]
    fn defaults_can_be_overridden() {
        let specs = [OptionSpec::integer("k", 5, 1..=9, "")];
        let options = Options::defaults(&specs);
        assert_eq!(options.count("k"), Ok(5));
        assert_eq!(options.with("k", "7").count("k"), Ok(7));
    }
}
