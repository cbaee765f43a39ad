//! Attacks, each with its row in the catalogue of docs/threat-model.md: what it does, and exactly how it must end.
//!
//! A module is a group of the catalogue; a test's name begins with its row.

mod e_embedder;
mod g_policy;
mod k_chunks;
mod l_documents;
mod w_wasi;
