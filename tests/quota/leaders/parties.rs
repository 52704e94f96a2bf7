//! Those who take part: the store, the servers, the clients.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::Id;
use sluicegate::quota::book::{Allocation, Beat, Book, BookError, StoredShares};
use sluicegate::quota::client::LeasedShare;
use sluicegate::quota::lead::{Lead, PART, Reply, Term};

#[derive(Clone)]
pub(super) enum Said {
    Granted(u64, Duration, Vec<Allocation>),
    Elsewhere(Option<usize>),
    Nothing,
}

/// The store's lease of the leader.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) record: Option<(Term, usize, u64, Instant)>,
    pub(super) term: u64,
    pub(super) longest: Duration,
    /// Which process it is: another one may lack the last writes.
    pub(super) run: u64,
    pub(super) leases: Option<Record>,
    /// What its clock is ahead, in nanoseconds.
    pub(super) ahead: u64,
    pub(super) away_until: Instant,
}

impl Store {
    /// What the script does for this question.
    pub(super) fn ask(&mut self, now: Instant, from: Asks, question: u64) -> Reply {
        let now = now + Duration::from_nanos(self.ahead);
        let expires = now + from.timeout / PART;
        let term = match &mut self.record {
            Some((_, other, held, until)) if *until > now && (*other, *held) != (from.server, from.life) => {
                return Reply::Other { leader: other.to_string() };
            }
            Some((term, _, _, until)) if *until > now => {
                *until = expires;
                *term
            }
            _ => {
                self.term += 1;
                let term = Term { number: self.term, question };
                self.record = Some((term, from.server, from.life, expires));
                term
            }
        };
        let is_settled = from.settled == Some(term);
        self.longest = if is_settled { from.timeout } else { from.timeout.max(self.longest) };
        Reply::Held { term, longest: self.longest }
    }
}

/// What the store keeps of leases.
#[derive(Clone)]
pub(super) struct Record {
    /// The process that it was written to.
    pub(super) run: u64,
    pub(super) clients: BTreeMap<Id, StoredShares>,
}

/// What a server has the store keep.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) term: Term,
    pub(super) epoch: u64,
    pub(super) raised: u64,
    pub(super) is_all: bool,
    pub(super) clients: Vec<(Id, Option<StoredShares>)>,
}

impl Store {
    /// What the script does with that. Returns whether it keeps it; `None` if the server leads no longer.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        (server, life): (usize, u64),
        batch: &Batch,
        is_trusting: bool,
    ) -> Option<bool> {
        let now = now + Duration::from_nanos(self.ahead);
        self.record.filter(|(term, holder, held, until)| {
            *until > now && (*term, *holder, *held) == (batch.term, server, life)
        })?;
        if batch.is_all {
            self.leases = Some(Record { run: self.run, clients: BTreeMap::new() });
        }
        let run = self.run;
        let is_whole = |record: &&mut Record| record.run == run || is_trusting;
        let Some(record) = self.leases.as_mut().filter(is_whole) else {
            return Some(false);
        };
        for (client, shares) in batch.clients.clone() {
            match shares {
                Some(shares) => _ = record.clients.insert(client, shares),
                None => _ = record.clients.remove(&client),
            }
        }
        Some(true)
    }

    /// What a new leader reads: nothing if something of it may be lost, unless it does not look at that.
    pub(super) fn leases(&mut self, is_trusting: bool) -> Option<BTreeMap<Id, StoredShares>> {
        let run = self.run;
        self.leases = self.leases.take().filter(|record| record.run == run || is_trusting);
        self.leases.as_ref().map(|record| record.clients.clone())
    }
}

/// What a server says of itself when it asks for the lease.
#[derive(Clone, Copy)]
pub(super) struct Asks {
    pub(super) server: usize,
    pub(super) life: u64,
    pub(super) timeout: Duration,
    pub(super) settled: Option<Term>,
    pub(super) sent: Instant,
}

pub(super) struct Server {
    /// Which run of the program it is.
    pub(super) life: u64,
    pub(super) timeout: Duration,
    pub(super) lead: Lead,
    pub(super) book: Option<Book>,
    pub(super) dead_until: Instant,
    pub(super) stalled: Option<(Instant, Instant)>,
    pub(super) keeping: Keeping,
}

/// What the store keeps of a server's book, and who waits for that.
#[derive(Default)]
pub(super) struct Keeping {
    pub(super) is_on: bool,
    pub(super) is_complete: bool,
    pub(super) is_asking: bool,
    pub(super) raised: u64,
    /// By client: the turn, what it is told, and what must be kept before.
    pub(super) waiting: VecDeque<(usize, u64, Said, u64)>,
}

pub(super) struct Client {
    pub(super) name: Id,
    pub(super) share: LeasedShare,
    pub(super) epoch: u64,
    pub(super) server: usize,
    pub(super) sent: Instant,
    pub(super) turn: u64,
    pub(super) counted: (u64, u64),
}

impl Server {
    pub(super) fn is_up(&self, now: Instant) -> bool {
        self.dead_until <= now && self.stalled.is_none_or(|(_, until)| until <= now)
    }

    /// Answers a heartbeat by the time `now`.
    pub(super) fn decide(&mut self, now: Instant, beat: Beat<'_>, careless: bool) -> Said {
        if let Err(leader) = self.lead.leads(now)
            && !(careless && self.lead.term().is_some())
        {
            return Said::Elsewhere(leader.map(|leader| leader.parse().unwrap()));
        }
        let Some(book) = &mut self.book else { return Said::Elsewhere(None) };
        // A client registers on each new connection.
        let epoch = book.epoch();
        if beat.epoch != epoch {
            let _ = book.register(now, beat.client, "");
        }
        let beat = Beat { epoch, ..beat };
        let answer = match book.heartbeat(now, beat) {
            Err(BookError::UnknownClient(_)) => {
                book.register(now, beat.client, "").unwrap();
                book.heartbeat(now, beat)
            }
            answer => answer,
        };
        Said::Granted(epoch, self.timeout, answer.unwrap().allocations)
    }

    /// What is to be kept, if it leads.
    pub(super) fn batch(&mut self, now: Instant) -> Option<Batch> {
        let term = self.lead.leads(now).ok()?;
        let book = self.book.as_mut()?;
        book.advance(now);
        let is_all = !self.keeping.is_complete;
        if self.keeping.is_asking || book.is_learning() || !(is_all || book.has_changed()) {
            return None;
        }
        let changed = book.take_changed();
        let clients = if is_all { book.holders() } else { changed };
        let clients = clients.into_iter().map(|client| (client.clone(), book.stored(&client))).collect();
        (self.keeping.is_on, self.keeping.is_asking) = (true, true);
        Some(Batch { term, epoch: book.epoch(), raised: book.raised(), is_all, clients })
    }
}
