//! Which of several quota servers on one store leads: a lease of the store, and what may be believed of it. Pure.
//!
//! The store gives the lease to one server at a time, with a number (the term) that grows with each holder. Nothing is
//! believed of the store's clock: it decides only when the lease is given to another. That at no time two servers grant
//! shares rests on the servers' own clocks:
//!
//! - A holder leads until one lease after it *sent* the last renewal that succeeded. A renewal after the lease was given to
//!   another fails.
//! - A new holder begins to lead one lease, and an eighth for clocks that run apart, after it *learned* that it holds it. By then
//!   every earlier holder has ceased to, whether it heard of that or not.
//! - A holder that could not renew in time begins again like a new one. So does one that the store gave the lease anew, even
//!   with the same number: somebody may have come between.
//!
//! Whoever leads decides by the time it was at before it asked whether it leads: a process that is stopped in between grants
//! what it might have granted before it was stopped, under a lease that counts from before too.

use std::time::Duration;

use crate::clock::Instant;

/// The lease of the lead is this part of a client's. It ends, another server asks for it, and waits as long again: all of
/// that within the interval of heartbeats, which is a third of a client's lease.
pub const PART: u32 = 10;

/// Renewals in the time of a lease.
const RENEWALS: u32 = 3;

/// Leases for which a server that cannot begin a term leaves the lead to the others.
const SAT_OUT: u32 = 3;

/// A server among those on one store.
#[derive(Debug)]
pub struct Lead {
    lease: Duration,
    /// The lease, if this server holds it.
    held: Option<Held>,
    /// Where the leader is; `None` if it is not known, or this server.
    leader: Option<String>,
    ask_at: Instant,
}

/// One giving of the lease. The number alone does not say which: a store that was emptied counts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// Grows with each giving, as long as the store keeps it.
    pub number: u64,
    /// The number of the server's question that it was the answer to. A server numbers its questions, each differently.
    pub question: u64,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    term: Term,
    /// When every earlier holder has ceased to lead.
    from: Instant,
    /// The longest lease of a client that an earlier holder may have granted.
    longest: Duration,
    /// When this one must, unless it renews the lease (exclusive).
    until: Instant,
    /// The server is ready: it has what the store keeps.
    is_ready: bool,
}

/// What the store answers to a server that asks for the lease or renews it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The server holds the lease, in this term.
    Held {
        /// The term.
        term: Term,
        /// The longest heartbeat timeout of those whose leases may still run: servers may have different ones.
        longest: Duration,
    },
    /// Another server holds it.
    Other {
        /// Where that is.
        leader: String,
    },
}

/// A term that has begun. The server reads the store, makes a new book, and calls [`Lead::ready`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewTerm {
    /// The term, which goes with each write to the store.
    pub term: Term,
    /// When it may grant shares. Its learning begins then.
    pub from: Instant,
    /// How long after that a client's lease of an earlier term may run.
    pub longest: Duration,
}

impl Lead {
    /// A server that asks at once. `timeout` is its heartbeat timeout: how long clients' leases last.
    pub fn new(timeout: Duration, now: Instant) -> Self {
        Self { lease: timeout / PART, held: None, leader: None, ask_at: now }
    }

    /// How long the store gives the lease for.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// When to ask the store, for the lease or for another one.
    pub fn ask_at(&self) -> Instant {
        self.ask_at
    }

    /// The term, if this server holds the lease as far as it knows; it may not lead yet.
    pub fn term(&self) -> Option<Term> {
        self.held.map(|held| held.term)
    }

    /// Takes the store's answer to what was sent at `sent`. Returns the term, if it is a new one.
    pub fn answered(&mut self, sent: Instant, now: Instant, reply: Reply) -> Option<NewTerm> {
        self.ask_at = sent + self.lease / RENEWALS;
        let (term, longest) = match reply {
            Reply::Other { leader } => {
                (self.held, self.leader) = (None, Some(leader));
                return None;
            }
            Reply::Held { term, longest } => (term, longest),
        };
        self.leader = None;
        let until = sent + self.lease;
        if let Some(held) = &mut self.held
            && held.term == term
            && now < held.until
        {
            held.until = held.until.max(until);
            return None;
        }
        let before = self.lease.max(longest / PART);
        let from = now + before + before / 8;
        self.held = Some(Held { term, from, longest, until, is_ready: false });
        Some(NewTerm { term, from, longest })
    }

    /// The term if it has lasted so long that every lease of an earlier one has run out: from then on the store need know
    /// no longer timeout than this server's.
    pub fn settled(&self, now: Instant) -> Option<Term> {
        let term = self.leads(now).ok()?;
        self.held.filter(|held| held.from + held.longest <= now).map(|_| term)
    }

    /// Notes that the store did not answer, or not sensibly. Whoever leads goes on until its lease ends.
    pub fn failed(&mut self, sent: Instant) {
        self.ask_at = sent + self.lease / RENEWALS;
    }

    /// Notes that the server has what the store keeps.
    pub fn ready(&mut self, term: Term) {
        if let Some(held) = self.held.as_mut().filter(|held| held.term == term) {
            held.is_ready = true;
        }
    }

    /// Gives the lease up: this server does not lead from now on.
    pub fn step_down(&mut self) {
        self.held = None;
    }

    /// Gives the lease up, and asks for it again when others have had time to take it.
    pub fn sit_out(&mut self, now: Instant) {
        self.step_down();
        self.ask_at = now + self.lease * SAT_OUT;
    }

    /// The term if this server leads at `now`.
    ///
    /// # Errors
    /// It does not; where the leader is, if that is known.
    pub fn leads(&self, now: Instant) -> Result<Term, Option<&str>> {
        match &self.held {
            Some(held) if held.is_ready && (held.from..held.until).contains(&now) => Ok(held.term),
            _ => Err(self.leader.as_deref()),
        }
    }

    /// When [`leads`](Self::leads) changes by itself, if the store is silent.
    pub fn changes_at(&self, now: Instant) -> Option<Instant> {
        let held = self.held.as_ref()?;
        [held.from, held.until].into_iter().find(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(800);
    const TIMEOUT: Duration = Duration::from_millis(8000);

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const TERM: Term = Term { number: 7, question: 1 };

    const HELD: Reply = held(TERM);

    const fn held(term: Term) -> Reply {
        Reply::Held { term, longest: TIMEOUT }
    }

    const fn begun(term: Term, from: u64) -> Option<NewTerm> {
        Some(NewTerm { term, from: at(from), longest: TIMEOUT })
    }

    fn leader() -> Lead {
        let mut lead = Lead::new(TIMEOUT, at(0));
        assert_eq!(lead.answered(at(0), at(10), HELD), begun(TERM, 910));
        lead.ready(TERM);
        for sent in (200..=800).step_by(200) {
            assert_eq!(lead.answered(at(sent), at(sent + 10), HELD), None);
        }
        lead
    }

    #[test]
    fn a_new_holder_waits_until_every_earlier_one_has_ceased() {
        let mut lead = leader();
        for (now, expected) in [(909, Err(None)), (910, Ok(TERM)), (1599, Ok(TERM)), (1600, Err(None))] {
            assert_eq!(lead.leads(at(now)), expected, "{now}");
        }
        assert_eq!(
            (lead.changes_at(at(0)), lead.changes_at(at(910)), lead.changes_at(at(1600))),
            (Some(at(910)), Some(at(1600)), None)
        );
        lead.step_down();
        assert_eq!(lead.leads(at(1000)), Err(None));
    }

    #[test]
    fn a_lease_counts_from_the_sending_of_its_renewal() {
        let mut lead = leader();
        assert_eq!(lead.answered(at(1000), at(1500), HELD), None);
        assert_eq!((lead.leads(at(1799)), lead.leads(at(1800))), (Ok(TERM), Err(None)));
        assert_eq!(lead.ask_at(), at(1000) + LEASE / RENEWALS);
    }

    #[test]
    fn a_holder_that_was_late_begins_again_even_if_nobody_came_between() {
        let mut lead = leader();
        assert_eq!(lead.answered(at(1590), at(1600), HELD), begun(TERM, 2500));
        assert_eq!(lead.leads(at(1600)), Err(None), "it has not read the store anew");
        lead.ready(TERM);
        lead.answered(at(2000), at(2010), HELD);
        assert_eq!((lead.leads(at(2499)), lead.leads(at(2500))), (Err(None), Ok(TERM)));
    }

    #[test]
    fn a_lease_that_was_given_anew_is_a_new_term_whatever_its_number() {
        let mut lead = leader();
        let anew = Term { number: 7, question: 6 };
        assert_eq!(lead.answered(at(1000), at(1010), held(anew)), begun(anew, 1910));
        lead.ready(TERM);
        lead.answered(at(1200), at(1210), held(anew));
        lead.answered(at(1900), at(1910), held(anew));
        assert_eq!(lead.leads(at(1910)), Err(None), "what was read before is no longer what is kept");
        lead.ready(anew);
        assert_eq!((lead.leads(at(1909)), lead.leads(at(1910))), (Err(None), Ok(anew)));
    }

    #[test]
    fn servers_with_other_timeouts_are_waited_for_and_forgotten_when_their_leases_have_run_out() {
        let mut lead = Lead::new(TIMEOUT, at(0));
        let longest = TIMEOUT * 2;
        let reply = Reply::Held { term: TERM, longest };
        assert_eq!(
            lead.answered(at(0), at(10), reply.clone()),
            Some(NewTerm { term: TERM, from: at(1810), longest })
        );
        lead.ready(TERM);
        for sent in (200..=20_000).step_by(200) {
            lead.answered(at(sent), at(sent), reply.clone());
            let is_over = sent >= 1810 + 16_000;
            assert_eq!(lead.settled(at(sent)), is_over.then_some(TERM), "{sent}");
        }
        assert_eq!(lead.settled(at(20_800)), None, "it leads no longer");
    }

    #[test]
    fn a_server_that_cannot_begin_leaves_the_lead_to_others_for_some_leases() {
        let mut lead = Lead::new(TIMEOUT, at(0));
        lead.answered(at(0), at(10), HELD);
        lead.sit_out(at(20));
        assert_eq!((lead.term(), lead.ask_at()), (None, at(20) + LEASE * SAT_OUT));
        assert_eq!(lead.changes_at(at(20)), None);
    }

    #[test]
    fn a_server_follows_whom_the_store_names() {
        let mut lead = leader();
        let other = Reply::Other { leader: "http://b:9190".to_owned() };
        assert_eq!(lead.answered(at(1000), at(1010), other), None);
        assert_eq!((lead.leads(at(1010)), lead.term()), (Err(Some("http://b:9190")), None));
        lead.failed(at(1200));
        assert_eq!(lead.leads(at(1210)), Err(Some("http://b:9190")), "as far as it knows");
        assert_eq!(lead.ask_at(), at(1200) + LEASE / RENEWALS);
        assert!(lead.answered(at(1400), at(1410), held(Term { number: 9, question: 5 })).is_some());
        lead.ready(TERM);
        assert_eq!(
            lead.leads(at(2400)),
            Err(None),
            "what was read in an earlier term is no longer what is kept"
        );
    }
}
