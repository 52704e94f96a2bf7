//! What a hub and its store have to do with each other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::channel::Channel;
use super::event::{Event, StreamName};
use super::hub::Hub;
use super::hub_error::HubError;
#[cfg(feature = "redis")]
use super::store::RedisStore;
use super::store::{FileStore, KeptRead, KeptStream, Store, StoreError, StoreState, Times};
use super::{EventSettings, EventStore};
use crate::clock::Clock;

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
            #[cfg(feature = "redis")]
            EventStore::Redis(source) => {
                let store = Store::Redis(RedisStore::new(source, route, Arc::clone(&clock))?);
                let hub = Self::with_store(route, settings, clock, store);
                if let Store::Redis(redis) = &hub.store {
                    redis.start(&hub);
                }
                Ok(hub)
            }
        }
    }

    /// Completes when what is kept of the stream `name` can be read; up to the event `id` at least, if the store has that.
    pub(super) async fn opened(&self, name: &StreamName, id: Option<&str>) -> Result<(), HubError> {
        self.store.opened(self, name, id).await
    }

    /// Whether other servers publish on its streams, too.
    pub(super) fn is_shared(&self) -> bool {
        !matches!(self.store, Store::Memory | Store::File(_))
    }

    /// Has subscribers told whether events can come.
    pub(super) fn set_stalled(&self, stalled: bool) {
        if self.stalled.swap(stalled, Ordering::Relaxed) != stalled {
            self.channels().iter().for_each(|channel| channel.wake_all());
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.streams.read().keys().map(|name| name.as_str().to_owned()).collect()
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
            StoreState::Opening => Some(
                "the store of the streams is not open yet: another process has it, or it does not answer"
                    .to_owned(),
            ),
            StoreState::Failed(why) => Some(why),
        }
    }

    pub(super) fn channels(&self) -> Vec<Arc<Channel>> {
        self.streams.read().values().map(Arc::clone).collect()
    }

    #[cfg(feature = "redis")]
    pub(super) fn named_channels(&self) -> Vec<(StreamName, Arc<Channel>)> {
        self.streams.read().iter().map(|(name, channel)| (name.clone(), Arc::clone(channel))).collect()
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

    /// Goes on with streams that were read from the store, whose ids have `tag` in them from now on. Decodes all events: blocks.
    pub(super) fn restore(&self, kept: Vec<KeptRead>, tag: &str, times: &Times) {
        for KeptRead { stream, forks, events } in kept {
            let Some(name) = StreamName::new(&stream.name) else { continue };
            let channel = Arc::clone(
                self.streams.write().entry(name.clone()).or_insert_with(|| self.new_channel(&name)),
            );
            let set_place = |event: Event| forks.set_place(event, &stream.incarnation, times);
            let events = events.into_iter().map(|event| set_place(event.event(times))).collect();
            let tagged = (tag, (!forks.0.is_empty()).then(|| Box::new((forks, *times))));
            self.with_context(|context| channel.with(|of| of.restore(&stream, tagged, events, context)));
            channel.wake_all();
        }
    }

    /// Publishes events that are kept.
    pub(super) fn append(&self, channel: &Channel, events: Vec<Event>) {
        let (checked, traced) = self.with_context(|context| channel.append(events, context));
        self.note_published(&checked, traced);
    }
}
