//! A changed limit, and thousands of streams that wait under it.

use std::sync::Arc;
use std::time::Duration;

use sluicegate::brigade::Brigade;
use sluicegate::budget::{Gate, Node};
use sluicegate::clock::{Clock, Instant, ManualClock};
use sluicegate::filter::{Chain, RateFilter};
use sluicegate::limit::{Budget, Interval, Rate};

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
