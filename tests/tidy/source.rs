//! The project's own files as the tidy tests read them: source without comments and strings, so that
//! what is found in it is code. It knows Rust's tokens well enough for that, and nothing of any rule.

use std::path::{Path, PathBuf};

/// A file of the project. `path` is relative to the root, with slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

/// A Rust file with its code alone: comments and the contents of literals are blanks, lines stay.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) code: String,
}

/// A function with a body.
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// The project's root folder.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Every text that people write here. Build output, data and what git keeps are not among them.
pub(super) fn files() -> Vec<File> {
    let root = root();
    let ours = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        !matches!(
            &*name,
            "target" | ".git" | "stockade-data" | "Cargo.lock" | "LICENSE"
        )
    };
    let walk = walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(ours);
    walk.map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let path = entry
                .path()
                .strip_prefix(&root)
                .unwrap()
                .to_str()?
                .to_owned();
            let text = std::fs::read_to_string(entry.path()).ok()?;
            Some(File { path, text })
        })
        .collect()
}

/// Every Rust file.
pub(super) fn sources() -> Vec<Source> {
    let rust = files()
        .into_iter()
        .filter(|file| file.path.ends_with(".rs"));
    rust.map(|File { path, text }| Source {
        code: code(&text),
        path,
        text,
    })
    .collect()
}

impl Source {
    /// The module of the host that the file belongs to; none for other packages, tests and roots.
    pub(super) fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("host/src/")?;
        let first = inside.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    /// `path:line` of a place in the code.
    pub(super) fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path, line(&self.code, offset))
    }

    /// Where `words` stand in the code: not within a longer name, nor at the end of a longer path.
    pub(super) fn find(&self, words: &str) -> Vec<usize> {
        let found = self.code.match_indices(words).map(|(at, _)| at);
        found
            .filter(|&at| stands_alone(&self.code, at, words.len()))
            .collect()
    }

    /// All functions with a body, nested ones too.
    pub(super) fn functions(&self) -> Vec<Function<'_>> {
        self.find("fn")
            .into_iter()
            .filter_map(|at| function(&self.code, at))
            .collect()
    }
}

fn line(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn stands_alone(code: &str, at: usize, length: usize) -> bool {
    let before = code[..at].chars().next_back();
    let after = code[at + length..].chars().next();
    let ends_in_name = code[..at + length].ends_with(is_name);
    let within_path = before.is_some_and(|c| is_name(c) || c == ':');
    let within_name = ends_in_name && after.is_some_and(is_name);
    !within_path && !within_name
}

fn function(code: &str, at: usize) -> Option<Function<'_>> {
    let rest = code[at + 2..].trim_start();
    let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
    if name.is_empty() {
        return None;
    }
    let (mut nested, mut braces) = (0, 0);
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' if braces == 0 => nested += 1,
            ')' | ']' if braces == 0 => nested -= 1,
            ';' if braces == 0 && nested == 0 => return None,
            '{' => braces += 1,
            '}' if braces == 1 => {
                let (first, last) = (line(code, at), line(code, at + offset));
                return Some(Function {
                    name,
                    line: first,
                    lines: last - first + 1,
                });
            }
            '}' => braces -= 1,
            _ => {}
        }
    }
    None
}

/// Blanks out comments and the contents of literals.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let inside_name = code.chars().next_back().is_some_and(is_name);
        let length = literal(rest, inside_name);
        if length == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (skipped, left) = rest.split_at(length);
        code.extend(skipped.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = left;
    }
    code
}

/// The length of the comment or literal that `rest` begins with; 0 where it begins with neither.
fn literal(rest: &str, inside_name: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    let prefix = match inside_name {
        true => 0,
        false => rest.find(|c| !"bcr".contains(c)).unwrap_or(0),
    };
    let body = &rest[prefix..];
    let hashes = body.find(|c| c != '#').unwrap_or(0);
    let raw = rest[..prefix].ends_with('r');
    if raw && body[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let from = prefix + hashes + 1;
        return rest[from..]
            .find(&end)
            .map_or(rest.len(), |at| from + at + end.len());
    }
    if body.starts_with('"') {
        return prefix + quoted(body, '"');
    }
    let mut next = body.chars().skip(1);
    let is_char = match (next.next(), next.next()) {
        (Some('\\'), _) => true,
        (Some(_), second) => second == Some('\''),
        _ => false,
    };
    if body.starts_with('\'') && is_char {
        prefix + quoted(body, '\'')
    } else {
        0
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    for at in 0..text.len() {
        let Some(rest) = text.get(at..) else { continue };
        if rest.starts_with("/*") {
            depth += 1;
        } else if rest.starts_with("*/") {
            depth -= 1;
            if depth == 0 {
                return at + 2;
            }
        }
    }
    text.len()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = r##"let a = "fn x { /*"; // fn y
/* fn /* z */ */ let b = 'f'; let c = r#"fn "w""#; fn real<'a>(x: &'a [u8; 3]) -> [u8; 3] {
'{' }"##;
    let source = Source {
        path: "x.rs".to_owned(),
        text: text.to_owned(),
        code: code(text),
    };
    let found = source.functions();
    assert_eq!(found.len(), 1, "{}", source.code);
    assert_eq!(
        (found[0].name, found[0].line, found[0].lines),
        ("real", 2, 2)
    );
    assert_eq!(source.code.lines().count(), 3);
}
