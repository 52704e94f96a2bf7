//! Subscribers that come from another server, or go to one.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, ConnectionInfo};
use super::event::StreamName;
use super::hub::Hub;
use super::hub_error::HubError;
use super::source::{PollRequest, Subscribing, Subscription};
use super::store::{Arrival, Claim};
use super::stream::{Adopted, SubscribeRequest};
use crate::budget::ClientKey;
use crate::clock::Sleep;

/// How long one that polls is waited for: its server may be about to write that it is suspended, since it has just been told.
const AGAIN: Duration = Duration::from_millis(50);

/// How often the store is asked of a subscriber while the stream is another one each time.
const TRIES: usize = 4;

impl Hub {
    /// Has a subscriber that another server knows be known here, as it is there, and end there. One that has a window is given a token if it
    /// brings none.
    ///
    /// # Errors
    /// There is no such stream, or no room; or the store cannot be asked, and nothing is known of the subscriber here.
    pub(super) async fn arrives(
        &self,
        name: &StreamName,
        request: &mut SubscribeRequest,
    ) -> Result<(), HubError> {
        if !self.is_shared() {
            return Ok(());
        }
        let Some(token) = request.token.as_deref() else {
            request.token = request.window.map(|_| self.fresh_token());
            return Ok(());
        };
        let channel = self.channel(name)?;
        let most = self.settings().window;
        if !channel.with(|stream| stream.has_token(token)) {
            // Nothing is taken from another server for whom there is no room.
            self.take_slot(&request.client, &channel)?;
            self.release_slot(&request.client);
        }
        let last_id = request.last_id.as_deref();
        let window = request.window.map(|window| window.clamp(1, most));
        let claim = Claim { token, last_id, window, polls: false };
        self.claims(name, &channel, &request.client, &claim).await.map(drop)
    }

    /// Begins the stream of a subscriber that has arrived. Whoever has a token may be acknowledged at any server once it has the first
    /// byte.
    pub(super) async fn begins(
        self: &Arc<Self>,
        name: &StreamName,
        request: SubscribeRequest,
        info: ConnectionInfo,
    ) -> Result<Subscribing, HubError> {
        let token = request.token.clone().filter(|_| self.is_shared());
        let begun = Subscription::begin(self, name, request, Some(info))?;
        if let Some(token) = token {
            self.store.keep(self, name, &self.channel(name)?, &token).await;
        }
        Ok(begun)
    }

    /// Has a suspended subscriber be known here, if it is one that polls. One that has its stream at another server polls as anybody
    /// does.
    ///
    /// # Errors
    /// There is no room, or the store cannot be asked, and nothing is known of the subscriber here.
    pub(super) async fn arrives_polling(
        &self,
        name: &StreamName,
        channel: &Arc<Channel>,
        asked: &mut PollRequest,
    ) -> Result<(), HubError> {
        let (true, Some(token)) = (self.is_shared(), asked.token.as_deref()) else { return Ok(()) };
        let claim = Claim { token, last_id: None, window: None, polls: true };
        if self.claims(name, channel, &asked.client, &claim).await? {
            asked.token = None;
        }
        Ok(())
    }

    /// Returns whether the subscriber has its stream at another server, and keeps it.
    async fn claims(
        &self,
        name: &StreamName,
        channel: &Arc<Channel>,
        client: &ClientKey,
        claim: &Claim<'_>,
    ) -> Result<bool, HubError> {
        let mut wait = claim.polls.then_some(AGAIN);
        for _ in 0..TRIES {
            let is_known = || channel.with(|stream| stream.has_token(claim.token));
            let claimed = match self.store.claim(self, name, channel, claim).await {
                Ok(Arrival::Unknown) => match wait.take_if(|_| !is_known()) {
                    Some(wait) => {
                        Sleep::lasting(Arc::clone(&self.clock), wait).await;
                        continue;
                    }
                    None => return Ok(false),
                },
                Ok(Arrival::Elsewhere) => return Ok(true),
                Ok(Arrival::Claimed(claimed)) => claimed,
                // It goes on as it is known here.
                Err(_) if is_known() => return Ok(false),
                Err(error) => return Err(error),
            };
            if !is_known() {
                self.take_slot(client, channel)?;
            } else {
                self.slots.force(client);
            }
            let (token, last_id) = (claim.token, claim.last_id);
            match self.with_context(|context| channel.adopt(claimed, token, client, last_id, context)) {
                Adopted::Inserted { gone } => {
                    gone.iter().for_each(|(_, client)| self.release_slot(client));
                    self.store.follow_subscribers();
                    return Ok(false);
                }
                Adopted::Kept => {
                    self.release_slot(client);
                    return Ok(false);
                }
                Adopted::Again => self.release_slot(client),
            }
        }
        Err(HubError::StoreDown)
    }

    /// Forgets a subscriber that another server has now.
    #[cfg(feature = "redis")]
    pub(super) fn is_taken(&self, channel: &Channel, name: &str, tenure: u64) {
        let gone = self.with_context(|context| channel.taken(name, tenure, context));
        gone.iter().for_each(|client| self.release_slot(client));
    }
}
