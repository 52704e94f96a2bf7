//! Has a shared store keep what clients may be spending, before they are told: the next leader need not learn it.
//!
//! Only what grows is waited for. Heartbeats that change nothing cost the store nothing: the next leader takes each share to
//! last for a whole lease after this one has ceased to lead.
//!
//! The store has either no record or one with all that may be spent. A server that learns has none; nor has one whose store
//! cannot keep it, which then grants as if there were no record, and tries again.

use std::time::Duration;

use super::shared_book::SharedBook;
use super::shared_limits::SharedLimits;
use crate::clock::Sleep;
use crate::quota::book::StoredShares;
use crate::quota::id::Id;
use crate::quota::lead::{Lead, Term};

/// What the store is to keep.
pub(super) struct Batch {
    pub(super) term: Term,
    /// In the place of all that is kept.
    pub(super) is_all: bool,
    /// Those who may be spending nothing have none.
    pub(super) clients: Vec<(Id, Option<StoredShares>)>,
    epoch: u64,
    raised: u64,
}

/// What the store said to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    Kept,
    /// The record is gone, or the store may have lost some of it.
    Lost,
    /// This server leads no longer.
    Stale,
}

impl SharedBook {
    /// Has the store keep what clients may be spending, if it is shared; never completes.
    pub(super) async fn keep_leases(&self) {
        let Some(shared) = &self.limits.shared else { return std::future::pending().await };
        let mut told = None;
        loop {
            let unkept = self.listen_unkept();
            let Some((batch, lease)) = self.batch() else {
                unkept.await;
                continue;
            };
            match shared.keep(&batch, lease / 2).await {
                Ok(kept) => {
                    self.note(&batch, kept);
                    told = told.filter(|_| kept != Answered::Kept);
                }
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        log::warn!(error:%; "the store does not keep what is leased: the next leader learns it");
                    }
                    told = Some(error);
                    self.do_without(shared, &batch, lease).await;
                }
            }
            self.wake_kept();
        }
    }

    /// What there is to keep, if this server leads, and how long its lease is.
    fn batch(&self) -> Option<(Batch, Duration)> {
        self.with_held_quietly(|held, now| {
            let lead = held.lead.as_ref()?;
            let term = lead.leads(now).ok()?;
            held.book.advance(now);
            let is_all = !held.keeping.is_complete;
            if held.book.is_learning() || !(is_all || held.book.has_changed()) {
                return None;
            }
            let changed = held.book.take_changed();
            let clients = if is_all { held.book.holders() } else { changed };
            let shares = |client: Id| {
                let stored = held.book.stored(&client);
                (client, stored)
            };
            let clients = clients.into_iter().map(shares).collect();
            let (epoch, raised) = (held.book.epoch(), held.book.raised());
            held.keeping.is_on = true;
            Some((Batch { term, is_all, clients, epoch, raised }, lead.lease()))
        })
    }

    fn note(&self, batch: &Batch, kept: Answered) {
        self.with_held_quietly(|held, _| {
            if held.book.epoch() != batch.epoch {
                return;
            }
            match kept {
                Answered::Kept => (held.keeping.is_complete, held.keeping.raised) = (true, batch.raised),
                Answered::Lost => held.keeping.is_complete = false,
                Answered::Stale => {
                    let lead = held.lead.as_mut().filter(|lead| lead.term() == Some(batch.term));
                    lead.map(Lead::step_down).unwrap_or_default();
                }
            }
        });
    }

    /// Goes on without a record, if the store has none any more, and waits until it may be tried again.
    async fn do_without(&self, shared: &SharedLimits, batch: &Batch, lease: Duration) {
        let forgotten = shared.forget_leases(batch.term, lease / 2).await;
        let is_forgotten = forgotten == Ok(Answered::Kept);
        self.with_held_quietly(|held, _| {
            if held.book.epoch() == batch.epoch {
                held.keeping.is_complete = false;
                held.keeping.is_on &= !is_forgotten;
            }
        });
        if forgotten == Ok(Answered::Stale) {
            // There may be a record, another leader's: whoever waits is not told.
            self.note(batch, Answered::Stale);
        }
        self.wake_kept();
        let pause = if is_forgotten { lease } else { lease / 8 };
        Sleep::lasting(std::sync::Arc::clone(self.clock()), pause).await;
    }
}
