//! `stockade bench …`: measures. Each measurement is a module; what they share is beside them.

mod child;
mod error;
mod fairness;
mod generated;
mod ingest;
mod machine;
mod neighbour;
mod query;
mod sandbox;
mod stage;
mod starts;
mod statistics;
mod tree;
mod workload;

pub(super) use fairness::BenchFairnessArguments;
pub(super) use ingest::{BenchIngestArguments, PartCommand};
pub(super) use neighbour::BenchNeighbourArguments;
pub(super) use query::BenchQueryArguments;
pub(super) use sandbox::SandboxArguments;
pub(super) use starts::BenchStartsArguments;

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
        BenchCommand::Neighbour(arguments) => neighbour::run(session, arguments).await,
        BenchCommand::Part(command) => ingest::part(session, command).await,
    }
}
