//! Slots for a bounded number of connections, of which the least valuable one makes room for the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use event_listener::Event;
use slab::Slab;

use super::wait_until;
use crate::sync::Mutex;

/// The value of a connection, least first. Among equals, the one longest in its rank goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Without a request under way and without a valid credential.
    Idle,
    /// With a request under way, without a valid credential.
    Active,
    /// With a valid credential, without a request under way.
    ProvenIdle,
    /// With a valid credential and a request under way. Never given up.
    ProvenActive,
}

/// The slots of a listener's connections.
///
/// When all are taken, the next connection gets the slot of the least valuable one, first of those that are idle and
/// without a credential. So neither idle connections nor requests without a credential keep others out; a connection
/// is refused only if all slots serve requests with one.
#[derive(Debug)]
pub struct Slots {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Slab<Entry>,
    /// Taken slots by rank, then by the change that gave it, with the keys of their entries.
    order: BTreeSet<(Rank, u64, usize)>,
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    since: u64,
    proven: bool,
    exchanges: usize,
    given_up: bool,
    event: Arc<Event>,
}

/// The slot of a connection; freed when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    key: usize,
    event: Arc<Event>,
}

/// A request under way on a connection, until it is dropped.
#[derive(Debug)]
pub struct Exchange(Arc<Slot>);

impl Slots {
    /// Creates `most` slots.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// Takes a slot for a new connection. `None` if every slot serves a request with a credential.
    pub fn take(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let mut state = self.state.lock();
        let mut least = None;
        if state.order.len() >= self.most {
            let (rank, since, key) = *state.order.first()?;
            if rank == Rank::ProvenActive {
                return None;
            }
            state.order.remove(&(rank, since, key));
            state.entries[key].given_up = true;
            least = Some(Arc::clone(&state.entries[key].event));
        }
        let event = Arc::new(Event::new());
        let since = state.next();
        let key = state.entries.insert(Entry {
            since,
            proven: false,
            exchanges: 0,
            given_up: false,
            event: Arc::clone(&event),
        });
        state.order.insert((Rank::Idle, since, key));
        drop(state);
        if let Some(least) = least {
            least.notify(usize::MAX);
        }
        Some(Arc::new(Slot { slots: Arc::clone(self), key, event }))
    }

    /// Number of taken slots.
    #[cfg(test)]
    fn taken(&self) -> usize {
        self.state.lock().order.len()
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Changes an entry, and updates its rank.
    fn change(&mut self, key: usize, change: impl FnOnce(&mut Entry)) {
        let since = self.next();
        let entry = &mut self.entries[key];
        let before = (entry.rank(), entry.since, key);
        change(entry);
        entry.since = since;
        let after = (entry.rank(), since, key);
        if !entry.given_up {
            self.order.remove(&before);
            self.order.insert(after);
        }
    }
}

impl Entry {
    fn rank(&self) -> Rank {
        match (self.proven, self.exchanges > 0) {
            (false, false) => Rank::Idle,
            (false, true) => Rank::Active,
            (true, false) => Rank::ProvenIdle,
            (true, true) => Rank::ProvenActive,
        }
    }
}

impl Slot {
    /// Waits until the slot was given to another connection; this one must then end. Cancel safe.
    pub async fn given_up(&self) {
        wait_until(&self.event, || self.slots.state.lock().entries[self.key].given_up).await;
    }

    /// Notes that the client has shown a valid credential, or needs none.
    pub fn prove(&self) {
        let mut state = self.slots.state.lock();
        if !state.entries[self.key].proven {
            state.change(self.key, |entry| entry.proven = true);
        }
    }

    /// Begins a request.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        self.enter();
        Exchange(Arc::clone(self))
    }

    /// Notes that a request begins; [`leave`](Self::leave) notes its end.
    pub(crate) fn enter(&self) {
        self.slots.state.lock().change(self.key, |entry| entry.exchanges += 1);
    }

    /// Notes that a request has ended.
    pub(crate) fn leave(&self) {
        self.slots.state.lock().change(self.key, |entry| entry.exchanges -= 1);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.state.lock();
        let entry = state.entries.remove(self.key);
        state.order.remove(&(entry.rank(), entry.since, self.key));
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;

    fn is_given_up(slot: &Slot) -> bool {
        future::block_on(future::poll_once(slot.given_up())).is_some()
    }

    #[test]
    fn the_least_valuable_connection_makes_room_and_one_that_is_served_does_not() {
        let slots = Slots::new(4);
        let [idle, active, proven_idle, proven_active] = [(); 4].map(|()| slots.take().unwrap());
        let _request = active.begin();
        proven_idle.prove();
        proven_active.prove();
        let request = proven_active.begin();
        drop(proven_idle.begin());
        for least in [&idle, &active, &proven_idle] {
            assert!(!is_given_up(least));
            let next = slots.take().expect("a slot");
            assert!(is_given_up(least));
            next.prove();
            std::mem::forget(next.begin());
            std::mem::forget(next);
            assert_eq!(slots.taken(), 4);
        }
        assert!(slots.take().is_none(), "all are active and proven");
        drop(request);
        let _next = slots.take().expect("it is idle");
        assert!(is_given_up(&proven_active));
    }

    #[test]
    fn among_equals_the_one_longest_in_its_rank_makes_room() {
        let slots = Slots::new(3);
        let [one, two, three] = [(); 3].map(|()| slots.take().unwrap());
        drop(one.begin());
        let _four = slots.take().unwrap();
        assert_eq!([&one, &two, &three].map(|slot| is_given_up(slot)), [false, true, false]);
        // A connection that was given up may continue for a moment, without an effect.
        drop(two.begin());
        two.prove();
        drop(two);
        drop(three);
        assert_eq!(slots.taken(), 2);
        let _five = slots.take().unwrap();
        assert_eq!((slots.taken(), is_given_up(&one)), (3, false));
    }
}
