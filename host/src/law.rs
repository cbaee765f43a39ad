//! Every law of a write by name, so that a test build can break one and show that the tests notice.
//!
//! In any other build a law always holds: the question below is a constant, and no variable, argument or file
//! of the shipped program reaches it. What a law is good for is known where it stands.

macro_rules! laws {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $broken:literal),+ $(,)?) => {
        /// Something that no write may leave undone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Law { $($(#[$doc])* $name),+ }

        #[cfg(test)]
        impl Law {
            /// All of them.
            pub(crate) const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name in the environment and in docs/durability.md.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What happens where it is broken, for docs/durability.md.
            pub(crate) fn broken(self) -> &'static str {
                match self { $(Self::$name => $broken),+ }
            }
        }
    };
}

laws! {
    /// An old version's words leave the text index.
    WordsGo = "words-go", "an old version's words stay in the text index",
    /// An old version's titles leave the index of titles.
    TitlesGo = "titles-go", "an old version's titles stay",
    /// An old version's vectors leave the file.
    VectorsGo = "vectors-go", "an old version's vectors stay",
    /// A new version's titles are written.
    TitlesCome = "titles-come", "a version gets no titles",
    /// Rows, vectors, words and titles are one transaction.
    OneTransaction = "one-transaction", "rows are committed before words and vectors",
    /// What is acknowledged is committed.
    CommitFirst = "commit-first", "a write is acknowledged before it is committed",
    /// Every change has a generation of its own.
    GenerationGrows = "generation-grows", "a write leaves the generation as it was",
    /// A reused vector is of the same text.
    SameText = "same-text", "a chunk gets the vector of another text",
    /// A reused vector is of the same model.
    SameModel = "same-model", "a chunk gets the vector of another model",
    /// A version is known by its chunker's options, too.
    OptionsCount = "options-count", "a changed option leaves documents as they were",
    /// A version is known by its title and metadata, too.
    MetadataCounts = "metadata-counts", "changed metadata leave a document as it was",
    /// `--sync` deletes within its source alone.
    SyncWithinSource = "sync-within-source", "`--sync` deletes other sources' documents",
    /// `--sync` leaves alone what is there and failed.
    SyncSparesFailed = "sync-spares-failed", "`--sync` deletes a document that could not be read this time",
    /// A write that found no room is an error.
    FullIsTold = "full-is-told", "a write that found no room is reported as done",
    /// A plugin's bytes are on disk before a row names them.
    BytesBeforeRow = "bytes-before-row", "a row names a plugin before its bytes are there",
    /// A removed tenant's documents are out of the way before its row goes.
    FolderBeforeRow = "folder-before-row", "a tenant's row goes before its documents",
}

/// Whether `law` holds.
#[cfg(not(test))]
pub(crate) const fn holds(_law: Law) -> bool {
    true
}

#[cfg(test)]
pub(crate) use switch::{BROKEN, holds};

/// Test builds alone.
#[cfg(test)]
mod switch {
    use super::Law;
    use std::sync::OnceLock;

    /// The environment variable with the word of the law that is broken.
    pub(crate) const BROKEN: &str = "STOCKADE_BREAKS";

    /// Whether the environment leaves `law` in force. Read once.
    pub(crate) fn holds(law: Law) -> bool {
        static BROKEN_ONE: OnceLock<Option<Law>> = OnceLock::new();
        *BROKEN_ONE.get_or_init(broken) != Some(law)
    }

    fn broken() -> Option<Law> {
        let word = std::env::var(BROKEN).ok()?;
        let found = Law::ALL.iter().find(|law| law.word() == word);
        Some(*found.unwrap_or_else(|| panic!("{BROKEN}: no law '{word}'")))
    }
}
