//! The limits of a quota server: what its flags say, and over that what was set by hand.
//!
//! A change by hand is checked, kept in the store, and made, in this order and one after the other: what is answered holds
//! after a restart too, and what is refused has changed nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::oneshot;

use super::shared_book::{NotLeader, SharedBook};
#[cfg(feature = "redis")]
use super::shared_limits::SharedLimits;
use super::store::{QuotaStore, QuotaStoreError};
use crate::clock::Instant;
use crate::quota::book::{Book, BookError, ResourceView};
use crate::quota::by_hand::{ByHand, Setting};
use crate::quota::id::Id;
use crate::quota::lead::Term;
use crate::quota::limit::{NamedLimit, ResourceLimit};
use crate::rt;
use crate::sync::Mutex;

/// Where limits come from.
#[derive(Default)]
pub(super) struct Limits {
    /// Of flags.
    own: Vec<NamedLimit>,
    store: QuotaStore,
    /// The store, if servers share it.
    #[cfg(feature = "redis")]
    pub(super) shared: Option<SharedLimits>,
    by_hand: Mutex<ByHand>,
    /// Calls of the store that failed.
    pub(super) store_errors: Arc<AtomicU64>,
    /// Held by the change that is being made.
    turn: tokio::sync::Mutex<()>,
}

/// A change by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Set(ResourceLimit),
    Delete,
    /// What flags say holds again.
    Reset,
}

/// Why a change is refused. It has changed nothing here, and nothing in the store, unless that is a shared one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ChangeError {
    Book(BookError),
    /// Nobody has set or deleted it.
    NotByHand(Id),
    Store(QuotaStoreError),
    /// The same, of a shared store, which may have kept it all the same: then it holds from the next term on.
    #[cfg(feature = "redis")]
    SharedStore(QuotaStoreError),
    NotLeader(NotLeader),
}

/// Where the value of a limit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Flag,
    Schedule,
    /// Set by hand, until the server restarts.
    Api,
    /// Set by hand, and kept.
    Store,
}

impl Limits {
    pub(super) fn new(own: Vec<NamedLimit>, store: QuotaStore, by_hand: ByHand) -> Self {
        Self { own, store, by_hand: Mutex::new(by_hand), ..Self::default() }
    }

    /// Has servers share them in a store, if there is one.
    #[cfg(feature = "redis")]
    pub(super) fn sharing(self, shared: Option<SharedLimits>) -> Self {
        let store_errors = shared.as_ref().map(|shared| Arc::clone(&shared.errors)).unwrap_or_default();
        Self { shared, store_errors, ..self }
    }

    /// Takes over what a shared store keeps.
    #[cfg(feature = "redis")]
    pub(super) fn take_over(&self, by_hand: ByHand) {
        *self.by_hand.lock() = by_hand;
    }

    /// Keeps a setting.
    async fn put(
        &self,
        term: Option<Term>,
        resource: &Id,
        setting: Option<Setting>,
    ) -> Result<(), ChangeError> {
        #[cfg(feature = "redis")]
        if let (Some(shared), Some(term)) = (&self.shared, term) {
            return shared.put(term, resource, setting).await.map_err(ChangeError::SharedStore);
        }
        let _ = term;
        let put = self.store.put(resource, setting).await;
        put.map_err(|error| {
            self.store_errors.fetch_add(1, Ordering::Relaxed);
            ChangeError::Store(error)
        })
    }

    /// Whether somebody set or deleted it.
    pub(super) fn is_by_hand(&self, resource: &Id) -> bool {
        self.by_hand.lock().get(resource).is_some()
    }

    /// Whether a change by hand holds after a restart.
    pub(super) fn is_lasting(&self) -> bool {
        self.store.is_lasting()
    }

    pub(super) fn set_by_hand(&self) -> Vec<(Id, Option<ResourceLimit>)> {
        let limit = |setting| match setting {
            Setting::Set(limit) => Some(limit),
            Setting::Deleted => None,
        };
        self.by_hand.lock().iter().map(|(resource, setting)| (resource.clone(), limit(setting))).collect()
    }

    fn of_flags(&self, resource: &Id) -> Option<ResourceLimit> {
        self.own.iter().find(|named| named.resource == *resource).map(|named| named.limit)
    }

    /// Sets the limits of a new book. `scheduled` is what a schedule says of one.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn fill(
        &self,
        book: &mut Book,
        now: Instant,
        scheduled: impl Fn(&Id) -> Option<ResourceLimit>,
    ) -> Result<(), BookError> {
        let by_hand = self.by_hand.lock();
        for NamedLimit { resource, limit } in &self.own {
            if by_hand.get(resource).is_none() {
                book.set_limit(now, resource, scheduled(resource).unwrap_or(*limit))?;
            }
        }
        for (resource, setting) in by_hand.iter() {
            if let Setting::Set(limit) = setting {
                book.set_limit(now, resource, limit)?;
            }
        }
        Ok(())
    }
}

impl From<NotLeader> for ChangeError {
    fn from(not_leader: NotLeader) -> Self {
        Self::NotLeader(not_leader)
    }
}

impl SharedBook {
    /// Where the limit of `resource` comes from.
    pub(super) fn source(&self, resource: &Id) -> Source {
        match self.limits.is_by_hand(resource) {
            true if self.limits.is_lasting() => Source::Store,
            true => Source::Api,
            false if self.schedules.holds(resource) => Source::Schedule,
            false => Source::Flag,
        }
    }

    /// Makes a change by hand. Returns the limit after it, if there is one.
    ///
    /// Cancel safe: once called, the change is made or refused as a whole, whether or not somebody waits for that.
    ///
    /// # Errors
    /// It is not valid, or the store cannot keep it.
    pub(super) async fn change(
        self: &Arc<Self>,
        resource: Id,
        change: Change,
    ) -> Result<Option<ResourceView>, ChangeError> {
        let (done, result) = oneshot::channel();
        let shared = Arc::clone(self);
        rt::spawn(async move {
            // The caller may have gone.
            let _ = done.send(shared.change_in_turn(&resource, change).await);
        });
        result.await.unwrap_or_else(|_| {
            let text = "the change failed in an unknown way; look at the log of the quota server";
            Err(ChangeError::Store(QuotaStoreError(text.to_owned())))
        })
    }

    async fn change_in_turn(
        &self,
        resource: &Id,
        change: Change,
    ) -> Result<Option<ResourceView>, ChangeError> {
        let _turn = self.limits.turn.lock().await;
        let (term, (epoch, checked)) = self.leading_in_term(|book, now| {
            let checked = match change {
                Change::Set(limit) => book.check_limit(now, resource, limit).map_err(ChangeError::Book),
                Change::Delete => book.resource(now, resource).map(drop).map_err(ChangeError::Book),
                Change::Reset if self.limits.is_by_hand(resource) => Ok(()),
                Change::Reset => Err(ChangeError::NotByHand(resource.clone())),
            };
            (book.epoch(), checked)
        })?;
        checked?;
        let setting = match change {
            Change::Set(limit) => Some(Setting::Set(limit)),
            // One that no flag names does not come back by itself.
            Change::Delete => self.limits.of_flags(resource).map(|_| Setting::Deleted),
            Change::Reset => None,
        };
        self.limits.put(term, resource, setting).await?;
        self.make(epoch, resource, change, setting)
    }

    /// Makes a change that the store keeps, in the book of this `epoch`.
    ///
    /// # Errors
    /// Meanwhile this server leads no longer, or has begun another term: what that read may be older than the change.
    fn make(
        &self,
        epoch: u64,
        resource: &Id,
        change: Change,
        setting: Option<Setting>,
    ) -> Result<Option<ResourceView>, ChangeError> {
        let made = self.leading(|book, now| {
            if book.epoch() != epoch {
                return Err(overtaken());
            }
            let limit = match change {
                Change::Set(limit) => Some(limit),
                Change::Delete => None,
                Change::Reset => {
                    self.schedules.limit(resource, self.clock().calendar()).or(self.limits.of_flags(resource))
                }
            };
            let replaced = replace(book, now, resource, limit).map_err(ChangeError::Book)?;
            self.limits.by_hand.lock().put(resource, setting);
            Ok(replaced)
        });
        made.unwrap_or_else(|_| Err(overtaken()))
    }
}

fn overtaken() -> ChangeError {
    let error = QuotaStoreError("the term of this server ended before the change was made".to_owned());
    #[cfg(feature = "redis")]
    return ChangeError::SharedStore(error);
    // Without a shared store there are no terms.
    #[cfg(not(feature = "redis"))]
    ChangeError::Store(error)
}

/// Gives `resource` this limit, or none, whatever it counted before.
fn replace(
    book: &mut Book,
    now: Instant,
    resource: &Id,
    limit: Option<ResourceLimit>,
) -> Result<Option<ResourceView>, BookError> {
    let unit = book.resource(now, resource).ok().map(|view| view.limit.unit());
    if unit.is_some() && unit != limit.map(ResourceLimit::unit) {
        book.delete_limit(now, resource)?;
    }
    limit.map(|limit| book.set_limit(now, resource, limit)).transpose()
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::quota::book::BookSettings;
    use crate::quota::lead::{Lead, Reply};

    #[test]
    fn a_change_is_made_in_the_term_that_it_was_kept_in_or_not_at_all() {
        let (clock, timeout) = (Arc::new(ManualClock::new()), Duration::from_secs(30));
        let new = |epoch| Book::new(BookSettings::default(), epoch, clock.now());
        let shared = SharedBook::new(new(1), Arc::clone(&clock) as Arc<dyn Clock>);
        let (resource, limit): (Id, ResourceLimit) = ("r".parse().unwrap(), "1m".parse().unwrap());
        let make = || shared.make(1, &resource, Change::Set(limit), Some(Setting::Set(limit)));
        let is_made = || {
            let is_there = shared.with(|book, now| book.resource(now, &resource).is_ok());
            assert_eq!(is_there, shared.limits.is_by_hand(&resource));
            is_there
        };
        let now = clock.now();
        let mut lead = Lead::new(timeout, now);
        let term = Term { number: 1, question: 1 };
        let begun = lead.answered(now, now, Reply::Held { term, longest: timeout }).unwrap();
        shared.with_held(|held, _| held.lead = Some(lead));
        assert_eq!((make().unwrap_err(), is_made()), (overtaken(), false), "another term is being begun");
        shared.with_held(|held, _| held.lead = None);
        shared.with_held(|held, _| held.book = new(2));
        assert_eq!((make().unwrap_err(), is_made()), (overtaken(), false), "it has begun");
        shared.with_held(|held, _| held.book = new(1));
        assert_eq!((make().unwrap().unwrap().limit, is_made()), (limit, true));
        assert!(begun.from > now);
    }
}
