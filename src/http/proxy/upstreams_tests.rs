//! Which upstream a request goes to. Nothing is connected to; time is the manual clock's.

use std::time::Duration;

use super::*;
use crate::clock::ManualClock;

struct Route {
    upstreams: Upstreams,
    clock: Arc<ManualClock>,
}

impl Route {
    fn new(count: usize) -> Self {
        let clock = Arc::new(ManualClock::new());
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let url = |n: usize| format!("http://127.0.0.{n}").parse().unwrap();
        let others = (2..=count).map(url).collect();
        let source = ProxySource { others, ..ProxySource::new(url(1)) };
        let log = LogBound::new(Arc::clone(&shared));
        let upstreams = Upstreams::new(&source, None, Buffers::from(None), &log, &shared);
        Self { upstreams, clock }
    }

    fn next(&self) -> usize {
        self.upstreams.next(&mut Tried::default()).unwrap()
    }

    /// All that one request would be sent to, in order.
    fn order(&self) -> Vec<usize> {
        let mut tried = Tried::default();
        std::iter::from_fn(|| self.upstreams.next(&mut tried)).collect()
    }

    fn lease(&self, index: usize) -> Lease {
        Lease::new(&self.upstreams.all[index])
    }

    fn fail(&self, index: usize) {
        self.upstreams.all[index].state.health.failed(self.clock.now());
    }
}

#[test]
fn equals_take_turns_and_the_one_with_the_fewest_requests_goes_first() {
    let route = Route::new(3);
    assert_eq!([(); 6].map(|()| route.next()), [0, 1, 2, 0, 1, 2]);
    let first = [0, 0, 1].map(|index| route.lease(index));
    assert_eq!([(); 3].map(|()| route.next()), [2; 3]);
    let more = [2, 2].map(|index| route.lease(index));
    assert_eq!([(); 3].map(|()| route.next()), [1; 3]);
    drop((first, more));
    assert_eq!(route.upstreams.all.iter().map(|one| one.state.active()).sum::<u64>(), 0);
    assert_eq!([(); 3].map(|()| route.next()), [0, 1, 2]);
}

#[test]
fn a_request_is_sent_to_each_at_most_once() {
    assert_eq!(Route::new(1).order(), [0]);
    let route = Route::new(3);
    assert_eq!([(); 4].map(|()| route.order()), [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]].map(Vec::from));
    let most = Route::new(ProxySource::MAX_UPSTREAMS);
    assert_eq!(most.order().len(), ProxySource::MAX_UPSTREAMS);
}

#[test]
fn one_that_failed_is_left_out_until_one_request_tries_it() {
    let route = Route::new(2);
    route.fail(0);
    assert_eq!([(); 3].map(|()| route.next()), [1; 3]);
    route.clock.advance(Duration::from_secs(1));
    assert_eq!([(); 3].map(|()| route.next()), [0, 1, 1], "one tries it, though it could be slow to fail");
    route.clock.advance(Duration::from_secs(2));
    let _busy = route.lease(0);
    assert_eq!(route.next(), 0, "also if it has more requests");
    assert!(route.upstreams.all[0].state.health.recovered());
    drop(_busy);
    assert_eq!([(); 2].map(|()| route.next()).iter().sum::<usize>(), 1);
}

#[test]
fn if_all_are_left_out_the_one_that_is_due_soonest_is_tried_first() {
    let route = Route::new(3);
    for index in [2, 0, 1] {
        route.fail(index);
        route.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(route.order(), [2, 0, 1]);
    let alone = Route::new(1);
    alone.fail(0);
    assert_eq!([alone.next(), alone.next()], [0; 2], "one alone is never left out");
}

#[test]
fn after_a_reload_upstreams_that_stay_keep_their_health_and_counters() {
    let (old, mut new) = (Route::new(2), Route::new(3));
    old.fail(1);
    let _busy = old.lease(0);
    new.upstreams.adopt(&old.upstreams);
    let status: Vec<_> = new.upstreams.iter().map(|one| (one.status().is_out, one.status().active)).collect();
    assert_eq!(status, [(false, 1), (true, 0), (false, 0)]);
}
