//! A plugin's project on its author's disk: written from templates, compiled to a component.
//!
//! It knows what a project looks like and how cargo is run, but neither tenants nor data folders: what it makes
//! is any stranger's file to everybody else.

mod build;
mod error;
mod lock;
mod name;
mod template;
mod toolchain;

pub use build::{Build, Built, build};
pub use error::ProjectError;
pub use template::{Written, write};

/// A word of a command as a person would type it: quoted where a shell would see something else in it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_see_more() {
        assert_eq!(quoted("my/plug-in_1.wasm"), "my/plug-in_1.wasm");
        assert_eq!(quoted("my plugin"), "'my plugin'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("~x"), "'~x'");
    }
}
