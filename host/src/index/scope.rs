//! A scope is the set of documents that a filter chooses in one generation.
//!
//! It asks the filter's own evaluator about every document, so it cannot disagree with it; only the
//! fields that the filter names are read. The latest scopes are kept: an agent searches often
//! with one filter.

use super::Index;
use super::error::IndexError;
use super::schema::State;
use super::view::lock;
use crate::corpus::{Filter, Metadata};
use crate::db::{Connection, Row};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Scopes kept for each index: a bit a document each.
const KEPT: usize = 4;

/// Which documents a search may answer with.
#[derive(Debug, Clone)]
pub(super) struct Scope(Option<Arc<Documents>>);

/// A set of document numbers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Documents(Vec<u64>);

/// The latest scopes, newest last.
#[derive(Debug, Default)]
pub(super) struct Scopes(VecDeque<(i64, Filter, Arc<Documents>)>);

impl Scope {
    pub(super) fn all() -> Self {
        Self(None)
    }

    /// Whether the document with this number is chosen.
    pub(super) fn has(&self, document: u64) -> bool {
        self.0
            .as_ref()
            .is_none_or(|documents| documents.has(document))
    }
}

impl Documents {
    fn has(&self, document: u64) -> bool {
        let word = self.0.get((document / 64) as usize).copied().unwrap_or(0);
        word >> (document % 64) & 1 == 1
    }

    fn add(&mut self, document: u64) {
        let word = (document / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (document % 64);
    }
}

impl Scopes {
    fn get(&self, generation: i64, filter: &Filter) -> Option<Arc<Documents>> {
        let found = self
            .0
            .iter()
            .find(|(g, f, _)| *g == generation && f == filter);
        found.map(|(_, _, documents)| Arc::clone(documents))
    }

    fn keep(&mut self, generation: i64, filter: &Filter, documents: &Arc<Documents>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0
            .push_back((generation, filter.clone(), Arc::clone(documents)));
    }
}

impl Index {
    pub(super) fn scope(
        &self,
        connection: &Connection,
        state: &State,
        filter: &Filter,
    ) -> Result<Scope, IndexError> {
        if let Some(documents) = lock(&self.scopes).get(state.generation, filter) {
            return Ok(Scope(Some(documents)));
        }
        let documents = Arc::new(choose(connection, filter)?);
        lock(&self.scopes).keep(state.generation, filter, &documents);
        Ok(Scope(Some(documents)))
    }
}

/// The connection's interrupt ends this: each document is a step of the statement.
fn choose(connection: &Connection, filter: &Filter) -> Result<Documents, IndexError> {
    let fields = filter.fields();
    let sql = "SELECT number, id, title, metadata FROM documents ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut chosen = Documents::default();
    while let Some(row) = rows.next()? {
        let (id, title, json) = (text(row, 1)?, text(row, 2)?, text(row, 3)?);
        if filter.matches(id, title, &pick(json, &fields)?) {
            chosen.add(row.get::<_, i64>(0)?.unsigned_abs());
        }
    }
    Ok(chosen)
}

fn text<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a str, IndexError> {
    let value = row.get_ref(column)?;
    value
        .as_str()
        .map_err(|e| IndexError::Damaged(format!("a document's row: {e}")))
}

/// The named fields of a JSON object.
fn pick(json: &str, fields: &BTreeSet<&str>) -> Result<Metadata, IndexError> {
    if fields.is_empty() {
        return Ok(Metadata::new());
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    Pick(fields)
        .deserialize(&mut reader)
        .map_err(|e| IndexError::Damaged(e.to_string()))
}

struct Pick<'a>(&'a BTreeSet<&'a str>);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Metadata;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Metadata;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut picked = Metadata::new();
        while let Some(key) = map.next_key::<std::borrow::Cow<'_, str>>()? {
            if self.0.contains(key.as_ref()) {
                picked.insert(key.into_owned(), map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(picked)
    }
}
