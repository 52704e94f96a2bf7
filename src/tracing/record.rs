//! What is known of a traced event, and what became of it: what spans are made of. Pure.

use std::sync::Arc;

use crate::clock::Instant;

/// A traced event: where it stands in its publisher's trace, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The trace.
    pub trace: u128,
    /// The publisher's span.
    pub parent: u64,
    /// The span of the publishing, which those of deliveries are below.
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
    /// Bytes that it takes.
    pub fn cost(&self) -> u64 {
        (size_of::<Self>() + self.stream.len() + self.event.len()) as u64
    }
}

/// How the delivery of an event to one subscriber ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The subscriber acknowledged it, or without a window its connection took it.
    Acknowledged,
    /// It was written, and no acknowledgement came in time, or the subscriber was forgotten before.
    Unacknowledged,
    /// It was written, and so many deliveries wait for their acknowledgements already that this one's is not
    /// waited for.
    Written,
    /// It grew too old.
    Expired,
    /// The log had no room for it any more.
    Dropped,
}

impl Outcome {
    /// As spans have it.
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

/// A span that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An event was published.
    Published {
        /// The event.
        origin: Arc<Origin>,
        /// When all that publishing does was done.
        end: Instant,
    },
    /// An event's way to one subscriber.
    Delivered {
        /// The event.
        origin: Arc<Origin>,
        /// What the subscriber is called in its own `open` event and in logs.
        subscriber: Box<str>,
        /// When it was written last, and how often; `None` if it never was.
        written: Option<(Instant, u32)>,
        /// When it was known how it ended.
        end: Instant,
        /// How it ended.
        outcome: Outcome,
    },
}
