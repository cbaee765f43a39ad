//! Hostile guests of a few lines, and a stage to run them on: the real engine, model and limits, without a
//! data folder.
//!
//! What is proven with them is the business of whoever proves: `stockade prove`, `stockade bench`, tests.

mod classes;
mod guest;
mod stage;

pub use classes::{Class, compile_bomb, distinct};
pub use guest::{Guest, GuestError, NO_PASSAGES, WHOLE_TEXT};
pub use stage::{SmallIndex, Stage, document};
