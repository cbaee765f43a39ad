//! What somebody may have meant by a name that does not exist. Pure text, no TOML.

use super::keys::{SECTIONS, keys};

/// Longer names are no slip of the finger, and comparing them would cost.
const COMPARED_MAX: usize = 40;

/// The message for a key or, above the sections, a table that no policy has.
pub(super) fn unknown(section: &str, name: &str, is_table: bool) -> String {
    let shown = shown(name, COMPARED_MAX);
    if section.is_empty() && is_table {
        let meant = nearest(name, SECTIONS.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean [{meant}]?"));
        let all = || format!("; there are [{}]", SECTIONS.join("], ["));
        return format!("unknown section [{shown}]{}", meant.unwrap_or_else(all));
    }
    let place = match section {
        "" => "above the sections".to_owned(),
        section => format!("in [{section}]"),
    };
    format!("unknown key '{shown}' {place}{}", meant_key(section, name))
}

/// The key that was meant: one of this section, this name in another, or a similar one in another.
fn meant_key(section: &str, name: &str) -> String {
    let own = keys()
        .iter()
        .filter(|key| key.section == section)
        .map(|key| key.name);
    let above = ["extends"].into_iter().filter(|_| section.is_empty());
    if let Some(meant) = nearest(name, own.chain(above)) {
        return format!("; did you mean '{meant}'?");
    }
    let homes: Vec<String> = keys()
        .iter()
        .filter(|key| key.name == name)
        .map(|key| match key.section {
            "" => "above the sections".to_owned(),
            section => format!("in [{section}]"),
        })
        .collect();
    if !homes.is_empty() {
        return format!("; it belongs {}", homes.join(" or "));
    }
    let meant = nearest(name, keys().iter().map(|key| key.name));
    let key = meant.and_then(|meant| keys().iter().find(|key| key.name == meant));
    key.map_or_else(String::new, |key| {
        format!("; did you mean '{}'?", key.path())
    })
}

/// The candidate that differs least from `name`, if it is a slip of the finger away.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    if name.len() > COMPARED_MAX {
        return None;
    }
    let slips = (name.chars().count() / 4).clamp(1, 3);
    candidates
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters inserted, left out, replaced, or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// A foreign text fit for one line of a message: control characters escaped, at most `max` characters.
pub(super) fn shown(text: &str, max: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(max)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown
}
