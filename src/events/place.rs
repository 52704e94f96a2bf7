//! Places of events with their publishers' ids, where a store may lose the end of a stream.
//!
//! An id of the server's has a tag, so that no event is taken for a lost one. A publisher's id has none: an event may be lost after a subscriber had it,
//! and be published again behind others. A subscriber that resumes by its id may have either of the two.

use std::time::Duration;

use super::encoding;
use super::event::Event;
use super::event_id::{assigned, server_id};
use super::store::{Times, life};

/// How long publishers repeat what they have no answer to, at least: as long as an event lives, if that is longer.
const REPEATED: Duration = Duration::from_secs(600);

/// Where a store may have lost the end of a stream, and what is published since then begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fork {
    /// The number of the last event that is left.
    pub(super) number: u64,
    /// When that was: milliseconds since 1970.
    pub(super) time: u64,
}

impl Fork {
    /// The number of the last event before the first of `forks` behind which one with the id of the event `seq` may have been lost. That one was published
    /// before the fork, and this one, its repetition, no later than publishers repeat. `life` is when this one was published and expires, in
    /// milliseconds since 1970.
    pub(super) fn before(forks: &[Self], seq: u64, life: (u64, u64)) -> Option<u64> {
        let (born, expires) = life;
        let patience = expires.saturating_sub(born).max(REPEATED.as_millis() as u64);
        let may_be = |fork: &&Self| seq > fork.number && born < fork.time.saturating_add(patience);
        forks.iter().filter(may_be).map(|fork| fork.number).min()
    }
}

/// The forks of a stream in a file, in order, each with the tag in the ids that are given since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Forks(pub(super) Vec<(Fork, Box<str>)>);

impl Forks {
    /// The place of the event `seq` with its publisher's id.
    fn place(&self, seq: u64, life: (u64, u64)) -> Place {
        let before = self.0.iter().rev().find(|(fork, _)| fork.number < seq);
        let forks: Vec<Fork> = self.0.iter().map(|(fork, _)| *fork).collect();
        let tag = before.map(|(_, tag)| tag.clone()).unwrap_or_default();
        Place { tag, fork: Fork::before(&forks, seq, life) }
    }

    /// Sets the place of `event` if its id is its publisher's. Leaves events of streams that never lost any as they are.
    pub(super) fn set_place(&self, event: Event, incarnation: &str, times: &Times) -> Event {
        if self.0.is_empty() || assigned(incarnation, &event.id).is_some() {
            return event;
        }
        let place = self.place(event.seq, life(&event, times));
        let position = server_id(incarnation, event.seq, &place.tag);
        event.placed(place, &position)
    }
}

/// What the publisher's id of an event does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The tag in the ids that servers gave at that time.
    pub(super) tag: Box<str>,
    /// Set if a lost event may have had the same id: the number of the last event before what was lost.
    pub(super) fork: Option<u64>,
}

impl Event {
    /// Sets the place of one with its publisher's id. If a lost event may have had that id, `position`, an id of the server's, is sent
    /// behind it, so that clients resume by that.
    pub(super) fn placed(mut self, place: Place, position: &str) -> Self {
        if place.fork.is_some() {
            let data_at = self.data_at();
            self.wire = [&self.wire[..], &encoding::position(position)].concat().into();
            if let Some(at) = data_at {
                self.data = self.wire.slice(at..at + self.data.len());
            }
        }
        self.place = Some(Box::new(place));
        self
    }

    /// The number of the last event before what was lost, if a lost event may have had its id.
    pub(super) fn fork(&self) -> Option<u64> {
        self.place.as_ref()?.fork
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Instant;
    use crate::events::event::Draft;

    #[test]
    fn an_id_is_in_doubt_as_long_after_a_fork_as_its_publisher_may_repeat_it() {
        let forks = [(9, 5_000_000), (7, 4_500_000), (2, 1_000_000)];
        let forks = forks.map(|(number, time)| Fork { number, time });
        let (long, short) = (REPEATED.as_millis() as u64, 1);
        for (seq, born, ttl, fork) in [
            (2, 1_000_000, short, None),
            (3, 1_000_000, short, Some(2)),
            (3, 900_000, short, Some(2)),
            (3, 1_000_000 + long - 1, short, Some(2)),
            (3, 1_000_000 + long, short, None),
            (3, 1_000_000 + long, long + 1, Some(2)),
            (8, 4_500_000, short, Some(7)),
            (8, 4_500_000, 3_500_001, Some(2)),
            (10, 5_000_000, short, Some(7)),
            (10, 4_500_000 + long, short, Some(9)),
            (10, 5_000_000 + long, short, None),
            (10, u64::MAX, short, None),
        ] {
            let life = (born, born.saturating_add(ttl));
            assert_eq!(Fork::before(&forks, seq, life), fork, "{seq} at {born} for {ttl}");
        }
    }

    #[test]
    fn a_position_is_sent_behind_an_event_whose_id_is_in_doubt_and_data_is_held_once() {
        for data in ["one line", "two\nlines", ""] {
            let event = || {
                let draft = Draft::new(data, 100).unwrap();
                draft.publish(7, "own".into(), Instant::ZERO, Duration::from_secs(1))
            };
            let sure = event().placed(Place { tag: "a".into(), fork: None }, "x-7.a");
            assert_eq!((&sure.wire, sure.fork()), (&event().wire, None));
            let doubted = event().placed(Place { tag: "a".into(), fork: Some(0) }, "x-7.a");
            let behind = "id: x-7.a\nevent: sluicegate.position\ndata: {}\n\n";
            assert_eq!(doubted.wire, [&event().wire[..], behind.as_bytes()].concat());
            assert_eq!((&doubted.data[..], doubted.fork()), (data.as_bytes(), Some(0)));
            assert_eq!(doubted.data_at().is_some(), event().data_at().is_some(), "{data:?}");
            assert_eq!(doubted.cost() - event().cost(), behind.len() as u64);
        }
    }
}
