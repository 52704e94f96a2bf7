//! Records of traced events, from which spans are made. Pure.

use std::sync::Arc;

use crate::clock::Instant;

/// A traced event, and its place in the publisher's trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The trace id.
    pub trace: u128,
    /// The id of the publisher's span.
    pub parent: u64,
    /// The id of the publish span, the parent of delivery spans.
    pub span: u64,
    /// The path of the route.
    pub route: Arc<str>,
    /// The name of the stream.
    pub stream: Box<str>,
    /// The event's id.
    pub event: Box<str>,
    /// Bytes of its data.
    pub bytes: u64,
    /// When it was published.
    pub born: Instant,
}

impl Origin {
    /// Bytes of memory that it uses.
    pub fn cost(&self) -> u64 {
        (size_of::<Self>() + self.stream.len() + self.event.len()) as u64
    }
}

/// How the delivery of an event to one subscriber ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The subscriber acknowledged it, or without a window its connection sent it.
    Acknowledged,
    /// It was written and not acknowledged in time, or the subscriber was forgotten before.
    Unacknowledged,
    /// It was written; too many deliveries already wait for acknowledgements to wait for this one.
    Written,
    /// It expired.
    Expired,
    /// The log was full.
    Dropped,
}

impl Outcome {
    /// Its name in spans.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Unacknowledged => "unacknowledged",
            Self::Written => "written",
            Self::Expired => "expired",
            Self::Dropped => "dropped",
        }
    }

    /// Whether the subscriber missed the event.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Expired | Self::Dropped)
    }
}

/// An ended span.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// An event was published.
    Published {
        /// The event.
        origin: Arc<Origin>,
        /// When publishing was done.
        end: Instant,
    },
    /// The delivery of an event to one subscriber.
    Delivered {
        /// The event.
        origin: Arc<Origin>,
        /// The subscriber's name in its `open` event and in logs.
        subscriber: Box<str>,
        /// When it was last written, and how often; `None` if never.
        written: Option<(Instant, u32)>,
        /// When its outcome was known.
        end: Instant,
        /// The outcome.
        outcome: Outcome,
    },
}
