//! Grants of one resource to one client that it may still be spending.
//!
//! A client may not have received a smaller grant yet. So a grant counts until its lease expires or the client has
//! acknowledged a later one.

use std::collections::VecDeque;

use crate::clock::Instant;

/// Largest number of grants kept for one client. A client that never acknowledges gets no further smaller ones until the
/// oldest has expired.
const MOST: usize = 8;

/// A granted share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// Micro-units a second.
    pub(super) rate: u64,
    pub(super) version: u64,
    /// The end of its lease (exclusive).
    pub(super) until: Instant,
}

/// Grants that may still be spent.
///
/// Invariant: from front to back rates decrease and versions increase, and no lease ends before that of the grant in front
/// of it. A grant that a later one covers in rate and time is not kept.
#[derive(Debug, Default)]
pub(super) struct Grants(VecDeque<Grant>);

impl Grants {
    /// The highest rate that the client may be spending at.
    pub(super) fn committed(&self) -> u64 {
        self.0.front().map_or(0, |grant| grant.rate)
    }

    /// The highest rate among grants of this version or later.
    pub(super) fn committed_since(&self, version: u64) -> u64 {
        self.0.iter().find(|grant| grant.version >= version).map_or(0, |grant| grant.rate)
    }

    /// The last granted share.
    pub(super) fn newest(&self) -> Option<Grant> {
        self.0.back().copied()
    }

    /// When the client must spend less than it may now, even if it received nothing; `None` if the newest grant is the
    /// only one.
    pub(super) fn shrinks_at(&self) -> Option<Instant> {
        (self.0.len() > 1).then(|| self.0[0].until)
    }

    /// When the first grant expires.
    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.0.front().map(|grant| grant.until)
    }

    /// Notes that the client has applied `version`: earlier grants no longer count.
    pub(super) fn acknowledge(&mut self, version: u64) {
        while self.0.len() > 1 && self.0[0].version < version {
            self.0.pop_front();
        }
    }

    /// Removes expired grants.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.0.front().is_some_and(|grant| grant.until <= now) {
            self.0.pop_front();
        }
    }

    /// Whether another smaller grant can be added.
    pub(super) fn can_shrink(&self) -> bool {
        self.0.len() < MOST
    }

    /// Extends the newest grant.
    pub(super) fn renew(&mut self, until: Instant) {
        if let Some(newest) = self.0.back_mut() {
            newest.until = newest.until.max(until);
        }
    }

    /// Adds a grant, with the highest version and a lease that ends no earlier than the others. If there are as many as
    /// are kept, the last two count as one at the higher rate until the later end: more than is spent, never less.
    pub(super) fn push(&mut self, grant: Grant) {
        while self.0.back().is_some_and(|last| last.rate <= grant.rate) {
            self.0.pop_back();
        }
        if self.0.len() >= MOST
            && let Some(last) = self.0.pop_back()
            && let Some(before) = self.0.back_mut()
        {
            (before.version, before.until) = (last.version, last.until);
        }
        self.0.push_back(grant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn grants(of: &[(u64, u64, u64)]) -> Grants {
        let mut grants = Grants::default();
        for &(rate, version, until) in of {
            grants.push(Grant { rate, version, until: at(until) });
        }
        grants
    }

    #[test]
    fn a_larger_grant_covers_those_before_it_and_a_smaller_one_does_not() {
        let shrunk = grants(&[(50, 1, 10), (30, 2, 20), (10, 3, 30)]);
        assert_eq!((shrunk.committed(), shrunk.newest().unwrap().rate), (50, 10));
        let grown = grants(&[(50, 1, 10), (30, 2, 20), (40, 3, 30)]);
        assert_eq!((grown.committed(), grown.0.len()), (50, 2));
        assert_eq!(grants(&[(50, 1, 10), (30, 2, 20), (50, 3, 30)]).0.len(), 1);
    }

    #[test]
    fn acknowledged_and_expired_grants_no_longer_count() {
        let mut grants = grants(&[(50, 1, 10), (30, 2, 20), (10, 5, 30)]);
        assert_eq!(
            (grants.committed_since(2), grants.committed_since(3), grants.committed_since(6)),
            (30, 10, 0)
        );
        grants.acknowledge(1);
        assert_eq!(grants.committed(), 50, "it may be spending that very one");
        grants.acknowledge(4);
        assert_eq!(
            (grants.committed(), grants.shrinks_at()),
            (10, None),
            "4 is later than 2, whatever became of it"
        );
        grants.acknowledge(u64::MAX);
        assert_eq!(grants.committed(), 10, "the newest stays until its lease ends");
        grants.expire(at(29));
        assert_eq!(grants.committed(), 10);
        grants.expire(at(30));
        assert_eq!((grants.committed(), grants.newest()), (0, None));
    }

    #[test]
    fn the_oldest_lease_says_when_it_shrinks_by_itself() {
        let mut grants = grants(&[(50, 1, 10), (30, 2, 20)]);
        grants.renew(at(25));
        assert_eq!(grants.shrinks_at(), Some(at(10)));
        grants.expire(at(10));
        assert_eq!((grants.committed(), grants.shrinks_at(), grants.ends_at()), (30, None, Some(at(25))));
    }

    #[test]
    fn a_bounded_number_of_grants_is_kept() {
        let mut grants = Grants::default();
        for n in 0..MOST as u64 {
            assert!(grants.can_shrink());
            grants.push(Grant { rate: 100 - n, version: n, until: at(n) });
        }
        assert!(!grants.can_shrink());
        grants.push(Grant { rate: 10, version: 99, until: at(99) });
        let last = [(94, 7, 7), (10, 99, 99)];
        let kept: Vec<_> = grants.0.iter().map(|grant| (grant.rate, grant.version, grant.until)).collect();
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[MOST - 2..], last.map(|(rate, version, until)| (rate, version, at(until))));
    }
}
