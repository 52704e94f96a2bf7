//! Publishing: in memory at once, or once the store has it.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::channel::Channel;
use super::counts::Count;
use super::event::{Draft, StreamName};
use super::hub::Hub;
use super::hub_error::HubError;
use super::store::Store;
use super::stream::QueueCheck;
use crate::tracing::{Origin, Record};

/// The result of publishing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Ids of the events, in order.
    pub ids: Vec<String>,
}

impl Published {
    fn of(ids: Vec<Box<str>>) -> Self {
        Self { ids: ids.into_iter().map(Into::into).collect() }
    }
}

impl Hub {
    /// Publishes a batch on a stream, all of it or nothing. Creates the stream if it does not exist. Completes at once if the streams
    /// are in memory alone, else when the batch is kept.
    ///
    /// Cancel safe: the batch may be published all the same.
    ///
    /// # Errors
    /// The batch is empty or too large, an id in it is taken or reserved, the limit of streams is reached, the hub is
    /// closing, or the store fails.
    pub async fn publish(&self, name: &StreamName, batch: Vec<Draft>) -> Result<Published, HubError> {
        let channel = self.admit(name, batch.len())?;
        let ids = match &self.store {
            Store::Memory => self.publish_in_memory(&channel, batch),
            store => store.publish(self, name, &channel, batch).await,
        };
        if matches!(ids, Err(HubError::StoreDown | HubError::StoreFailed)) {
            self.counts.add(Count::unstored, 1);
        }
        ids.map(Published::of)
    }

    /// Publishes a batch on streams that are in memory alone.
    pub(crate) fn publish_at_once(
        &self,
        name: &StreamName,
        batch: Vec<Draft>,
    ) -> Result<Published, HubError> {
        debug_assert!(matches!(self.store, Store::Memory));
        let channel = self.admit(name, batch.len())?;
        self.publish_in_memory(&channel, batch).map(Published::of)
    }

    /// The channel for a batch of `len` events.
    fn admit(&self, name: &StreamName, len: usize) -> Result<Arc<Channel>, HubError> {
        let settings = self.settings();
        if self.is_closing() {
            return Err(HubError::Closing);
        }
        if len == 0 {
            return Err(HubError::EmptyBatch);
        }
        if len > settings.batch {
            return Err(HubError::BatchTooLarge);
        }
        if let Some(channel) = self.streams.read().get(name) {
            return Ok(Arc::clone(channel));
        }
        self.channel_or_new(name)
    }

    /// The channel of a stream, which begins if there is none.
    ///
    /// # Errors
    /// The limit of streams is reached.
    pub(super) fn channel_or_new(&self, name: &StreamName) -> Result<Arc<Channel>, HubError> {
        let most = self.settings().streams;
        let mut streams = self.streams.write();
        let full = streams.len() >= most;
        match streams.entry(name.clone()) {
            Entry::Occupied(entry) => Ok(Arc::clone(entry.get())),
            Entry::Vacant(_) if full => Err(HubError::TooManyStreams),
            Entry::Vacant(entry) => Ok(Arc::clone(entry.insert(self.new_channel(name)))),
        }
    }

    /// Publishes a batch, and returns its ids.
    pub(super) fn publish_in_memory(
        &self,
        channel: &Channel,
        batch: Vec<Draft>,
    ) -> Result<Vec<Box<str>>, HubError> {
        let done = self.with_context(|context| channel.publish(batch, context))?;
        self.note_published(&done.checked, done.traced);
        Ok(done.ids)
    }

    /// Records the spans of events that were published, and logs queues that fill.
    pub(super) fn note_published(&self, checked: &QueueCheck, traced: Vec<Arc<Origin>>) {
        if let Some(tracing) = self.tracing.get().filter(|_| !traced.is_empty()) {
            let end = self.clock.now();
            for origin in traced {
                tracing.tracer.record(Record::Published { origin, end });
            }
        }
        if !checked.suspended.is_empty() {
            self.store.follow_subscribers();
        }
        self.log_queues(checked.filling.len(), checked.suspended.len());
    }
}
