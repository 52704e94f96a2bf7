//! Pace of a response or a stream of raw TCP, and limits that those of one route or port share.

use super::words::parse_end_of_stream;
use crate::filter::EndOfStream;
use crate::keys::{Keys, LIMIT_EXAMPLE, NOTHING_AHEAD};
use crate::limit::{Budget, Burst, Rate, Weight};

/// Pace of a response. The default is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second; `None` is unlimited.
    pub rate: Option<Rate>,
    /// Bytes sent ahead of the rate, once.
    pub burst: Burst,
    /// When the last part, less than one interval's worth, is sent.
    pub end_of_stream: EndOfStream,
}

impl Pace {
    /// Reads `rate`, `burst` and `end_of_stream`, of which the last two do nothing without the first.
    pub(super) fn read(keys: &Keys<'_>) -> Self {
        let (rate, burst) = keys.paced(NOTHING_AHEAD);
        let end_of_stream = Self::read_end_of_stream(keys);
        keys.needs_rate("end_of_stream", rate.is_some(), NOTHING_PACED);
        Self { rate, burst: burst.unwrap_or_default(), end_of_stream }
    }

    pub(super) fn read_end_of_stream(keys: &Keys<'_>) -> EndOfStream {
        keys.parse_with("end_of_stream", parse_end_of_stream).unwrap_or_default()
    }
}

/// Why `end_of_stream` does nothing without a rate.
pub(super) const NOTHING_PACED: &str = "nothing is paced";

/// Limits that the responses of one route share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteLimits {
    /// Limit of all responses of the route together.
    pub total: Budget,
    /// Limit of its responses to one client together.
    pub client: Budget,
    /// Share of a response among those of its client.
    pub weight: Weight,
    /// If set, the pace delays nothing and only counts what it would have delayed.
    pub report_only: bool,
}

impl RouteLimits {
    /// Reads `total` and `client`.
    pub(super) fn read(limits: &Keys<'_>) -> Self {
        let (total, client) =
            (limits.table("total", LIMIT_EXAMPLE).budget(), limits.table("client", LIMIT_EXAMPLE).budget());
        Self { total, client, ..Self::default() }
    }
}
