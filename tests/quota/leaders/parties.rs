//! Those who take part: the store, the servers, the clients.

use std::time::Duration;

use sluicegate::clock::Instant;
use sluicegate::quota::Id;
use sluicegate::quota::book::{Allocation, Beat, Book, BookError};
use sluicegate::quota::client::LeasedShare;
use sluicegate::quota::lead::{Lead, Reply, Term};

use super::fleet::LEASE;

#[derive(Clone)]
pub(super) enum Said {
    Granted(u64, Vec<Allocation>),
    Elsewhere(Option<usize>),
    Nothing,
}

/// The store's lease of the leader.
#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) record: Option<(Term, usize, u64, Instant)>,
    pub(super) term: u64,
    /// What its clock is ahead, in nanoseconds.
    pub(super) ahead: u64,
    pub(super) away_until: Instant,
}

impl Store {
    /// What the script does for this question of the server `server` in its life `life`.
    pub(super) fn ask(&mut self, now: Instant, server: usize, life: u64, question: u64) -> Reply {
        let now = now + Duration::from_nanos(self.ahead);
        let expires = now + LEASE;
        match &mut self.record {
            Some((_, other, held, until)) if *until > now && (*other, *held) != (server, life) => {
                Reply::Other { leader: other.to_string() }
            }
            Some((term, _, _, until)) if *until > now => {
                *until = expires;
                Reply::Held { term: *term }
            }
            _ => {
                self.term += 1;
                let term = Term { number: self.term, question };
                self.record = Some((term, server, life, expires));
                Reply::Held { term }
            }
        }
    }
}

pub(super) struct Server {
    /// Which run of the program it is.
    pub(super) life: u64,
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
        Said::Granted(book.epoch(), answer.unwrap().allocations)
    }
}
