//! What a store keeps of a stream, and adds to it: events are checked and numbered first, and published once they are kept.

use std::sync::Arc;

use super::super::counts::Count;
use super::super::event::{Draft, Event};
use super::super::hub_error::HubError;
use super::super::log::{Log, Staged};
use super::super::place::Forks;
use super::super::queue::{Gap, Lost, Queue};
use super::super::store::{KeptStream, Times};
use super::super::subscriber::Phase;
use super::{QueueCheck, Stream, StreamContext};
use crate::clock::Instant;
use crate::tracing::Origin;

impl Stream {
    /// Checks and numbers a batch without publishing it. See [`Log::stage`].
    pub(in crate::events) fn stage(
        &self,
        staged: &mut Staged,
        batch: Vec<Draft>,
        context: &StreamContext<'_>,
    ) -> Result<Vec<Box<str>>, HubError> {
        self.log.stage(staged, batch, context.now, context.settings)
    }

    /// Publishes events that have their numbers. Returns the check of the queues, and the origins of the traced events.
    pub(in crate::events) fn append(
        &mut self,
        events: Vec<Event>,
        context: &StreamContext<'_>,
    ) -> (QueueCheck, Vec<Arc<Origin>>) {
        let mut traced = Vec::new();
        let mut mark = |event: &mut Event| {
            context.counts.add(Count::published, 1);
            if let Some(tracing) = context.tracing {
                tracing.mark(event, &self.name);
                traced.extend(event.origin.clone());
            }
        };
        events.into_iter().for_each(|event| self.log.append(event, &mut mark));
        self.log.trim(context.now, context.settings);
        self.record_lost(context);
        (self.check_queues(context), traced)
    }

    /// Goes on with the log of `kept`, which an earlier process had, if it is another one and this stream was not used yet. Ids have
    /// `tag` in them from now on; `forks` are of the stream, if it has any.
    pub(in crate::events) fn restore(
        &mut self,
        kept: &KeptStream,
        (tag, forks): (&str, Option<Box<(Forks, Times)>>),
        events: Vec<Event>,
        context: &StreamContext<'_>,
    ) {
        if *self.log.incarnation() != *kept.incarnation {
            if !self.is_untouched() {
                return;
            }
            let head = events.first().map_or(kept.head, |event| event.seq - 1);
            // Where there was a tag, those before may have another one.
            let before = tag.is_empty().then_some("");
            self.log = Log::restored(&kept.incarnation, head, kept.evicted).with_tag(before);
            self.log.goes_on(tag, forks);
        }
        events.into_iter().for_each(|event| self.log.append(event, &mut |_| ()));
        self.log.trim(context.now, context.settings);
    }

    /// Begins anew with `log`, as a store has it up to the number `due`. Nobody knows what was lost in between,
    /// and subscribers hear of that.
    pub(in crate::events) fn stand(&mut self, log: Log, due: u64, context: &StreamContext<'_>) {
        self.due = due;
        self.generation += 1;
        let after = log.head();
        let old = std::mem::replace(&mut self.log, log);
        for (_, subscriber) in &mut self.subscribers {
            subscriber.give_up(Instant::MAX, context);
            let known = old.id_of(subscriber.queue.position());
            subscriber.unknown =
                Some(Gap { after: known, before: None, missing: None, reason: Lost::Unknown });
            subscriber.queue = Queue::new(after, subscriber.queue.window(), &self.log);
            if let Phase::Suspended(suspension) = &mut subscriber.phase {
                (suspension.position, suspension.sent, suspension.told) = (after, after, after);
                suspension.may_resume = false;
            }
        }
    }

    /// Notes that the store has events up to the number `due`.
    pub(in crate::events) fn set_due(&mut self, due: u64) {
        self.due = self.due.max(due);
    }

    /// The number of the last event that the store had when it was asked.
    pub(in crate::events) fn due(&self) -> u64 {
        self.due
    }

    /// Whether it has all that the store had when it was asked.
    pub(in crate::events) fn is_read(&self) -> bool {
        self.log.head() >= self.due
    }

    /// Whether nobody knows its ids.
    pub(in crate::events) fn is_untouched(&self) -> bool {
        self.log.head() == 0 && self.subscribers.is_empty()
    }

    /// What a store keeps of it, and the number of the first event in its log.
    pub(in crate::events) fn kept(&self) -> (KeptStream, u64) {
        let kept = KeptStream {
            name: self.name.to_string(),
            incarnation: self.log.incarnation().to_owned(),
            head: self.log.head(),
            evicted: self.log.evicted(),
        };
        (kept, self.log.first())
    }

    /// The events in the log behind the number `after`, in order.
    pub(in crate::events) fn events_after(&self, after: u64) -> Vec<Arc<Event>> {
        let from = self.log.first().max(after + 1);
        (from..=self.log.head()).filter_map(|seq| self.log.get(seq).map(Arc::clone)).collect()
    }
}
