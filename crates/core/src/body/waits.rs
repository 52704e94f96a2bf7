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

/// Has the task of a sleeping body woken when the limit that it sleeps under changes.
#[derive(Default)]
pub(super) struct Watch {
    set: Option<LimitWatch>,
    since: Instant,
}

impl Watch {
    /// Sets the watch for `task`, if it is not set. True if that is new: the limit may have changed before.
    ///
    /// After a change it is set again an interval after the last time. A limit that changes all the time does not keep thousands
    /// of streams awake: each has one step more in an interval, and sees the last change within one, as it looks that often.
    pub(super) fn renew(&mut self, chain: &Chain, task: &Waker, now: Instant) -> bool {
        let Some(limit) = chain.sleeping_limit() else { return false };
        if let Some(set) = &self.set
            && (set.is_set_for(limit, task)
                || set.was_set_for(limit, task) && now < self.since + chain.max_sleep())
        {
            return false;
        }
        // The old one first: its place is taken again.
        self.set = None;
        *self = Self { set: Some(limit.watch(task)), since: now };
        true
    }
}
