//! stub
use super::Session;
use super::args::BenchCommand;
use crate::error::{Exit, Failure};
pub(super) async fn run(_session: &Session, _command: BenchCommand) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
