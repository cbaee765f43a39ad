//! Attacks, each with its row in the catalogue of docs/threat-model.md: what it does, and exactly how it must end.
//!
//! A module is a group of the catalogue; a test's name begins with its row.

mod c_cpu;
mod e_embedder;
mod g_policy;
mod h_host_calls;
mod k_chunks;
mod l_documents;
mod m_memory;
mod p_compile;
mod p_plugins;
mod r_runtime;
mod t_tenants;
mod w_wasi;
