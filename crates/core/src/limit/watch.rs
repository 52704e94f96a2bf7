//! Tasks that are woken when a limit changes.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::Limit;
use crate::sync::Mutex;

/// The tasks that watch one limit.
#[derive(Default)]
pub(super) struct Watching(Mutex<Slab<Waker>>);

/// Has a task woken whenever a [`Limit`] changes, until it is dropped.
pub struct LimitWatch {
    limit: Limit,
    key: usize,
    task: Waker,
}

impl Watching {
    pub(super) fn wake(&self) {
        // Outside the lock: a waker may poll its task at once, which may end its watch.
        let tasks: Vec<Waker> = self.0.lock().iter().map(|(_, task)| task.clone()).collect();
        tasks.into_iter().for_each(Waker::wake);
    }
}

impl Limit {
    /// Has `task` woken whenever a rate changes, or whether the limit only reports. A change before this call wakes nobody: read
    /// the limit afterwards.
    #[must_use]
    pub fn watch(&self, task: &Waker) -> LimitWatch {
        let key = self.0.watching.0.lock().insert(task.clone());
        LimitWatch { limit: self.clone(), key, task: task.clone() }
    }
}

impl LimitWatch {
    /// Returns whether it is for the task of `waker` and for `limit`.
    pub fn is_for(&self, limit: &Limit, waker: &Waker) -> bool {
        Arc::ptr_eq(&self.limit.0, &limit.0) && self.task.will_wake(waker)
    }
}

impl Drop for LimitWatch {
    fn drop(&mut self) {
        let task = self.limit.0.watching.0.lock().try_remove(self.key);
        // Outside the lock: this may drop the task.
        drop(task);
    }
}

impl fmt::Debug for LimitWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitWatch").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::limit::{Budget, Rate};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_change_wakes_who_watches_until_the_watch_ends() {
        let limit = Limit::new(Rate::or_unlimited(1));
        let (one, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (waker, another) = (Waker::from(Arc::clone(&one)), Waker::from(Arc::clone(&other)));
        let (watch, second) = (limit.watch(&waker), limit.watch(&another));
        let woken = || (one.0.load(Ordering::SeqCst), other.0.load(Ordering::SeqCst));
        limit.set_rate(Rate::or_unlimited(1));
        limit.set_burst(7);
        assert_eq!(woken(), (0, 0), "nothing that a waiting stream would see");
        limit.set_rate(Rate::or_unlimited(2));
        assert_eq!(woken(), (1, 1));
        limit.set_report_only(true);
        assert_eq!(woken(), (2, 2));
        limit.set(Budget::of(Rate::or_unlimited(3)));
        assert_eq!(woken(), (3, 3), "two settings, one wake-up");
        assert!(watch.is_for(&limit, &waker) && !watch.is_for(&limit, &another));
        assert!(!watch.is_for(&Limit::unlimited(), &waker));
        drop(watch);
        limit.set_rate(None);
        assert_eq!(woken(), (3, 4));
        drop(second);
        assert!(limit.0.watching.0.lock().is_empty());
    }
}
