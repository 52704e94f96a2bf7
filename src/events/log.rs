//! The log of a stream: its events in order, bounded by count, bytes and age. Pure: passed the time.
//!
//! Events are numbered from 1, and numbers are never reused. Events leave the log at the front.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::event::{Draft, Event};
use super::hub_error::HubError;
use super::settings::EventSettings;
use crate::clock::Instant;
use crate::tracing::{Origin, Outcome};

/// The position of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// The event with this number, in the log or not; 0 is before the first.
    At(u64),
    /// Unknown: never published, or no longer known.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Log {
    /// Distinguishes ids of this log from those of an earlier stream of the same name.
    incarnation: Box<str>,
    events: VecDeque<Arc<Event>>,
    head: u64,
    /// Bytes of all events ever published.
    published: u64,
    /// Numbers of events with publishers' own ids.
    given: HashMap<Box<str>, u64>,
    evicted: u64,
    /// Traced events that left since the last call of [`gone`](Log::gone).
    gone: Vec<(u64, Arc<Origin>, Outcome)>,
}

impl Log {
    pub(super) fn new(incarnation: &str) -> Self {
        Self {
            incarnation: incarnation.into(),
            events: VecDeque::new(),
            head: 0,
            published: 0,
            given: HashMap::new(),
            evicted: 0,
            gone: Vec::new(),
        }
    }

    /// Publishes a batch, all of it or nothing. An event that is in the log with the same id and content is not published
    /// again: publishers may repeat events that they do not know to have arrived.
    ///
    /// Calls `mark` for each new event first. Returns the ids, in the order of the batch.
    pub(super) fn publish(
        &mut self,
        batch: Vec<Draft>,
        now: Instant,
        settings: &EventSettings,
        mut mark: impl FnMut(&mut Event),
    ) -> Result<Vec<Box<str>>, HubError> {
        self.check(&batch)?;
        let mut ids = Vec::with_capacity(batch.len());
        for draft in batch {
            if let Some(known) =
                draft.given_id().and_then(|id| self.given.get(id)).and_then(|seq| self.get(*seq))
            {
                ids.push(known.id.clone());
                continue;
            }
            self.head += 1;
            let id =
                draft.given_id().map_or_else(|| format!("{}-{}", self.incarnation, self.head), str::to_owned);
            if draft.given_id().is_some() {
                self.given.insert(id.as_str().into(), self.head);
            }
            let mut event = draft.publish(self.head, id, self.published, now, settings.log_ttl);
            mark(&mut event);
            self.published += event.cost();
            ids.push(event.id.clone());
            self.events.push_back(Arc::new(event));
        }
        self.trim(now, settings);
        Ok(ids)
    }

    fn check(&self, batch: &[Draft]) -> Result<(), HubError> {
        let mut before: HashMap<&str, usize> = HashMap::new();
        for (at, draft) in batch.iter().enumerate() {
            let Some(id) = draft.given_id() else { continue };
            if self.number(id).is_some() {
                return Err(HubError::ReservedId(at));
            }
            let known = self.given.get(id).and_then(|seq| self.get(*seq));
            let differs = known.is_some_and(|event| !draft.says(event));
            if differs || before.insert(id, at).is_some() {
                return Err(HubError::Conflict(at));
            }
        }
        Ok(())
    }

    /// Removes events beyond the bounds of `settings`. Returns how many were evicted and how many expired.
    pub(super) fn trim(&mut self, now: Instant, settings: &EventSettings) -> (u64, u64) {
        let (mut evicted, mut expired) = (0, 0);
        while let Some(event) = self.events.front() {
            let live = event.is_live(now);
            if live && self.events.len() <= settings.log && self.bytes() <= settings.log_bytes as u64 {
                break;
            }
            if live {
                self.evicted = event.seq;
                evicted += 1;
            } else {
                expired += 1;
            }
            if let Some(origin) = &event.origin {
                let outcome = if live { Outcome::Dropped } else { Outcome::Expired };
                self.gone.push((event.seq, Arc::clone(origin), outcome));
            }
            if self.given.get(&event.id) == Some(&event.seq) {
                self.given.remove(&event.id);
            }
            self.events.pop_front();
        }
        (evicted, expired)
    }

    /// Takes the traced events that left since the last call, with their numbers and the reason.
    pub(super) fn gone(&mut self) -> Vec<(u64, Arc<Origin>, Outcome)> {
        std::mem::take(&mut self.gone)
    }

    /// The number in an id that the server assigned; 0 is before the first event.
    fn number(&self, id: &str) -> Option<u64> {
        let digits = id.strip_prefix(&*self.incarnation)?.strip_prefix('-')?;
        let plain =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        digits.parse().ok().filter(|_| plain)
    }

    pub(super) fn locate(&self, id: &str) -> Located {
        let given = self.given.get(id).copied();
        let seq = given.or_else(|| self.number(id).filter(|seq| *seq <= self.head));
        seq.map_or(Located::Unknown, Located::At)
    }

    /// The event with this number, if it is in the log, expired or not.
    pub(super) fn get(&self, seq: u64) -> Option<&Arc<Event>> {
        let index = seq.checked_sub(self.first())?;
        self.events.get(usize::try_from(index).ok()?)
    }

    /// The number of the first event in the log, or of the next one published.
    pub(super) fn first(&self) -> u64 {
        self.head + 1 - self.events.len() as u64
    }

    /// The number of the last event published; 0 before the first.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Up to this number events were evicted because the log was full.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// The id of the event with this number, if known: publishers' own ids leave the log with their events. Number 0 has an
    /// id too, so that a subscriber that came before the first event can resume.
    pub(super) fn id_of(&self, seq: u64) -> Option<String> {
        match self.get(seq) {
            Some(event) => Some(event.id.to_string()),
            None if seq > self.head => None,
            None => Some(format!("{}-{seq}", self.incarnation)),
        }
    }

    pub(super) fn published(&self) -> u64 {
        self.published
    }

    pub(super) fn bytes(&self) -> u64 {
        self.published - self.events.front().map_or(self.published, |first| first.before)
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn bounds() -> EventSettings {
        let log_ttl = Duration::from_secs(10);
        EventSettings { log: 3, log_bytes: 10_000, log_ttl, ..EventSettings::default() }
    }

    fn draft(data: &str) -> Draft {
        Draft::new(data, 100_000).unwrap()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn ids(log: &mut Log, batch: Vec<Draft>, now: Instant) -> Result<Vec<String>, HubError> {
        log.publish(batch, now, &bounds(), |_| ()).map(|ids| ids.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn ids_are_given_in_order_and_count_is_bounded() {
        let mut log = Log::new("x");
        assert_eq!(ids(&mut log, ["a", "b"].map(draft).into(), at(0)).unwrap(), ["x-1", "x-2"]);
        assert_eq!((log.first(), log.head(), log.evicted()), (1, 2, 0));
        assert_eq!(ids(&mut log, ["c", "d"].map(draft).into(), at(0)).unwrap(), ["x-3", "x-4"]);
        assert_eq!((log.first(), log.head(), log.evicted(), log.len()), (2, 4, 1, 3));
        assert!(log.get(1).is_none() && log.get(5).is_none() && &log.get(2).unwrap().data[..] == b"b");
        for (id, located) in [
            ("x-1", Located::At(1)),
            ("x-4", Located::At(4)),
            ("x-5", Located::Unknown),
            ("x-0", Located::At(0)),
            ("x-00", Located::Unknown),
            ("x-04", Located::Unknown),
            ("x-+4", Located::Unknown),
            ("y-4", Located::Unknown),
            ("", Located::Unknown),
        ] {
            assert_eq!(log.locate(id), located, "{id}");
        }
    }

    #[test]
    fn bytes_are_bounded_and_add_up() {
        let mut log = Log::new("x");
        for _ in 0..20 {
            ids(&mut log, vec![draft(&"a".repeat(4000))], at(0)).unwrap();
            let held: u64 = (log.first()..=log.head()).map(|seq| log.get(seq).unwrap().cost()).sum();
            assert_eq!(log.bytes(), held);
            assert!(held <= 10_000);
        }
        assert_eq!(log.len(), 2);
        ids(&mut log, vec![draft(&"a".repeat(11_000))], at(0)).unwrap();
        assert_eq!((log.len(), log.bytes()), (0, 0), "what does not fit is not kept");
    }

    #[test]
    fn events_leave_with_their_age_and_not_a_nanosecond_before() {
        let mut log = Log::new("x");
        let short = draft("b").ttl(Duration::from_secs(1)).unwrap();
        ids(&mut log, vec![draft("a"), short], at(0)).unwrap();
        assert_eq!(log.trim(at(9), &bounds()), (0, 0), "the short one is behind the long one");
        assert!(log.get(1).unwrap().is_live(at(9)) && !log.get(2).unwrap().is_live(at(1)));
        assert_eq!(log.trim(at(10), &bounds()), (0, 2));
        assert_eq!((log.first(), log.evicted(), log.locate("x-2")), (3, 0, Located::At(2)));
    }

    #[test]
    fn own_ids_are_found_repeated_in_peace_and_never_twice() {
        let own = |id: &str, data: &str| draft(data).id(id).unwrap();
        let mut log = Log::new("x");
        assert_eq!(ids(&mut log, vec![own("a", "1"), draft("2")], at(0)).unwrap(), ["a", "x-2"]);
        assert_eq!(log.locate("a"), Located::At(1));
        assert_eq!(ids(&mut log, vec![own("a", "1"), own("b", "3")], at(0)).unwrap(), ["a", "b"]);
        assert_eq!(log.head(), 3, "the repetition was not published");
        for (batch, error) in [
            (vec![draft("4"), own("a", "other")], HubError::Conflict(1)),
            (vec![own("c", "1"), own("c", "1")], HubError::Conflict(1)),
            (vec![own("x-9", "1")], HubError::ReservedId(0)),
            (vec![own("x-0", "1")], HubError::ReservedId(0)),
        ] {
            assert_eq!(ids(&mut log, batch, at(0)), Err(error));
            assert_eq!(log.head(), 3, "nothing of it");
        }
        log.trim(at(10), &bounds());
        assert_eq!(log.locate("a"), Located::Unknown);
        assert_eq!(ids(&mut log, vec![own("a", "other")], at(10)).unwrap(), ["a"]);
        assert_eq!(log.locate("a"), Located::At(4));
    }
}
