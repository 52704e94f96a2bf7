//! Why a hub does not do what it is asked.

use super::log::NotPublished;
use super::stream::SubscriberError;

/// Why a hub did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HubError {
    /// Nobody has published there.
    UnknownStream,
    /// There are all the streams there may be.
    TooManyStreams,
    /// All places of subscribers are taken.
    Full,
    /// The client has all the streams it may have.
    ClientFull,
    /// The server is about to end.
    Closing,
    /// More events than may be published at a time.
    BatchTooLarge,
    /// Nothing to publish.
    EmptyBatch,
    /// The event at this place of the batch has the id of another one.
    Conflict(usize),
    /// The event at this place of the batch has an id that only the server gives.
    ReservedId(usize),
    /// The token is nobody's here.
    UnknownToken,
    /// The event was never sent to this subscriber.
    NeverSent,
}

impl From<NotPublished> for HubError {
    fn from(error: NotPublished) -> Self {
        match error {
            NotPublished::Conflict(at) => Self::Conflict(at),
            NotPublished::Reserved(at) => Self::ReservedId(at),
        }
    }
}

impl From<SubscriberError> for HubError {
    fn from(error: SubscriberError) -> Self {
        match error {
            SubscriberError::UnknownToken => Self::UnknownToken,
            SubscriberError::NeverSent => Self::NeverSent,
        }
    }
}
