//! `stockade bench …`: measures. Each measurement is a module; what they share is beside them.

mod child;
mod durability;
mod error;
mod fairness;
mod generated;
mod index;
mod ingest;
mod machine;
mod neighbour;
mod query;
mod reingest;
mod sandbox;
mod stage;
mod starts;
mod statistics;
mod tenants;
mod tree;
mod workload;

pub(super) use durability::DurabilityArguments;
pub(super) use fairness::BenchFairnessArguments;
pub(super) use index::BenchIndexArguments;
pub(super) use ingest::{BenchIngestArguments, PartCommand};
pub(super) use neighbour::BenchNeighbourArguments;
pub(super) use query::BenchQueryArguments;
pub(super) use reingest::ReingestArguments;
pub(super) use sandbox::SandboxArguments;
pub(super) use starts::BenchStartsArguments;
pub(super) use tenants::BenchTenantsArguments;

use super::Session;
use super::args::BenchCommand;
use crate::error::{Exit, Failure};

pub(super) async fn run(session: &Session, command: BenchCommand) -> Result<Exit, Failure> {
    match command {
        BenchCommand::Ingest(arguments) => ingest::run(session, arguments).await,
        BenchCommand::Fairness(arguments) => fairness::run(session, arguments).await,
        BenchCommand::Starts(arguments) => starts::run(session, arguments).await,
        BenchCommand::Sandbox(arguments) => sandbox::run(session, arguments).await,
        BenchCommand::Query(arguments) => query::run(session, arguments).await,
        BenchCommand::Durability(arguments) => durability::run(session, arguments).await,
        BenchCommand::Reingest(arguments) => reingest::run(session, arguments).await,
        BenchCommand::Neighbour(arguments) => neighbour::run(session, arguments).await,
        BenchCommand::Index(arguments) => index::run(session, arguments).await,
        BenchCommand::Tenants(arguments) => tenants::run(session, arguments).await,
        BenchCommand::Part(command) => ingest::part(session, command).await,
    }
}

/// Questions a second, of an argument.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate is a number from 0.1 to 10000".to_owned()),
    }
}
