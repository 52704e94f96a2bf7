//! Where streams are kept besides memory. Memory is what is read: a store is written, and read when a server starts.

mod file;
mod kept;
mod moving;
#[cfg(feature = "redis")]
mod shared;

use std::fmt;
use std::sync::Arc;

pub(super) use file::FileStore;
pub(super) use kept::{KeptRead, KeptStream, Times, life};
pub(super) use moving::{Ack, Arrival, Claim};
#[cfg(feature = "redis")]
pub(super) use shared::RedisStore;

use super::channel::Channel;
use super::event::{Draft, StreamName};
use super::hub::Hub;
use super::hub_error::HubError;

/// The store of a hub.
pub(super) enum Store {
    Memory,
    File(FileStore),
    #[cfg(feature = "redis")]
    Redis(RedisStore),
}

/// Whether a store can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreState {
    /// Another process, or an earlier configuration, has it still.
    Opening,
    Ready,
    /// It failed; the reason, for people. It is tried again.
    Failed(String),
    Closed,
}

/// Why the streams of a route cannot be opened. Says what to do.
#[derive(Debug)]
pub struct StoreError(pub(super) String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl Store {
    /// Publishes a batch on the stream of `channel`, and returns its ids once it is kept.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "a store in a file needs no name"))]
    pub(super) async fn publish(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        batch: Vec<Draft>,
    ) -> Result<Vec<Box<str>>, HubError> {
        match self {
            Self::Memory => Err(HubError::StoreDown),
            Self::File(file) => file.publish(Arc::clone(channel), batch).await,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.publish(hub, name, channel, batch).await,
        }
    }

    /// Has it follow what changed in memory: events that left, streams that began or ended.
    pub(super) fn follow(&self) {
        match self {
            Self::Memory => {}
            Self::File(file) => file.follow(),
            #[cfg(feature = "redis")]
            Self::Redis(_) => {}
        }
    }

    /// Has it end once it has kept what was passed to it.
    pub(super) fn close(&self, hub: &Arc<Hub>) {
        match self {
            Self::Memory => {}
            Self::File(file) => file.close(hub),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.close(),
        }
    }

    /// Completes when memory has what the store has of the stream `name`; if it has the event `id` already, at once.
    ///
    /// # Errors
    /// That takes too long.
    #[cfg_attr(not(feature = "redis"), expect(unused_variables, reason = "a store in a file needs no name"))]
    pub(super) async fn opened(
        &self,
        hub: &Hub,
        name: &StreamName,
        id: Option<&str>,
    ) -> Result<(), HubError> {
        match self {
            Self::Memory => Ok(()),
            Self::File(file) => file.opened().await,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.opened(hub, name, id).await,
        }
    }

    pub(super) fn state(&self) -> StoreState {
        match self {
            Self::Memory => StoreState::Ready,
            Self::File(file) => file.state(),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.state(),
        }
    }

    /// Completes when `is_awaited`, which is asked each time its state changed.
    pub(super) async fn turned(&self, is_awaited: impl Fn(&Self) -> bool) {
        match self {
            Self::Memory => {}
            Self::File(file) => file.turned(|| is_awaited(self)).await,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.turned(|| is_awaited(self)).await,
        }
    }
}
