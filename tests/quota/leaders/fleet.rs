//! The fleet on its time line: what happens, what goes wrong, and what is leased of all.

mod keeping;
mod troubles;

use std::collections::BTreeMap;
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::Id;
use sluicegate::quota::MICRO;
use sluicegate::quota::book::{Beat, Book, BookSettings, Interest, StoredShares};
use sluicegate::quota::client::{LeasedShare, ShareState};
use sluicegate::quota::lead::{Lead, NewTerm, Reply};

use super::parties::{Asks, Batch, Client, Keeping, Said, Server, Store};
use crate::book::{id, requests};
use crate::fixture::xorshift;
use crate::simulation::grant;

const CLIENTS: usize = 60;
const SERVERS: usize = 3;
pub(super) const LIMIT: u64 = 60_000;
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// What goes wrong: mean seconds between two of each.
#[derive(Clone, Copy, Default)]
pub(super) struct Trouble {
    /// A server is killed, and back after up to 20 s.
    pub(super) kills: Option<u64>,
    /// A server is stopped for up to 60 s.
    pub(super) stalls: Option<u64>,
    /// The store is away for up to 10 s, loses its last second, is emptied, or has its clock set by up to a minute.
    pub(super) store: Option<u64>,
    /// A client is killed, and another one comes.
    pub(super) churn: Option<u64>,
    /// Of a hundred messages so many are lost.
    pub(super) lost: u64,
    /// Servers have heartbeat timeouts of 10, 20 and 30 s.
    pub(super) mixed: bool,
    /// Servers do not ask how long leases of others may run: what must not be.
    pub(super) forgetful: bool,
    /// Servers have the store keep nothing of leases: each new leader learns them.
    pub(super) learning: bool,
    /// Servers take what another process of the store has for all there is: what must not be.
    pub(super) trusting: bool,
    /// Servers tell clients of what is not kept yet: what must not be.
    pub(super) hasty: bool,
    /// Servers do not look at the end of their lease: what must not be.
    pub(super) careless: bool,
}

#[derive(Clone)]
enum Event {
    /// A server asks the store.
    Ask(usize, u64),
    /// The store hears it.
    Heard(Asks),
    /// The server has its answer, or has waited in vain.
    Replied(usize, u64, Instant, Option<Reply>),
    /// The server has read the store.
    Read(usize, u64, NewTerm, Option<BTreeMap<Id, StoredShares>>),
    /// The store hears what to keep.
    Keep(usize, u64, Batch),
    /// The server hears that it is kept, or lost, or that it leads no longer; or has waited in vain.
    Kept(usize, u64, Batch, Option<Option<bool>>),
    Beat(usize, u64),
    /// A heartbeat is at a server; with the time that this read before it was stopped.
    Arrive(usize, usize, u64, Option<Instant>),
    Answer(usize, u64, Said),
    Lapse(usize),
    Kill,
    Stall,
    Store,
    Emptied,
    Churn,
}

#[derive(Default, Debug)]
pub(super) struct Figures {
    pub(super) leased: f64,
    pub(super) spent: f64,
    pub(super) peak: u128,
    pub(super) terms: u64,
    /// Longest time without a leader.
    pub(super) gap: Duration,
}

pub(super) struct Fleet {
    trouble: Trouble,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    order: u64,
    random: u64,
    store: Store,
    /// The store of a second ago, or less.
    replica: Store,
    servers: Vec<Server>,
    clients: Vec<Client>,
    born: u64,
    epochs: u64,
    questions: u64,
    leased: u128,
    safe: u128,
    led_at: Instant,
    pub(super) figures: Figures,
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Fleet {
    pub(super) fn new(trouble: Trouble, seed: u64) -> Self {
        let server = |nth| {
            let timeout = if trouble.mixed { TIMEOUT / 3 * (nth as u32 + 1) } else { TIMEOUT };
            Server {
                life: 1,
                timeout,
                lead: Lead::new(timeout, Instant::ZERO),
                book: None,
                dead_until: Instant::ZERO,
                stalled: None,
                keeping: Keeping::default(),
            }
        };
        let client = |nth| Client {
            name: id(&format!("c{nth}")),
            share: LeasedShare::new(None),
            epoch: 0,
            server: nth % SERVERS,
            sent: Instant::ZERO,
            turn: 0,
            counted: (0, 0),
        };
        let mut fleet = Self {
            trouble,
            now: Instant::ZERO,
            events: BTreeMap::new(),
            order: 0,
            random: seed | 1,
            store: Store::default(),
            replica: Store::default(),
            servers: (0..SERVERS).map(server).collect(),
            clients: (0..CLIENTS).map(client).collect(),
            born: CLIENTS as u64,
            epochs: 0,
            questions: 0,
            leased: 0,
            safe: 0,
            led_at: Instant::ZERO,
            figures: Figures::default(),
        };
        (0..SERVERS).for_each(|server| fleet.at(Duration::ZERO, Event::Ask(server, 1)));
        for client in 0..CLIENTS {
            let first = fleet.up_to(5000);
            fleet.at(first, Event::Beat(client, 0));
        }
        let all = [trouble.kills, trouble.stalls, trouble.store, trouble.churn];
        for (every, event) in all.into_iter().zip([Event::Kill, Event::Stall, Event::Store, Event::Churn]) {
            fleet.again(every, event);
        }
        fleet
    }

    fn below(&mut self, n: u64) -> u64 {
        xorshift(&mut self.random) % n
    }

    fn up_to(&mut self, most: u64) -> Duration {
        millis(self.below(most) + 1)
    }

    fn is_lost(&mut self) -> bool {
        self.below(100) < self.trouble.lost
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.order += 1;
        self.events.insert((self.now + after, self.order), event);
    }

    fn again(&mut self, every: Option<u64>, event: Event) {
        if let Some(every) = every {
            let after = self.up_to(every * 2000);
            self.at(after, event);
        }
    }

    /// Runs to `end`. Returns the first time at which more than the limit was leased.
    pub(super) fn run(&mut self, end: Instant) -> Option<Instant> {
        let limit = u128::from(LIMIT * MICRO);
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            let passed = (at - self.now).as_nanos() as f64;
            self.figures.leased += passed * self.leased as f64;
            self.figures.spent += passed * (self.leased + self.safe) as f64;
            self.now = at;
            if self.servers.iter().any(|server| server.is_up(at) && server.lead.leads(at).is_ok()) {
                self.led_at = at;
            }
            self.figures.gap = self.figures.gap.max(at - self.led_at);
            self.happen(event);
            self.figures.peak = self.figures.peak.max(self.leased);
            if self.leased > limit {
                return Some(self.now);
            }
        }
        None
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Ask(server, life) => self.ask(server, life),
            Event::Heard(asks) => self.heard(asks),
            Event::Replied(server, life, sent, reply) => self.replied(server, life, sent, reply),
            Event::Read(server, life, term, leases) => self.read(server, life, term, leases),
            Event::Keep(server, life, batch) => self.keep(server, life, batch),
            Event::Kept(server, life, batch, answer) => self.kept(server, life, batch, answer),
            Event::Beat(client, turn) => self.beat(client, turn),
            Event::Arrive(server, client, turn, at) => self.arrive(server, client, turn, at),
            Event::Answer(client, turn, said) => self.answer(client, turn, said),
            Event::Lapse(client) => self.count(client),
            Event::Kill => self.kill(),
            Event::Stall => self.stall(),
            Event::Store => self.upset_store(),
            Event::Emptied => self.empty_store(),
            Event::Churn => self.churn(),
        }
    }

    /// Has `event` happen when the server goes on, if it is stopped.
    fn is_deferred(&mut self, server: usize, event: Event) -> bool {
        let Some((_, until)) = self.servers[server].stalled.filter(|(_, until)| *until > self.now) else {
            return false;
        };
        self.at(until - self.now, event);
        true
    }

    fn is_alive(&self, server: usize, life: u64) -> bool {
        self.servers[server].life == life && self.servers[server].dead_until <= self.now
    }

    fn ask(&mut self, server: usize, life: u64) {
        if !self.is_alive(server, life) || self.is_deferred(server, Event::Ask(server, life)) {
            return;
        }
        let (sent, there) = (self.now, self.up_to(200));
        let Server { lead, timeout, .. } = &self.servers[server];
        let asks = Asks { server, life, timeout: *timeout, settled: lead.settled(sent), sent };
        self.at(there, Event::Heard(asks));
    }

    fn heard(&mut self, asks: Asks) {
        let Asks { server, life, sent, .. } = asks;
        let is_lost = self.is_lost() || self.now < self.store.away_until;
        let back = self.up_to(200);
        // Its last second is not on the replica yet.
        if self.below(4) == 0 {
            self.replica = self.store.clone();
        }
        self.questions += 1;
        let reply = (!is_lost).then(|| self.store.ask(self.now, asks, self.questions));
        let reply = reply.filter(|_| !self.is_lost());
        let waits = if reply.is_some() { back } else { self.servers[server].lead.lease() / 3 };
        self.at(waits, Event::Replied(server, life, sent, reply));
    }

    fn replied(&mut self, server: usize, life: u64, sent: Instant, reply: Option<Reply>) {
        if !self.is_alive(server, life)
            || self.is_deferred(server, Event::Replied(server, life, sent, reply.clone()))
        {
            return;
        }
        let now = self.now;
        let lead = &mut self.servers[server].lead;
        let term = match reply {
            Some(reply) => lead.answered(sent, now, reply),
            None => {
                lead.failed(sent);
                None
            }
        };
        let next = if lead.ask_at() > now { lead.ask_at() - now } else { Duration::ZERO };
        self.at(next, Event::Ask(server, life));
        if let Some(term) = term {
            let soon = self.up_to(400);
            let leases = self.store.leases(self.trouble.trusting).filter(|_| !self.trouble.learning);
            self.at(soon, Event::Read(server, life, term, leases));
        }
    }

    fn read(&mut self, server: usize, life: u64, term: NewTerm, leases: Option<BTreeMap<Id, StoredShares>>) {
        if !self.is_alive(server, life)
            || self.is_deferred(server, Event::Read(server, life, term, leases.clone()))
            || self.servers[server].lead.term() != Some(term.term)
        {
            return;
        }
        self.epochs += 1;
        self.figures.terms += 1;
        let heartbeat_timeout = self.servers[server].timeout;
        let longest = if self.trouble.forgetful { Duration::ZERO } else { term.longest };
        let leases = leases.filter(|_| longest <= heartbeat_timeout);
        let learning = if leases.is_some() { Duration::ZERO } else { heartbeat_timeout.max(longest) };
        let settings = BookSettings { heartbeat_timeout, learning, ..BookSettings::default() };
        let mut book = Book::new(settings, self.epochs, term.from);
        book.set_limit(term.from, &id("r"), requests(LIMIT)).unwrap();
        let mut keeping = Keeping::default();
        if let Some(leases) = leases {
            book.restore(leases, term.term.number << 32, term.from + heartbeat_timeout);
            (keeping.is_on, keeping.is_complete, keeping.raised) = (true, true, book.raised());
        }
        book.note_changes();
        let server = &mut self.servers[server];
        (server.book, server.keeping) = (Some(book), keeping);
        server.lead.ready(term.term);
    }

    fn beat(&mut self, at: usize, turn: u64) {
        let (there, is_lost, now) = (self.up_to(50), self.is_lost(), self.now);
        let client = &mut self.clients[at];
        if client.turn != turn {
            return;
        }
        client.turn += 1;
        client.sent = now;
        let (turn, server) = (client.turn, client.server);
        if !is_lost {
            self.at(there, Event::Arrive(server, at, turn, None));
        }
        self.at(TIMEOUT / 3, Event::Answer(at, turn, Said::Nothing));
    }

    fn arrive(&mut self, server: usize, at: usize, turn: u64, read_at: Option<Instant>) {
        let now = self.now;
        // A server that is stopped may have read its clock for this call before.
        let stopped = self.servers[server].stalled.filter(|(_, until)| *until > now).map(|(from, _)| from);
        let read_at = read_at.or(stopped.filter(|from| self.clients[at].sent <= *from));
        if self.servers[server].dead_until > now
            || self.is_deferred(server, Event::Arrive(server, at, turn, read_at))
        {
            return;
        }
        // One that the client has given up is done too, but nobody hears of it.
        let client = &self.clients[at];
        let interests = [Interest {
            applied: client.share.applied(),
            held: client.share.held(client.sent),
            ..Interest::new(id("r"))
        }];
        if client.turn != turn {
            return;
        }
        let beat = Beat {
            client: &client.name,
            instance: "",
            epoch: client.epoch,
            sequence: 0,
            interests: &interests,
        };
        let said = self.servers[server].decide(read_at.unwrap_or(now), beat, self.trouble.careless);
        self.say_when_kept(server, at, turn, said);
    }

    fn answer(&mut self, at: usize, turn: u64, said: Said) {
        let now = self.now;
        let (any, soon) = (self.below(SERVERS as u64) as usize, self.up_to(1000));
        let early = self.up_to(2000);
        let client = &mut self.clients[at];
        if client.turn != turn {
            return;
        }
        client.turn += 1;
        let next = match said {
            Said::Nothing | Said::Elsewhere(None) => {
                client.server = any;
                soon
            }
            Said::Elsewhere(Some(leader)) => {
                client.server = leader;
                millis(20)
            }
            Said::Granted(epoch, timeout, allocations) => {
                client.epoch = epoch;
                let mut lower = false;
                for allocation in allocations {
                    lower |= client.share.apply(now, grant(epoch, &allocation));
                }
                client.share.renew(client.sent + timeout);
                if lower { millis(20) } else { timeout / 3 - early }
            }
        };
        let (turn, lapses) = (client.turn, client.share.lapses(now).map(|(lapse, _)| lapse - now));
        self.count(at);
        self.at(next, Event::Beat(at, turn));
        if let Some(after) = lapses {
            self.at(after, Event::Lapse(at));
        }
    }

    /// Counts a client anew in the sums.
    fn count(&mut self, at: usize) {
        let share = self.clients[at].share.share(self.now);
        let counted = match share.state {
            ShareState::Leased => (share.rate_micros, 0),
            ShareState::Learning | ShareState::SafeShare => (0, share.rate_micros),
        };
        let before = std::mem::replace(&mut self.clients[at].counted, counted);
        self.leased = self.leased + u128::from(counted.0) - u128::from(before.0);
        self.safe = self.safe + u128::from(counted.1) - u128::from(before.1);
    }
}
