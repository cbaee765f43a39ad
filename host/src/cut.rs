//! Every point at which a crash would find a write half-done, by name, so that a test build can end the process
//! right there.
//!
//! In any other build nothing happens at a point: the function below is empty, and no variable, argument or file
//! of the shipped program reaches it. What must hold after a cut is known to the tests.

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// A place between two steps of a write.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Point { $($(#[$doc])* $name),+ }

        #[cfg(test)]
        impl Point {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the environment.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }
        }
    };
}

points! {
    /// A database's file is open, its schema not looked at.
    Connected = "open/connected",
    /// A migration has run, and is not committed.
    Migrating = "open/migrating",
    /// The schema is up to date.
    Migrated = "open/migrated",
    /// A new index's folder is there, its file is not.
    IndexFolder = "index/folder",
    /// A new index's file is there, and nobody's.
    IndexUnclaimed = "index/unclaimed",
    /// A write transaction has begun.
    Begun = "write/begun",
    /// A write transaction is complete, and not committed.
    BeforeCommit = "write/before-commit",
    /// It is committed, and nobody has been told.
    AfterCommit = "write/after-commit",
    /// The old version's words are out of the text index; the rest of it is there.
    WordsOut = "remove/words-out",
    /// The old version is out.
    OldOut = "remove/out",
    /// The new version's document row is in.
    RowIn = "put/row",
    /// Its titles are in.
    TitlesIn = "put/titles",
    /// A chunk's words are in.
    WordsIn = "put/words",
    /// A chunk's row is in, its vector is not.
    ChunkIn = "put/chunk",
    /// All chunks are in.
    ChunksIn = "put/chunks",
    /// The counts are up to date.
    Counted = "put/counted",
    /// A plugin's bytes are in a file of another name.
    PluginWritten = "plugin/written",
    /// They are under their own name; no row names them.
    PluginMoved = "plugin/moved",
    /// A row names them.
    PluginNamed = "plugin/named",
    /// A plugin's row is gone; its bytes are there.
    PluginUnnamed = "plugin/unnamed",
    /// A compiled artefact is in a file of another name.
    ArtefactWritten = "artefact/written",
    /// The key of compiled artefacts is in a file of another name.
    KeyWritten = "artefact/key",
    /// A tenant that is being removed has its folder aside; its row is there.
    FolderAside = "tenant/aside",
    /// Its row is gone; its folder is aside.
    TenantUnnamed = "tenant/unnamed",
    /// Its folder is gone.
    TenantGone = "tenant/gone",
}

/// Nothing.
#[cfg(not(test))]
pub(crate) const fn here(_point: Point) {}

#[cfg(test)]
pub(crate) use switch::{AT, here, passes};

/// Test builds alone.
#[cfg(test)]
mod switch {
    use super::Point;
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The environment variable with the point where the process ends and how many times it passes before:
    /// `put/row:2`.
    pub(crate) const AT: &str = "STOCKADE_ENDS_AT";

    static PASSES: [AtomicU64; Point::ALL.len()] = [const { AtomicU64::new(0) }; Point::ALL.len()];

    /// Ends the process as nothing else can be ended, where the environment says so.
    pub(crate) fn here(point: Point) {
        static END: OnceLock<Option<(Point, u64)>> = OnceLock::new();
        let passed = PASSES[point as usize].fetch_add(1, Ordering::Relaxed);
        if *END.get_or_init(end) == Some((point, passed)) {
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    }

    /// How often this process has passed each point.
    pub(crate) fn passes() -> Vec<(Point, u64)> {
        let count = |point: &Point| (*point, PASSES[*point as usize].load(Ordering::Relaxed));
        Point::ALL.iter().map(count).collect()
    }

    fn end() -> Option<(Point, u64)> {
        let said = std::env::var(AT).ok()?;
        let (word, passes) = said.split_once(':').unwrap();
        let point = Point::ALL.iter().find(|point| point.word() == word);
        Some((*point.unwrap(), passes.parse().unwrap()))
    }
}
