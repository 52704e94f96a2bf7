//! Those who take part: the store, the servers, the clients.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::Id;
use sluicegate::quota::book::{Allocation, Beat, Book, BookError};
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
        let answer = match book.heartbeat(now, beat) {
            Err(BookError::UnknownClient(_)) => {
                book.register(now, beat.client, "").unwrap();
                book.heartbeat(now, beat)
            }
            answer => answer,
        };
        Said::Granted(book.epoch(), self.timeout, answer.unwrap().allocations)
    }
}
