//! What a simulation costs: as many times the clients, as many times the work, and no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Waker;

use sluicegate::clock::{Clock, Instant, TimerKey};

use super::*;

/// Counts what the server asks of its clock: a few times for each piece that a connection sends, each turn under a shared limit
/// and each timer.
struct CountingClock {
    clock: Arc<dyn Clock>,
    calls: Arc<AtomicUsize>,
}

impl CountingClock {
    fn counted(&self) -> &dyn Clock {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &*self.clock
    }
}

impl Clock for CountingClock {
    fn now(&self) -> Instant {
        self.counted().now()
    }

    fn wake_at(&self, deadline: Instant, waker: Waker) -> TimerKey {
        self.counted().wake_at(deadline, waker)
    }

    fn cancel(&self, key: TimerKey) {
        self.counted().cancel(key);
    }

    fn may_have_fired(&self, deadline: Instant) -> bool {
        self.counted().may_have_fired(deadline)
    }
}

/// The calls of the clock in ten simulated seconds.
fn calls(config: &str, clients: &str) -> usize {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = |clock| Arc::new(CountingClock { clock, calls: Arc::clone(&calls) }) as Arc<dyn Clock>;
    let outcome = simulate_on(counting, "2026-01-05 12:00", config, clients, 10, 1);
    let moved: u64 = outcome.groups.iter().map(GroupOutcome::moved).sum();
    assert!(moved > 0);
    calls.load(Ordering::Relaxed)
}

#[test]
fn twice_the_clients_are_twice_the_work() {
    const CLASSES: &str = "
        [[class]]
        name = 'even'
        match = { path = '/even/*' }
        limits.client = { rate = '200k' }
        [[class]]
        name = 'odd'
        match = { path = '/odd/*' }
        limits.total = { weight = 3 }
    ";
    let route = |rate: &str| format!("[[route]]\npath = '/'\nfiles = 'src'\nrate = '{rate}'\n");
    // What each client has of the server's limit, in KiB per second.
    let shapes = [
        ("paces", None, route("50k"), "connections = 1"),
        ("a shared limit", Some(10), route("off"), "connections = 1"),
        ("classes", Some(10), format!("{CLASSES}{}", route("100k")), "connections = 2"),
        ("slow readers", None, route("off"), "read_rate = '30k'\nbuffer = '16k'"),
    ];
    for (name, share, config, more) in shapes {
        let calls = |clients: usize| {
            let limit =
                share.map(|share| format!("[limits]\nserver = {{ rate = '{}k' }}\n", share * clients));
            let group = format!(
                "[[clients]]\ncount = {}\npath = ['/even/a', '/odd/a']\nsize = {{ from = '50k', to = '500k' }}\n{more}\n",
                clients / 2,
            );
            calls(&(limit.unwrap_or_default() + &config), &(group.clone() + "think = '1s'\n" + &group))
        };
        let [one, two, four] = [100, 200, 400].map(calls);
        for (less, more) in [(one, two), (two, four)] {
            let times = more as f64 / less as f64;
            assert!((1.8..2.2).contains(&times), "{name}: {one}, {two} and {four} calls of the clock");
        }
    }
}
