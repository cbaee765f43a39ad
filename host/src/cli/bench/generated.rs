//! Generated documents, with vectors, for measurements of size: words as frequent as in a natural language,
//! titles that other documents mention, metadata, vectors in topics.
//!
//! Document `n` is the same in every run, on every machine, however many there are. No model is asked: the
//! vectors have the shape of embeddings and mean nothing. It does not know what is measured.

use crate::corpus::{Chunk, DIMENSIONS, Document, Embedding, Metadata};
use crate::index::{Index, IndexError, NewChunk, NewVersion, Put, TextHash};
use crate::statistics::SplitMix64;
use serde_json::json;

/// Chunks of a document, on average and most.
pub(super) const CHUNKS_MEAN: u64 = 10;
const CHUNKS_MAX: u64 = 2 * CHUNKS_MEAN - 1;

/// Words of a chunk: about 750 bytes.
const CHUNK_WORDS: u64 = 130;

/// Different words. The word of rank r is drawn with probability about 1 / (11 r).
const WORDS: f64 = 50_000.0;

/// Titles are made of words above this rank.
const TITLE_RANK: f64 = 300.0;

/// Groups of documents whose vectors are near each other.
const TOPICS: u64 = 64;

/// Lengths of what a vector is the sum of: its topic, its document, itself. Cosines are about 0.6 within a
/// document and 0.3 within a topic.
const PARTS: [f32; 3] = [0.55, 0.55, 0.63];

const CONSONANTS: &[u8; 20] = b"tnsrldmkpbgfvhzcwjqx";
const VOWELS: &[u8; 5] = b"aeiou";

/// A family of documents: each seed has its own.
#[derive(Debug)]
pub(super) struct Generated {
    seed: u64,
    topics: Vec<Vec<f32>>,
}

/// One document, ready to be written.
#[derive(Debug)]
pub(super) struct GeneratedVersion {
    pub(super) document: Document,
    pub(super) chunks: Vec<NewChunk>,
}

impl GeneratedVersion {
    /// Writes it as any other version is written.
    pub(super) fn put(&self, index: &Index) -> Result<Put, IndexError> {
        index.put(&NewVersion {
            document: &self.document,
            hash: TextHash::of(&self.document.text).0,
            chunker: "generated",
            chunks: &self.chunks,
        })
    }
}

impl Generated {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SplitMix64(seed);
        Self {
            seed,
            topics: (0..TOPICS).map(|_| direction(&mut random)).collect(),
        }
    }

    /// Adds documents 0, 1, 2 and so on until the index has `chunks` chunks, exactly. `written` hears how many
    /// there are after each document, and ends it by saying `false`.
    pub(super) fn fill(
        &self,
        index: &Index,
        chunks: u64,
        mut written: impl FnMut(u64) -> bool,
    ) -> Result<(), IndexError> {
        let (mut number, mut there) = (0, 0);
        while there < chunks {
            let mut version = self.version(number);
            let room = usize::try_from(chunks - there).unwrap_or(usize::MAX);
            version.chunks.truncate(room);
            there += version.put(index)?.chunks;
            number += 1;
            if !written(there) {
                break;
            }
        }
        Ok(())
    }

    /// Document `number`: `d0`, `d1`, … It mentions titles of those before it, some of them often.
    pub(super) fn version(&self, number: u64) -> GeneratedVersion {
        let mut random = self.random(number, 1);
        let own = direction(&mut random);
        let topic = &self.topics[random.below(self.topics.len())];
        let (mut text, mut chunks) = (String::new(), vec![]);
        for _ in 0..1 + random.next() % CHUNKS_MAX {
            let start = text.len();
            self.add_chunk(&mut text, number, &mut random);
            let itself = direction(&mut random);
            let (from, to) = (start as u32, text.len() as u32);
            chunks.push(NewChunk {
                chunk: Chunk {
                    start: from,
                    end: to,
                    labels: vec![],
                },
                hash: TextHash::of(&text[start..]),
                embedding: sum([topic, &own, &itself]),
            });
        }
        GeneratedVersion {
            document: self.document(number, text),
            chunks,
        }
    }

    fn document(&self, number: u64, text: String) -> Document {
        let lang = ["en", "de", "fr"][(number % 3) as usize];
        let metadata = json!({
            "year": 2000 + number % 25,
            "lang": lang,
            "path": format!("shelf-{}/{number}", number % 100),
        });
        Document {
            id: format!("d{number}"),
            title: self.title(number),
            media_type: "text/plain".to_owned(),
            text,
            metadata: match metadata {
                serde_json::Value::Object(fields) => fields,
                _ => Metadata::new(),
            },
        }
    }

    /// The title of document `number`: two or three rarer words. Few are equal.
    pub(super) fn title(&self, number: u64) -> String {
        let mut random = self.random(number, 2);
        let words = (0..2 + number % 2).map(|_| capital(&word(rank(&mut random, TITLE_RANK))));
        words.collect::<Vec<_>>().join(" ")
    }

    /// A question: words that stand together in one of the first `documents` documents, and a title that it
    /// mentions or has.
    pub(super) fn question(&self, number: u64, documents: u64) -> String {
        let mut random = self.random(number, 3);
        let about = random.next() % documents.max(1);
        let text = self.version(about).document.text;
        let words: Vec<&str> = text.split_whitespace().collect();
        let from = random.below(words.len().saturating_sub(9));
        let title = self.title(random.next() % (about + 1));
        let together = words.iter().skip(from).take(9).copied();
        format!("{} {title}?", together.collect::<Vec<_>>().join(" "))
    }

    fn add_chunk(&self, text: &mut String, number: u64, random: &mut SplitMix64) {
        let words = CHUNK_WORDS / 2 + random.next() % CHUNK_WORDS;
        let mention = random.next() % (2 * words);
        for place in 0..words {
            if place == mention {
                text.push_str(&self.title(mentioned(number, random)));
            } else {
                text.push_str(&word(rank(random, 1.0)));
            }
            text.push_str(if place % 17 == 16 { ". " } else { " " });
        }
        text.push('\n');
    }

    /// Numbers for one purpose of one document.
    fn random(&self, number: u64, purpose: u64) -> SplitMix64 {
        let mut mixed = SplitMix64(self.seed ^ (number << 3 | purpose));
        SplitMix64(mixed.next())
    }
}

/// A document up to `number`: half of the time any, half of the time an early one, which many mention.
fn mentioned(number: u64, random: &mut SplitMix64) -> u64 {
    if random.next().is_multiple_of(2) {
        return random.next() % (number + 1);
    }
    let early = ((number + 1) as f64).powf(fraction(random)) as u64;
    early.saturating_sub(1).min(number)
}

/// A rank from `first` up, the first ones most often.
fn rank(random: &mut SplitMix64, first: f64) -> u64 {
    (first * (WORDS / first).powf(fraction(random))) as u64
}

/// The word of a rank: more frequent ones are shorter.
fn word(mut rank: u64) -> String {
    let mut word = String::new();
    loop {
        word.push(CONSONANTS[(rank % 20) as usize].into());
        word.push(VOWELS[(rank / 20 % 5) as usize].into());
        rank /= 100;
        if rank == 0 {
            // The stemmer leaves an end such as this alone.
            word.push(if word.len() == 2 { 'n' } else { 'k' });
            return word;
        }
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn fraction(random: &mut SplitMix64) -> f64 {
    (random.next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A vector of unit length in any direction.
fn direction(random: &mut SplitMix64) -> Vec<f32> {
    // Four numbers of 16 bits at a time, about even.
    let numbers = (0..DIMENSIONS / 4).flat_map(|_| {
        let bits = random.next();
        [0, 16, 32, 48].map(|shift| f32::from((bits >> shift) as u16) - 32_767.5)
    });
    unit(numbers.collect())
}

fn sum(parts: [&Vec<f32>; 3]) -> Embedding {
    let at = |i: usize| (0..3).map(|part| PARTS[part] * parts[part][i]).sum();
    let values = unit((0..DIMENSIONS).map(at).collect());
    #[expect(clippy::expect_used, reason = "`unit` gives what is asked for")]
    Embedding::new(values).expect("a vector of unit length")
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    let factor = (1.0 / squares.sqrt()) as f32;
    values.iter_mut().for_each(|value| *value *= factor);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn document_n_is_the_same_whatever_was_generated_before_it() {
        let (one, two) = (Generated::new(1), Generated::new(1));
        let _ = two.version(3);
        assert_eq!(one.version(7).document, two.version(7).document);
        let vectors = |g: &Generated| g.version(7).chunks[0].embedding.clone();
        assert_eq!(vectors(&one), vectors(&two));
        assert_ne!(
            one.version(7).document.text,
            Generated::new(2).version(7).document.text
        );
    }

    #[test]
    fn few_words_are_frequent_and_most_are_rare() {
        let generated = Generated::new(1);
        let mut counts: HashMap<String, u64> = HashMap::new();
        for number in 0..200 {
            for word in generated.version(number).document.text.split_whitespace() {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
        }
        let all: u64 = counts.values().sum();
        let first = *counts.values().max().unwrap() as f64 / all as f64;
        assert!((0.03..0.09).contains(&first), "{first}");
        let once = counts.values().filter(|count| **count == 1).count();
        assert!(once * 3 > counts.len(), "{once} of {}", counts.len());
    }

    #[test]
    fn documents_mention_titles_of_earlier_ones() {
        let generated = Generated::new(1);
        let mentions = |n: u64| {
            let text = generated.version(n).document.text;
            (0..n).any(|before| text.contains(&generated.title(before)))
        };
        let mentioning = (50..100).filter(|n| mentions(*n)).count();
        assert!(mentioning > 40, "{mentioning}");
    }

    #[test]
    fn vectors_are_nearest_within_a_document_and_nearer_within_a_topic() {
        let generated = Generated::new(1);
        let versions: Vec<_> = (0..40).map(|n| generated.version(n)).collect();
        let cosine = |a: &NewChunk, b: &NewChunk| -> f32 {
            let pairs = a.embedding.values().iter().zip(b.embedding.values());
            pairs.map(|(a, b)| a * b).sum()
        };
        let long = versions.iter().filter(|v| v.chunks.len() > 1);
        for version in long {
            let own = cosine(&version.chunks[0], &version.chunks[1]);
            assert!((0.4..0.8).contains(&own), "{own}");
        }
        let others = versions[1..].iter();
        let highest = others
            .map(|v| cosine(&versions[0].chunks[0], &v.chunks[0]))
            .fold(-1.0, f32::max);
        assert!(highest < 0.5, "{highest}");
    }

    #[test]
    fn a_filled_index_has_exactly_the_chunks_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let tenant = crate::corpus::TenantId::new("generated").unwrap();
        let options = crate::index::IndexOptions {
            model: "m".to_owned(),
            cache: crate::index::MatrixCache::new(1 << 20),
        };
        let index = Index::open(folder.path(), &tenant, options).unwrap();
        let generated = Generated::new(1);
        let mut seen = 0;
        let hear = |there| {
            seen = there;
            true
        };
        generated.fill(&index, 123, hear).unwrap();
        assert_eq!((index.counts().unwrap().chunks, seen), (123, 123));
        assert!(
            index
                .check(&crate::db::Interrupt::never())
                .unwrap()
                .is_empty()
        );
        let question = generated.question(5, 10);
        assert!(question.split_whitespace().count() >= 8, "{question}");
    }
}
