//! A changed limit, and thousands of streams that wait under it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use http_body::Body;
use sluicegate::brigade::Brigade;
use sluicegate::budget::{Gate, Node};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::{Chain, Filter, FilterError, RateFilter, Verdict};
use sluicegate::limit::{Budget, Interval, Limit, Rate};

use super::fixture::{MS, Reading, clock, limit, page};

/// The length of each body. At a byte a second it takes a quarter of an hour.
const LEN: u64 = 1_000;

/// Bodies on one clock; those that ended, and when.
struct Crowd {
    clock: Arc<ManualClock>,
    reading: Vec<Reading<Brigade>>,
    ended: Vec<Option<Instant>>,
}

impl Crowd {
    fn new() -> Self {
        Self { clock: clock(), reading: Vec::new(), ended: Vec::new() }
    }

    /// Adds a body and polls it for the first time.
    fn add(&mut self, reading: Reading<Brigade>) {
        self.reading.push(reading);
        self.ended.push(None);
        self.poll(self.reading.len() - 1);
    }

    fn poll(&mut self, number: usize) {
        let (_, end) = self.reading[number].take();
        if let Some(end) = end {
            end.unwrap();
            self.ended[number] = Some(self.clock.now());
        }
    }

    /// Polls what was woken; returns whether anything was.
    fn poll_woken(&mut self) -> bool {
        let woken: Vec<usize> = (0..self.reading.len())
            .filter(|number| self.ended[*number].is_none() && self.reading[*number].task.take_wake())
            .collect();
        woken.iter().for_each(|number| self.poll(*number));
        !woken.is_empty()
    }

    /// Runs until `end`.
    fn run_until(&mut self, end: Instant) {
        loop {
            while self.poll_woken() {}
            match self.clock.next_deadline() {
                Some(next) if next <= end => drop(self.clock.advance_to_next()),
                _ => return self.clock.set(end),
            }
        }
    }
}

/// A rate filter that calls `meddle` with the number of each step, before it returns.
struct Meddling<F>(RateFilter, Limit, Arc<AtomicUsize>, F);

impl<F: FnMut(usize) + Send + Sync> Filter for Meddling<F> {
    fn filter(
        &mut self,
        now: Instant,
        input: &mut Brigade,
        output: &mut Brigade,
    ) -> Result<Verdict, FilterError> {
        let verdict = self.0.filter(now, input, output);
        (self.3)(self.2.fetch_add(1, Ordering::SeqCst));
        verdict
    }

    fn reads_bytes(&self) -> bool {
        false
    }

    fn limit(&self) -> Option<&Limit> {
        Some(&self.1)
    }
}

/// A body under `limit`, and how often its filter was called.
fn counted(
    clock: &Arc<ManualClock>,
    limit: &Limit,
    meddle: impl FnMut(usize) + Send + Sync + 'static,
) -> (Reading<Brigade>, Arc<AtomicUsize>) {
    let steps = Arc::<AtomicUsize>::default();
    let filter = Meddling(RateFilter::new(limit.clone()), limit.clone(), Arc::clone(&steps), meddle);
    (Reading::through(clock, Chain::new().then(filter), page(LEN)), steps)
}

#[test]
fn a_change_wakes_all_that_sleep_and_leaves_nothing_when_they_end() {
    for (interval, streams) in [(Interval::MIN, 1_000), (Interval::DEFAULT, 10_000), (Interval::MAX, 1_000)] {
        let mut crowd = Crowd::new();
        let limit = limit(1);
        for _ in 0..streams {
            let chain = Chain::new().then(RateFilter::new(limit.clone()).interval(interval));
            let reading = Reading::through(&crowd.clock, chain, page(LEN));
            crowd.add(reading);
        }
        let change = Instant::from_nanos(317 * MS);
        crowd.run_until(change);
        assert!(crowd.ended.iter().all(Option::is_none), "they wait");
        limit.set_rate(None);
        while crowd.poll_woken() {}
        assert!(crowd.ended.iter().all(|at| *at == Some(change)), "{interval}");
        let clock = Arc::clone(&crowd.clock);
        drop(crowd);
        assert!(!limit.is_shared() && clock.sleepers() == 0, "no watch and no timer is left");
    }
}

// The change comes before the limit is watched, or between that and the sleep.
#[test]
fn a_change_while_a_body_goes_to_sleep_is_seen_at_once() {
    let (mut at_once, mut woken) = (0, 0);
    for at_step in 0.. {
        let (clock, limit) = (clock(), limit(1));
        let change = limit.clone();
        let (mut reading, _) = counted(&clock, &limit, move |step| {
            if step == at_step {
                change.set_rate(None);
            }
        });
        let (mut bytes, mut end) = reading.take();
        if limit.rate().is_some() {
            // It went to sleep in the step before.
            break;
        }
        if end.is_none() {
            assert!(reading.task.take_wake(), "changed in step {at_step}");
            let (more, ended) = reading.take();
            (bytes, end) = (bytes + more, ended);
            woken += 1;
        } else {
            at_once += 1;
        }
        assert!(matches!((bytes, end), (LEN, Some(Ok(())))), "changed in step {at_step}");
    }
    assert!(at_once > 0 && woken > 0, "{at_once}, {woken}");
}

// `will_wake` need not be true of a waker and itself.
#[test]
fn a_task_without_an_identity_costs_one_step_more_at_each_poll_and_never_spins() {
    let (clock, limit) = (clock(), limit(1));
    let (mut reading, steps) = counted(&clock, &limit, |_| {});
    assert!(matches!(reading.take(), (1, None)));
    steps.store(0, Ordering::SeqCst);
    assert!(matches!(reading.take(), (0, None)));
    let usual = steps.load(Ordering::SeqCst);
    for poll in [Waker::noop().clone(), Waker::from(Arc::new(Nobody)), Waker::noop().clone()] {
        steps.store(0, Ordering::SeqCst);
        assert!(Pin::new(&mut reading.body).poll_frame(&mut Context::from_waker(&poll)).is_pending());
        assert_eq!(steps.load(Ordering::SeqCst), 2 * usual);
        assert_eq!(clock.sleepers(), 1);
    }
    // The task that polled last is woken, and it alone.
    assert!(matches!(reading.take(), (0, None)));
    limit.set_rate(None);
    assert_eq!(reading.task.woken(), 1);
    assert!(matches!(reading.take(), (999, Some(Ok(())))));
}

/// A task that is woken for nothing.
struct Nobody;

impl std::task::Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_limit_that_changes_each_millisecond_wakes_each_stream_once_an_interval() {
    const SECONDS: u64 = 2;
    let (mut crowd, limit) = (Crowd::new(), limit(1));
    for _ in 0..100 {
        let reading = Reading::new(&crowd.clock, &limit, page(LEN));
        crowd.add(reading);
    }
    for millis in 1..=SECONDS * 1_000 {
        crowd.run_until(Instant::from_millis(millis));
        limit.set_rate(Rate::or_unlimited(1 + millis % 2));
    }
    // Its looks, a step for a change in each interval, and a chunk of one byte a second or a half.
    let most = 2 * (SECONDS * 5) as usize + 2 * SECONDS as usize + 2;
    for reading in &crowd.reading {
        assert!(reading.task.woken() <= most, "{} > {most}", reading.task.woken());
    }
    // The last change is seen as any other.
    crowd.run_until(Instant::from_millis(SECONDS * 1_000 + 1));
    limit.set_rate(None);
    crowd.run_until(Instant::from_millis(SECONDS * 1_000 + 201));
    assert!(crowd.ended.iter().all(Option::is_some));
}

#[test]
fn all_that_wait_for_their_own_pace_see_a_change_within_their_interval() {
    for (interval, streams) in [(Interval::MIN, 1_000), (Interval::DEFAULT, 10_000), (Interval::MAX, 1_000)] {
        let mut crowd = Crowd::new();
        let limit = limit(1);
        for number in 0..streams {
            // In ten phases to one another.
            let phase = interval.duration() * (number * 10 / streams) as u32 / 10;
            if crowd.clock.now() < Instant::ZERO + phase {
                crowd.run_until(Instant::ZERO + phase);
            }
            let chain = Chain::new().then(RateFilter::new(limit.clone()).interval(interval));
            let reading = Reading::through(&crowd.clock, chain, page(LEN));
            crowd.add(reading);
        }
        let change = crowd.clock.now() + Duration::from_millis(317);
        crowd.run_until(change);
        assert!(crowd.ended.iter().all(Option::is_none), "they wait");
        limit.set_rate(None);
        crowd.run_until(change + interval.duration());
        let seen = crowd.ended.iter().flatten().map(|at| *at - change);
        assert_eq!(seen.clone().count() as u64, streams, "{interval}");
        assert!(seen.max() <= Some(interval.duration()));
    }
}

#[test]
fn all_that_wait_for_a_turn_have_it_at_once_when_the_shared_limit_goes() {
    let mut crowd = Crowd::new();
    let server = Node::root("server", Budget::of(Rate::or_unlimited(1)), crowd.clock.clone());
    for _ in 0..10_000 {
        let mut reading = Reading::through(&crowd.clock, Chain::new(), page(LEN));
        reading.body = reading.body.with_gate(Gate::new(server.clone(), Default::default()));
        crowd.add(reading);
    }
    crowd.run_until(Instant::from_nanos(317 * MS));
    assert!(crowd.ended.iter().all(Option::is_none), "they wait");
    server.set(Budget::default());
    assert!(crowd.poll_woken());
    assert!(crowd.ended.iter().all(|at| *at == Some(Instant::from_nanos(317 * MS))));
}
