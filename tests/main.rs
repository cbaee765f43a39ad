//! The tests of the whole: the real program, the real model, real components, real files.
//!
//! One binary, so that the engine is linked once. Each module is a subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test that cannot go on should say where it stopped, and a long one how far it is"
)]

mod support;

mod ablation;
mod acks;
mod agent_limits;
mod attacks;
mod authors;
mod backup;
mod bench;
mod breaker;
mod concurrency;
mod control;
mod crash;
mod damage;
mod disk;
mod docs;
mod ingest;
mod kills;
mod limits;
mod neighbour;
mod plugins;
mod prove;
mod receipts;
mod retrieval;
mod tenancy;
mod tidy;
