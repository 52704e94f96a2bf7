//! A simulated fleet: the book, and what each client knows, on a time line that is stepped through.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::book::{Allocation, Beat, Book, BookError, BookSettings, Interest};
use sluicegate::quota::client::{Grant, LeasedShare, ShareState};
use sluicegate::quota::{Id, MICRO};

use crate::book::{id, requests};
use crate::fixture::xorshift;

pub const CLIENTS: usize = 1000;
pub const LIMIT: u64 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(120);

/// What goes wrong, and how often.
#[derive(Clone, Copy, Default)]
pub struct Trouble {
    /// Mean seconds between a client's coming and another one's leaving.
    pub churn: Option<u64>,
    /// Of a hundred requests, and of a hundred answers, so many are lost.
    pub lost: u64,
    /// Each so many seconds a tenth of the fleet is cut off, for 30 to 270 s.
    pub partitions: Option<u64>,
    /// Each so many seconds the server is killed, and back after 1 to 180 s.
    pub restarts: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    /// A client sends a heartbeat.
    Beat(usize),
    /// An answer arrives, or the client has waited for it in vain.
    Answer(usize, u64),
    /// A lease ends.
    Lapse(usize),
    Churn,
    Partition,
    Kill,
    Revive,
}

struct Client {
    name: Id,
    standing: LeasedShare,
    epoch: u64,
    /// Of the heartbeat that is under way.
    sent: Instant,
    answer: Option<(u64, Vec<Allocation>)>,
    cut_off_until: Instant,
    /// Beats that come from an older life of this place count for nothing.
    turn: u64,
    /// What is counted of it in the sums: leased, and on a safe share.
    counted: (u64, u64),
}

/// The sums over time, as shares of the limit.
#[derive(Default)]
pub struct Figures {
    pub beats: u64,
    pub peak_leased: u128,
    pub peak_spent: u128,
    /// Nano-seconds times micro-units: leased, spent at all, and spent above the limit.
    pub leased: f64,
    pub spent: f64,
    pub over: f64,
}

pub struct Fleet {
    trouble: Trouble,
    book: Option<Book>,
    epoch: u64,
    pub now: Instant,
    clients: Vec<Option<Client>>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    born: u64,
    random: u64,
    leased: u128,
    safe: u128,
    pub figures: Figures,
}

impl Fleet {
    pub fn new(trouble: Trouble) -> Self {
        let settings =
            BookSettings { heartbeat_timeout: TIMEOUT, learning: Duration::ZERO, ..BookSettings::default() };
        let mut book = Book::new(settings, 1, Instant::ZERO);
        book.set_limit(Instant::ZERO, &id("r"), requests(LIMIT)).unwrap();
        let mut fleet = Self {
            trouble,
            book: Some(book),
            epoch: 1,
            now: Instant::ZERO,
            clients: (0..CLIENTS).map(|_| None).collect(),
            events: BinaryHeap::new(),
            order: 0,
            born: 0,
            random: 0x5eed,
            leased: 0,
            safe: 0,
            figures: Figures::default(),
        };
        for at in 0..CLIENTS {
            fleet.join(at);
        }
        for (every, event) in [
            (trouble.churn, Event::Churn),
            (trouble.partitions, Event::Partition),
            (trouble.restarts, Event::Kill),
        ] {
            if let Some(every) = every {
                fleet.at(Duration::from_secs(every), event);
            }
        }
        fleet
    }

    fn below(&mut self, n: u64) -> u64 {
        xorshift(&mut self.random) % n
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.order += 1;
        self.events.push(Reverse((self.now + after, self.order, event)));
    }

    fn join(&mut self, at: usize) {
        self.born += 1;
        let name = id(&format!("c{}", self.born));
        let standing = LeasedShare::new(None);
        let (sent, turn) = (self.now, self.born << 20);
        let cut_off_until = Instant::ZERO;
        self.clients[at] = Some(Client {
            name,
            standing,
            epoch: 0,
            sent,
            answer: None,
            cut_off_until,
            turn,
            counted: (0, 0),
        });
        let first = Duration::from_millis(self.below(20_000));
        self.at(first, Event::Beat(at));
    }

    /// Runs to `end`; no lease is ever above the limit together with the others.
    pub fn run(&mut self, end: Instant) {
        loop {
            let at = self.events.peek().map_or(end, |Reverse((at, ..))| (*at).min(end));
            let passed = (at - self.now).as_nanos() as f64;
            let limit = u128::from(LIMIT * MICRO);
            let spent = self.leased + self.safe;
            self.figures.leased += passed * self.leased as f64;
            self.figures.spent += passed * spent as f64;
            self.figures.over += passed * spent.saturating_sub(limit) as f64;
            self.now = at;
            if at == end {
                return;
            }
            let Some(Reverse((_, _, event))) = self.events.pop() else { return };
            self.happen(event);
            self.figures.peak_leased = self.figures.peak_leased.max(self.leased);
            self.figures.peak_spent = self.figures.peak_spent.max(self.leased + self.safe);
            assert!(
                self.leased <= limit,
                "{} of {limit} are leased at {:?} after {event:?}",
                self.leased,
                self.now
            );
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Beat(at) => self.beat(at),
            Event::Answer(at, turn) => self.answer(at, turn),
            Event::Lapse(at) => self.count(at),
            Event::Churn => {
                let at = self.below(CLIENTS as u64) as usize;
                self.leave(at);
                self.join(at);
                let every = self.trouble.churn.unwrap_or(1) * 2000;
                let next = Duration::from_millis(self.below(every));
                self.at(next, Event::Churn);
            }
            Event::Partition => {
                let (first, lasting) = (self.below(CLIENTS as u64) as usize, 30 + self.below(240));
                for at in (first..first + CLIENTS / 10).map(|at| at % CLIENTS) {
                    if let Some(client) = &mut self.clients[at] {
                        client.cut_off_until = self.now + Duration::from_secs(lasting);
                    }
                }
                self.at(Duration::from_secs(self.trouble.partitions.unwrap_or(1)), Event::Partition);
            }
            Event::Kill => {
                self.book = None;
                // What is under way to it, or from it, dies with its connections.
                for client in self.clients.iter_mut().flatten() {
                    client.answer = None;
                }
                let down = Duration::from_secs(1 + self.below(180));
                self.at(down, Event::Revive);
            }
            Event::Revive => {
                self.epoch += 1;
                let settings =
                    BookSettings { heartbeat_timeout: TIMEOUT, learning: TIMEOUT, ..BookSettings::default() };
                let mut book = Book::new(settings, self.epoch, self.now);
                book.set_limit(self.now, &id("r"), requests(LIMIT)).unwrap();
                self.book = Some(book);
                self.at(Duration::from_secs(self.trouble.restarts.unwrap_or(1)), Event::Kill);
            }
        }
    }

    /// One in two says farewell, the other is killed; both spend nothing any more.
    fn leave(&mut self, at: usize) {
        let Some(client) = self.clients[at].take() else { return };
        self.leased -= u128::from(client.counted.0);
        self.safe -= u128::from(client.counted.1);
        if self.below(2) == 0
            && self.now >= client.cut_off_until
            && let Some(book) = &mut self.book
        {
            book.unregister(self.now, &client.name, "").unwrap();
        }
    }

    fn beat(&mut self, at: usize) {
        let (lost_there, lost_back) =
            (self.below(100) < self.trouble.lost, self.below(100) < self.trouble.lost);
        let latency = Duration::from_millis(1 + self.below(50));
        let now = self.now;
        let Some(client) = &mut self.clients[at] else { return };
        client.turn += 1;
        (client.sent, client.answer) = (now, None);
        let turn = client.turn;
        let reached = now >= client.cut_off_until && !lost_there;
        let Some(book) = self.book.as_mut().filter(|_| reached) else {
            // As long as a call may take: the time of a heartbeat.
            return self.at(TIMEOUT / 3, Event::Answer(at, turn));
        };
        let interests = [Interest {
            applied: client.standing.applied(),
            held: client.standing.held(now),
            ..Interest::new(id("r"))
        }];
        let beat = Beat {
            client: &client.name,
            instance: "",
            epoch: client.epoch,
            sequence: 0,
            interests: &interests,
        };
        let answer = match book.heartbeat(now, beat) {
            Err(BookError::UnknownClient(_)) => {
                book.register(now, &client.name, "").unwrap();
                book.heartbeat(now, beat)
            }
            answer => answer,
        };
        let epoch = book.epoch();
        if !lost_back {
            client.answer = Some((epoch, answer.unwrap().allocations));
        }
        self.figures.beats += 1;
        self.at(if lost_back { TIMEOUT / 3 } else { latency }, Event::Answer(at, turn));
    }

    fn answer(&mut self, at: usize, turn: u64) {
        let now = self.now;
        let retry = Duration::from_millis(500 + self.below(1000));
        let interval = TIMEOUT / 3 - Duration::from_millis(self.below(4000));
        let Some(client) = self.clients[at].as_mut().filter(|client| client.turn == turn) else { return };
        let Some((epoch, allocations)) = client.answer.take() else {
            return self.at(retry, Event::Beat(at));
        };
        client.epoch = epoch;
        let mut lower = false;
        for allocation in allocations {
            lower |= client.standing.apply(now, grant(epoch, &allocation));
        }
        client.standing.renew(client.sent + TIMEOUT);
        let lapses = client.standing.lapses(now).map(|(lapse, _)| lapse - now);
        self.count(at);
        if let Some(after) = lapses {
            self.at(after, Event::Lapse(at));
        }
        self.at(if lower { Duration::from_millis(20) } else { interval }, Event::Beat(at));
    }

    /// What each client leases, and how many do so.
    pub fn leases(&self) -> HashMap<u64, usize> {
        self.clients.iter().flatten().fold(HashMap::new(), |mut leases, client| {
            *leases.entry(client.counted.0).or_default() += 1;
            leases
        })
    }

    /// Counts a client anew in the sums.
    fn count(&mut self, at: usize) {
        let now = self.now;
        let Some(client) = &mut self.clients[at] else { return };
        let share = client.standing.share(now);
        let counted = match share.state {
            ShareState::Leased => (share.rate_micros, 0),
            ShareState::Learning | ShareState::SafeShare => (0, share.rate_micros),
        };
        let before = std::mem::replace(&mut client.counted, counted);
        self.leased = self.leased + u128::from(counted.0) - u128::from(before.0);
        self.safe = self.safe + u128::from(counted.1) - u128::from(before.1);
    }
}

/// What a client is told of its share.
pub(super) fn grant(epoch: u64, allocation: &Allocation) -> Grant {
    Grant {
        epoch,
        version: allocation.version,
        rate: allocation.rate,
        limit: allocation.limit.per_second(),
        clients: allocation.clients as u32,
        learning: allocation.learning,
    }
}
