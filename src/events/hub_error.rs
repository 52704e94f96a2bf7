//! Errors of a hub and its streams.

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
