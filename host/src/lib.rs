//! Stockade: one embedding model, many tenants, each tenant's plugins sandboxed in WebAssembly.
//!
//! The modules stand in dependency order: each imports only from those above it. ARCHITECTURE.md has
//! a paragraph for each.

pub mod error;

pub mod corpus;

pub mod config;

pub mod db;

pub mod index;
