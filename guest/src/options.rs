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
    fn defaults_can_be_overridden() {
        let specs = [OptionSpec::integer("k", 5, 1..=9, "")];
        let options = Options::defaults(&specs);
        assert_eq!(options.count("k"), Ok(5));
        assert_eq!(options.with("k", "7").count("k"), Ok(7));
    }
}
