//! The book over any history: joins, leaves, expiries, changed limits, restarts, words that are lost.
//!
//! What clients may be spending is reckoned here a second time, from what they heard.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sluicegate::clock::Instant;
use sluicegate::quota::book::{Beat, Book, BookError, BookSettings, Interest};
use sluicegate::quota::{Id, MICRO};

use crate::book::{id, requests};

const TIMEOUT: Duration = Duration::from_secs(30);
const CLIENTS: usize = 6;

/// A client as it sees itself: one that was told a share spends it until its lease ends.
#[derive(Default, Clone)]
struct Spender {
    epoch: u64,
    version: u64,
    rate: u64,
    until: Instant,
}

struct World {
    book: Book,
    epoch: u64,
    is_restarted: bool,
    limit: u64,
    now: Instant,
    clients: BTreeMap<usize, Spender>,
    /// While a lowered limit has not reached everybody: the sum there was, and until when.
    above: (u128, Instant),
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    /// A heartbeat of a client, with demand and weight, and whether its answer is heard.
    Beat {
        client: usize,
        wants: Option<u64>,
        weight: u32,
        heard: bool,
    },
    /// An allocation asked for or pushed, and whether it is heard.
    Look {
        client: usize,
        heard: bool,
    },
    Leave(usize),
    SetLimit(u64),
    Recreate(u64),
    Restart,
    /// Another server goes on with what the store has, and all register there.
    TakeOver,
}

fn name(client: usize) -> Id {
    id(&format!("c{client}"))
}

impl World {
    fn new() -> Self {
        let settings = BookSettings { learning: Duration::ZERO, ..BookSettings::default() };
        let mut book = Book::new(settings, 1, Instant::ZERO);
        book.set_limit(Instant::ZERO, &id("r"), requests(100)).unwrap();
        Self {
            book,
            epoch: 1,
            is_restarted: false,
            limit: 100,
            now: Instant::ZERO,
            clients: BTreeMap::new(),
            above: (0, Instant::ZERO),
        }
    }

    fn spending(&self) -> u128 {
        let leased = self.clients.values().filter(|client| self.now < client.until);
        leased.map(|client| u128::from(client.rate)).sum()
    }

    fn beat(&mut self, client: usize, wants: Option<u64>, weight: u32, heard: bool) {
        let mut spender = self.clients.get(&client).cloned().unwrap_or_default();
        let held = if self.now < spender.until { spender.rate } else { 0 };
        let interests = [Interest { resource: id("r"), weight, wants, applied: spender.version, held }];
        let who = name(client);
        let beat =
            Beat { client: &who, instance: "", epoch: spender.epoch, sequence: 0, interests: &interests };
        let answer = match self.book.heartbeat(self.now, beat) {
            Err(BookError::UnknownClient(_)) => {
                self.book.register(self.now, &who, "").unwrap();
                self.book.heartbeat(self.now, beat).unwrap()
            }
            answer => answer.unwrap(),
        };
        if !heard {
            return;
        }
        for allocation in answer.allocations {
            if spender.epoch != self.epoch || allocation.version >= spender.version {
                (spender.rate, spender.version) = (allocation.rate, allocation.version);
            }
            // A lease is that of the last heartbeat that was answered.
            spender.until = self.now + TIMEOUT;
        }
        spender.epoch = self.epoch;
        self.clients.insert(client, spender);
    }

    fn look(&mut self, client: usize, heard: bool) {
        let answer = self.book.allocation(self.now, &name(client), "", &id("r"));
        if let (Ok(allocation), true, Some(spender)) = (answer, heard, self.clients.get_mut(&client))
            && spender.epoch == self.epoch
            && allocation.version > spender.version
        {
            (spender.rate, spender.version) = (allocation.rate, allocation.version);
        }
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Pass(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.book.advance(self.now);
            }
            Event::Beat { client, wants, weight, heard } => self.beat(client, wants, weight, heard),
            Event::Look { client, heard } => self.look(client, heard),
            Event::Leave(client) => {
                self.clients.remove(&client);
                self.book.unregister(self.now, &name(client), "").unwrap();
            }
            Event::SetLimit(limit) => self.set_limit(limit),
            Event::Recreate(limit) => {
                let granted = self.granted();
                self.book.delete_limit(self.now, &id("r")).unwrap();
                self.above = (granted, self.now + TIMEOUT);
                self.book.set_limit(self.now, &id("r"), requests(limit)).unwrap();
                self.limit = limit;
            }
            Event::TakeOver => self.take_over(),
            Event::Restart => {
                self.is_restarted = true;
                self.epoch += 1;
                self.book = Book::new(BookSettings::default(), self.epoch, self.now);
                self.book.set_limit(self.now, &id("r"), requests(self.limit)).unwrap();
            }
        }
    }

    fn take_over(&mut self) {
        self.epoch += 1;
        let settings = BookSettings { learning: Duration::ZERO, ..BookSettings::default() };
        let mut book = Book::new(settings, self.epoch, self.now);
        book.set_limit(self.now, &id("r"), requests(self.limit)).unwrap();
        let stored = |client: Id| Some((client.clone(), self.book.stored(&client)?));
        let holders: Vec<_> = self.book.holders().into_iter().filter_map(stored).collect();
        book.restore(holders, self.epoch << 32, self.now + TIMEOUT);
        self.book = book;
        // What was lowered under leases runs out within one that begins now.
        if self.now < self.above.1 {
            self.above.1 = self.now + TIMEOUT;
        }
        self.clients.values_mut().for_each(|spender| spender.epoch = self.epoch);
    }

    fn set_limit(&mut self, limit: u64) {
        if limit < self.limit {
            self.above = (self.granted(), self.now + TIMEOUT);
        }
        self.book.set_limit(self.now, &id("r"), requests(limit)).unwrap();
        self.limit = limit;
    }

    fn granted(&mut self) -> u128 {
        self.book.resources(self.now, None, 1)[0].granted
    }

    /// No more is spent than the limit, or than was already when it was lowered, for one lease.
    fn check(&mut self) {
        let limit = u128::from(self.limit * MICRO);
        let allowed = if self.now < self.above.1 { limit.max(self.above.0) } else { limit };
        assert!(self.spending() <= allowed, "{} are spent of {allowed}", self.spending());
        let granted = self.granted();
        assert!(granted <= allowed, "{granted} are granted of {allowed}");
        if !self.is_restarted {
            assert!(self.spending() <= granted, "a lease that was forgotten");
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let wants = prop_oneof![3 => Just(None), 1 => (0u64..150).prop_map(|wants| Some(wants * MICRO))];
    let heard = prop::bool::weighted(0.7);
    prop_oneof![
        4 => prop_oneof![0u64..100, 0..12_000u64, Just(29_999), Just(30_000)].prop_map(Event::Pass),
        10 => (0..CLIENTS, wants, 1u32..4, heard).prop_map(|(client, wants, weight, heard)| {
            Event::Beat { client, wants, weight, heard }
        }),
        3 => (0..CLIENTS, prop::bool::ANY).prop_map(|(client, heard)| Event::Look { client, heard }),
        1 => (0..CLIENTS).prop_map(Event::Leave),
        1 => (1u64..200).prop_map(Event::SetLimit),
    ]
}

/// A grant from before a limit was lowered is not extended past the lease in which more than the limit may be spent.
#[test]
fn a_grant_that_is_older_than_a_lowered_limit_counts_against_it_when_it_is_extended() {
    let beat = |client, weight| Event::Beat { client, wants: None, weight, heard: false };
    let mut world = World::new();
    for event in [
        beat(3, 1),
        Event::Recreate(126),
        beat(0, 1),
        Event::Recreate(35),
        Event::Pass(1),
        beat(0, 3),
        beat(3, 2),
        Event::Pass(29_999),
    ] {
        world.happen(&event);
        world.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_history_grants_more_than_the_limit(events in prop::collection::vec(event(), 1..120)) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.check();
        }
    }

    #[test]
    fn nor_does_one_with_limits_made_anew(
        events in prop::collection::vec(prop_oneof![9 => event(), 1 => (1u64..200).prop_map(Event::Recreate)], 1..80),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.check();
        }
    }

    #[test]
    fn nor_does_one_with_restarts(
        events in prop::collection::vec(prop_oneof![12 => event(), 1 => Just(Event::Restart)], 1..120),
    ) {
        let mut world = World::new();
        for event in &events {
            // Two changes of the limit within one lease of a restart: what was lowered is not known any more.
            if !matches!(event, Event::SetLimit(_)) {
                world.happen(event);
                world.check();
            }
        }
    }

    #[test]
    fn nor_does_one_with_servers_that_take_over(
        events in prop::collection::vec(prop_oneof![9 => event(), 1 => Just(Event::TakeOver)], 1..120),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
            world.check();
        }
    }

    #[test]
    fn all_that_beat_and_are_heard_have_their_fair_shares_after_one_round(
        events in prop::collection::vec(event(), 0..60),
        demands in prop::collection::vec((prop::option::of(0u64..80), 1u32..4), 1..CLIENTS),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        // Those who are silent from here on run out.
        world.happen(&Event::Pass(30_000));
        let round = |world: &mut World| {
            for (client, (wants, weight)) in demands.iter().enumerate() {
                world.beat(client, wants.map(|wants| wants * MICRO), *weight, true);
                world.check();
            }
        };
        // All are there, all have heard, all have said so, all are told.
        round(&mut world);
        round(&mut world);
        round(&mut world);
        for (client, expected) in fair(world.limit, &demands).into_iter().enumerate() {
            prop_assert_eq!(world.clients[&client].rate, expected, "client {} of {:?}", client, demands);
        }
    }
}

/// The fair shares, by raising the water until it is used up.
fn fair(limit: u64, demands: &[(Option<u64>, u32)]) -> Vec<u64> {
    let limit = limit * MICRO;
    let mut shares: Vec<Option<u64>> = vec![None; demands.len()];
    loop {
        let left = limit - shares.iter().flatten().sum::<u64>();
        let open = || (0..demands.len()).filter(|&at| shares[at].is_none());
        let weight: u64 = open().map(|at| u64::from(demands[at].1)).sum();
        let part = |at: usize| left * u64::from(demands[at].1) / weight;
        let satisfied: Vec<(usize, u64)> = open()
            .filter_map(|at| Some((at, demands[at].0? * MICRO)))
            .filter(|&(at, wants)| wants * weight <= left * u64::from(demands[at].1))
            .collect();
        if satisfied.is_empty() {
            return (0..demands.len()).map(|at| shares[at].unwrap_or_else(|| part(at))).collect();
        }
        for (at, wants) in satisfied {
            shares[at] = Some(wants);
        }
    }
}
