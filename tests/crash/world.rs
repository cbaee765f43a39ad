//! What ought to be there: for every tenant and every id the version that was acknowledged last, and besides it
//! what was under way when the process was killed.
//!
//! It knows no process and no file.

use serde_json::json;
use std::collections::BTreeMap;

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Ids of a tenant: few, so that most writes replace.
pub const IDS: u64 = 16;

/// The source of every document.
pub const SOURCE: &str = "s";

/// One version of a document, unlike any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub id: u64,
    pub number: u64,
    pub text: String,
    /// A word that no other version has.
    pub word: String,
}

const SENTENCES: [&str; 8] = [
    "The harbour master writes down every ship that passes the lighthouse.",
    "Nobody had opened the archive since the flood of that spring.",
    "A plough turns the field while gulls follow it in a line.",
    "Our bakery sells bread until noon, and cake until there is none.",
    "The committee met twice and decided to meet again.",
    "Rain fell on the roofs of the town for eleven days.",
    "An engine of brass and steel counts what the weavers make.",
    "She tuned the piano by ear, from the lowest string upwards.",
];

impl Version {
    pub fn new(id: u64, number: u64, random: &mut Random) -> Self {
        let word = format!("v{:x}q", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let sentences = match random.below(5) {
            0 => 24,
            _ => 3,
        };
        let mut text = format!("Version {word} lies beside {}.", title(id ^ 1));
        for _ in 0..sentences {
            text.push(' ');
            text.push_str(SENTENCES[random.below(8) as usize]);
        }
        Self {
            id,
            number,
            text,
            word,
        }
    }

    pub fn line(&self) -> String {
        json!({ "id": own_id(self.id), "title": title(self.id), "text": self.text,
            "metadata": { "version": self.number } })
        .to_string()
    }
}

/// As the line has it.
pub fn own_id(id: u64) -> String {
    format!("d{id}")
}

/// As the tenant's index has it.
pub fn full_id(id: u64) -> String {
    format!("{SOURCE}/{}", own_id(id))
}

pub fn title(id: u64) -> String {
    let names = [
        "Amber", "Birch", "Cedar", "Delta", "Ember", "Fjord", "Grove", "Heron",
    ];
    format!("{} Pier {}", names[(id % 8) as usize], id / 8)
}

/// What may be there of one id.
#[derive(Debug, Clone, Default)]
pub struct Slot {
    /// Acknowledged last; `None` when that was a deletion, or there never was one.
    pub acknowledged: Option<Version>,
    /// Under way when the process was killed: a version, or a deletion.
    pub meant: Option<Option<Version>>,
}

impl Slot {
    /// Whether `found` is the old state or the meant one.
    pub fn allows(&self, found: Option<u64>) -> bool {
        let number = |version: &Option<Version>| version.as_ref().map(|version| version.number);
        found == number(&self.acknowledged)
            || self
                .meant
                .as_ref()
                .is_some_and(|meant| found == number(meant))
    }
}

/// One tenant's documents.
#[derive(Debug, Default)]
pub struct Tenant {
    pub slots: BTreeMap<u64, Slot>,
    /// Words of versions that are gone.
    pub gone: Vec<String>,
}

impl Tenant {
    pub fn mean(&mut self, id: u64, version: Option<Version>) {
        self.slots.entry(id).or_default().meant = Some(version);
    }

    /// The process said that what was meant for `id` is done.
    pub fn acknowledge(&mut self, id: u64) {
        let slot = self.slots.entry(id).or_default();
        let Some(meant) = slot.meant.take() else {
            return;
        };
        if let Some(old) = slot
            .acknowledged
            .take()
            .filter(|old| Some(old) != meant.as_ref())
        {
            self.gone.push(old.word);
        }
        slot.acknowledged = meant;
    }

    /// What is there is known now, and nothing under way any more; how much of it is what was meant and never said.
    pub fn settle(&mut self, found: &BTreeMap<u64, u64>) -> u64 {
        let ids: Vec<u64> = self.slots.keys().copied().collect();
        let mut unsaid = 0;
        for id in ids {
            let slot = self.slots.entry(id).or_default();
            let Some(meant) = slot.meant.clone() else {
                continue;
            };
            let is_meant = meant.as_ref().map(|version| version.number) == found.get(&id).copied();
            match is_meant && meant != slot.acknowledged {
                true => {
                    unsaid += 1;
                    self.acknowledge(id);
                }
                false => slot.meant = None,
            }
        }
        unsaid
    }

    pub fn present(&self) -> Vec<u64> {
        let there = |(id, slot): (&u64, &Slot)| slot.acknowledged.as_ref().map(|_| *id);
        self.slots.iter().filter_map(there).collect()
    }
}
