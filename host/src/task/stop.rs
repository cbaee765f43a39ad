//! Why a task ended early: the reason, the limit, what was used, whose fault, and where.
//!
//! The words are the policy's: a reason is its key without unit and `_max`. Nothing here decides that a
//! task must end.

use super::meters::Spent;
use crate::error::{Blame, Exit, Explain};
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal, $blame:ident, $key:literal;)+) => {
        /// Why a task was stopped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason { $($(#[doc = $doc])+ $variant),+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON and messages.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Whose fault it is, unless the stop says otherwise.
            pub fn blame(self) -> Blame {
                match self { $(Self::$variant => Blame::$blame),+ }
            }

            /// The policy key that set the limit, without its section; empty when none did.
            pub fn key(self) -> &'static str {
                match self { $(Self::$variant => $key),+ }
            }
        }
    };
}

reasons! {
    /// Instructions ran out.
    Fuel = "fuel", Guest, "fuel_max";
    /// Guest CPU time ran out.
    Cpu = "cpu", Guest, "cpu_ms_max";
    /// Wall time ran out.
    Wall = "wall", Guest, "wall_ms_max";
    /// Memories and tables together grew too large.
    Memory = "memory", Guest, "memory_mib_max";
    /// The guest's call stack overflowed.
    Stack = "stack", Guest, "";
    /// Too many handles.
    Handles = "handles", Guest, "handles_max";
    /// Too many bytes crossed the boundary.
    Boundary = "boundary", Guest, "boundary_kib_max";
    /// The result was too large.
    Output = "output", Guest, "output_kib_max";
    /// Too many host calls.
    HostCalls = "host-calls", Guest, "host_calls_max";
    /// Too many chunks.
    Chunks = "chunks", Guest, "chunks_max";
    /// Chunks overlap too much.
    OverlapRatio = "overlap-ratio", Guest, "overlap_ratio_max";
    /// Too many passages.
    Passages = "passages", Guest, "passages_max";
    /// The guest trapped.
    Trap = "trap", Guest, "";
    /// The guest's result was not what the world promises, or it said itself that it failed.
    InvalidOutput = "invalid-output", Guest, "";
    /// Waited too long for a place.
    Queue = "queue", Limit, "queue_ms_max";
    /// Too many tasks wait already.
    TasksQueued = "tasks-queued", Limit, "tasks_queued_max";
    /// The tenant has too many documents.
    Documents = "documents", Limit, "documents_max";
    /// The tenant's index is too large.
    Storage = "storage", Limit, "storage_mib_max";
    /// The document is too large.
    Document = "document", Limit, "document_kib_max";
    /// The document needs too many tokens embedded.
    EmbedTokens = "embed-tokens", Limit, "embed_tokens_max";
    /// The tenant has too many plugins.
    Plugins = "plugins", Limit, "plugins_max";
    /// Somebody killed it.
    Killed = "killed", Caller, "";
    /// The process is ending.
    Shutdown = "shutdown", Caller, "";
    /// The tenant was suspended.
    Suspended = "suspended", Caller, "";
    /// Stockade failed.
    HostFault = "host-fault", Host, "";
}

macro_rules! phases {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal;)+) => {
        /// Where a task was.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Phase { $($(#[doc = $doc])+ $variant),+ }

        impl Phase {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word in JSON and messages.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

phases! {
    /// Waiting for a place among the tenant's running tasks.
    Queued = "queued";
    /// Loading the plugin.
    Load = "load";
    /// The guest is instantiated; start functions run here.
    Instantiate = "instantiate";
    /// The guest runs.
    Call = "call";
    /// The guest makes room for what the host hands it.
    Realloc = "realloc";
    /// The guest's result is taken over.
    Result = "result";
    /// In `host.log`.
    HostLog = "host:log";
    /// In `host.budget`.
    HostBudget = "host:budget";
    /// In `tokens.ends`.
    HostTokens = "host:ends";
    /// In `retrieval.embed`.
    HostEmbed = "host:embed";
    /// In `retrieval.vector-of`.
    HostVectorOf = "host:vector-of";
    /// In `retrieval.similarities`.
    HostSimilarities = "host:similarities";
    /// In `retrieval.search-vector`.
    HostSearchVector = "host:search-vector";
    /// In `retrieval.search-text`.
    HostSearchText = "host:search-text";
    /// In `retrieval.search-hybrid`.
    HostSearchHybrid = "host:search-hybrid";
    /// In `retrieval.neighbours`.
    HostNeighbours = "host:neighbours";
    /// In `retrieval.read`.
    HostRead = "host:read";
    /// In a call of the system interface.
    HostWasi = "host:wasi";
    /// The host checks the guest's result.
    Check = "check";
    /// Counting and cutting tokens.
    Tokenize = "tokenize";
    /// Waiting for embeddings.
    Embed = "embed";
    /// Writing to the index.
    Commit = "commit";
}

impl Phase {
    /// The phase of a stored number; an unknown one is `Queued`.
    pub fn from_u8(number: u8) -> Self {
        let known = Self::ALL.get(usize::from(number));
        known.copied().unwrap_or(Self::Queued)
    }

    /// Whether the task is inside a host call.
    pub fn in_host(self) -> bool {
        self.as_str().starts_with("host:")
    }
}

/// Why a task ended early. `limit` and `used` are in the unit of the policy's key; both are zero where the
/// reason has no number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Which limit, or which event.
    pub reason: Reason,
    /// What the policy allows.
    pub limit: Number,
    /// What was used, or asked for.
    pub used: Number,
    /// Whose fault it is.
    pub blame: Blame,
    /// Where the task was.
    pub phase: String,
    /// One sentence for a person.
    pub detail: String,
}

/// A number that is written without a fraction when it has none.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            return serializer.serialize_i64(self.0 as i64);
        }
        serializer.serialize_f64(self.0)
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = if self.0.fract() == 0.0 { 0 } else { 2 };
        let text = format!("{:.decimals$}", self.0);
        let whole = text.find('.').unwrap_or(text.len());
        for (at, digit) in text.char_indices() {
            if at > 0 && at < whole && (whole - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A count as a stop's number: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "for people; 2^53 is enough")]
pub fn count(number: u64) -> f64 {
    number as f64
}

impl Stop {
    /// A stop with the reason's own blame.
    pub fn new(reason: Reason, phase: Phase, limit: f64, used: f64, detail: &str) -> Self {
        Self {
            reason,
            limit: Number(limit),
            used: Number(used),
            blame: reason.blame(),
            phase: phase.as_str().to_owned(),
            detail: detail.to_owned(),
        }
    }

    /// A meter ran out.
    pub fn spent(reason: Reason, phase: Phase, spent: Spent) -> Self {
        let Spent {
            limit,
            used,
            excess,
        } = spent;
        Self::new(reason, phase, limit, used, excess)
    }

    /// Stockade itself failed.
    pub fn host(phase: Phase, detail: &str) -> Self {
        Self::new(Reason::HostFault, phase, 0.0, 0.0, detail)
    }

    /// The same stop with another blame.
    pub fn blaming(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    /// Whether the breaker counts it against the plugin.
    pub fn counts_for_breaker(&self) -> bool {
        self.blame == Blame::Guest
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stopped by {} in {}", self.reason.as_str(), self.phase)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        let key = match self.reason.key() {
            "" => "limit",
            key => key,
        };
        if self.limit.0 > 0.0 {
            write!(f, " ({key} {}, used {})", self.limit, self.used)?;
        }
        f.write_str(match self.blame {
            Blame::Guest => "; the plugin's fault",
            Blame::Limit => "; no plugin's fault",
            Blame::Host => "; Stockade's fault",
            Blame::Caller => "",
        })
    }
}

impl std::error::Error for Stop {}

impl Explain for Stop {
    fn code(&self) -> &'static str {
        "stopped"
    }

    fn blame(&self) -> Blame {
        self.blame
    }

    fn exit(&self) -> Exit {
        match self.reason {
            Reason::HostFault => Exit::HostFault,
            Reason::Shutdown => Exit::Interrupted,
            Reason::Queue | Reason::TasksQueued | Reason::Suspended | Reason::Plugins => {
                Exit::Refused
            }
            _ => Exit::Partial,
        }
    }

    fn stop(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self).ok()
    }

    fn hint(&self) -> Option<String> {
        let key = self.reason.key();
        Some(match self.reason {
            Reason::Killed | Reason::Shutdown => return None,
            Reason::Suspended => "Resume the tenant with `stockade tenant resume NAME`.".to_owned(),
            Reason::HostFault => "Run `stockade doctor`.".to_owned(),
            Reason::Trap | Reason::InvalidOutput | Reason::Stack => {
                "Fix the plugin; `stockade plugin check` runs it under limits.".to_owned()
            }
            Reason::Queue | Reason::TasksQueued => {
                format!("Try again later, or raise {key} in the tenant's policy.")
            }
            _ if self.blame == Blame::Guest => {
                format!("Fix the plugin, or raise {key} in the tenant's policy.")
            }
            _ => format!("Send less, or raise {key} in the tenant's policy."),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_survive_the_round_trip_through_their_number() {
        for &phase in Phase::ALL {
            assert_eq!(Phase::from_u8(phase as u8), phase);
        }
        assert_eq!(Phase::from_u8(255), Phase::Queued);
    }

    #[test]
    fn reasons_serialise_as_their_word() {
        for &reason in Reason::ALL {
            let json = serde_json::to_string(&reason).unwrap_or_default();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
        }
    }

    #[test]
    fn whole_numbers_are_written_without_a_fraction() {
        let text = |n| serde_json::to_string(&Number(n)).unwrap_or_default();
        assert_eq!(Number(50_000_000.0).to_string(), "50,000,000");
        assert_eq!(Number(1_016.062_5).to_string(), "1,016.06");
        assert_eq!(text(4.0), "4");
        assert_eq!(text(4.5), "4.5");
    }
}
