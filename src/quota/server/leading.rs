//! Has a quota server lead, or follow the one that does: asks the shared store for its lease, and begins terms.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::keeping::Keeping;
use super::kept_leases::Answered;
use super::lease_record::Leases;
use super::shared_book::SharedBook;
use super::shared_limits::SharedLimits;
use super::store::{QuotaStore, QuotaStoreError};
use super::{QuotaServerError, QuotaServerSettings};
use crate::clock::Sleep;
use crate::quota::book::{Book, BookSettings};
use crate::quota::lead::{Lead, NewTerm, PART, Term};
use crate::rt::Listener;

/// How often a server tries to begin a term before it leaves the lead to another.
const TRIES: u32 = 3;

/// Bits of a version within a term: a client has heard of no version of the next one.
const VERSIONS: u32 = 32;

/// How long giving the lease back may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the server shares with others, if its store is such.
///
/// # Errors
/// A file of the store cannot be read, or clients could not reach the server at the address that the others would tell them.
pub(super) fn shared_limits(
    settings: &QuotaServerSettings,
    listeners: &[Listener],
) -> Result<Option<SharedLimits>, QuotaServerError> {
    let QuotaStore::Redis(source) = &settings.store else { return Ok(None) };
    if (settings.book.heartbeat_timeout / PART).as_millis() == 0 {
        let text = "the heartbeat timeout is too short for a shared store: give it at least 10 ms (--heartbeat-timeout)";
        return Err(QuotaServerError(text.to_owned()));
    }
    let address = match &settings.advertise {
        Some(endpoint) => endpoint.to_string(),
        None => {
            let addr = listeners.iter().find_map(Listener::local_addr);
            let addr = addr.filter(|addr| !addr.ip().is_unspecified()).ok_or_else(|| {
                let text = "the other quota servers tell clients where this one is: say so with --advertise http://HOST:PORT";
                QuotaServerError(text.to_owned())
            })?;
            let scheme = if settings.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{addr}")
        }
    };
    let shared = SharedLimits::new(source.clone(), address);
    shared.map(Some).map_err(|error| QuotaServerError(error.to_string()))
}

impl SharedBook {
    /// Has the server answer only while it leads, if it shares its store.
    pub(super) fn follow(&self) {
        if self.limits.shared.is_some() {
            self.lead_state(|_, _| ());
        }
    }

    /// Asks for the lease, and has it longer; never completes.
    pub(super) async fn lead(&self) {
        let Some(shared) = &self.limits.shared else { return std::future::pending().await };
        let mut told = Told::default();
        let (mut begins, mut tries): (Option<NewTerm>, u32) = (None, 0);
        loop {
            let (ask_at, due) = self.lead_state(|lead, now| {
                (lead.ask_at(), lead.changes_at(now).map_or(lead.ask_at(), |at| at.min(lead.ask_at())))
            });
            Sleep::until(Arc::clone(self.clock()), due).await;
            if self.clock().now() >= ask_at {
                let (lease, settled, sent) =
                    self.lead_state(|lead, now| (lead.lease(), lead.settled(now), now));
                // One that takes longer comes too late for the next.
                let reply = shared.ask(lease * PART, settled, lease / 2).await;
                let trouble = reply.as_ref().err().map(ToString::to_string);
                let new = self.lead_state(|lead, now| match reply {
                    Ok(reply) => lead.answered(sent, now, reply),
                    Err(_) => {
                        lead.failed(sent);
                        None
                    }
                });
                told.trouble(shared, trouble);
                begins = new.or(begins);
                let holds = self.lead_state(|lead, _| lead.term());
                begins = begins.filter(|term| holds == Some(term.term));
                if let Some(term) = begins {
                    let begun = self.begin(shared, term, lease / 2).await;
                    tries = if begun.is_ok() { 0 } else { tries + 1 };
                    if begun.is_ok() || tries == TRIES {
                        begins = None;
                    }
                    if tries == TRIES {
                        // Perhaps another can.
                        tries = 0;
                        self.lead_state(Lead::sit_out);
                        // If that fails the lease runs out before this server asks again.
                        let _ = shared.release(lease / 2).await;
                    }
                    told.begun(begun);
                }
            }
            let standing = self.lead_state(|lead, now| match lead.leads(now) {
                Ok(term) => Standing::Leads(term),
                Err(leader) => Standing::Follows(leader.map(str::to_owned)),
            });
            if told.standing(standing) {
                self.wake();
            }
        }
    }

    /// Begins a term: with the limits that the store keeps, and with what it has of clients' shares; else the book learns
    /// these.
    async fn begin(
        &self,
        shared: &SharedLimits,
        term: NewTerm,
        timeout: Duration,
    ) -> Result<(), QuotaStoreError> {
        let by_hand = shared.read(timeout).await?;
        let leases = self.usable_leases(shared, term, timeout).await?;
        self.with_held(|held, now| {
            let at = term.from.max(now);
            let before = held.book.settings();
            let learning = match leases {
                Some(_) => Duration::ZERO,
                // As configured: that of a book that was restored is zero.
                None => self.learning.max(before.heartbeat_timeout).max(term.longest),
            };
            let settings = BookSettings { learning, ..before.clone() };
            let mut book = Book::new(settings, RandomState::new().build_hasher().finish(), at);
            self.limits.take_over(by_hand);
            let calendar = self.clock().calendar();
            let filled = self.limits.fill(&mut book, at, |resource| self.schedules.limit(resource, calendar));
            filled.map_err(|error| QuotaStoreError(format!("store {}: {error}", shared.source())))?;
            held.keeping = Keeping::default();
            if let Some(leases) = leases {
                log::info!(clients = leases.len(); "what clients hold is known from the store");
                let until = at + before.heartbeat_timeout;
                book.restore(leases, term.term.number << VERSIONS, until);
                held.keeping = Keeping::restored(book.raised());
            }
            book.note_changes();
            held.book = book;
            if let Some(lead) = &mut held.lead {
                lead.ready(term.term);
            }
            Ok(())
        })
    }

    /// What the store has of clients' shares, if a term can begin with that; else nothing is left of it there. The next leader
    /// would believe it, also without what this one grants until it has learned.
    async fn usable_leases(
        &self,
        shared: &SharedLimits,
        term: NewTerm,
        timeout: Duration,
    ) -> Result<Option<Leases>, QuotaStoreError> {
        let leases = shared.read_leases(term.term, timeout).await?;
        // Leases that last longer than its own are not renewed to their end.
        let is_usable = term.longest <= self.with(|book, _| book.settings().heartbeat_timeout);
        if leases.is_none() || is_usable {
            return Ok(leases);
        }
        match shared.forget_leases(term.term, timeout).await? {
            Answered::Kept => Ok(None),
            _ => Err(QuotaStoreError("another server leads now".to_owned())),
        }
    }

    /// Leads no longer, and has the store give the lease to another at once.
    pub(super) async fn give_up_the_lead(&self) {
        let Some(shared) = &self.limits.shared else { return };
        // First: whoever holds the lease next must be the only one that leads.
        self.lead_state(|lead, _| lead.step_down());
        // Calls that wait for what the store keeps: nobody writes it any more.
        self.wake();
        if let Err(error) = shared.release(FAREWELL).await {
            log::warn!(error:%; "the lease is not given back: another quota server leads when it has run out");
        }
    }

    /// Calls `act` with what this server knows of who leads: nothing, the first time.
    fn lead_state<T>(&self, act: impl FnOnce(&mut Lead, crate::clock::Instant) -> T) -> T {
        self.with_held(|held, now| {
            let timeout = held.book.settings().heartbeat_timeout;
            act(held.lead.get_or_insert_with(|| Lead::new(timeout, now)), now)
        })
    }
}

/// What the log last said.
#[derive(Default)]
struct Told {
    standing: Option<Standing>,
    is_away: bool,
    /// Why it could not begin a term.
    cannot: Option<QuotaStoreError>,
}

#[derive(Clone, PartialEq, Eq)]
enum Standing {
    Leads(Term),
    Follows(Option<String>),
}

impl Told {
    fn trouble(&mut self, shared: &SharedLimits, trouble: Option<String>) {
        match (&trouble, self.is_away) {
            (Some(error), false) => {
                log::warn!(error:%; "the store of the quota servers cannot be asked; trying again")
            }
            (None, true) => {
                log::info!(store:% = shared.source(); "the store of the quota servers answers again")
            }
            _ => {}
        }
        self.is_away = trouble.is_some();
    }

    fn begun(&mut self, begun: Result<(), QuotaStoreError>) {
        let error = begun.err();
        if let Some(error) = error.as_ref().filter(|error| self.cannot.as_ref() != Some(*error)) {
            log::warn!(error:%; "this quota server cannot lead; trying again, and leaving the lead to another");
        }
        self.cannot = error;
    }

    /// Returns whether it has changed.
    fn standing(&mut self, standing: Standing) -> bool {
        if self.standing.as_ref() == Some(&standing) {
            return false;
        }
        match &standing {
            Standing::Leads(term) => log::info!(term = term.number; "this quota server leads"),
            Standing::Follows(Some(leader)) => log::info!(leader:%; "another quota server leads"),
            Standing::Follows(None) if matches!(self.standing, Some(Standing::Leads(_))) => {
                log::warn!("this quota server leads no longer: it could not keep its lease");
            }
            Standing::Follows(None) => {}
        }
        self.standing = Some(standing);
        true
    }
}
