//! Subscribers that go from one server to another: what is asked of the store that those share. Other stores know none.

use std::sync::Arc;

use super::Store;
use crate::events::channel::Channel;
use crate::events::event::StreamName;
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::events::stream::Claimed;

/// A subscriber that comes with a token.
pub(in crate::events) struct Claim<'a> {
    pub(in crate::events) token: &'a str,
    /// What its client says that it has.
    pub(in crate::events) last_id: Option<&'a str>,
    pub(in crate::events) window: Option<usize>,
    /// Whether it polls: then it comes only if it is suspended, since others that poll have a stream elsewhere.
    pub(in crate::events) polls: bool,
}

/// What a store knows of a subscriber that comes.
pub(in crate::events) enum Arrival {
    /// Nothing, or nothing that this server does not know.
    Unknown,
    /// It has its stream at another server.
    Elsewhere,
    /// It is this server's from now on.
    Claimed(Claimed),
}

/// An acknowledgement, and what this server by itself made of it.
pub(in crate::events) struct Ack<'a> {
    pub(in crate::events) token: &'a str,
    pub(in crate::events) id: &'a str,
    pub(in crate::events) here: Result<(), HubError>,
}

#[cfg_attr(
    not(feature = "redis"),
    expect(unused_variables, reason = "only a shared store knows subscribers")
)]
impl Store {
    /// What the store calls the subscriber with a token; `None` if it knows none.
    pub(in crate::events) fn name_of(&self) -> Option<fn(&str) -> String> {
        match self {
            Self::Memory | Self::File(_) => None,
            #[cfg(feature = "redis")]
            Self::Redis(_) => Some(super::shared::name_of),
        }
    }

    /// Has it look for what is to be written of subscribers.
    pub(in crate::events) fn follow_subscribers(&self) {
        match self {
            Self::Memory | Self::File(_) => {}
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.follow_subscribers(),
        }
    }

    /// Has a subscriber be this server's. Memory then has all events that the answer has numbers of.
    ///
    /// # Errors
    /// The store cannot be asked.
    pub(in crate::events) async fn claim(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        claim: &Claim<'_>,
    ) -> Result<Arrival, HubError> {
        match self {
            Self::Memory | Self::File(_) => Ok(Arrival::Unknown),
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.claim(hub, name, channel, claim).await,
        }
    }

    /// Has an acknowledgement outlive this server, and the server whose subscriber it is hear of it.
    ///
    /// # Errors
    /// No server knows the subscriber, it was not sent the event, or the store cannot keep it.
    pub(in crate::events) async fn acknowledge(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        ack: Ack<'_>,
    ) -> Result<(), HubError> {
        match self {
            Self::Memory | Self::File(_) => ack.here,
            #[cfg(feature = "redis")]
            Self::Redis(redis) => redis.acknowledge(hub, name, channel, ack).await,
        }
    }

    /// Has what is known of a subscriber of this server's outlive it. If the store cannot keep it now, it does later.
    pub(in crate::events) async fn keep(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        token: &str,
    ) {
        match self {
            Self::Memory | Self::File(_) => {}
            #[cfg(feature = "redis")]
            Self::Redis(redis) => _ = redis.keep(hub, name, channel, token).await,
        }
    }
}
