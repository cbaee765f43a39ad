//! stub for the filter grammar
/// deepest nesting
pub const MAX_FILTER_DEPTH: usize = 8;
/// A filter
#[derive(Debug, Clone, PartialEq)]
pub struct Filter;
/// c
#[derive(Debug, Clone, PartialEq)]
pub struct Condition;
/// e
#[derive(Debug, Clone, PartialEq)]
pub struct FilterError;
