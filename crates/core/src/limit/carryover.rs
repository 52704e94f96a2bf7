//! Allowances that responses leave to the next ones, by client.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap, RandomState};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, MutexGuard};

use super::Allowance;
use crate::clock::Instant;
use crate::sync::Mutex;

/// The allowances that finished responses left at a route's rate filter, by client; clones share them.
///
/// A response takes the allowance that its client left first, which has refilled most, and leaves it again at its end. One
/// that finds none, because the client is new or its other responses have them all, starts with a full one. So the long-run
/// rate is that configured for each *concurrent* response of a client, however its requests follow one another and on
/// whatever connections, and each of them has one burst until that is refilled.
///
/// The first response on a [new connection](Carryover::on_new_connection) may have a burst before it is refilled: a client
/// that returns from another network, or shares an address, need not wait. At most [`MAX_BURSTS`](Self::MAX_BURSTS) are owed
/// this way.
///
/// Memory is bounded: allowances that are full again are dropped, and of the others the oldest beyond
/// [`MAX_KEPT`](Self::MAX_KEPT), whose clients start with a full one.
///
/// Clients are identified by a randomly keyed 64-bit hash. Two that collide share their allowances, nothing else.
#[derive(Clone, Default)]
pub struct Carryovers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// The number of locks, a power of two.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    left: HashMap<u64, VecDeque<Allowance>>,
    /// All keys, examined in turn for allowances that can be dropped.
    round: VecDeque<u64>,
    /// Allowances in `left`.
    kept: usize,
}

impl Carryovers {
    /// The most clients that are kept, and the most allowances of all of them. A client with one takes up to 180 bytes, spare
    /// capacity of the table included.
    pub const MAX_KEPT: usize = 65_536;

    /// How many bursts an allowance may owe after responses on new connections.
    pub const MAX_BURSTS: u64 = 2;

    /// The most allowances of one client; further concurrent responses leave none.
    pub const MAX_PER_CLIENT: usize = 1024;

    /// Clients examined for each one that is added, so that more can be dropped than are added.
    const EXAMINED: usize = 4;

    /// Returns the allowances of one client. Takes no lock and does not allocate.
    pub fn of(&self, client: &impl Hash) -> Carryover {
        Carryover { key: self.0.hasher.hash_one(client), book: self.clone(), is_new: false }
    }

    /// Returns the number of allowances, full ones that were not dropped yet included.
    pub fn kept(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.lock().kept).sum()
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        self.0.shards[key as usize % SHARDS].lock()
    }
}

impl fmt::Debug for Carryovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carryovers").field("kept", &self.kept()).finish()
    }
}

/// The allowances of one client in [`Carryovers`]. The default is a client of its own.
#[derive(Clone, Debug, Default)]
pub struct Carryover {
    book: Carryovers,
    key: u64,
    is_new: bool,
}

impl Carryover {
    /// Marks the client's first response on a connection.
    #[must_use]
    pub fn on_new_connection(self) -> Self {
        Self { is_new: true, ..self }
    }

    /// Returns what identifies client and route in this process.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Returns how much of a burst of `burst` bytes a response may use that starts with `allowance`.
    pub fn burst_left(&self, allowance: &Allowance, burst: u64) -> u64 {
        let bursts = if self.is_new { Carryovers::MAX_BURSTS } else { 1 };
        allowance.burst_left(burst.saturating_mul(bursts)).min(burst)
    }

    /// Removes the allowance that was left first.
    pub fn take(&self) -> Option<Allowance> {
        let mut shard = self.book.shard(self.key);
        let allowance = shard.left.get_mut(&self.key)?.pop_front()?;
        shard.kept -= 1;
        Some(allowance)
    }

    /// Leaves an allowance for the client's next response.
    pub fn put(&self, allowance: Allowance) {
        let mut shard = self.book.shard(self.key);
        let Shard { left, round, kept } = &mut *shard;
        match left.entry(self.key) {
            Entry::Occupied(mut entry) => {
                if entry.get().len() < Carryovers::MAX_PER_CLIENT {
                    entry.get_mut().push_back(allowance);
                    *kept += 1;
                }
                if *kept > Carryovers::MAX_KEPT / SHARDS {
                    shard.drop_first();
                }
            }
            Entry::Vacant(entry) => {
                let now = allowance.settled_at();
                let mut first = VecDeque::with_capacity(1);
                first.push_back(allowance);
                entry.insert(first);
                *kept += 1;
                round.push_back(self.key);
                shard.drop_full(now);
            }
        }
    }
}

impl Shard {
    /// Examines some clients, and drops full allowances.
    fn drop_full(&mut self, now: Instant) {
        let most = Carryovers::MAX_KEPT / SHARDS;
        while self.left.len() > most || self.kept > most {
            self.drop_first();
        }
        for _ in 0..Carryovers::EXAMINED.min(self.round.len()) {
            let Some(key) = self.round.pop_front() else { return };
            let Some(left) = self.left.get_mut(&key) else { continue };
            let before = left.len();
            left.retain(|allowance| allowance.restored_at() > now);
            self.kept -= before - left.len();
            if left.is_empty() {
                self.left.remove(&key);
            } else {
                self.round.push_back(key);
            }
        }
        // Release the memory of many clients that were here once.
        if self.left.capacity() > 4 * self.left.len().max(64) {
            self.left.shrink_to_fit();
            self.round.shrink_to_fit();
        }
    }

    /// Drops the client that was added or examined first.
    fn drop_first(&mut self) {
        let Some(key) = self.round.pop_front() else { return };
        self.kept -= self.left.remove(&key).map_or(0, |left| left.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::{Interval, Rate};

    /// An allowance of 1 B/s that owes `owed` bytes and `burst` of its burst at `now`.
    fn spent(owed: u64, burst: u64, now: Instant) -> Allowance {
        let mut allowance = Allowance::full(Rate::new(1).unwrap(), Interval::DEFAULT, now);
        allowance.spend(owed);
        allowance.spend_burst(burst);
        allowance
    }

    fn second(n: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(n)
    }

    #[test]
    fn allowances_are_handed_on_first_in_first_out_and_no_more_than_the_most() {
        let left = Carryover::default();
        assert!(left.take().is_none());
        let nth = |n: u64| spent(n, 0, Instant::ZERO);
        let most = Carryovers::MAX_PER_CLIENT as u64;
        for n in 1..=most + 1 {
            left.put(nth(n));
        }
        for n in 1..=most {
            assert_eq!(left.clone().take(), Some(nth(n)));
        }
        assert!(left.take().is_none());
        assert_eq!(left.book.kept(), 0);
    }

    #[test]
    fn allowances_are_kept_by_client_and_route() {
        let (place, other) = (Carryovers::default(), Carryovers::default());
        place.of(&"one").put(spent(1, 2, Instant::ZERO));
        assert_eq!(place.of(&"two").take(), None);
        assert_eq!(other.of(&"one").take(), None);
        assert_eq!(place.clone().of(&"one").take(), Some(spent(1, 2, Instant::ZERO)));
        assert_eq!(place.of(&"one").take(), None);
    }

    #[test]
    fn a_new_connection_may_have_a_burst_before_the_last_is_earned_back_and_no_third() {
        let known = Carryover::default();
        let new = known.clone().on_new_connection();
        for (owed, on_known, on_new) in
            [(0, 100, 100), (30, 70, 100), (100, 0, 100), (130, 0, 70), (200, 0, 0), (300, 0, 0)]
        {
            let allowance = spent(0, owed, Instant::ZERO);
            let left = [&known, &new].map(|carryover| carryover.burst_left(&allowance, 100));
            assert_eq!(left, [on_known, on_new], "{owed} are owed");
        }
    }

    // A chunk of a byte is whole after a second, and five bytes of burst take five more.
    #[test]
    fn an_allowance_is_kept_until_it_is_full_and_not_a_nanosecond_longer() {
        let just_before = Instant::from_nanos(second(6).as_nanos() - 1);
        for (now, kept) in [(second(0), 100), (just_before, 100), (second(6), 0)] {
            let place = Carryovers::default();
            for client in 0..100 {
                place.of(&client).put(spent(1, 5, second(0)));
            }
            // Those who come later owe much; by and by all others are looked at.
            for client in 1000..1200 {
                place.of(&client).put(spent(1, 1000, now));
            }
            let first = (0..100).filter(|client| place.of(client).take().is_some()).count();
            // A shard with few new clients may not have been through all of its old ones.
            assert!(if kept == 0 { first < 20 } else { first == kept }, "{first} at {now:?}");
        }
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_clients() {
        let place = Carryovers::default();
        for client in 0..2 * Carryovers::MAX_KEPT {
            place.of(&client).put(spent(1, 1 << 40, Instant::ZERO));
        }
        assert!(place.kept() <= Carryovers::MAX_KEPT);
        assert!(place.kept() > Carryovers::MAX_KEPT / 2, "{} are kept", place.kept());
        // One with very many is forgotten like others, and does not grow the book either.
        for _ in 0..200 {
            for client in 0..Carryovers::MAX_PER_CLIENT {
                place.of(&(client % 7)).put(spent(1, 1 << 40, Instant::ZERO));
            }
        }
        assert!(place.kept() <= Carryovers::MAX_KEPT);
        for shard in &place.0.shards {
            let shard = shard.lock();
            assert_eq!(shard.kept, shard.left.values().map(VecDeque::len).sum::<usize>());
            assert_eq!(shard.round.len(), shard.left.len());
        }
    }
}
