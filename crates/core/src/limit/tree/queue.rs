//! A sorted set whose first item is at hand.

use std::collections::{BTreeSet, VecDeque};

/// Items in order. One that is alone takes no memory elsewhere: most nodes have one child that waits, and it comes and goes with
/// each grant. Those that come behind all others, as children of equal weights do, cost no search.
#[derive(Debug)]
pub(super) struct Queue<T> {
    first: Option<T>,
    /// In order, greater than `first`; empty if there is none. The first is not in `removed`.
    run: VecDeque<T>,
    /// Those of `run` that were removed from among the others. At most half of it.
    removed: BTreeSet<T>,
    /// Greater than `first`. They came before the last of `run` of that time, or were it.
    others: BTreeSet<T>,
}

/// A run of more items gives its memory back when it is empty.
const MAX_EMPTY: usize = 1024;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { first: None, run: VecDeque::new(), removed: BTreeSet::new(), others: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Queue<T> {
    pub(super) fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// The first item, if there is no other.
    pub(super) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.run.is_empty() && self.others.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut run = self.run.iter().filter(|item| !self.removed.contains(item)).peekable();
        let mut others = self.others.iter().peekable();
        self.first.iter().chain(std::iter::from_fn(move || match (run.peek(), others.peek()) {
            (Some(of_run), Some(other)) if other < of_run => others.next(),
            (Some(_), _) => run.next(),
            (None, _) => others.next(),
        }))
    }

    /// Adds an item that is not in the queue.
    pub(super) fn insert(&mut self, item: T) {
        match self.first {
            None => self.first = Some(item),
            Some(first) if first < item => self.insert_behind(item),
            Some(first) if first > item => {
                self.first = Some(item);
                self.run.push_front(first);
            }
            Some(_) => {}
        }
    }

    fn insert_behind(&mut self, item: T) {
        // One that is far behind, and each of light weight, would keep those that come before it out of the run.
        if let Some(last) = self.run.back().copied().filter(|last| *last > item) {
            self.run.pop_back();
            if !self.removed.remove(&last) {
                self.others.insert(last);
            }
        }
        if self.run.back().is_none_or(|last| *last < item) {
            self.run.push_back(item);
        } else if !self.removed.remove(&item) {
            self.others.insert(item);
        }
        self.tidy();
    }

    pub(super) fn remove(&mut self, item: &T) {
        if self.first.as_ref() == Some(item) {
            self.first = self.pop();
        } else if !self.others.remove(item) && self.run.binary_search(item).is_ok() {
            self.removed.insert(*item);
            self.tidy();
        }
    }

    /// Takes the first of those behind `first`.
    fn pop(&mut self) -> Option<T> {
        let Some(front) = self.run.front() else { return self.others.pop_first() };
        if self.others.first().is_some_and(|other| other < front) {
            return self.others.pop_first();
        }
        let front = self.run.pop_front();
        self.tidy();
        front
    }

    /// Drops what was removed: from the front, and all of it if it is half of the run.
    fn tidy(&mut self) {
        while let Some(front) = self.run.front()
            && !self.removed.is_empty()
            && self.removed.remove(front)
        {
            self.run.pop_front();
        }
        if self.removed.len() > self.run.len() / 2 {
            self.run.retain(|item| !self.removed.contains(item));
            self.removed.clear();
        }
        if self.run.is_empty() && self.run.capacity() > MAX_EMPTY {
            self.run = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_set_would(ops in prop::collection::vec((0u8..5, 0u8..40), 0..200)) {
            let (mut queue, mut set) = (Queue::default(), BTreeSet::new());
            // Most come behind all others, as they do in the tree.
            let mut next = 40;
            for (op, item) in ops {
                let item = match op {
                    0 => item,
                    1 => set.iter().nth(item.into()).copied().unwrap_or(item),
                    2 | 3 => next,
                    _ => set.first().copied().unwrap_or(item),
                };
                next += u8::from(item == next && next < u8::MAX);
                if !matches!(op, 0 | 2 | 3) {
                    queue.remove(&item);
                    set.remove(&item);
                } else if set.insert(item) {
                    queue.insert(item);
                }
                prop_assert_eq!((queue.first(), queue.is_empty()), (set.first(), set.is_empty()));
                prop_assert!(queue.iter().eq(&set));
                prop_assert_eq!(queue.only(), set.first().filter(|_| set.len() == 1));
                prop_assert!(queue.removed.len() <= queue.run.len() / 2);
            }
        }
    }
}
