//! Events to come, ordered by time, and then by when they were added.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Instant;

/// Something that happens at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Bytes are counted.
    Sample,
    /// A limit that follows the calendar changes.
    Boundary,
    /// A client of this group arrives.
    Arrival(usize),
    /// A worker begins its next transfer.
    Begin(usize),
    /// The request of a worker's transfer is at the server.
    Request(usize, u64),
    /// A worker gives its transfer up, if it is still this one.
    GiveUp(usize, u64),
}

/// The events to come.
#[derive(Default)]
pub(super) struct EventQueue {
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    put: u64,
}

impl EventQueue {
    /// Adds `event`, which is due at `at`.
    pub(super) fn put(&mut self, at: Instant, event: Event) {
        self.put += 1;
        self.events.push(Reverse((at, self.put, event)));
    }

    /// When the next event is.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.events.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next event that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Event> {
        let is_due = self.next_at().is_some_and(|at| at <= now);
        is_due.then(|| self.events.pop()).flatten().map(|Reverse((.., event))| event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_put_down() {
        let mut event_queue = EventQueue::default();
        let at = Instant::from_millis;
        for (millis, event) in
            [(5, Event::Begin(1)), (3, Event::Begin(2)), (5, Event::Sample), (5, Event::Begin(0))]
        {
            event_queue.put(at(millis), event);
        }
        assert_eq!((event_queue.next_at(), event_queue.due(at(2))), (Some(at(3)), None));
        let due: Vec<_> = std::iter::from_fn(|| event_queue.due(at(5))).collect();
        assert_eq!(due, [Event::Begin(2), Event::Begin(1), Event::Sample, Event::Begin(0)]);
    }
}
