//! What a hostile guest may import, in the text format: each function of the worlds as the canonical ABI
//! flattens it. It does not know what the guests do with them.

/// `$log(level, pointer, bytes)`
pub const LOG: &str = r#"(import "stockade:plugin/host" "log" (func $log (param i32 i32 i32)))"#;

/// `$budget(result)`
pub const BUDGET: &str = r#"(import "stockade:plugin/host" "budget" (func $budget (param i32)))"#;

/// `$ends(pointer, bytes, result)`
pub const ENDS: &str =
    r#"(import "stockade:plugin/tokens" "ends" (func $ends (param i32 i32 i32)))"#;

/// `$embed(pointer, bytes, result)`
pub const EMBED: &str =
    r#"(import "stockade:plugin/retrieval" "embed" (func $embed (param i32 i32 i32)))"#;

/// `$vector_of(chunk, result)`
pub const VECTOR_OF: &str =
    r#"(import "stockade:plugin/retrieval" "vector-of" (func $vector_of (param i64 i32)))"#;

/// `$drop(vector)`
pub const DROP_VECTOR: &str =
    r#"(import "stockade:plugin/retrieval" "[resource-drop]vector" (func $drop (param i32)))"#;

/// `$search_vector(vector, k, has filter, filter, bytes, result)`
pub const SEARCH_VECTOR: &str = r#"(import "stockade:plugin/retrieval" "search-vector"
    (func $search_vector (param i32 i32 i32 i32 i32 i32)))"#;

/// `$search_text(pointer, bytes, k, has filter, filter, bytes, result)`
pub const SEARCH_TEXT: &str = r#"(import "stockade:plugin/retrieval" "search-text"
    (func $search_text (param i32 i32 i32 i32 i32 i32 i32)))"#;

/// `$search_hybrid(pointer, bytes, k, has filter, filter, bytes, result)`
pub const SEARCH_HYBRID: &str = r#"(import "stockade:plugin/retrieval" "search-hybrid"
    (func $search_hybrid (param i32 i32 i32 i32 i32 i32 i32)))"#;

/// `$neighbours(chunk, kind, k, result)`
pub const NEIGHBOURS: &str = r#"(import "stockade:plugin/retrieval" "neighbours"
    (func $neighbours (param i64 i32 i32 i32)))"#;

/// `$read(chunks, count, result)`
pub const READ: &str =
    r#"(import "stockade:plugin/retrieval" "read" (func $read (param i32 i32 i32)))"#;
