//! What endpoints for programs share: problem details, JSON answers, request content and query parameters.
//!
//! The admin API and the streams of events are built on it; what they accept is theirs.

mod content;
mod problem;
mod query;

pub(crate) use content::read_content;
pub(crate) use problem::{Problem, json, written};
pub(crate) use query::Query;

/// Characters of a bad value that a problem shows.
pub(crate) const SHOWN: usize = 40;
