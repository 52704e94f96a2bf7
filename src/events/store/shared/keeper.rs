//! The task that writes what a server knows of its subscribers.

use std::sync::{Arc, Weak};

use super::Shared;
use super::subscribers::Pending;
use crate::events::channel::Channel;
use crate::events::event::StreamName;
use crate::events::hub::Hub;

/// The most records that are written at once.
const MOST: usize = 100;

pub(super) struct Keeper {
    shared: Arc<Shared>,
    hub: Weak<Hub>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, hub: &Arc<Hub>) -> Self {
        Self { shared, hub: Arc::downgrade(hub) }
    }

    /// Writes until the hub is gone, also while it closes: its subscribers are about to come to other servers.
    pub(super) async fn run(self) {
        loop {
            let changed = self.shared.subscribers_changed.listen();
            let Some(hub) = self.hub.upgrade() else { return };
            self.write(&hub).await;
            drop(hub);
            changed.await;
        }
    }

    /// Writes what has changed. What cannot be written now is tried again when something changes, or within a second.
    async fn write(&self, hub: &Arc<Hub>) {
        for (name, channel) in hub.named_channels() {
            while channel.with(|stream| stream.has_changes()) {
                if !self.wrote(hub, &name, &channel).await {
                    break;
                }
            }
        }
    }

    async fn wrote(&self, hub: &Arc<Hub>, name: &StreamName, channel: &Arc<Channel>) -> bool {
        let place = self.shared.place(name, channel).filter(|_| self.shared.is_ready());
        let Some(place) = place else { return false };
        let changes = hub.with_context(|context| channel.with(|stream| stream.take_changes(MOST, context)));
        match self.shared.keep(hub, &place, Pending { channel, changes }).await {
            Ok(Some(_)) => return true,
            Ok(None) => {
                // The reader joins the stream.
                self.shared.state.lock().recheck = true;
                self.shared.wake().await;
            }
            Err(error) => _ = self.shared.cannot_follow(hub, &error),
        }
        false
    }
}
