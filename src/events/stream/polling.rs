//! Polls, for subscribers without a stream.

use std::sync::Arc;
use std::time::Duration;

use super::super::event::Event;
use super::super::hub_error::HubError;
use super::super::log::Located;
use super::super::queue::{Gap, Next, Queue};
use super::super::subscriber::Phase;
use super::{Stream, StreamContext, note_lost};

#[derive(Debug)]
pub(in crate::events) struct Polled {
    pub(in crate::events) events: Vec<Arc<Event>>,
    pub(in crate::events) gap: Option<Gap>,
    pub(in crate::events) last_id: Option<String>,
    /// The number of the event with this id.
    pub(in crate::events) position: u64,
    pub(in crate::events) suspended: bool,
    pub(in crate::events) may_resume: bool,
}

/// Where a poll continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) enum After {
    /// After what the subscriber is known to have; without a subscriber, from now.
    Known,
    Id(String),
    Number(u64),
}

impl Stream {
    /// Returns events after `after`: at most `max`, and about 1 MiB. More if those before the event `after` are sent again, since its id may have been that of
    /// a lost one: up to that event at least, so that clients that go on by the last event's id get on.
    pub(in crate::events) fn poll(
        &mut self,
        token: Option<&str>,
        after: &After,
        max: usize,
        context: &StreamContext<'_>,
    ) -> Result<Polled, HubError> {
        const MAX_BYTES: usize = 1 << 20;
        let key = match token {
            Some(token) => Some(*self.tokens.get(token).ok_or(HubError::UnknownToken)?),
            None => None,
        };
        let (mut gap, mut again) = (None, 0);
        let mut from = match after {
            After::Known => None,
            After::Number(seq) => Some(*seq),
            After::Id(id) => match self.log.locate(id) {
                Located::At(seq) => Some(seq),
                Located::Behind(seq) => {
                    again = self.log.number_of(id).unwrap_or(0);
                    Some(seq)
                }
                Located::Unknown => {
                    gap = Some(self.unknown(id.clone()));
                    Some(self.log.first() - 1)
                }
            },
        };
        if let Some(key) = key
            && let Phase::Suspended(suspension) = &mut self.subscribers[key].phase
        {
            suspension.since = context.now;
            // The subscriber has the event that it continues after.
            suspension.position = suspension.position.max(from.unwrap_or(0));
            from = from.or(Some(suspension.position));
            let position = suspension.position;
            self.subscribers[key].has(position, context);
            self.note(key);
        }
        let mut position = from.unwrap_or(self.log.head());
        let mut queue = Queue::new(position, None, &self.log);
        let (mut events, mut bytes, mut lost) = (Vec::new(), 0, None);
        while events.len() < max && bytes < MAX_BYTES || position < again {
            match queue.next(context.now, &self.log, Duration::MAX) {
                Next::Event(event) => {
                    queue.sent(&event, context.now);
                    position = event.seq;
                    bytes += event.wire.len();
                    events.push(event);
                }
                // One gap per answer: a later one begins the next answer.
                Next::Gap(found) if events.is_empty() || position < again => {
                    position = queue.position();
                    lost = Some((position, found.missing.unwrap_or(0), found.reason));
                    match &mut gap {
                        Some(gap) => gap.before = found.before,
                        None => gap = Some(found),
                    }
                }
                _ => break,
            }
        }
        let at_head = position >= self.log.head();
        let mut suspended = false;
        if let Some(Phase::Suspended(suspension)) = key.map(|key| &mut self.subscribers[key].phase) {
            suspended = true;
            suspension.may_resume = at_head;
            suspension.sent = suspension.sent.max(position);
            if let Some((through, missing, reason)) = lost {
                let untold = missing.min(through.saturating_sub(suspension.told));
                suspension.told = suspension.told.max(through);
                note_lost(context.counts, untold, reason);
            }
        }
        let last_id = self.log.id_of(position);
        Ok(Polled { events, gap, last_id, position, suspended, may_resume: suspended && at_head })
    }
}
