//! The places of subscribers and of waiting polls: how many are taken, and by which clients.
//!
//! A place is one of all and one of its client's, for the same time: what a client leaves behind (a subscriber that is
//! away until its `ttl` is over) counts against that client too, so no client can fill what all share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::budget::ClientKey;

/// Counts places that are taken.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// The sum of these is `taken`; none is 0.
    clients: HashMap<ClientKey, usize>,
}

/// Which bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    OfClient,
    OfAll,
}

impl Slots {
    /// Takes a place for `client` if that leaves it with at most `of_client`, and all with at most `of_all`.
    pub(super) fn take(&self, client: &ClientKey, of_client: usize, of_all: usize) -> Result<(), NoSlot> {
        let mut state = self.lock();
        if state.clients.get(client).is_some_and(|taken| *taken >= of_client) || of_client == 0 {
            return Err(NoSlot::OfClient);
        }
        if state.taken >= of_all {
            return Err(NoSlot::OfAll);
        }
        state.add(client);
        Ok(())
    }

    /// Counts a place that is taken already, whatever the bounds.
    pub(super) fn force(&self, client: &ClientKey) {
        self.lock().add(client);
    }

    /// Gives a place of `client` back.
    pub(super) fn leave(&self, client: &ClientKey) {
        let mut state = self.lock();
        let Some(taken) = state.clients.get_mut(client) else { return };
        *taken -= 1;
        if *taken == 0 {
            state.clients.remove(client);
        }
        state.taken -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, client: &ClientKey) {
        *self.clients.entry(client.clone()).or_default() += 1;
        self.taken += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_of_all_and_one_of_its_clients() {
        let slots = Slots::default();
        let [one, two] = [1, 2].map(|n| ClientKey::address([192, 0, 2, n].into()));
        assert_eq!([slots.take(&one, 2, 3), slots.take(&one, 2, 3)], [Ok(()); 2]);
        assert_eq!(slots.take(&one, 2, 3), Err(NoSlot::OfClient));
        assert_eq!([slots.take(&two, 2, 3), slots.take(&two, 2, 3)], [Ok(()), Err(NoSlot::OfAll)]);
        slots.leave(&one);
        assert_eq!([slots.take(&two, 2, 3), slots.take(&one, 2, 3)], [Ok(()), Err(NoSlot::OfAll)]);
        slots.force(&one);
        for client in [&one, &one, &one, &two, &two] {
            slots.leave(client);
        }
        let state = slots.lock();
        assert_eq!((state.taken, state.clients.len()), (0, 0), "and one too many is none");
    }
}
