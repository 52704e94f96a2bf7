//! Events as stores keep them: with times of the calendar, which other processes know too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::event::{Draft, Event};
use super::super::place::Forks;
use super::super::trace::TraceParent;
use crate::clock::{Clock, Instant};

/// An instant, and the calendar's time then, in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(in crate::events) struct Times {
    now: Instant,
    millis: u64,
}

impl Times {
    pub(in crate::events) fn of(clock: &dyn Clock) -> Self {
        let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now: clock.now(), millis: since(clock.calendar()).as_millis() as u64 }
    }

    /// Milliseconds since 1970.
    pub(in crate::events) fn now_millis(&self) -> u64 {
        self.millis
    }

    /// Milliseconds since 1970 at `instant`.
    fn millis(&self, instant: Instant) -> u64 {
        let ahead = instant - self.now;
        match ahead.is_zero() {
            true => self.millis.saturating_sub((self.now - instant).as_millis() as u64),
            false => self.millis.saturating_add(ahead.as_millis() as u64),
        }
    }
}

/// An event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) struct KeptEvent {
    pub(in crate::events) seq: u64,
    pub(in crate::events) id: String,
    pub(in crate::events) kind: Option<String>,
    pub(in crate::events) trace: Option<TraceParent>,
    pub(in crate::events) data: String,
    /// When it was published, and when it expires: milliseconds since 1970.
    pub(in crate::events) life: (u64, u64),
}

impl KeptEvent {
    /// The event. It lives no longer than it was to, however the calendar was set meanwhile.
    pub(in crate::events) fn event(self, times: &Times) -> Event {
        let (born, expires) = self.life;
        let age = Duration::from_millis(times.millis.saturating_sub(born));
        let left = expires.saturating_sub(times.millis).min(expires.saturating_sub(born));
        let draft = Draft::kept(self.data, self.kind, self.trace);
        let mut event = draft.publish(self.seq, self.id, times.now, Duration::ZERO);
        event.expires = times.now + Duration::from_millis(left);
        event.born = Instant::from_nanos(times.now.as_nanos().saturating_sub(age.as_nanos() as u64));
        event
    }
}

/// When `event` was published, and when it expires, as it is kept.
pub(in crate::events) fn life(event: &Event, times: &Times) -> (u64, u64) {
    (times.millis(event.born), times.millis(event.expires))
}

/// A stream as it is kept: what its log goes on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::events) struct KeptStream {
    pub(in crate::events) name: String,
    pub(in crate::events) incarnation: String,
    /// The number of its last event.
    pub(in crate::events) head: u64,
    /// Up to this number events were evicted.
    pub(in crate::events) evicted: u64,
}

/// A stream as it is read: its forks, and its events behind those that are in memory.
#[derive(Debug)]
pub(in crate::events) struct KeptRead {
    pub(in crate::events) stream: KeptStream,
    pub(in crate::events) forks: Forks,
    pub(in crate::events) events: Vec<KeptEvent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(now: u64, millis: u64) -> Times {
        Times { now: Instant::from_millis(now), millis }
    }

    #[test]
    fn an_event_has_the_rest_of_its_life_in_another_process() {
        let (there, here) = (times(70_000, 1_000_000), times(500, 1_004_000));
        let draft = Draft::new("a\nb", 10).unwrap().kind("k").unwrap();
        let event = draft.publish(7, "x-7".into(), Instant::from_millis(69_000), Duration::from_secs(10));
        assert_eq!(life(&event, &there), (999_000, 1_009_000));
        let kept = KeptEvent {
            seq: 7,
            id: "x-7".into(),
            kind: Some("k".into()),
            trace: None,
            data: "a\nb".into(),
            life: (999_000, 1_009_000),
        };
        let same = kept.clone().event(&here);
        assert_eq!((&same.wire, &same.data, &same.id, same.seq), (&event.wire, &event.data, &event.id, 7));
        assert_eq!(same.expires, Instant::from_millis(5_500));
        assert_eq!(same.born, Instant::ZERO, "this process is younger than the event");
        // A calendar that was set back or far ahead.
        assert_eq!(kept.clone().event(&times(500, 5_000)).expires, Instant::from_millis(10_500));
        assert!(!kept.event(&times(500, 2_000_000)).is_live(Instant::from_millis(500)));
    }
}
