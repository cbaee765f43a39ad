//! An index against simple references, on real files.

mod measure;
mod model;
mod refusals;
mod searches;
pub(super) mod support;
