//! Slots for connections: so many at a time, and who is missed least makes room.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use slab::Slab;

/// How much a connection would be missed, least first; of one rank, the one that has been so for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing is asked on it, and nobody has shown a credential.
    Idle,
    /// Something is asked on it, and nobody has shown a credential.
    Active,
    /// Whoever is there has shown a credential, and asks nothing now.
    ProvenIdle,
    /// Whoever is there has shown a credential, and is being answered. It is never given up.
    ProvenActive,
}

/// The slots of a listener's connections.
///
/// When all are taken, the next connection takes the slot of the one that is missed least: first of those that are
/// silent and have shown no credential. So neither idle connections nor requests without a credential keep anybody
/// out, and only if all are being served with one is nobody let in.
pub struct Slots {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Slab<Entry>,
    /// The taken slots: ranks, when they came to be, and keys of entries.
    order: BTreeSet<(Rank, u64, usize)>,
    /// Counts changes of rank.
    changes: u64,
}

struct Entry {
    since: u64,
    proven: bool,
    exchanges: usize,
    given_up: bool,
    event: Arc<Event>,
}

/// The slot of a connection. Free again when dropped.
pub struct Slot {
    slots: Arc<Slots>,
    key: usize,
    event: Arc<Event>,
}

/// Something that is asked on a connection, until it is dropped.
pub struct Exchange(Arc<Slot>);

impl Slots {
    /// So many slots.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// A slot for a connection that comes; none if all who have one are missed more.
    pub fn take(self: &Arc<Self>) -> Option<Arc<Slot>> {
        let mut state = self.lock();
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

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.lock().order.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    /// Changes an entry, and ranks it anew.
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
    /// Waits until the slot is given to another connection: this one must end.
    pub async fn given_up(&self) {
        loop {
            let event = self.event.listen();
            if self.slots.lock().entries[self.key].given_up {
                return;
            }
            event.await;
        }
    }

    /// Notes that whoever is at the other end has shown a credential, or needs none.
    pub fn prove(&self) {
        let mut state = self.slots.lock();
        if !state.entries[self.key].proven {
            state.change(self.key, |entry| entry.proven = true);
        }
    }

    /// Notes that something is asked.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        self.slots.lock().change(self.key, |entry| entry.exchanges += 1);
        Exchange(Arc::clone(self))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.slots.lock().change(self.0.key, |entry| entry.exchanges -= 1);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.slots.lock();
        let entry = state.entries.remove(self.key);
        state.order.remove(&(entry.rank(), entry.since, self.key));
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("most", &self.most).field("taken", &self.taken()).finish()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exchange").field(&self.0.key).finish()
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
    fn who_is_missed_least_makes_room_and_who_is_served_does_not() {
        let slots = Slots::new(4);
        let [silent, asking, resting, served] = [(); 4].map(|()| slots.take().unwrap());
        let _asks = asking.begin();
        resting.prove();
        served.prove();
        let serves = served.begin();
        drop(resting.begin());
        for least in [&silent, &asking, &resting] {
            assert!(!is_given_up(least));
            let next = slots.take().expect("a slot");
            assert!(is_given_up(least));
            next.prove();
            std::mem::forget(next.begin());
            std::mem::forget(next);
            assert_eq!(slots.taken(), 4);
        }
        assert!(slots.take().is_none(), "all are served");
        drop(serves);
        let _next = slots.take().expect("it rests");
        assert!(is_given_up(&served));
    }

    #[test]
    fn of_those_that_are_alike_the_one_that_has_been_so_for_longest_makes_room() {
        let slots = Slots::new(3);
        let [one, two, three] = [(); 3].map(|()| slots.take().unwrap());
        drop(one.begin());
        let _four = slots.take().unwrap();
        assert_eq!([&one, &two, &three].map(|slot| is_given_up(slot)), [false, true, false]);
        // What is given up may go on for a moment, and changes nothing any more.
        drop(two.begin());
        two.prove();
        drop(two);
        drop(three);
        assert_eq!(slots.taken(), 2);
        let _five = slots.take().unwrap();
        assert_eq!((slots.taken(), is_given_up(&one)), (3, false));
    }
}
