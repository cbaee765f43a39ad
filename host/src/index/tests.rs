//! An index against simple references, on real files.

mod measure;
mod model;
mod refusals;
mod relations;
mod searches;
pub(super) mod support;
