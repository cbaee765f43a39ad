//! Random damage to a policy file: always a policy or problems with places, never a panic.

use super::*;
use crate::statistics::SplitMix64;

const PIECES: [&str; 24] = [
    "\"",
    "'''",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ".",
    "\n",
    "\r",
    "#",
    "\0",
    "\u{feff}",
    "ü",
    "𝄞",
    "-",
    "nan",
    "0x",
    "99999999999999999999",
    "extends = \"strict\"\n",
    "[chunker]\n",
    "1e999",
    "\\",
];

/// Cuts, copies and inserts, on character boundaries.
fn mutate(text: &str, random: &mut SplitMix64) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(letters.len() + 1);
        let end = (at + random.below(40)).min(letters.len());
        match random.below(4) {
            0 => drop(letters.drain(at..end)),
            1 => {
                let copy = letters[at..end].to_vec();
                let to = random.below(letters.len() + 1);
                letters.splice(to..to, copy);
            }
            2 => letters.truncate(at.max(1)),
            _ => drop(letters.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
        }
    }
    letters.into_iter().collect()
}

/// A policy whose every value is in range, or problems that each lie within the text.
fn holds(text: &str) {
    match Policy::from_toml("acme.toml", text) {
        Ok(policy) => {
            assert_eq!(policy.entries().len(), keys().len());
            assert_eq!(accepted(&policy.to_toml_flat()).digest, policy.digest);
        }
        Err(error) => {
            assert!(!error.problems().is_empty());
            let lines = text.matches('\n').count() + 1;
            for problem in error.problems() {
                assert!(
                    problem.position.is_none_or(|(line, _)| line <= lines),
                    "{problem}"
                );
                assert!(!problem.message.contains('\n'), "{problem}");
            }
        }
    }
}

#[test]
fn damaged_text_never_panics() {
    let root = Policy::shipped("default").unwrap();
    let originals = [
        include_str!("../../../../policies/default.toml").to_owned(),
        root.to_toml_flat(),
    ];
    let mut random = SplitMix64(7);
    for round in 0..3_000 {
        holds(&mutate(&originals[round % 2], &mut random));
    }
}

#[test]
fn noise_never_panics() {
    let mut random = SplitMix64(11);
    for _ in 0..2_000 {
        let pieces = random.below(60);
        let text: String = (0..pieces)
            .map(|_| PIECES[random.below(PIECES.len())])
            .collect();
        holds(&text);
    }
}
