//! Tasks that are woken when a limit changes.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;

use slab::Slab;

use super::Limit;
use crate::sync::Mutex;

/// So many places for tasks are kept when nobody watches any more.
const MAX_KEPT: usize = 64;

/// The tasks that watch one limit. Those of a change that was made are gone, their places are kept.
#[derive(Default)]
pub(super) struct Watching(Mutex<Slab<Option<Waker>>>);

/// Has a task woken by the next change of a [`Limit`], once, until it is dropped.
///
/// *Cancel safety*: dropping it leaves nothing behind.
pub struct LimitWatch {
    limit: Limit,
    /// Its place among the limit's. 32 bits: each body has a watch.
    place: u32,
    task: Waker,
    /// The limit's changes before it was set.
    changes: u32,
}

impl Watching {
    /// Makes a change, and wakes the tasks that were there if it says that it was one.
    pub(super) fn change(&self, change: impl FnOnce() -> bool) {
        let mut places = self.0.lock();
        if !change() {
            return;
        }
        let tasks: Vec<Waker> = places.iter_mut().filter_map(|(_, task)| task.take()).collect();
        drop(places);
        // Outside the lock: a waker may poll its task at once, which may end its watch.
        tasks.into_iter().for_each(Waker::wake);
    }
}

impl Limit {
    /// Has `task` woken once, by the next change of a rate, or of whether the limit only reports. A change before this call wakes
    /// nobody: read the limit afterwards.
    #[must_use]
    pub fn watch(&self, task: &Waker) -> LimitWatch {
        let mut places = self.0.watching.0.lock();
        // More than these would take 64 GiB.
        let place = u32::try_from(places.insert(Some(task.clone()))).unwrap_or(u32::MAX);
        LimitWatch { limit: self.clone(), place, task: task.clone(), changes: self.changes() }
    }
}

impl LimitWatch {
    /// Returns whether the next change of `limit` wakes the task of `waker`. Takes no lock.
    pub fn is_set_for(&self, limit: &Limit, waker: &Waker) -> bool {
        self.was_set_for(limit, waker) && self.changes == limit.changes()
    }

    /// Returns whether it is for `limit` and the task of `waker`, also if a change has woken it.
    pub fn was_set_for(&self, limit: &Limit, waker: &Waker) -> bool {
        Arc::ptr_eq(&self.limit.0, &limit.0) && self.task.will_wake(waker)
    }
}

impl Drop for LimitWatch {
    fn drop(&mut self) {
        let mut places = self.limit.0.watching.0.lock();
        let task = places.try_remove(self.place as usize);
        if places.is_empty() && places.capacity() > MAX_KEPT {
            // Release the memory of thousands that were here once.
            *places = Slab::new();
        }
        drop(places);
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
    use crate::limit::{Budget, Rate, Rates};

    #[derive(Default)]
    struct WakeCount(AtomicUsize);

    impl WakeCount {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn rate(bytes: u64) -> Option<Rate> {
        Rate::or_unlimited(bytes)
    }

    /// A task that counts how often it is woken.
    fn task() -> (Arc<WakeCount>, Waker) {
        let count = Arc::<WakeCount>::default();
        (Arc::clone(&count), count.into())
    }

    fn places(limit: &Limit) -> (usize, usize) {
        let places = limit.0.watching.0.lock();
        (places.len(), places.capacity())
    }

    #[test]
    fn what_a_waiting_stream_would_see_wakes_it_and_nothing_else_does() {
        let other = Limit::new(rate(5)).with_burst(9);
        other.set_report_only(true);
        let several = Rates::with_last(None, rate(6));
        type Change<'a> = &'a dyn Fn(&Limit);
        let changes: [(Change<'_>, usize); 10] = [
            (&|limit| limit.set_rate(rate(1)), 0),
            (&|limit| limit.set_rates(rate(1).into()), 0),
            (&|limit| limit.set_burst(7), 0),
            (&|limit| limit.set_report_only(false), 0),
            (&|limit| limit.set_rate(rate(2)), 1),
            (&|limit| limit.set_rate(None), 1),
            (&|limit| limit.set_report_only(true), 1),
            (&|limit| limit.set_rates(several.clone()), 1),
            // Two settings, one wake-up.
            (&|limit| limit.set(Budget { report_only: true, ..Budget::of(rate(3)) }), 1),
            (&|limit| limit.set_like(&other), 1),
        ];
        for (number, (change, wakes)) in changes.into_iter().enumerate() {
            let limit = Limit::new(rate(1));
            let (count, waker) = task();
            let watch = limit.watch(&waker);
            change(&limit);
            assert_eq!(count.get(), wakes, "change {number}");
            assert_eq!(watch.is_set_for(&limit, &waker), wakes == 0, "change {number}");
        }
    }

    #[test]
    fn a_watch_is_for_one_change_of_one_limit_and_one_task() {
        let limit = Limit::new(rate(1));
        let ((first, one), (second, another)) = (task(), task());
        let watches = (limit.watch(&one), limit.watch(&another));
        assert!(watches.0.is_set_for(&limit, &one) && !watches.0.is_set_for(&limit, &another));
        assert!(!watches.0.is_set_for(&Limit::new(rate(1)), &one));
        limit.set_rate(rate(2));
        limit.set_rate(rate(3));
        assert_eq!((first.get(), second.get()), (1, 1));
        let again = limit.watch(&one);
        drop(watches);
        limit.set_rate(rate(4));
        assert_eq!((first.get(), second.get()), (2, 1));
        assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (3, 2), "the limit has no waker");
        drop(again);
        assert_eq!(places(&limit).0, 0);
        assert!(!limit.is_shared());
    }

    #[test]
    fn thousands_that_watched_leave_no_memory_behind() {
        let limit = Limit::new(rate(1));
        let (count, waker) = task();
        for _ in 0..3 {
            let watches: Vec<_> = (0..10_000).map(|_| limit.watch(&waker)).collect();
            assert_eq!(places(&limit).0, 10_000);
            drop(watches);
            assert!(places(&limit).0 == 0 && places(&limit).1 <= MAX_KEPT);
        }
        assert_eq!((count.get(), Arc::strong_count(&count)), (0, 2));
    }

    // A waker that polls at once, and a task that ends with its watch.
    #[test]
    fn whoever_is_woken_may_watch_again_or_stop_at_once() {
        struct Again(Limit, Mutex<Vec<LimitWatch>>);
        impl Wake for Again {
            fn wake(self: Arc<Self>) {
                let old = self.1.lock().pop();
                let new = self.0.watch(&Waker::from(Arc::clone(&self)));
                self.1.lock().push(new);
                drop(old);
            }
        }
        let limit = Limit::new(rate(1));
        let again = Arc::new(Again(limit.clone(), Mutex::default()));
        again.1.lock().push(limit.watch(&Waker::from(Arc::clone(&again))));
        for bytes in 2..5 {
            limit.set_rate(rate(bytes));
            assert_eq!(places(&limit).0, 1);
        }
        // It had itself woken.
        let left = std::mem::take(&mut *again.1.lock());
        drop(left);
        assert_eq!(places(&limit).0, 0);
    }

    #[test]
    fn whoever_reads_the_limit_after_it_watches_misses_no_change_of_many_threads() {
        const LAST: u64 = 9_999;
        struct Unpark(std::thread::Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let limit = Limit::new(rate(1));
        let sleeps = || {
            let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
            loop {
                let watch = limit.watch(&waker);
                if limit.rate() == rate(LAST) {
                    return;
                }
                while watch.is_set_for(&limit, &waker) {
                    std::thread::park();
                }
            }
        };
        std::thread::scope(|scope| {
            let changing = [1_000, 2_000].map(|from| {
                let limit = &limit;
                scope.spawn(move || (from..from + 1_000).for_each(|bytes| limit.set_rate(rate(bytes))))
            });
            let sleepers = [(); 2].map(|()| scope.spawn(sleeps));
            changing.into_iter().for_each(|thread| thread.join().unwrap());
            limit.set_rate(rate(LAST));
            sleepers.into_iter().for_each(|thread| thread.join().unwrap());
        });
        assert_eq!(places(&limit).0, 0);
    }
}
