//! Limits of resources that follow the time of the week.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::shared_book::SharedBook;
use crate::clock::Sleep;
use crate::quota::id::Id;
use crate::quota::limit::ResourceLimit;
use crate::schedule::Timetable;
use crate::sync::Mutex;

/// How long the calendar is left alone at most. Somebody may set the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A resource's limit, and what it is at which times.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaSchedule {
    /// The resource.
    pub resource: Id,
    /// Its limit when none of `times` holds.
    pub own: ResourceLimit,
    /// Its limit at times of the week, in the same unit. The first that holds counts.
    pub times: Timetable<ResourceLimit>,
}

/// The resources whose limits follow the calendar.
#[derive(Default)]
pub(super) struct Schedules(Mutex<Vec<Followed>>);

struct Followed {
    schedule: QuotaSchedule,
    /// Which of its times its limit was set to last, or its own; `None` before the first time.
    set_to: Option<Option<usize>>,
}

impl Schedules {
    pub(super) fn new(schedules: Vec<QuotaSchedule>) -> Self {
        let follow = |schedule| Followed { schedule, set_to: None };
        Self(Mutex::new(schedules.into_iter().map(follow).collect()))
    }

    /// Whether the limit of `resource` was set to one of its times.
    pub(super) fn holds(&self, resource: &Id) -> bool {
        let followed = self.0.lock();
        followed.iter().any(|followed| followed.schedule.resource == *resource && followed.nth().is_some())
    }

    /// The limit of `resource` at `at`, which the caller sets; `None` if it follows no schedule.
    pub(super) fn limit(&self, resource: &Id, at: SystemTime) -> Option<ResourceLimit> {
        let mut followed = self.0.lock();
        let followed = followed.iter_mut().find(|followed| followed.schedule.resource == *resource)?;
        let QuotaSchedule { own, times, .. } = &followed.schedule;
        let (nth, limit) = times.at(at).holds.map_or((None, own), |(nth, limit)| (Some(nth), limit));
        followed.set_to = Some(nth);
        Some(*limit)
    }
}

impl Followed {
    /// Which of its times its limit was set to last.
    fn nth(&self) -> Option<usize> {
        self.set_to.flatten()
    }
}

impl SharedBook {
    /// Sets the limits that follow the calendar to what holds at `at`. Returns when the next of them changes.
    pub(super) fn apply_schedules(&self, at: SystemTime) -> Option<SystemTime> {
        self.with_held(|held, now| {
            let leads = held.lead.as_ref().is_none_or(|lead| lead.leads(now).is_ok());
            let book = &mut held.book;
            let mut next: Option<SystemTime> = None;
            let mut schedules = self.schedules.0.lock();
            // What somebody set or deleted stays so.
            let by_hand = |followed: &&mut Followed| self.limits.is_by_hand(&followed.schedule.resource);
            for followed in schedules.iter_mut().filter(|followed| !by_hand(followed)) {
                let QuotaSchedule { resource, own, times } = &followed.schedule;
                let held = times.at(at);
                next = [next, held.until].into_iter().flatten().min();
                let (nth, limit) = held.holds.map_or((None, own), |(nth, limit)| (Some(nth), limit));
                if followed.set_to == Some(nth) || !leads {
                    continue;
                }
                match book.set_limit(now, resource, *limit) {
                    Ok(_) => log::info!(resource:%, limit:%; "limit changed by its schedule"),
                    Err(error) => {
                        log::warn!(resource:%, limit:%, error:%; "a schedule's limit cannot be set")
                    }
                }
                followed.set_to = Some(nth);
            }
            next
        })
    }

    /// Has limits follow the calendar; never completes.
    pub(super) async fn follow_schedules(&self) {
        if self.schedules.0.lock().is_empty() {
            return std::future::pending().await;
        }
        loop {
            let next = self.apply_schedules(self.clock().calendar());
            let left = next.map(|next| next.duration_since(self.clock().calendar()).unwrap_or_default());
            Sleep::lasting(Arc::clone(self.clock()), left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use futures_lite::Stream;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::quota::MICRO;
    use crate::quota::book::{Beat, Book, BookSettings, Interest};
    use crate::quota::server::limits::{Change, Source};
    use crate::quota::server::watch::{self, Slots};
    use crate::rt;
    use crate::schedule::{During, Zone};

    fn berlin() -> Zone {
        "Europe/Berlin".parse().unwrap()
    }

    fn at(text: &str) -> SystemTime {
        berlin().moment(text).unwrap()
    }

    fn egress() -> Id {
        "egress".parse().unwrap()
    }

    /// A book that learns nothing, in which the limit of `egress` is 100 MiB/s and follows these times.
    fn following(times: &[(&str, &str)], clock: &Arc<ManualClock>) -> Arc<SharedBook> {
        let time = |(during, text): &(&str, &str)| {
            (During::parse([*during], berlin()).unwrap(), text.parse::<ResourceLimit>().unwrap())
        };
        let times = Timetable::new(times.iter().map(time).collect());
        let schedule = QuotaSchedule { resource: egress(), own: "100m".parse().unwrap(), times };
        let settings = BookSettings { learning: Duration::ZERO, ..BookSettings::default() };
        let book = Book::new(settings, 1, clock.now());
        Arc::new(SharedBook::new(book, Arc::clone(clock) as Arc<dyn Clock>).with_schedules(vec![schedule]))
    }

    #[test]
    fn a_limit_follows_the_calendar_until_somebody_sets_it() {
        let resource = egress();
        let times = [("Mon-Fri 08:00-18:00", "40m"), ("22:00-06:00", "200m")];
        let shared = following(&times, &Arc::new(ManualClock::new()));
        let now = || {
            let view = shared.with(|book, now| book.resources(now, None, 10));
            view.first().map(|view| view.limit.to_string())
        };
        // The 23rd of November 2026 is a Monday.
        for (moment, expected, next) in [
            ("2026-11-23 07:59", "100m", "2026-11-23 08:00"),
            ("2026-11-23 08:00", "40m", "2026-11-23 18:00"),
            ("2026-11-23 18:00", "100m", "2026-11-23 22:00"),
            ("2026-11-23 22:00", "200m", "2026-11-24 06:00"),
            // A clock that is set back.
            ("2026-11-23 09:00", "40m", "2026-11-23 18:00"),
        ] {
            assert_eq!(shared.apply_schedules(at(moment)), Some(at(next)), "{moment}");
            assert_eq!(now().as_deref(), Some(expected), "{moment}");
        }
        assert_eq!(shared.source(&resource), Source::Schedule);
        rt::block_on(shared.change(resource.clone(), Change::Set("7m".parse().unwrap()))).unwrap();
        assert_eq!(shared.apply_schedules(at("2026-11-23 18:00")), None);
        assert_eq!((now().as_deref(), shared.source(&resource)), (Some("7m"), Source::Api));
        rt::block_on(shared.change(resource.clone(), Change::Reset)).unwrap();
        assert_eq!(shared.apply_schedules(at("2026-11-23 08:00")), Some(at("2026-11-23 18:00")));
        assert_eq!(now().as_deref(), Some("40m"));
    }

    /// Both ways, and to the longest pause of the stream that tells clients of their shares.
    #[test]
    fn at_a_boundary_clients_that_are_connected_have_their_new_shares_within_an_interval() {
        let (resource, clock) = (egress(), Arc::new(ManualClock::new()));
        let shared = following(&[("Mon-Fri 08:00-18:00", "40m")], &clock);
        shared.apply_schedules(at("2026-11-23 07:59"));
        let clients = ["a", "b"].map(|client| client.parse::<Id>().unwrap());
        let beat = |client: &Id| {
            let applied = shared.with(|book, now| book.allocations(now, client, "").unwrap());
            let interest = Interest {
                applied: applied.first().map_or(0, |share| share.version),
                ..Interest::new(resource.clone())
            };
            let interests = [interest];
            let beat = Beat { client, instance: "", epoch: 1, sequence: 0, interests: &interests };
            shared.with(|book, now| book.heartbeat(now, beat)).unwrap();
        };
        for client in &clients {
            shared.with(|book, now| book.register(now, client, "")).unwrap();
        }
        // The second's share is free once the first has said that it spends less.
        (0..3).for_each(|_| clients.iter().for_each(beat));
        let slots = Slots::new(2);
        let mut watches = clients.clone().map(|client| {
            Box::pin(watch::own(Arc::clone(&shared), client, String::new(), slots.take().unwrap()))
        });
        let mut told = || {
            watches.each_mut().map(|watch| {
                let next = watch.as_mut().poll_next(&mut Context::from_waker(Waker::noop()));
                next.map(|changes| changes.unwrap().unwrap().allocations[0].rate_micros)
            })
        };
        let mib = |mib: u64| Poll::Ready((mib << 20) * MICRO);
        assert_eq!(told(), [mib(50); 2]);
        for (moment, share) in [("2026-11-23 08:00", 20), ("2026-11-23 18:00", 50)] {
            assert_eq!(told(), [Poll::Pending; 2], "{moment}");
            shared.apply_schedules(at(moment));
            assert_eq!(told(), [Poll::Pending; 2], "{moment}");
            clock.advance(Duration::from_millis(100));
            assert_eq!(told(), [mib(share); 2], "{moment}");
            clients.iter().for_each(beat);
        }
    }
}
