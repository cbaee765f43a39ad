//! What a plugin may be called: its crate, its file and its label have one name.

use super::ProjectError;
use crate::corpus::TenantId;
use crate::plugin::PluginKind;
use crate::runtime::is_reserved_label;
use std::path::Path;

/// Names of crates that a crate cannot have, or that would hide one it needs.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde-json",
    "static",
    "std",
    "stockade",
    "stockade-guest",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "wit-bindgen",
    "yield",
];

/// Checks a name that somebody chose.
pub(super) fn checked(name: &str) -> Result<String, ProjectError> {
    match wrong(name) {
        None => Ok(name.to_owned()),
        Some(why) => Err(ProjectError::Name {
            name: crate::corpus::shorten(name, 80),
            why,
        }),
    }
}

/// A legal name that looks like the folder's: `My_Plugin.2` gives `my-plugin-2`, a name that is taken gets the kind
/// behind it.
pub(super) fn of_folder(folder: &Path, kind: PluginKind) -> String {
    let folder = folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let legal = |c: char| match c.is_ascii_alphanumeric() {
        true => c,
        false => '-',
    };
    let words: String = folder.chars().map(legal).collect();
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    let mut name = words.join("-");
    name.truncate(50);
    let name = name.trim_end_matches('-');
    let candidates = [
        name.to_owned(),
        format!("{name}-{kind}"),
        format!("{kind}-{name}"),
    ];
    let found = candidates.into_iter().find(|name| wrong(name).is_none());
    found.unwrap_or_else(|| format!("my-{kind}"))
}

fn wrong(name: &str) -> Option<&'static str> {
    if TenantId::new(name).is_err() {
        return Some("it must be 1 to 63 of a-z, 0-9 and '-'");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.ends_with('-') {
        return Some("it must begin with a letter and not end with '-'");
    }
    if TAKEN.contains(&name) {
        return Some("no crate of this name can be compiled");
    }
    is_reserved_label(name).then_some("a built-in plugin has it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(folder: &str) -> String {
        of_folder(Path::new(folder), PluginKind::Agent)
    }

    #[test]
    fn a_folders_name_becomes_one_that_a_crate_can_have() {
        assert_eq!(named("/tmp/notes"), "notes");
        assert_eq!(named("My_Plugin.2"), "my-plugin-2");
        assert_eq!(named("2fast"), "agent-2fast");
        assert_eq!(named("fn"), "fn-agent");
        assert_eq!(named("hybrid"), "hybrid-agent");
        assert_eq!(named("日本"), "my-agent");
        assert_eq!(named("/"), "my-agent");
        assert_eq!(named("--a b--"), "a-b");
        assert!(checked(&named(&"long".repeat(40))).is_ok());
    }

    #[test]
    fn a_chosen_name_is_taken_as_it_is_or_refused() {
        assert_eq!(checked("my-plugin").ok().as_deref(), Some("my-plugin"));
        for bad in ["", "My", "a_b", "2a", "a-", "fn", "text", "stockade-guest"] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
