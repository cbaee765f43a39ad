//! The study's documents: about four paragraphs each, drawn from four, joined by a blank line.
//!
//! A document has `max(1, int(normal(4, 1)))` paragraphs, 3.5 on average since `int` cuts. Equal seeds give
//! equal documents, on every machine. It knows nothing of what is measured with them.

use crate::statistics::SplitMix64;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// What documents are made of: four paragraphs of about 210 characters and 37 tokens, as many tokens for
/// their length as the study's workload has (40,265 in 300 documents).
const PARAGRAPHS: [&str; 4] = [
    "Retrieval systems read many documents before they answer a question about any of them. Every \
     document is divided into smaller passages, and each passage becomes a vector close to others \
     with similar meaning.",
    "Threads share the memory of one process, so a single copy of a large language model serves \
     several workers. Separate processes load their own copies, and everything exchanged between \
     them must be serialised.",
    "The lighthouse keeper recorded weather observations every evening, together with the names \
     of passing vessels. After forty years these notebooks filled several shelves and described \
     the history of that coast.",
    "Resource limits protect the other tenants: no plugin receives more processor time, memory or \
     storage than its policy allows. Whoever exceeds them is stopped, and the remaining customers \
     continue undisturbed.",
];

/// Mean and deviation of a document's paragraphs, before cutting to a whole number.
const MEAN: f64 = 4.0;
const DEVIATION: f64 = 1.0;

/// The documents' texts, without end.
pub(super) struct Workload {
    random: SplitMix64,
}

impl Workload {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: SplitMix64(seed),
        }
    }

    /// Writes the first `documents` texts as JSON lines.
    pub(super) fn write(self, path: &Path, documents: u32) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for (number, text) in self.take(documents as usize).enumerate() {
            let id = format!("doc-{number:06}");
            serde_json::to_writer(&mut file, &Line { id, text })?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

impl Iterator for Workload {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let normal = MEAN + DEVIATION * normal(&mut self.random);
        // As Python's `int`: towards zero.
        let count = (normal as i64).max(1);
        let paragraphs = (0..count).map(|_| PARAGRAPHS[self.random.below(PARAGRAPHS.len())]);
        Some(paragraphs.collect::<Vec<_>>().join("\n\n"))
    }
}

/// Words of the paragraphs in any order: texts that are all different, without end.
pub(super) struct Words {
    random: SplitMix64,
    words: Vec<&'static str>,
}

impl Words {
    pub(super) fn new(seed: u64) -> Self {
        let words = PARAGRAPHS.iter().flat_map(|text| text.split_whitespace());
        Self {
            random: SplitMix64(seed),
            words: words.collect(),
        }
    }

    /// The next text, of so many words.
    fn text(&mut self, words: usize) -> String {
        let words = (0..words).map(|_| self.words[self.random.below(self.words.len())]);
        words.collect::<Vec<_>>().join(" ")
    }

    /// The next texts.
    pub(super) fn texts(mut self, count: usize, words: usize) -> Vec<String> {
        (0..count).map(|_| self.text(words)).collect()
    }

    /// Writes the next texts as JSON lines; ids begin with `prefix`.
    pub(super) fn write(
        mut self,
        path: &Path,
        prefix: &str,
        documents: u32,
        words: usize,
    ) -> std::io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for number in 0..documents {
            let (id, text) = (format!("{prefix}{number}"), self.text(words));
            serde_json::to_writer(&mut file, &Line { id, text })?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }
}

#[derive(Serialize)]
struct Line {
    id: String,
    text: String,
}

/// Box and Muller's: mean 0, deviation 1.
fn normal(random: &mut SplitMix64) -> f64 {
    let (radius, angle) = (random.unit(), random.unit());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_about_210_characters() {
        for paragraph in PARAGRAPHS {
            assert!(
                (200..=220).contains(&paragraph.len()),
                "{}: {paragraph}",
                paragraph.len()
            );
        }
    }

    #[test]
    fn documents_have_three_and_a_half_paragraphs_on_average() {
        let counts = Workload::new(1)
            .take(20_000)
            .map(|text| text.split("\n\n").count());
        let counts: Vec<usize> = counts.collect();
        let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
        assert!((mean - 3.5).abs() < 0.03, "{mean}");
        assert_eq!(counts.iter().min(), Some(&1));
    }

    #[test]
    fn equal_seeds_give_equal_documents_and_others_give_others() {
        let texts = |seed| Workload::new(seed).take(50).collect::<Vec<_>>();
        assert_eq!(texts(42), texts(42));
        assert_ne!(texts(42), texts(43));
    }

    #[test]
    fn every_paragraph_is_drawn_as_often_as_the_others() {
        let text: String = Workload::new(7).take(4_000).collect();
        for paragraph in PARAGRAPHS {
            let drawn = text.matches(paragraph).count();
            assert!((3_300..3_700).contains(&drawn), "{drawn}");
        }
    }
}
