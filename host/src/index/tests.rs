//! An index against simple references, on real files.

pub(crate) mod model;
mod refusals;
mod relations;
mod searches;
pub(crate) mod support;
