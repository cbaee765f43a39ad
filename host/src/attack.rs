//! Hostile guests of a few lines, and a stage to run them on: the real engine, model and limits, without a
//! data folder.
//!
//! What is proven with them is the business of whoever proves: `stockade prove`, `stockade bench`, tests.

mod classes;
mod guest;
mod hostile;
pub mod imports;
mod kill;
mod load;
mod sleeper;
mod stage;

pub use classes::{Class, compile_bomb, distinct};
pub use guest::{Guest, GuestError, NO_PASSAGES, WHOLE_TEXT};
pub use hostile::{Hostile, hostile_guests};
pub use kill::{FILLED_MIB, Freed, KillError, KillKind, Kills, Overrun, Try};
pub use load::{Busy, Load};
pub use sleeper::sleeper;
pub use stage::{SmallIndex, Stage, document};
