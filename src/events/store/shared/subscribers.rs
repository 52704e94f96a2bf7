//! Subscribers of servers that share a store: one that comes is taken from the server that had it, and what it
//! acknowledges reaches the one that has it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_lite::FutureExt;

use super::subscriber_calls::{self, Acknowledged, Comes, Found, Place, What, Written};
use super::{RedisStore, Shared, TRIES, name_of};
use crate::events::channel::Channel;
use crate::events::event::StreamName;
use crate::events::hub::Hub;
use crate::events::hub_error::HubError;
use crate::events::store::{Ack, Arrival, Claim, StoreState};
use crate::events::stream::{Change, Claimed};
use crate::events::subscriber::suspended_ttl;
use crate::shared_store::{LinkError, LogEntry};

impl RedisStore {
    pub(in crate::events) fn follow_subscribers(&self) {
        self.shared.subscribers_changed.notify(usize::MAX);
    }

    pub(in crate::events) async fn claim(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        claim: &Claim<'_>,
    ) -> Result<Arrival, HubError> {
        self.try_claim(hub, name, channel, claim).or(self.late()).await
    }

    async fn try_claim(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        claim: &Claim<'_>,
    ) -> Result<Arrival, HubError> {
        let life = suspended_ttl(&hub.settings());
        let subscriber = name_of(claim.token);
        let tenure = self.shared.tenures.fetch_add(1, Ordering::Relaxed);
        for _ in 0..TRIES {
            let place = self.placed(hub, name, channel).await?;
            let comes = Comes {
                subscriber: &subscriber,
                tenure,
                polls: claim.polls,
                window: claim.window,
                received: channel.with(|stream| stream.received(claim.last_id)),
                life,
            };
            let found = self.shared.calls.claim(&place, &comes).await;
            match found.map_err(|error| self.shared.cannot_follow(hub, &error))? {
                Found::Lost => self.joined_again(name, channel, &place.run).await?,
                Found::Unknown => return Ok(Arrival::Unknown),
                Found::Elsewhere => return Ok(Arrival::Elsewhere),
                Found::Known { former, head, record } => {
                    let Some(record) = record else {
                        // Nonsense: it is to be out of the way of what is written next.
                        let gone = Change { name: subscriber.as_str().into(), tenure, kept: None };
                        let taken_out = self.shared.calls.keep(&place, &[gone]).await;
                        taken_out.map_err(|error| self.shared.cannot_follow(hub, &error))?;
                        return Ok(Arrival::Unknown);
                    };
                    channel.with(|stream| stream.set_due(head));
                    self.read_up(channel).await?;
                    let generation = place.generation;
                    return Ok(Arrival::Claimed(Claimed { record, tenure, former, generation }));
                }
            }
        }
        Err(HubError::StoreDown)
    }

    pub(in crate::events) async fn acknowledge(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        ack: Ack<'_>,
    ) -> Result<(), HubError> {
        let is_own = match ack.here {
            Ok(()) => true,
            Err(HubError::UnknownToken | HubError::NeverSent) => false,
            Err(error) => return Err(error),
        };
        let acknowledged = async {
            if !is_own {
                // Another server may have sent what was not read here yet.
                self.opened(hub, name, Some(ack.id)).await?;
            }
            self.try_acknowledge(hub, name, channel, &ack, is_own).await
        };
        acknowledged.or(self.late()).await
    }

    async fn try_acknowledge(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        ack: &Ack<'_>,
        is_own: bool,
    ) -> Result<(), HubError> {
        let subscriber = name_of(ack.token);
        for _ in 0..TRIES {
            let place = self.placed(hub, name, channel).await?;
            let seq = channel.with(|stream| stream.log().number_of(ack.id));
            let acknowledged = self.shared.calls.acknowledge(&place, &subscriber, seq, is_own).await;
            match acknowledged.map_err(|error| self.shared.cannot_follow(hub, &error))? {
                Acknowledged::Lost => self.joined_again(name, channel, &place.run).await?,
                Acknowledged::Kept => return Ok(()),
                Acknowledged::Never => return Err(HubError::NeverSent),
                // The store has lost it, or had no need to know it yet.
                Acknowledged::Unknown if is_own => return self.try_keep(hub, name, channel, ack.token).await,
                Acknowledged::Unknown => return ack.here,
            }
        }
        Err(HubError::StoreDown)
    }

    /// Writes what is known of a subscriber of this server's, within a bounded time.
    pub(in crate::events) async fn keep(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        token: &str,
    ) -> Result<(), HubError> {
        self.try_keep(hub, name, channel, token).or(self.late()).await
    }

    async fn try_keep(
        &self,
        hub: &Hub,
        name: &StreamName,
        channel: &Arc<Channel>,
        token: &str,
    ) -> Result<(), HubError> {
        for _ in 0..TRIES {
            let place = self.placed(hub, name, channel).await?;
            let change = hub.with_context(|context| channel.with(|stream| stream.change_of(token, context)));
            let pending = Pending { channel, changes: Vec::from_iter(change) };
            match self.shared.keep(hub, &place, pending).await {
                Ok(Some(true)) => return Ok(()),
                Ok(Some(false)) => return Err(HubError::StoreDown),
                Ok(None) => self.joined_again(name, channel, &place.run).await?,
                Err(error) => return Err(self.shared.cannot_follow(hub, &error)),
            }
        }
        Err(HubError::StoreDown)
    }

    /// Where this server has a stream.
    async fn placed<'a>(
        &'a self,
        hub: &Hub,
        name: &'a StreamName,
        channel: &Arc<Channel>,
    ) -> Result<Place<'a>, HubError> {
        for _ in 0..TRIES {
            if !self.shared.is_ready() {
                return Err(HubError::StoreDown);
            }
            if let Some(place) = self.shared.place(name, channel) {
                return Ok(place);
            }
            self.shared.follow(hub, name, false).await.map_err(|_| HubError::StoreDown)?;
        }
        Err(HubError::StoreDown)
    }
}

/// What is to be written of subscribers: it is written later, unless it is known what became of it.
pub(super) struct Pending<'a> {
    pub(super) channel: &'a Channel,
    pub(super) changes: Vec<Change>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            self.channel.with(|stream| stream.return_changes(changes));
        }
    }
}

impl Shared {
    /// Whether the store answers, as far as is known; also when the reader has ended, while the hub closes.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state.lock().store, StoreState::Ready | StoreState::Closed)
    }

    /// The key of the log of what this server is told of subscribers.
    pub(super) fn notices(&self) -> String {
        self.calls.notices_key(&self.server)
    }

    /// Where this server has the stream `name`; `None` if it does not read it.
    pub(super) fn place<'a>(&'a self, name: &'a StreamName, channel: &Arc<Channel>) -> Option<Place<'a>> {
        // First the run: numbers that are read after it are of this one or a later one, and the store knows which it is in.
        let run = self.run_of(name, channel)?;
        let (incarnation, generation) =
            channel.with(|stream| (stream.log().incarnation().to_owned(), stream.generation()));
        Some(Place { server: &self.server, name: name.as_str(), incarnation, run, generation })
    }

    /// Writes records, and does what the store says to that. Returns whether all subscribers are this server's; `None` if the stream is to
    /// be joined anew.
    pub(super) async fn keep(
        &self,
        hub: &Hub,
        place: &Place<'_>,
        mut pending: Pending<'_>,
    ) -> Result<Option<bool>, LinkError> {
        let Some(written) = self.calls.keep(place, &pending.changes).await? else { return Ok(None) };
        self.follows_again(hub);
        let mut are_own = true;
        for (change, written) in std::mem::take(&mut pending.changes).into_iter().zip(written) {
            match written {
                Written::Taken => {
                    are_own = false;
                    hub.is_taken(pending.channel, &change.name, change.tenure);
                }
                Written::Kept(acked) => {
                    if change.kept.is_some_and(|(record, _)| record.acked < acked) {
                        self.has(hub, pending.channel, &change.name, acked, place.generation);
                    }
                }
                Written::Forgotten => {}
            }
        }
        Ok(Some(are_own))
    }

    fn has(&self, hub: &Hub, channel: &Channel, subscriber: &str, seq: u64, generation: u64) {
        hub.with_context(|context| channel.acknowledged_elsewhere(subscriber, seq, generation, context));
    }

    /// Does what other servers say of this one's subscribers.
    pub(super) fn hear(&self, hub: &Hub, entries: Vec<LogEntry>) {
        let (notices, last) = subscriber_calls::notices(entries);
        for notice in notices {
            let Some(name) = StreamName::new(&notice.stream) else { continue };
            let Ok(channel) = hub.channel(&name) else { continue };
            match notice.what {
                What::Taken(tenure) => hub.is_taken(&channel, &notice.subscriber, tenure),
                What::Has(seq, run) => {
                    if let Some(place) = self.place(&name, &channel).filter(|place| place.run == run) {
                        self.has(hub, &channel, &notice.subscriber, seq, place.generation);
                    }
                }
            }
        }
        if let Some(last) = last {
            self.state.lock().heard = last;
        }
    }

    /// Notes why subscribers cannot be looked up or written.
    pub(super) fn cannot_follow(&self, hub: &Hub, error: &LinkError) -> HubError {
        let was = std::mem::replace(&mut self.state.lock().cannot_follow, true);
        if !was {
            log::warn!(route = hub.route(), error:%; "subscribers cannot be looked up in the store, or written there");
        }
        HubError::StoreDown
    }

    fn follows_again(&self, hub: &Hub) {
        let was = std::mem::replace(&mut self.state.lock().cannot_follow, false);
        if was {
            log::info!(route = hub.route(); "subscribers can be written in the store again");
        }
    }
}
