//! The log of a stream: its events in order, bounded by count, bytes and age. Pure: passed the time.
//!
//! Events are numbered from 1. Where the end of a log was lost numbers are given again, ids are not. Events leave the log at the front.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::event::{Draft, Event};
use super::event_id::{assigned, server_id};
use super::hub_error::HubError;
use super::place::Forks;
use super::settings::EventSettings;
use super::store::Times;
use crate::clock::Instant;
use crate::tracing::{Origin, Outcome};

/// The position of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Located {
    /// The event with this number, in the log or not; 0 is before the first.
    At(u64),
    /// That of an event in the log, and perhaps that of a lost one, too: whoever has it may have nothing behind this number.
    Behind(u64),
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
    pub(super) given: HashMap<Box<str>, u64>,
    evicted: u64,
    /// The tag in the id of the event before the first in the log, if it is known.
    pub(super) tag: Option<Box<str>>,
    /// The tag in the ids that are given from now on.
    pub(super) next_tag: Box<str>,
    /// Where the store lost the end of the stream, and a time of both kinds; `None` if nowhere.
    forks: Option<Box<(Forks, Times)>>,
    /// Traced events that left since the last call of [`gone`](Log::gone).
    gone: Vec<(u64, Arc<Origin>, Outcome)>,
}

/// Events that are checked and numbered, and not in the log yet.
#[derive(Debug)]
pub(super) struct Staged {
    head: u64,
    events: Vec<Event>,
    /// The places in `events` of publishers' own ids, if further batches are staged.
    given: Option<HashMap<Box<str>, usize>>,
}

impl Staged {
    /// For one batch after what is in `log`.
    pub(super) fn after(log: &Log) -> Self {
        Self { head: log.head, events: Vec::new(), given: None }
    }

    /// For several batches, one after the other.
    pub(super) fn several_after(log: &Log) -> Self {
        Self { given: Some(HashMap::new()), ..Self::after(log) }
    }

    pub(super) fn into_events(self) -> Vec<Event> {
        self.events
    }
}

impl Log {
    pub(super) fn new(incarnation: &str) -> Self {
        Self::restored(incarnation, 0, 0)
    }

    /// A log without events that goes on after the number `head`; those up to `evicted` were evicted.
    pub(super) fn restored(incarnation: &str, head: u64, evicted: u64) -> Self {
        Self {
            incarnation: incarnation.into(),
            events: VecDeque::new(),
            head,
            published: 0,
            given: HashMap::new(),
            evicted,
            tag: Some("".into()),
            next_tag: "".into(),
            forks: None,
            gone: Vec::new(),
        }
    }

    /// Sets the tag in the id of the last event before the log, which has no events yet; `None` if it is not known.
    pub(super) fn with_tag(mut self, tag: Option<&str>) -> Self {
        self.tag = tag.map(Into::into);
        self
    }

    /// Sets the tag in the ids that are given from now on, and where the store lost the end of the stream.
    pub(super) fn goes_on(&mut self, tag: &str, forks: Option<Box<(Forks, Times)>>) {
        (self.next_tag, self.forks) = (tag.into(), forks);
    }

    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// Checks a batch, and adds what is new in it to `staged`, numbered: all of it or nothing. An event that is in the log, or staged,
    /// with the same id and content is not published again: publishers may repeat events that they do not know to have
    /// arrived. Returns the ids, in the order of the batch.
    pub(super) fn stage(
        &self,
        staged: &mut Staged,
        batch: Vec<Draft>,
        now: Instant,
        settings: &EventSettings,
    ) -> Result<Vec<Box<str>>, HubError> {
        self.check(&batch, staged)?;
        let mut ids = Vec::with_capacity(batch.len());
        for draft in batch {
            if let Some(known) = draft.given_id().and_then(|id| self.known(id, staged)) {
                ids.push(known.id.clone());
                continue;
            }
            staged.head += 1;
            let id = draft.given_id().map(str::to_owned);
            if let (Some(given), Some(id)) = (&mut staged.given, &id) {
                given.insert(id.as_str().into(), staged.events.len());
            }
            let id = id.unwrap_or_else(|| server_id(&self.incarnation, staged.head, &self.next_tag));
            let mut event = draft.publish(staged.head, id, now, settings.log_ttl);
            if let Some((forks, times)) = self.forks.as_deref() {
                event = forks.set_place(event, &self.incarnation, times);
            }
            ids.push(event.id.clone());
            staged.events.push(event);
        }
        Ok(ids)
    }

    /// Adds an event that has its number. If that is not the next one, those between cannot be had any more: the log begins anew
    /// with it. Calls `mark` first.
    pub(super) fn append(&mut self, mut event: Event, mark: &mut impl FnMut(&mut Event)) {
        if event.seq <= self.head {
            return;
        }
        if event.seq != self.head + 1 {
            self.skip_to(event.seq - 1);
        }
        mark(&mut event);
        self.head = event.seq;
        if assigned(&self.incarnation, &event.id).is_none() {
            self.given.insert(event.id.clone(), event.seq);
        }
        event.before = self.published;
        self.published += event.cost();
        self.events.push_back(Arc::new(event));
    }

    /// Goes on after the number `head`, as if all events up to it had been evicted.
    fn skip_to(&mut self, head: u64) {
        (self.head, self.evicted, self.tag) = (head, head, None);
        self.given.clear();
        self.events.clear();
    }

    fn known<'a>(&'a self, id: &str, staged: &'a Staged) -> Option<&'a Event> {
        let logged = self.given.get(id).and_then(|seq| self.get(*seq)).map(|event| &**event);
        logged.or_else(|| staged.events.get(*staged.given.as_ref()?.get(id)?))
    }

    fn check(&self, batch: &[Draft], staged: &Staged) -> Result<(), HubError> {
        let mut before: HashMap<&str, usize> = HashMap::new();
        for (at, draft) in batch.iter().enumerate() {
            let Some(id) = draft.given_id() else { continue };
            if assigned(&self.incarnation, id).is_some() {
                return Err(HubError::ReservedId(at));
            }
            let differs = self.known(id, staged).is_some_and(|event| !draft.says(event));
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
                self.tag = event.place.as_ref().map(|place| place.tag.clone());
            } else if let Some((_, tag)) = assigned(&self.incarnation, &event.id)
                && self.tag.as_deref() != Some(tag)
            {
                self.tag = Some(tag.into());
            }
            self.events.pop_front();
        }
        (evicted, expired)
    }

    /// Takes the traced events that left since the last call, with their numbers and the reason.
    pub(super) fn gone(&mut self) -> Vec<(u64, Arc<Origin>, Outcome)> {
        std::mem::take(&mut self.gone)
    }

    pub(super) fn locate(&self, id: &str) -> Located {
        if let Some(seq) = self.given.get(id) {
            return match self.get(*seq).and_then(|event| event.fork()) {
                None => Located::At(*seq),
                Some(fork) if fork + 1 >= self.first() => Located::Behind(fork),
                Some(_) => Located::Unknown,
            };
        }
        match assigned(&self.incarnation, id) {
            Some((seq, tag)) if seq <= self.head && !self.is_other(seq, tag) => Located::At(seq),
            _ => Located::Unknown,
        }
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
        let mut staged = Staged::after(log);
        let ids = log.stage(&mut staged, batch, now, &bounds())?;
        staged.into_events().into_iter().for_each(|event| log.append(event, &mut |_| ()));
        log.trim(now, &bounds());
        Ok(ids.iter().map(ToString::to_string).collect())
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
    fn batches_that_are_staged_one_after_the_other_know_of_each_other() {
        let own = |id: &str, data: &str| vec![draft(data).id(id).unwrap()];
        let log = Log::new("x");
        let mut staged = Staged::several_after(&log);
        let mut stage = |batch| log.stage(&mut staged, batch, at(0), &bounds()).map(|ids| ids.join(" "));
        assert_eq!(stage(own("a", "1")), Ok("a".into()));
        assert_eq!(stage(vec![draft("2")]), Ok("x-2".into()));
        assert_eq!(stage(own("a", "1")), Ok("a".into()), "a repetition");
        assert_eq!(stage(own("a", "other")), Err(HubError::Conflict(0)));
        let numbers: Vec<u64> = staged.into_events().iter().map(|event| event.seq).collect();
        assert_eq!((numbers, log.head()), (vec![1, 2], 0));
    }

    #[test]
    fn a_log_goes_on_where_an_earlier_one_was_and_over_what_is_missing() {
        let mut log = Log::restored("x", 4, 2);
        assert_eq!((log.first(), log.head(), log.evicted(), log.locate("x-3")), (5, 4, 2, Located::At(3)));
        assert_eq!(ids(&mut log, vec![draft("a")], at(0)).unwrap(), ["x-5"]);
        let event = |seq, id: &str| draft("b").publish(seq, id.to_owned(), at(0), Duration::from_secs(10));
        log.append(event(5, "x-5"), &mut |_| panic!("it is there"));
        log.append(event(8, "own"), &mut |_| ());
        assert_eq!((log.first(), log.head(), log.evicted(), log.len()), (8, 8, 7, 1));
        assert_eq!((log.locate("own"), log.locate("x-7")), (Located::At(8), Located::At(7)));
        assert_eq!(log.bytes(), log.get(8).unwrap().cost());
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
