//! A policy in which one key stands alone: it has its value, and every other key is as far out of the way as
//! its range and the relations between keys allow.
//!
//! So whatever is stopped under it was stopped by that key. It does not know what attacks.

use crate::policy::{Key, Kind, Policy, PolicyError, RELATIONS, Value, keys};
use std::collections::HashMap;
use std::fmt::Write as _;

/// `policy` with `key` at `value`, `besides` as given, and everything else raised.
pub(super) fn alone(
    policy: &Policy,
    key: &str,
    value: Value,
    besides: &[(&str, Value)],
) -> Result<Policy, PolicyError> {
    let mut values: HashMap<String, Value> = keys()
        .iter()
        .map(|key| (key.path(), highest(key)))
        .collect();
    // A weight is no limit: raising it would take from others what they have.
    if let Some(share) = policy.value("tenant.share") {
        values.insert("tenant.share".to_owned(), share);
    }
    values.insert(key.to_owned(), value);
    for (path, value) in besides {
        values.insert((*path).to_owned(), *value);
    }
    for relation in RELATIONS {
        if let (Some(Value::Count(first)), Some(Value::Count(second))) =
            (values.get(relation.first), values.get(relation.second))
        {
            let first = Value::Count(*first.min(second));
            values.insert(relation.first.to_owned(), first);
        }
    }
    policy.with("proof.toml", &to_toml(&values))
}

fn highest(key: &Key) -> Value {
    match key.kind {
        Kind::Count { max, .. } => Value::Count(max),
        Kind::Ratio { max, .. } => Value::Ratio(max),
        Kind::Word(words) => Value::Word(words.last().copied().unwrap_or_default()),
    }
}

fn to_toml(values: &HashMap<String, Value>) -> String {
    let (mut text, mut open) = (String::new(), "");
    for key in keys() {
        if key.section != open {
            open = key.section;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "[{open}]");
        }
        if let Some(value) = values.get(&key.path()) {
            let _ = writeln!(text, "{} = {}", key.name, value.to_toml());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_stand_alone_and_keeps_its_value() {
        for name in crate::policy::shipped_names() {
            let policy = Policy::shipped(name).unwrap();
            for key in keys() {
                let value = policy.value(&key.path()).unwrap();
                let alone = alone(&policy, &key.path(), value, &[]).unwrap();
                assert_eq!(alone.value(&key.path()), Some(value), "{}", key.path());
            }
        }
    }

    #[test]
    fn the_others_are_raised_as_far_as_they_may() {
        let policy = Policy::shipped("strict").unwrap();
        let boundary = policy.value("chunker.boundary_kib_max").unwrap();
        let alone = alone(&policy, "chunker.boundary_kib_max", boundary, &[]).unwrap();
        assert_eq!(alone.value("chunker.output_kib_max"), Some(boundary));
        let most = Value::Count(1_000_000_000_000);
        assert_eq!(alone.value("chunker.fuel_max"), Some(most));
    }
}
