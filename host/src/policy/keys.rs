//! Every key a policy has, in one table: its type, range, unit and what it limits.
//!
//! The table makes the typed structs, and it drives the checks, `policy show`, the docs and `prove`. A
//! key is added here and given its value in policies/default.toml, nowhere else. This file knows
//! neither TOML nor where a value came from.

use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number, both ends included.
    Count {
        /// Smallest legal value; never zero.
        min: u64,
        /// Largest legal value.
        max: u64,
    },
    /// A finite number, both ends included; a whole number may be written without its `.0`.
    Ratio {
        /// Smallest legal value; never zero.
        min: f64,
        /// Largest legal value.
        max: f64,
    },
    /// One of these words.
    Word(&'static [&'static str]),
}

impl fmt::Display for Kind {
    /// The allowed range, for a person: `1 to 4,096`, `none or sandboxed`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { min, max } => write!(f, "{} to {}", grouped(*min), grouped(*max)),
            Self::Ratio { min, max } => write!(f, "{min:?} to {max:?}"),
            Self::Word(words) => f.write_str(&words.join(" or ")),
        }
    }
}

/// A checked value of one key.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// A finite number.
    Ratio(f64),
    /// A word of the key's list.
    Word(&'static str),
}

impl fmt::Display for Value {
    /// As a person reads it: `400,000,000`, `4.0`, `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => f.write_str(&grouped(*count)),
            Self::Ratio(ratio) => write!(f, "{ratio:?}"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

impl Value {
    /// As TOML writes it: `400_000_000`, `4.0`, `"none"`.
    pub fn to_toml(self) -> String {
        match self {
            Self::Count(count) => grouped(count).replace(',', "_"),
            Self::Ratio(ratio) => format!("{ratio:?}"),
            Self::Word(word) => format!("\"{word}\""),
        }
    }
}

/// One key of a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// The section it stands in; empty for a key above all sections.
    pub section: &'static str,
    /// The name within its section.
    pub name: &'static str,
    /// Type and allowed range.
    pub kind: Kind,
    /// What is counted: `ms`, `MiB`, `calls`, …; empty where there is nothing to count.
    pub unit: &'static str,
    /// What it limits, in one sentence.
    pub doc: &'static str,
}

impl Key {
    /// `chunker.fuel_max`; `wasi` for a key above all sections.
    pub fn path(&self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }

    /// The allowed range with its unit, for a person: `1 to 4,096 MiB`.
    pub fn range(&self) -> String {
        match self.kind {
            Kind::Count { .. } => format!("{} {}", self.kind, self.unit),
            Kind::Ratio { .. } | Kind::Word(_) => self.kind.to_string(),
        }
    }

    /// The reason of a stop that this key causes: the name without unit and `_max`, with hyphens.
    /// `None` for a key that is no maximum.
    pub fn reason(&self) -> Option<String> {
        let name = self.name.strip_suffix("_max")?;
        let units = ["_ms", "_mib", "_kib"];
        let bare = units.iter().find_map(|unit| name.strip_suffix(unit));
        Some(bare.unwrap_or(name).replace('_', "-"))
    }
}

/// `first` may not exceed `second`: beyond it the second always ends the task, and the first would be a
/// limit that nothing reaches.
#[derive(Debug, Clone, Copy)]
pub struct Relation {
    /// Path of the key that has to be the smaller one, or equal.
    pub first: &'static str,
    /// Path of the key that bounds it. Both have the same unit.
    pub second: &'static str,
    /// Why.
    pub why: &'static str,
}

const ON_CPU: &str = "guest CPU time is part of the wall time";
const OUTPUT: &str = "the output crosses the boundary";
const LOG: &str = "log lines cross the boundary";

/// What must hold between two keys.
pub const RELATIONS: &[Relation] = &[
    Relation {
        first: "chunker.cpu_ms_max",
        second: "chunker.wall_ms_max",
        why: ON_CPU,
    },
    Relation {
        first: "chunker.output_kib_max",
        second: "chunker.boundary_kib_max",
        why: OUTPUT,
    },
    Relation {
        first: "chunker.log_kib_max",
        second: "chunker.boundary_kib_max",
        why: LOG,
    },
    Relation {
        first: "agent.cpu_ms_max",
        second: "agent.wall_ms_max",
        why: ON_CPU,
    },
    Relation {
        first: "agent.output_kib_max",
        second: "agent.boundary_kib_max",
        why: OUTPUT,
    },
    Relation {
        first: "agent.log_kib_max",
        second: "agent.boundary_kib_max",
        why: LOG,
    },
    Relation {
        first: "agent.read_kib_max",
        second: "agent.boundary_kib_max",
        why: "what is read crosses the boundary",
    },
    Relation {
        first: "ingest.document_kib_max",
        second: "chunker.boundary_kib_max",
        why: "the document crosses the boundary",
    },
];

/// What the guest may reach besides Stockade's own imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wasi {
    /// Nothing at all: a component that imports WASI is refused.
    None,
    /// WASI preview 2 with nothing in it: no files, sockets or environment; clocks stand still and random
    /// numbers repeat.
    Sandboxed,
}

impl Wasi {
    const KEY: Key = Key {
        section: "",
        name: "wasi",
        kind: Kind::Word(&["none", "sandboxed"]),
        unit: "",
        doc: "What a plugin may import besides Stockade's own interfaces.",
    };

    /// The word in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Sandboxed => "sandboxed",
        }
    }
}

/// Effective values by path, as merged from a chain of files.
pub(super) type Values = HashMap<String, Value>;

/// Reads one typed field out of checked values; `None` where the value is missing or of another kind.
trait Field: Sized {
    fn of(value: Value) -> Option<Self>;
}

impl Field for u64 {
    fn of(value: Value) -> Option<Self> {
        if let Value::Count(count) = value {
            Some(count)
        } else {
            None
        }
    }
}

impl Field for f64 {
    fn of(value: Value) -> Option<Self> {
        if let Value::Ratio(ratio) = value {
            Some(ratio)
        } else {
            None
        }
    }
}

impl Field for Wasi {
    fn of(value: Value) -> Option<Self> {
        match value {
            Value::Word("none") => Some(Self::None),
            Value::Word("sandboxed") => Some(Self::Sandboxed),
            _ => None,
        }
    }
}

fn field<T: Field>(values: &Values, section: &'static str, name: &str) -> Option<T> {
    let path = if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    };
    values.get(&path).copied().and_then(T::of)
}

/// A struct of limits together with its rows of the table. A row reads
/// `/// what it limits` `key: type, "unit", min to max;`, where the type is `u64` or `f64`.
macro_rules! limits {
    (
        $(#[doc = $about:literal])+
        $name:ident $(with $base:ident: $Base:ident)? {
            $( #[doc = $doc:literal] $key:ident: $type:ident, $unit:literal, $min:literal to $max:literal; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $(
                /// The limits that every guest call has.
                pub $base: $Base,
            )?
            $( #[doc = $doc] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub $key: $type, )+
        }

        impl $name {
            fn keys(section: &'static str) -> Vec<Key> {
                let own = [$( Key {
                    section,
                    name: stringify!($key),
                    kind: limits!(@kind $type $min $max),
                    unit: $unit,
                    doc: $doc.trim_ascii(),
                } ),+];
                let mut keys = Vec::new();
                $( keys.extend($Base::keys(section)); )?
                keys.extend(own);
                keys
            }

            /// `None` when a value is missing.
            pub(super) fn read(values: &Values, section: &'static str) -> Option<Self> {
                Some(Self {
                    $( $base: $Base::read(values, section)?, )?
                    $( $key: field(values, section, stringify!($key))?, )+
                })
            }
        }
    };
    (@kind u64 $min:literal $max:literal) => { Kind::Count { min: $min, max: $max } };
    (@kind f64 $min:literal $max:literal) => { Kind::Ratio { min: $min, max: $max } };
}

limits! {
    /// What one guest call may use. `[chunker]` and `[agent]` both have these keys.
    CallLimits {
        /// Instructions that a call may run, in the engine's deterministic fuel.
        fuel_max: u64, "fuel", 1 to 1_000_000_000_000;
        /// CPU time of the guest alone, without host functions and native work.
        cpu_ms_max: u64, "ms", 1 to 600_000;
        /// Time of the call and its host calls, from the first instruction; waiting for a free thread does not count.
        wall_ms_max: u64, "ms", 1 to 3_600_000;
        /// All linear memories and tables of the call together.
        memory_mib_max: u64, "MiB", 1 to 4_096;
        /// Resource handles that the guest may hold at once.
        handles_max: u64, "handles", 1 to 1_000_000;
        /// Bytes that cross the boundary between host and guest, both ways together.
        boundary_kib_max: u64, "KiB", 1 to 1_048_576;
        /// The result that the guest hands back.
        output_kib_max: u64, "KiB", 1 to 262_144;
        /// Log text that is kept; what goes beyond is cut and counted, and the task goes on.
        log_kib_max: u64, "KiB", 1 to 65_536;
        /// Calls of host functions, denied ones included.
        host_calls_max: u64, "calls", 1 to 100_000_000;
    }
}

limits! {
    /// `[chunker]`: what cutting one document may use.
    Chunker with call: CallLimits {
        /// Chunks that one document may be cut into.
        chunks_max: u64, "chunks", 1 to 1_000_000;
        /// Bytes of all chunks together, divided by the bytes of the document.
        overlap_ratio_max: f64, "ratio", 0.1 to 100.0;
    }
}

limits! {
    /// `[agent]`: what answering one question may use.
    Agent with call: CallLimits {
        /// Tokens that the agent may have embedded; then `embed` is denied.
        embed_tokens_max: u64, "tokens", 1 to 10_000_000;
        /// Searches and lookups of neighbours; then they are denied.
        searches_max: u64, "searches", 1 to 100_000;
        /// Stored vectors compared with another, over all searches; then vector search is denied.
        vectors_scanned_max: u64, "vectors", 1 to 100_000_000_000;
        /// Text that the agent may read; then `read` is denied.
        read_kib_max: u64, "KiB", 1 to 262_144;
        /// Passages in one answer.
        passages_max: u64, "passages", 1 to 10_000;
    }
}

limits! {
    /// `[ingest]`: what one document may be.
    Ingest {
        /// The document's text.
        document_kib_max: u64, "KiB", 1 to 262_144;
        /// Tokens of all chunks of one document together.
        embed_tokens_max: u64, "tokens", 1 to 1_000_000_000;
    }
}

limits! {
    /// `[tenant]`: what a tenant may use over all its tasks.
    Tenant {
        /// Tasks that run at once.
        tasks_running_max: u64, "tasks", 1 to 4_096;
        /// Tasks that wait for a free place; beyond it a task is refused.
        tasks_queued_max: u64, "tasks", 1 to 100_000;
        /// How long a task may wait for a free place.
        queue_ms_max: u64, "ms", 1 to 3_600_000;
        /// Documents stored.
        documents_max: u64, "documents", 1 to 100_000_000;
        /// The tenant's index on disk.
        storage_mib_max: u64, "MiB", 1 to 16_777_216;
        /// Plugins installed, earlier versions not counted.
        plugins_max: u64, "plugins", 1 to 10_000;
        /// Weight in the embedder's fair queue: a tenant with 2 gets twice the tokens of one with 1.
        share: u64, "parts", 1 to 1_000;
    }
}

limits! {
    /// `[breaker]`: when a plugin that keeps being stopped is switched off.
    Breaker {
        /// Stops blamed on the guest within the window that open the breaker.
        stops_max: u64, "stops", 1 to 1_000;
        /// Share of a plugin's last 20 tasks that must have been stopped too.
        stops_ratio_max: f64, "ratio", 0.01 to 1.0;
        /// The window in which stops are counted.
        window_s: u64, "s", 1 to 86_400;
        /// How long an open breaker refuses before it tries the plugin again.
        cooldown_s: u64, "s", 1 to 604_800;
    }
}

/// The sections, in the order of the file.
pub const SECTIONS: &[&str] = &["chunker", "agent", "ingest", "tenant", "breaker"];

static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    [
        vec![Wasi::KEY],
        Chunker::keys("chunker"),
        Agent::keys("agent"),
        Ingest::keys("ingest"),
        Tenant::keys("tenant"),
        Breaker::keys("breaker"),
    ]
    .concat()
});

/// Every key of a policy, in the order of the file.
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// All typed sections at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Typed {
    pub(super) wasi: Wasi,
    pub(super) chunker: Chunker,
    pub(super) agent: Agent,
    pub(super) ingest: Ingest,
    pub(super) tenant: Tenant,
    pub(super) breaker: Breaker,
}

impl Typed {
    /// `None` when a value is missing.
    pub(super) fn read(values: &Values) -> Option<Self> {
        Some(Self {
            wasi: field(values, "", "wasi")?,
            chunker: Chunker::read(values, "chunker")?,
            agent: Agent::read(values, "agent")?,
            ingest: Ingest::read(values, "ingest")?,
            tenant: Tenant::read(values, "tenant")?,
            breaker: Breaker::read(values, "breaker")?,
        })
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
