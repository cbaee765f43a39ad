//! A setting: an option as a constant that knows its own type, so that what is declared and what is read
//! cannot differ. It knows nothing of what any setting means.

use std::ops::RangeInclusive;

use crate::{OptionSpec, Options};

/// One option of a plugin, read as a `T`.
///
/// ```
/// use stockade_guest::{Options, Setting};
///
/// #[derive(Clone, Copy, Debug, PartialEq)]
/// enum Mode {
///     Fast,
///     Thorough,
/// }
///
/// const LINES: Setting<usize> = Setting::count("lines", 20, 1..=1_000, "Lines a chunk.");
/// const MODE: Setting<Mode> = Setting::choice(
///     "mode",
///     "fast",
///     &[("fast", Mode::Fast), ("thorough", Mode::Thorough)],
///     "How closely to look.",
/// );
///
/// let options = Options::defaults(&[LINES.spec(), MODE.spec()]).with("mode", "thorough");
/// assert_eq!(options.get(&LINES), Ok(20));
/// assert_eq!(options.get(&MODE), Ok(Mode::Thorough));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Setting<T: 'static> {
    name: &'static str,
    help: &'static str,
    rule: Rule<T>,
}

/// What a value may be, and how a `T` comes of it.
#[derive(Clone, Copy, Debug)]
enum Rule<T: 'static> {
    Integer {
        default: i64,
        least: i64,
        most: i64,
        make: fn(i64) -> Option<T>,
    },
    Number {
        default: f64,
        least: f64,
        most: f64,
        make: fn(f64) -> T,
    },
    Boolean {
        default: bool,
        make: fn(bool) -> T,
    },
    Text {
        default: &'static str,
        bytes_max: usize,
        make: fn(&str) -> T,
    },
    Choice {
        default: &'static str,
        among: &'static [(&'static str, T)],
        copy: fn(&T) -> T,
    },
}

impl Setting<i64> {
    /// A whole number within `range`, both ends included.
    pub const fn integer(
        name: &'static str,
        default: i64,
        range: RangeInclusive<i64>,
        help: &'static str,
    ) -> Self {
        let rule = Rule::Integer {
            default,
            least: *range.start(),
            most: *range.end(),
            make: Some,
        };
        Self { name, help, rule }
    }
}

impl Setting<usize> {
    /// A whole number that counts something, within `range`, both ends included. It fits 32 bits, which is
    /// what a component's memory can hold of anything.
    pub const fn count(
        name: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
        help: &'static str,
    ) -> Self {
        let rule = Rule::Integer {
            default: default as i64,
            least: *range.start() as i64,
            most: *range.end() as i64,
            make: |number| usize::try_from(number).ok(),
        };
        Self { name, help, rule }
    }
}

impl Setting<u32> {
    /// The option `k` of an agent, which gets the number of passages that the caller asked for: 1 to 100,
    /// `default` where nobody asks.
    pub const fn passages(default: u32) -> Self {
        let rule = Rule::Integer {
            default: default as i64,
            least: 1,
            most: 100,
            make: |number| u32::try_from(number).ok(),
        };
        Self {
            name: "k",
            help: "How many passages the answer has.",
            rule,
        }
    }
}

impl Setting<f64> {
    /// A finite decimal number within `range`, both ends included.
    pub const fn number(
        name: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
        help: &'static str,
    ) -> Self {
        let rule = Rule::Number {
            default,
            least: *range.start(),
            most: *range.end(),
            make: |number| number,
        };
        Self { name, help, rule }
    }
}

impl Setting<bool> {
    /// `true` or `false`.
    pub const fn boolean(name: &'static str, default: bool, help: &'static str) -> Self {
        let rule = Rule::Boolean {
            default,
            make: |value| value,
        };
        Self { name, help, rule }
    }
}

impl Setting<String> {
    /// Any text of at most `bytes_max` bytes.
    pub const fn text(
        name: &'static str,
        default: &'static str,
        bytes_max: usize,
        help: &'static str,
    ) -> Self {
        let rule = Rule::Text {
            default,
            bytes_max,
            make: str::to_owned,
        };
        Self { name, help, rule }
    }
}

impl<T: Copy> Setting<T> {
    /// One of the words in `among`, read as what stands beside it.
    pub const fn choice(
        name: &'static str,
        default: &'static str,
        among: &'static [(&'static str, T)],
        help: &'static str,
    ) -> Self {
        let rule = Rule::Choice {
            default,
            among,
            copy: |value| *value,
        };
        Self { name, help, rule }
    }
}

impl<T> Setting<T> {
    /// The option's name, as its user writes it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How the option is declared.
    pub fn spec(&self) -> OptionSpec {
        let (name, help) = (self.name, self.help);
        match &self.rule {
            &Rule::Integer {
                default,
                least,
                most,
                ..
            } => OptionSpec::integer(name, default, least..=most, help),
            &Rule::Number {
                default,
                least,
                most,
                ..
            } => OptionSpec::number(name, default, least..=most, help),
            Rule::Boolean { default, .. } => OptionSpec::boolean(name, *default, help),
            Rule::Text {
                default, bytes_max, ..
            } => OptionSpec::text(name, default, *bytes_max, help),
            Rule::Choice { default, among, .. } => {
                let words: Vec<&str> = among.iter().map(|(word, _)| *word).collect();
                OptionSpec::choice(name, default, &words, help)
            }
        }
    }

    fn read(&self, options: &Options) -> Result<T, String> {
        match &self.rule {
            Rule::Integer { make, .. } => {
                let number = options.integer(self.name)?;
                make(number).ok_or_else(|| self.wrong("must not be negative"))
            }
            Rule::Number { make, .. } => options.number(self.name).map(make),
            Rule::Boolean { make, .. } => options.boolean(self.name).map(make),
            Rule::Text { make, .. } => options.text(self.name).map(make),
            Rule::Choice { among, copy, .. } => {
                let word = options.text(self.name)?;
                let found = among.iter().find(|(known, _)| *known == word);
                found
                    .map(|(_, value)| copy(value))
                    .ok_or_else(|| self.wrong("must be one of its words"))
            }
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("option `{}` {what}", self.name)
    }
}

impl Options {
    /// The value of `setting`. Fails where its plugin did not declare it; the host has checked the value.
    pub fn get<T>(&self, setting: &Setting<T>) -> Result<T, String> {
        setting.read(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test says where")]
mod tests {
    use super::*;

    const DEPTH: Setting<i64> = Setting::integer("depth", -1, -9..=9, "How deep.");
    const SIZE: Setting<usize> = Setting::count("size", 5, 1..=9, "How many.");
    const RATIO: Setting<f64> = Setting::number("ratio", 0.5, 0.0..=1.0, "How much.");
    const LOUD: Setting<bool> = Setting::boolean("loud", true, "Whether.");
    const NAME: Setting<String> = Setting::text("name", "x", 9, "Which.");
    const MODE: Setting<u8> = Setting::choice("mode", "b", &[("a", 1), ("b", 2)], "How.");

    fn defaults() -> Options {
        Options::defaults(&[
            DEPTH.spec(),
            SIZE.spec(),
            RATIO.spec(),
            LOUD.spec(),
            NAME.spec(),
            MODE.spec(),
        ])
    }

    #[test]
    fn what_is_declared_is_read_with_its_type() {
        let options = defaults();
        assert_eq!(options.get(&DEPTH), Ok(-1));
        assert_eq!(options.get(&SIZE), Ok(5));
        assert_eq!(options.get(&RATIO), Ok(0.5));
        assert_eq!(options.get(&LOUD), Ok(true));
        assert_eq!(options.get(&NAME), Ok("x".to_owned()));
        assert_eq!(options.get(&MODE), Ok(2));
    }

    #[test]
    fn a_setting_declares_itself_as_a_spec_does() {
        assert_eq!(
            DEPTH.spec(),
            OptionSpec::integer("depth", -1, -9..=9, "How deep.")
        );
        assert_eq!(
            SIZE.spec(),
            OptionSpec::integer("size", 5, 1..=9, "How many.")
        );
        assert_eq!(
            RATIO.spec(),
            OptionSpec::number("ratio", 0.5, 0.0..=1.0, "How much.")
        );
        assert_eq!(
            MODE.spec(),
            OptionSpec::choice("mode", "b", &["a", "b"], "How.")
        );
        let k = Setting::passages(5);
        assert_eq!(k.spec(), crate::k_option());
        assert_eq!(Options::defaults(&[k.spec()]).get(&k), Ok(5));
    }

    #[test]
    fn what_does_not_fit_the_type_is_an_error_that_names_the_option() {
        for (name, value) in [
            ("size", "-1"),
            ("mode", "c"),
            ("loud", "yes"),
            ("depth", "1.5"),
        ] {
            let options = defaults().with(name, value);
            let errors = [
                options.get(&SIZE).err(),
                options.get(&MODE).err(),
                options.get(&LOUD).err(),
                options.get(&DEPTH).err(),
            ];
            let error = errors.into_iter().flatten().next().unwrap();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        assert!(
            Options::defaults(&[])
                .get(&SIZE)
                .unwrap_err()
                .contains("`size`")
        );
    }
}
