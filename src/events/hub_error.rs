//! Errors of a hub and its streams.

use std::fmt;

/// Why a hub refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubError {
    /// Nothing was published on this stream.
    UnknownStream,
    /// The limit of streams is reached.
    TooManyStreams,
    /// The limit of subscribers is reached.
    Full,
    /// The limit of one client's subscribers is reached.
    ClientFull,
    /// The server is shutting down.
    Closing,
    /// The batch has too many events.
    BatchTooLarge,
    /// The batch is empty.
    EmptyBatch,
    /// The event at this index of the batch has the id of another event with other content.
    Conflict(usize),
    /// The event at this index of the batch has an id of the form that the server assigns.
    ReservedId(usize),
    /// No subscriber has this token.
    UnknownToken,
    /// The event was never sent to this subscriber.
    NeverSent,
    /// The store of the streams cannot be used now. Nothing was published.
    StoreDown,
    /// The store failed, or did not answer in time, while it kept the batch: whether that is published is not known.
    StoreFailed,
}

/// In the sentences that clients of HTTP read.
impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut of_event = |at, what| write!(f, "Event {at} of the batch has {what}. Nothing was published.");
        let text = match self {
            Self::Conflict(at) => return of_event(at, "the id of another event"),
            Self::ReservedId(at) => return of_event(at, "an id of the form that the server assigns"),
            Self::UnknownStream => "Nothing has been published on this stream.",
            Self::TooManyStreams => "The limit of streams is reached.",
            Self::Full => "The limit of subscribers is reached.",
            Self::ClientFull => "The limit of subscriptions of one client is reached.",
            Self::Closing => "The server is shutting down.",
            Self::BatchTooLarge => "The batch has too many events.",
            Self::EmptyBatch => "The batch is empty.",
            Self::UnknownToken => "No subscriber of this stream has this token.",
            Self::NeverSent => "This subscriber was never sent an event of this id.",
            Self::StoreDown => "The store of the streams cannot be used now. Nothing was published.",
            Self::StoreFailed => {
                "The store failed, or did not answer in time: whether this is published is not known. \
                 Publish it again; what has an id of its own is published once."
            }
        };
        f.write_str(text)
    }
}

impl std::error::Error for HubError {}
