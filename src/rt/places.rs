//! Places for connections: so many at a time, and who is missed least makes room.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::Event;
use slab::Slab;

/// How much a connection would be missed, least first; of one rank, the one that has been so for longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Nothing is asked on it, and nobody has shown a credential.
    Silent,
    /// Something is asked on it, and nobody has shown a credential.
    Asking,
    /// Whoever is there has shown a credential, and asks nothing now.
    Resting,
    /// Whoever is there has shown a credential, and is being answered. It is never given up.
    Served,
}

/// The places of a listener's connections.
///
/// When all are taken, the next connection takes the place of the one that is missed least: first of those that are
/// silent and have shown no credential. So neither idle connections nor requests without a credential keep anybody
/// out, and only if all are being served with one is nobody let in.
pub struct Places {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Slab<Entry>,
    /// The taken places: ranks, when they came to be, and keys of entries.
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

/// The place of a connection. Free again when dropped.
pub struct Place {
    places: Arc<Places>,
    key: usize,
    event: Arc<Event>,
}

/// Something that is asked on a connection, until it is dropped.
pub struct Exchange(Arc<Place>);

impl Places {
    /// So many places.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// A place for a connection that comes; none if all who have one are missed more.
    pub fn take(self: &Arc<Self>) -> Option<Arc<Place>> {
        let mut state = self.lock();
        let mut least = None;
        if state.order.len() >= self.most {
            let (rank, since, key) = *state.order.first()?;
            if rank == Rank::Served {
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
        state.order.insert((Rank::Silent, since, key));
        drop(state);
        if let Some(least) = least {
            least.notify(usize::MAX);
        }
        Some(Arc::new(Place { places: Arc::clone(self), key, event }))
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
            (false, false) => Rank::Silent,
            (false, true) => Rank::Asking,
            (true, false) => Rank::Resting,
            (true, true) => Rank::Served,
        }
    }
}

impl Place {
    /// Waits until the place is given to another connection: this one must end.
    pub async fn given_up(&self) {
        loop {
            let event = self.event.listen();
            if self.places.lock().entries[self.key].given_up {
                return;
            }
            event.await;
        }
    }

    /// Notes that whoever is at the other end has shown a credential, or needs none.
    pub fn prove(&self) {
        let mut state = self.places.lock();
        if !state.entries[self.key].proven {
            state.change(self.key, |entry| entry.proven = true);
        }
    }

    /// Notes that something is asked.
    pub fn begin(self: &Arc<Self>) -> Exchange {
        self.places.lock().change(self.key, |entry| entry.exchanges += 1);
        Exchange(Arc::clone(self))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.places.lock().change(self.0.key, |entry| entry.exchanges -= 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.lock();
        let entry = state.entries.remove(self.key);
        state.order.remove(&(entry.rank(), entry.since, self.key));
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").field("most", &self.most).field("taken", &self.taken()).finish()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("key", &self.key).finish_non_exhaustive()
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

    fn is_given_up(place: &Place) -> bool {
        future::block_on(future::poll_once(place.given_up())).is_some()
    }

    #[test]
    fn who_is_missed_least_makes_room_and_who_is_served_does_not() {
        let places = Places::new(4);
        let [silent, asking, resting, served] = [(); 4].map(|()| places.take().unwrap());
        let _asks = asking.begin();
        resting.prove();
        served.prove();
        let serves = served.begin();
        drop(resting.begin());
        for least in [&silent, &asking, &resting] {
            assert!(!is_given_up(least));
            let next = places.take().expect("a place");
            assert!(is_given_up(least));
            next.prove();
            std::mem::forget(next.begin());
            std::mem::forget(next);
            assert_eq!(places.taken(), 4);
        }
        assert!(places.take().is_none(), "all are served");
        drop(serves);
        let _next = places.take().expect("it rests");
        assert!(is_given_up(&served));
    }

    #[test]
    fn of_those_that_are_alike_the_one_that_has_been_so_for_longest_makes_room() {
        let places = Places::new(3);
        let [one, two, three] = [(); 3].map(|()| places.take().unwrap());
        drop(one.begin());
        let _four = places.take().unwrap();
        assert_eq!([&one, &two, &three].map(|place| is_given_up(place)), [false, true, false]);
        // What is given up may go on for a moment, and changes nothing any more.
        drop(two.begin());
        two.prove();
        drop(two);
        drop(three);
        assert_eq!(places.taken(), 2);
        let _five = places.take().unwrap();
        assert_eq!((places.taken(), is_given_up(&one)), (3, false));
    }
}
