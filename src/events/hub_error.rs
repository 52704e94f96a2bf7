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

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownStream => "nothing was published on this stream",
            Self::TooManyStreams => "the limit of streams is reached",
            Self::Full => "the limit of subscribers is reached",
            Self::ClientFull => "the limit of one client's subscribers is reached",
            Self::Closing => "the server is shutting down",
            Self::BatchTooLarge => "the batch has too many events; publish fewer at a time",
            Self::EmptyBatch => "the batch has no event",
            Self::Conflict(at) => return write!(f, "event {at} of the batch has the id of another event"),
            Self::ReservedId(at) => {
                return write!(f, "event {at} of the batch has an id of the form that the server assigns");
            }
            Self::UnknownToken => "no subscriber has this token",
            Self::NeverSent => "the event was never sent to this subscriber",
            Self::StoreDown => "the store of the streams cannot be used now; nothing was published",
            Self::StoreFailed => "the store failed: whether the batch is published is not known",
        };
        f.write_str(text)
    }
}

impl std::error::Error for HubError {}
