//! How a body fails.

use std::fmt;

use crate::brigade::SourceError;
use crate::filter::FilterError;

/// Why a body ended before its end.
#[derive(Debug)]
pub struct BodyError {
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Source(SourceError),
    Filter(FilterError),
}

impl BodyError {
    pub(super) fn source(error: SourceError) -> Self {
        Self { cause: Cause::Source(error) }
    }

    pub(super) fn filter(error: FilterError) -> Self {
        Self { cause: Cause::Filter(error) }
    }

    /// Whether the source of the content failed, and not a filter.
    pub fn is_source(&self) -> bool {
        matches!(self.cause, Cause::Source(_))
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Source(error) => error.fmt(f),
            Cause::Filter(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BodyError {}
