//! What a hub and its store have to do with each other.

use std::sync::Arc;
use std::time::Duration;

use futures_lite::FutureExt;

use super::channel::Channel;
use super::event::{Event, StreamName};
use super::hub::{Hub, new_channel};
use super::hub_error::HubError;
use super::store::{FileStore, KeptEvent, KeptStream, Store, StoreError, StoreState, Times};
use super::{EventSettings, EventStore};
use crate::clock::{Clock, Sleep};

/// How long a request waits for a store that another process has still.
const HAND_OVER: Duration = Duration::from_secs(5);

impl Hub {
    /// Creates a hub for streams below the path `route`, kept where `settings` say, with what is there. Blocks.
    ///
    /// If the process whose place this one takes (SIGUSR2) has the store still, or a hub of this process that closes, it is opened once
    /// that gives it up. Requests wait as long, for a while.
    ///
    /// # Errors
    /// The store cannot be used.
    pub fn open(
        route: &str,
        settings: EventSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        match settings.store.clone() {
            EventStore::Memory => Ok(Self::new(route, settings, clock)),
            EventStore::File(path) => {
                let store = Store::File(FileStore::new(Arc::clone(&clock)));
                let hub = Self::with_store(route, settings, clock, store);
                if let Store::File(file) = &hub.store {
                    file.open(&path, &hub)?;
                }
                Ok(hub)
            }
        }
    }

    /// Completes when what is kept of the streams can be read.
    pub(super) async fn opened(&self) -> Result<(), HubError> {
        if self.store.is_read() {
            return Ok(());
        }
        let is_open = |store: &Store| store.is_read() || store.state() == StoreState::Closed;
        let late = Sleep::lasting(Arc::clone(&self.clock), HAND_OVER);
        self.store.turned(is_open).or(late).await;
        if self.store.is_read() { Ok(()) } else { Err(HubError::StoreDown) }
    }

    /// Completes when the store has all that was published, after [`close`](Self::close).
    pub async fn closed(&self) {
        let is_closed = |store: &Store| store.state() == StoreState::Closed;
        self.store.turned(is_closed).await;
    }

    /// Why nothing can be published now, for people; `None` if it can.
    pub fn store_fault(&self) -> Option<String> {
        match self.store.state() {
            StoreState::Ready | StoreState::Closed => None,
            StoreState::Opening => {
                Some("the store of the streams is in use by another process still".to_owned())
            }
            StoreState::Failed(why) => Some(why),
        }
    }

    pub(super) fn channels(&self) -> Vec<Arc<Channel>> {
        self.streams.read().values().map(Arc::clone).collect()
    }

    /// Those of `kept` that this hub goes on with, and behind which event.
    pub(super) fn wanted(&self, kept: Vec<KeptStream>) -> Vec<(KeptStream, u64)> {
        let streams = self.streams.read();
        let after = |kept: &KeptStream| match streams.get(&StreamName::new(&kept.name)?) {
            None => Some(0),
            Some(channel) => channel.with(|stream| match stream.log().incarnation() == kept.incarnation {
                true => Some(stream.log().head()),
                false => stream.is_untouched().then_some(0),
            }),
        };
        kept.into_iter().filter_map(|kept| after(&kept).map(|after| (kept, after))).collect()
    }

    /// Goes on with streams that were read from the store.
    pub(super) fn restore(&self, kept: Vec<(KeptStream, Vec<KeptEvent>)>, times: &Times) {
        for (stream, events) in kept {
            let Some(name) = StreamName::new(&stream.name) else { continue };
            let channel =
                Arc::clone(self.streams.write().entry(name.clone()).or_insert_with(|| new_channel(&name)));
            let events = events.into_iter().map(|event| event.event(times)).collect();
            self.with_context(|context| channel.with(|of| of.restore(&stream, events, context)));
            channel.wake_all();
        }
    }

    /// Publishes events that are kept.
    pub(super) fn append(&self, channel: &Channel, events: Vec<Event>) {
        let (checked, traced) = self.with_context(|context| channel.append(events, context));
        self.note_published(&checked, traced);
    }
}
