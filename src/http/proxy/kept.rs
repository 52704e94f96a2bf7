//! Connections that wait for their next request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::link::Link;
use crate::clock::{Clock, Instant, Sleep};
use crate::rt;

/// How often waiting connections are looked at: those that were closed, or have waited too long, go.
const SWEEP: Duration = Duration::from_secs(1);

/// The waiting connections of one route.
pub(super) struct Kept {
    waiting: Mutex<Waiting>,
    most: usize,
    /// How long one waits.
    lasting: Duration,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Waiting {
    /// Those that came last are last, and are taken first: with little to do the others go.
    links: Vec<(Link, Instant)>,
    is_swept: bool,
}

impl Kept {
    /// At most `most` connections, none for longer than `lasting`.
    pub(super) fn new(most: usize, lasting: Duration, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), most, lasting, clock })
    }

    /// A connection that the upstream has not closed, as far as is known.
    pub(super) fn take(&self) -> Option<Link> {
        loop {
            // Looked at without the lock.
            let (link, since) = self.lock().links.pop()?;
            let now = self.clock.now();
            if now < since + self.lasting && link.is_fit(now) {
                return Some(link);
            }
        }
    }

    /// Keeps a connection whose last exchange is over, if there is room. Whether it is fit for another is
    /// found out when it is taken.
    pub(super) fn put(self: &Arc<Self>, link: Link) {
        let mut waiting = self.lock();
        if waiting.links.len() >= self.most {
            return;
        }
        waiting.links.push((link, self.clock.now()));
        if !std::mem::replace(&mut waiting.is_swept, true) {
            drop(waiting);
            self.start_sweeping();
        }
    }

    /// One task as long as any wait.
    fn start_sweeping(self: &Arc<Self>) {
        let (kept, clock) = (Arc::downgrade(self), Arc::clone(&self.clock));
        let turn = SWEEP.min(self.lasting);
        rt::spawn(async move {
            loop {
                Sleep::lasting(Arc::clone(&clock), turn).await;
                if kept.upgrade().is_none_or(|kept| !kept.sweep()) {
                    return;
                }
            }
        });
    }

    /// Closes those that need not wait longer; whether any are left.
    fn sweep(&self) -> bool {
        let mut waiting = self.lock();
        let now = self.clock.now();
        waiting.links.retain(|(link, since)| now < *since + self.lasting && link.is_fit(now));
        waiting.is_swept = !waiting.links.is_empty();
        waiting.is_swept
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
