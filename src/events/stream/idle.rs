//! Subscribers without a connection, in the order in which they make room for others.

use std::collections::{BTreeSet, HashMap};

use crate::budget::ClientKey;
use crate::clock::Instant;

/// Where a subscriber stands among those of its client: one that polls goes after those that are away, and of each
/// kind the one that lost its stream first goes first.
pub(in crate::events) type Rank = (bool, Instant);

/// An index of idle subscribers by their keys. What it costs to find one does not grow with their number.
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// Those that are away.
    away: BTreeSet<(Instant, usize)>,
    /// Those that poll, too. No set is empty.
    clients: HashMap<ClientKey, BTreeSet<(Rank, usize)>>,
}

impl Idle {
    pub(super) fn add(&mut self, client: &ClientKey, rank: Rank, key: usize) {
        if !rank.0 {
            self.away.insert((rank.1, key));
        }
        self.clients.entry(client.clone()).or_default().insert((rank, key));
    }

    pub(super) fn remove(&mut self, client: &ClientKey, rank: Rank, key: usize) {
        self.away.remove(&(rank.1, key));
        if let Some(of_client) = self.clients.get_mut(client) {
            of_client.remove(&(rank, key));
            if of_client.is_empty() {
                self.clients.remove(client);
            }
        }
    }

    /// The first to make room: for its own client whoever is idle, for others only one that is away.
    pub(super) fn first(&self, client: Option<&ClientKey>) -> Option<usize> {
        match client {
            Some(client) => self.clients.get(client)?.first().map(|(_, key)| *key),
            None => self.away.first().map(|(_, key)| *key),
        }
    }
}
