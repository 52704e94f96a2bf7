//! Slots of subscribers and of waiting polls, bounded in all and per client.
//!
//! A slot counts against both bounds for the same time. A subscriber that is away until its `ttl` ends still counts
//! against its client, so no client can use up what all share.

use std::collections::HashMap;

use super::hub_error::HubError;
use crate::budget::ClientKey;
use crate::sync::Mutex;

/// Counts slots in use.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    taken: usize,
    /// Invariant: they add up to `taken`, and none is 0.
    clients: HashMap<ClientKey, usize>,
}

impl Slots {
    /// Takes a slot for `client` if it then has at most `of_client` and all have at most `of_all`.
    pub(super) fn take(&self, client: &ClientKey, of_client: usize, of_all: usize) -> Result<(), HubError> {
        let mut state = self.0.lock();
        if state.clients.get(client).is_some_and(|taken| *taken >= of_client) || of_client == 0 {
            return Err(HubError::ClientFull);
        }
        if state.taken >= of_all {
            return Err(HubError::Full);
        }
        state.add(client);
        Ok(())
    }

    /// Takes a slot regardless of the bounds, for a subscriber that exists already.
    pub(super) fn force(&self, client: &ClientKey) {
        self.0.lock().add(client);
    }

    pub(super) fn release(&self, client: &ClientKey) {
        let mut state = self.0.lock();
        let Some(taken) = state.clients.get_mut(client) else { return };
        *taken -= 1;
        if *taken == 0 {
            state.clients.remove(client);
        }
        state.taken -= 1;
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
    fn a_slot_counts_in_all_and_for_its_client() {
        let slots = Slots::default();
        let [one, two] = [1, 2].map(|n| ClientKey::address([192, 0, 2, n].into()));
        assert_eq!([slots.take(&one, 2, 3), slots.take(&one, 2, 3)], [Ok(()); 2]);
        assert_eq!(slots.take(&one, 2, 3), Err(HubError::ClientFull));
        assert_eq!([slots.take(&two, 2, 3), slots.take(&two, 2, 3)], [Ok(()), Err(HubError::Full)]);
        slots.release(&one);
        assert_eq!([slots.take(&two, 2, 3), slots.take(&one, 2, 3)], [Ok(()), Err(HubError::Full)]);
        slots.force(&one);
        for client in [&one, &one, &one, &two, &two] {
            slots.release(client);
        }
        let state = slots.0.lock();
        assert_eq!((state.taken, state.clients.len()), (0, 0), "one release too many has no effect");
    }
}
