//! A plugin's options: what it declares, and whether what a user set fits.
//!
//! The check is the host's, before a run, so that a wrong option is refused by name. What an option
//! means is the plugin's business.

use super::PluginError;
use crate::error::{Blame, Explain};
use serde::{Deserialize, Serialize};

/// Options that one plugin may declare.
const OPTIONS_MAX: usize = 64;

/// Bytes of one value.
const VALUE_MAX: usize = 64 << 10;

/// Names and values, in the plugin's order.
pub type Options = Vec<(String, String)>;

/// What an option's text must parse as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptionType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// A finite decimal number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of the words in the range.
    Choice,
}

/// One option that a plugin declares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OptionSpec {
    /// Its name.
    pub name: String,
    /// What its value must parse as.
    #[serde(rename = "type")]
    pub kind: OptionType,
    /// The value when the user sets none.
    pub default: String,
    /// `min..max`, `a|b|c`, `..max` bytes, or empty.
    pub range: String,
    /// One sentence.
    pub help: String,
}

impl OptionSpec {
    /// Whether `value` fits; the error is a sentence.
    pub fn check(&self, value: &str) -> Result<(), String> {
        if value.len() > VALUE_MAX {
            return Err(format!("is longer than {VALUE_MAX} bytes"));
        }
        match self.kind {
            OptionType::Text => self.check_length(value),
            OptionType::Boolean => match value {
                "true" | "false" => Ok(()),
                _ => Err("must be true or false".to_owned()),
            },
            OptionType::Choice => match self.range.split('|').any(|word| word == value) {
                true => Ok(()),
                false => Err(format!("must be one of {}", self.range.replace('|', ", "))),
            },
            OptionType::Integer => {
                let number: i64 = value
                    .parse()
                    .map_err(|_| "must be a whole number".to_owned())?;
                self.check_between(&number)
            }
            OptionType::Number => {
                let number: f64 = value.parse().map_err(|_| "must be a number".to_owned())?;
                match number.is_finite() {
                    true => self.check_between(&number),
                    false => Err("must be a finite number".to_owned()),
                }
            }
        }
    }

    fn check_length(&self, value: &str) -> Result<(), String> {
        let max = self
            .range
            .strip_prefix("..")
            .and_then(|max| max.parse::<usize>().ok());
        match max.is_some_and(|max| value.len() > max) {
            true => Err(format!("must have at most {} bytes", &self.range[2..])),
            false => Ok(()),
        }
    }

    fn check_between<N: PartialOrd + std::str::FromStr>(&self, number: &N) -> Result<(), String> {
        let Some((low, high)) = self.range.split_once("..") else {
            return Ok(());
        };
        let below = low.parse::<N>().is_ok_and(|low| *number < low);
        let above = high.parse::<N>().is_ok_and(|high| *number > high);
        match below || above {
            true => Err(format!("must be from {low} to {high}")),
            false => Ok(()),
        }
    }
}

/// Checks what a plugin declares: names legal and unique, defaults within their own ranges.
pub fn check_specs(specs: &[OptionSpec]) -> Result<(), PluginError> {
    let wrong = |name: &str, message: &str| PluginError::Describe {
        name: crate::corpus::shorten(name, 64),
        message: message.to_owned(),
    };
    if specs.len() > OPTIONS_MAX {
        return Err(wrong("", "more than 64 options"));
    }
    for (at, spec) in specs.iter().enumerate() {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if !matches!(spec.name.len(), 1..=64) || !spec.name.bytes().all(legal) {
            return Err(wrong(
                &spec.name,
                "its name must be 1 to 64 of a-z, 0-9, - and _",
            ));
        }
        if specs[..at].iter().any(|other| other.name == spec.name) {
            return Err(wrong(&spec.name, "it is declared twice"));
        }
        if spec.help.len() > 1_000 || spec.range.len() > 1_000 {
            return Err(wrong(
                &spec.name,
                "its help and range must have at most 1,000 bytes",
            ));
        }
        spec.check(&spec.default)
            .map_err(|message| wrong(&spec.name, &format!("its default {message}")))?;
    }
    Ok(())
}

/// Every declared option with the given value or its default. Refuses what the plugin does not
/// declare, what is given twice, and what does not fit.
pub fn resolve(specs: &[OptionSpec], given: &[(String, String)]) -> Result<Options, OptionError> {
    for (at, (name, _)) in given.iter().enumerate() {
        if !specs.iter().any(|spec| spec.name == *name) {
            let known = specs
                .iter()
                .map(|spec| spec.name.as_str())
                .collect::<Vec<_>>()
                .join(", ");
            return Err(OptionError::Unknown {
                name: name.clone(),
                known,
            });
        }
        if given[..at].iter().any(|(other, _)| other == name) {
            return Err(OptionError::Twice { name: name.clone() });
        }
    }
    let value_of = |spec: &OptionSpec| {
        let set = given.iter().find(|(name, _)| *name == spec.name);
        let value = set.map_or(&spec.default, |(_, value)| value).clone();
        spec.check(&value).map_err(|message| OptionError::Value {
            name: spec.name.clone(),
            message,
        })?;
        Ok((spec.name.clone(), value))
    };
    specs.iter().map(value_of).collect()
}

/// An option that a user set is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// The plugin has none of this name.
    #[error("the plugin has no option '{name}'")]
    Unknown {
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// Set twice.
    #[error("the option '{name}' is given twice")]
    Twice {
        /// Which.
        name: String,
    },
    /// The value does not fit.
    #[error("the option '{name}' {message}")]
    Value {
        /// Which.
        name: String,
        /// What is wrong.
        message: String,
    },
}

impl Explain for OptionError {
    fn code(&self) -> &'static str {
        "option"
    }
    fn blame(&self) -> Blame {
        Blame::Caller
    }
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { known, .. } if known.is_empty() => {
                Some("It has no options.".to_owned())
            }
            Self::Unknown { known, .. } => Some(format!("It has: {known}.")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: OptionType, default: &str, range: &str) -> OptionSpec {
        let text = |t: &str| t.to_owned();
        OptionSpec {
            name: text("o"),
            kind,
            default: text(default),
            range: text(range),
            help: text(""),
        }
    }

    #[test]
    fn values_are_checked_against_type_and_range() {
        let cases = [
            (OptionType::Integer, "1..9", "9", "10"),
            (OptionType::Integer, "", "-3", "x"),
            (OptionType::Number, "0..1", "0.5", "1.5"),
            (OptionType::Number, "", "2", "nan"),
            (OptionType::Boolean, "", "true", "yes"),
            (OptionType::Choice, "a|b", "b", "c"),
            (OptionType::Text, "..2", "ab", "abc"),
        ];
        for (kind, range, good, bad) in cases {
            let spec = spec(kind, good, range);
            assert_eq!(spec.check(good), Ok(()), "{kind:?}");
            assert!(spec.check(bad).is_err(), "{kind:?}");
        }
    }

    #[test]
    fn unknown_and_doubled_options_are_refused_by_name() {
        let specs = [spec(OptionType::Integer, "5", "1..9")];
        let given = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            resolve(&specs, &pairs.collect::<Vec<_>>())
        };
        assert_eq!(given(&[]), Ok(vec![("o".to_owned(), "5".to_owned())]));
        assert_eq!(
            given(&[("o", "7")]),
            Ok(vec![("o".to_owned(), "7".to_owned())])
        );
        assert!(matches!(
            given(&[("q", "7")]),
            Err(OptionError::Unknown { .. })
        ));
        assert!(matches!(
            given(&[("o", "7"), ("o", "8")]),
            Err(OptionError::Twice { .. })
        ));
    }

    #[test]
    fn a_default_outside_its_own_range_is_refused() {
        assert!(check_specs(&[spec(OptionType::Integer, "0", "1..9")]).is_err());
        assert!(check_specs(&[spec(OptionType::Integer, "1", "1..9")]).is_ok());
    }
}
