//! Stockade: one embedding model, many tenants, each tenant's plugins sandboxed in WebAssembly.
//!
//! The modules stand in dependency order: each imports only from those above it. ARCHITECTURE.md has
//! a paragraph for each.

pub mod error;

mod statistics;

mod memory;

mod guard;

mod law;

mod cut;

pub mod plot;

pub mod corpus;

pub mod config;

pub mod policy;

pub mod task;

pub mod engine;

pub mod bindings;

pub mod plugin;

pub mod sandbox;

pub mod embedder;

pub mod db;

pub mod catalog;

pub mod index;

pub mod loader;

pub mod ingest;

pub mod agent;

pub mod runtime;

pub mod project;

pub mod attack;

pub mod prove;

pub mod api;

pub mod server;

pub mod cli;

#[cfg(test)]
mod ablation;

#[cfg(test)]
mod durability;
