//! A sorted set whose first item is at hand.

use std::collections::BTreeSet;

/// Items in order. One that is alone takes no memory elsewhere: most nodes have one child that waits, and it comes and goes with
/// each grant.
#[derive(Debug)]
pub(super) struct Queue<T> {
    first: Option<T>,
    /// All greater than `first`; empty if there is none.
    others: BTreeSet<T>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { first: None, others: BTreeSet::new() }
    }
}

impl<T: Copy + Ord> Queue<T> {
    pub(super) fn first(&self) -> Option<&T> {
        self.first.as_ref()
    }

    /// The first item, if there is no other.
    pub(super) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.others.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    pub(super) fn insert(&mut self, item: T) {
        match self.first.replace(item) {
            Some(first) if first < item => {
                self.first = Some(first);
                self.others.insert(item);
            }
            Some(first) if first > item => drop(self.others.insert(first)),
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, item: &T) {
        if self.first.as_ref() == Some(item) {
            self.first = self.others.pop_first();
        } else {
            self.others.remove(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_sorted_set_would(ops in prop::collection::vec((any::<bool>(), 0u8..12), 0..100)) {
            let (mut queue, mut set) = (Queue::default(), BTreeSet::new());
            for (is_insert, item) in ops {
                if is_insert {
                    queue.insert(item);
                    set.insert(item);
                } else {
                    queue.remove(&item);
                    set.remove(&item);
                }
                prop_assert_eq!((queue.first(), queue.is_empty()), (set.first(), set.is_empty()));
                prop_assert!(queue.iter().eq(&set));
                prop_assert_eq!(queue.only(), set.first().filter(|_| set.len() == 1));
            }
        }
    }
}
