//! The study's documents: about four paragraphs each, drawn from four, joined by a blank line.
//!
//! A document has `max(1, int(normal(4, 1)))` paragraphs, 3.5 on average since `int` cuts. Equal seeds give
//! equal documents, on every machine. It knows nothing of what is measured with them.

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
        let normal = MEAN + DEVIATION * self.random.normal();
        // As Python's `int`: towards zero.
        let count = (normal as i64).max(1);
        let paragraphs = (0..count).map(|_| PARAGRAPHS[self.random.below_four()]);
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

/// Steele, Lea and Flood's generator: 64 bits of state, one multiplication chain a number.
pub(super) struct SplitMix64(pub(super) u64);

impl SplitMix64 {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 (excluded) to 1 (included).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller's: mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// From 0 to `bound` - 1, as evenly as 64 bits divide.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn below_four(&mut self) -> usize {
        (self.next() >> 62) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut random = SplitMix64(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(first, published);
    }

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
