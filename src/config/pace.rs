//! How fast a response or a stream of raw TCP leaves, and what those of one route or port share.

use super::words::parse_end_of_stream;
use crate::filter::EndOfStream;
use crate::keys::{Keys, LIKE, NOTHING_AHEAD};
use crate::limit::{Budget, Burst, Rate, Weight};

/// How fast a response leaves. The default is unlimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// `None` is unlimited.
    pub rate: Option<Rate>,
    /// What leaves ahead of the pace, once.
    pub burst: Burst,
    /// What becomes of the last bytes.
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

/// What the responses of one route share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteLimits {
    /// Of all responses of the route together.
    pub total: Budget,
    /// Of all its responses to one client together.
    pub client: Budget,
    /// The share of a response beside the others of its client.
    pub weight: Weight,
    /// The pace of a response delays nothing; what it would have delayed is counted.
    pub report_only: bool,
}

impl RouteLimits {
    /// Reads `total` and `client`.
    pub(super) fn read(limits: &Keys<'_>) -> Self {
        let (total, client) = (limits.table("total", LIKE).budget(), limits.table("client", LIKE).budget());
        Self { total, client, ..Self::default() }
    }
}
