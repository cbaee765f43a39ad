//! Every guard by name, so that a test build can take one away and show what comes in then.
//!
//! In any other build a guard always stands: the questions below are constants, and no variable,
//! argument or file of the shipped program reaches them. What a guard does is known where it stands.

macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// Something that stops an attack.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Guard { $($(#[$doc])* $name),+ }

        #[cfg(test)]
        impl Guard {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the environment and in docs/threat-model.md.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

guards! {
    /// A count of instructions for the whole call.
    Fuel = "fuel",
    /// A yield every million instructions.
    FuelYield = "fuel-yield",
    /// The tick that looks at the task and yields.
    Epoch = "epoch",
    /// The tick's look at the guest's CPU clock.
    GuestCpu = "guest-cpu",
    /// The tick's look at the wall clock.
    WallTick = "wall-tick",
    /// The timer beside the guest's future.
    WallTimer = "wall-timer",
    /// The end of the guest's stack, well before the fiber's.
    Stack = "stack",
    /// One sum over all memories and tables.
    MemorySum = "memory-sum",
    /// The engine's count of handles.
    Handles = "handles",
    /// The table's room for resources.
    HandleTable = "handle-table",
    /// Bytes that the engine copies out of the guest in one go.
    HostcallFuel = "hostcall-fuel",
    /// Bytes over the whole call.
    Boundary = "boundary",
    /// Bytes of the result.
    Output = "output",
    /// Host calls.
    HostCalls = "host-calls",
    /// Tokens embedded for a task.
    EmbedTokens = "embed-tokens",
    /// Searches of a task.
    Searches = "searches",
    /// Vectors scanned for a task.
    VectorsScanned = "vectors-scanned",
    /// Bytes of passages read by a task.
    Read = "read",
    /// The number of chunks.
    Chunks = "chunks",
    /// Chunk bytes over document bytes.
    OverlapRatio = "overlap-ratio",
    /// Spans within the text, on character boundaries, ordered.
    Spans = "spans",
    /// The number of passages.
    Passages = "passages",
    /// Scores are numbers.
    FiniteScore = "finite-score",
    /// Only what the task was shown is cited.
    Citation = "citation",
    /// Nothing is cited twice.
    CitedOnce = "cited-once",
    /// The caller's filter in every search.
    SearchFilter = "search-filter",
    /// The caller's filter when an agent reads.
    ReadFilter = "read-filter",
    /// The caller's filter on the answer.
    AnswerFilter = "answer-filter",
    /// The largest plugin.
    PluginSize = "plugin-size",
    /// The shapes that are compiled.
    Structure = "structure",
    /// The imports that a plugin may ask for.
    Imports = "imports",
    /// What the compile child may use.
    CompileLimits = "compile-limits",
    /// The MAC of a compiled artefact.
    ArtefactMac = "artefact-mac",
    /// An index file opens for its own tenant.
    TenantFile = "tenant-file",
    /// A tenant's name is safe as a file name.
    TenantName = "tenant-name",
    /// Vectors are finite.
    FiniteVector = "finite-vector",
    /// Vectors are of unit length.
    UnitVector = "unit-vector",
    /// Control characters of strangers are escaped.
    ControlCharacters = "control-characters",
    /// A policy's unknown keys are refused.
    PolicyKeys = "policy-keys",
    /// Tenants take turns at the model.
    FairTurns = "fair-turns",
    /// A tenant's largest part of the model's queue.
    QueuePart = "queue-part",
    /// How many tasks of a tenant run.
    Places = "places",
    /// How many tasks of a tenant wait.
    QueueLength = "queue-length",
    /// How long a task waits for a place.
    QueueTime = "queue-time",
}

/// Whether `guard` stands.
#[cfg(not(test))]
pub(crate) const fn stands(_guard: Guard) -> bool {
    true
}

/// Whether all guards stand.
#[cfg(not(test))]
pub(crate) const fn all_stand() -> bool {
    true
}

/// What `guard` limits something to.
#[cfg(not(test))]
pub(crate) const fn limit(_guard: Guard, limit: u64) -> u64 {
    limit
}

#[cfg(test)]
pub(crate) use switches::{WITHOUT, all_stand, limit, stands};

/// Test builds alone.
#[cfg(test)]
mod switches {
    use super::Guard;
    use std::sync::OnceLock;

    /// The environment variable with the words of the guards that are taken away.
    pub(crate) const WITHOUT: &str = "STOCKADE_WITHOUT";

    /// Whether the environment leaves `guard` standing. Read once.
    pub(crate) fn stands(guard: Guard) -> bool {
        static AWAY: OnceLock<Vec<Guard>> = OnceLock::new();
        !AWAY.get_or_init(away).contains(&guard)
    }

    /// Whether none was taken away.
    pub(crate) fn all_stand() -> bool {
        Guard::ALL.iter().all(|&guard| stands(guard))
    }

    /// `limit`, or more than anything reaches.
    pub(crate) fn limit(guard: Guard, limit: u64) -> u64 {
        if stands(guard) { limit } else { u64::MAX / 2 }
    }

    fn away() -> Vec<Guard> {
        let words = std::env::var(WITHOUT).unwrap_or_default();
        let named = |word: &str| {
            let found = Guard::ALL.iter().find(|guard| guard.word() == word);
            *found.unwrap_or_else(|| panic!("{WITHOUT}: no guard '{word}'"))
        };
        words.split_terminator(',').map(named).collect()
    }
}
