//! Why a body failed.

use std::fmt;

use crate::brigade::SourceError;
use crate::filter::FilterError;

/// Ends a [`PacedBody`](super::PacedBody) before its end. The exchange must be aborted.
#[derive(Debug)]
pub struct BodyError(Cause);

#[derive(Debug)]
enum Cause {
    Source(SourceError),
    Filter(FilterError),
}

impl BodyError {
    pub(super) fn source(error: SourceError) -> Self {
        Self(Cause::Source(error))
    }

    pub(super) fn filter(error: FilterError) -> Self {
        Self(Cause::Filter(error))
    }

    /// Whether the source of the content failed, and not a filter.
    pub fn is_source(&self) -> bool {
        matches!(self.0, Cause::Source(_))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Source(error) => error.fmt(f),
            Cause::Filter(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}
