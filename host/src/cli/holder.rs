//! Which process does what is asked: this one where the data folder is free, else the one that holds it,
//! if it listens.
//!
//! It does not know what is asked, nor what becomes of the answer.

use super::Session;
use crate::error::Failure;
use crate::runtime::Runtime;
use crate::server::{Ask, Listening, Unreachable, ask_here, ask_holder};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a holder that does not listen is waited for: a short command may be done meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How often a holder may end before it has answered.
const MUTE_MAX: u32 = 3;

impl Session {
    /// The answer of whoever holds the data folder, or of this process where nobody does.
    pub(super) async fn ask<T: DeserializeOwned>(&self, ask: &Ask<T>) -> Result<T, Failure> {
        let mut mute = 0;
        let mut deadline = Instant::now() + PATIENCE;
        loop {
            let held = match self.open() {
                Ok(runtime) => return ask_here(runtime, ask).await,
                Err(failure) if is_held(&failure) => failure,
                Err(failure) => return Err(failure),
            };
            match ask_holder(&self.data, ask).await {
                Ok(answered) => return answered,
                Err(Unreachable::Mute) if ask.happens_once() => return Err(held),
                Err(Unreachable::Mute) => {
                    mute += 1;
                    deadline = Instant::now() + PATIENCE;
                }
                Err(Unreachable::Deaf) => {}
            }
            if Instant::now() >= deadline || mute >= MUTE_MAX {
                return Err(held);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The host over the data folder for a command that takes long: others can ask it meanwhile. A short
    /// command that holds the folder is waited for. The listener is to be dropped before the host.
    pub(super) async fn open_listening(&self) -> Result<(Arc<Runtime>, Listening), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let held = match self.open() {
                Ok(runtime) => {
                    let listening = Listening::start(&runtime)?;
                    return Ok((runtime, listening));
                }
                Err(failure) if is_held(&failure) => failure,
                Err(failure) => return Err(failure),
            };
            // Whoever listens takes long too.
            let listens = ask_holder(&self.data, &Ask::tasks()).await.is_ok();
            if listens || Instant::now() >= deadline {
                return Err(held);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn is_held(failure: &Failure) -> bool {
    failure.code == "data-folder-held"
}
