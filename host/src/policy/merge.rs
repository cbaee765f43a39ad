//! Layers of values to one effective value a key: the nearest file that names it wins. Checks that
//! every key has a value, and what must hold between two keys.

use super::error::{PolicyError, Problem};
use super::file::{Layer, Located};
use super::keys::{Key, RELATIONS, Relation, Typed, Value, keys};
use serde::Serialize;
use std::fmt::Write as _;

/// One key of a checked policy, as `policy show` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The path, such as `chunker.fuel_max`.
    pub key: String,
    /// The effective value.
    pub value: Value,
    /// What is counted; empty where there is nothing to count.
    pub unit: &'static str,
    /// The file and line that the value is from, such as `policies/default.toml:12`.
    pub source: String,
    /// The allowed range, for a person.
    pub range: String,
    /// What the key limits.
    pub doc: &'static str,
    #[serde(skip)]
    place: Located<()>,
}

impl Entry {
    fn new(key: &Key, from: &Located<Value>) -> Self {
        let place = Located {
            value: (),
            file: from.file.clone(),
            line: from.line,
            column: from.column,
        };
        Self {
            key: key.path(),
            value: from.value,
            unit: key.unit,
            source: format!("{}:{}", from.file, from.line),
            range: key.range(),
            doc: key.doc,
            place,
        }
    }
}

/// The effective values of `layers`, the nearest first; fails with `problems` and all that it finds itself.
pub(super) fn entries(
    layers: &[Layer],
    mut problems: Vec<Problem>,
) -> Result<Vec<Entry>, PolicyError> {
    let mut entries = Vec::with_capacity(keys().len());
    for key in keys() {
        let path = key.path();
        match layers.iter().find_map(|layer| layer.values.get(&path)) {
            Some(from) => entries.push(Entry::new(key, from)),
            // The root is complete, so a value is missing only where a file was not read to its end.
            None if problems.is_empty() => problems.push(missing(&path)),
            None => {}
        }
    }
    problems.extend(
        RELATIONS
            .iter()
            .filter_map(|relation| violated(relation, &entries, layers)),
    );
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(PolicyError::Invalid { problems })
    }
}

fn missing(path: &str) -> Problem {
    Problem {
        file: "policies/default.toml".to_owned(),
        position: None,
        message: format!("{path} is missing"),
    }
}

/// The problem where a relation does not hold, said at whichever of the two keys is set nearer.
fn violated(relation: &Relation, entries: &[Entry], layers: &[Layer]) -> Option<Problem> {
    let find = |path: &str| entries.iter().find(|entry| entry.key == path);
    let (first, second) = (find(relation.first)?, find(relation.second)?);
    let (Value::Count(a), Value::Count(b)) = (first.value, second.value) else {
        return None;
    };
    let doubtful = |path: &str| layers.iter().any(|layer| layer.doubtful(path));
    if a <= b || doubtful(relation.first) || doubtful(relation.second) {
        return None;
    }
    let depth = |path: &str| {
        layers
            .iter()
            .position(|layer| layer.values.contains_key(path))
    };
    let (near, far) = if depth(relation.first) <= depth(relation.second) {
        (first, second)
    } else {
        (second, first)
    };
    Some(near.place.problem(format!(
        "{} = {} must not exceed {} = {}, since {} ({} is from {})",
        first.key, first.value, second.key, second.value, relation.why, far.key, far.source
    )))
}

/// The struct of all sections.
pub(super) fn typed(entries: &[Entry]) -> Result<Typed, PolicyError> {
    let values = entries
        .iter()
        .map(|entry| (entry.key.clone(), entry.value))
        .collect();
    Typed::read(&values).ok_or_else(|| {
        let problems = vec![missing("a value")];
        PolicyError::Invalid { problems }
    })
}

/// Equal for equal values, whatever files they came from.
pub(super) fn digest(entries: &[Entry]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        let line = format!("{} = {}\n", entry.key, entry.value.to_toml());
        hasher.update(line.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The values as a layer to put others on.
pub(super) fn layer(entries: &[Entry]) -> Layer {
    let mut layer = Layer::default();
    for entry in entries {
        let Located {
            file, line, column, ..
        } = entry.place.clone();
        let located = Located {
            value: entry.value,
            file,
            line,
            column,
        };
        layer.values.insert(entry.key.clone(), located);
    }
    layer
}

/// The values as one TOML text.
pub(super) fn to_toml(entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut open = "";
    for (key, entry) in keys().iter().zip(entries) {
        if key.section != open {
            open = key.section;
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[{open}]\n");
        }
        let _ = writeln!(text, "{} = {}", key.name, entry.value.to_toml());
    }
    text
}
