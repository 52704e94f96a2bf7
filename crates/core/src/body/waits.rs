//! What a body waits for, and for how long.

use std::task::Waker;
use std::time::Duration;

use crate::budget::{Held, HeldBy};
use crate::clock::Instant;
use crate::filter::Chain;
use crate::limit::LimitWatch;

/// How long a body has kept its reader waiting, by cause. A wait that lasts is not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// For the pace, or another filter that slept.
    pub pace: Duration,
    /// For the source: an upstream, or a disk.
    pub source: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// For the pace, until this instant. A reader that polls later waited for itself from then on.
    Pace(Instant),
    Source,
}

/// The waits of one body.
#[derive(Default)]
pub(super) struct Waiting {
    past: Waits,
    /// What is waited for, and since when.
    now: Option<(Wait, Instant)>,
}

impl Waiting {
    /// The waits that are over.
    pub(super) fn past(&self) -> Waits {
        self.past
    }

    pub(super) fn held(&self) -> Option<Held> {
        Some(match self.now?.0 {
            Wait::Pace(due) => Held::until(HeldBy::Pace, due),
            Wait::Source => Held::by(HeldBy::Source),
        })
    }

    /// Adds up the wait that ended at `now`, if there was one.
    pub(super) fn end(&mut self, now: Instant) {
        match self.now.take() {
            Some((Wait::Pace(due), since)) => self.past.pace += now.min(due) - since,
            Some((Wait::Source, since)) => self.past.source += now - since,
            None => {}
        }
    }

    /// Starts a wait at `now`.
    pub(super) fn begin(&mut self, wait: Wait, now: Instant) {
        self.now = Some((wait, now));
    }
}

/// Has the task of a sleeping body woken when a limit of its chain changes.
#[derive(Default)]
pub(super) struct Watches(Vec<LimitWatch>);

impl Watches {
    /// Watches the limits of `chain` for `task`, if it does not yet. True if that is new: they may have changed before.
    pub(super) fn renew(&mut self, chain: &Chain, task: &Waker) -> bool {
        let watched = |limit| self.0.iter().any(|watch| watch.is_for(limit, task));
        if chain.limits().all(watched) {
            return false;
        }
        self.0.clear();
        // Mostly one: room for more would be held as long as the stream.
        self.0.reserve_exact(chain.limits().count());
        self.0.extend(chain.limits().map(|limit| limit.watch(task)));
        true
    }
}
