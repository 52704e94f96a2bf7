//! Subscribers without a connection, in the order in which they are evicted.

use std::collections::{BTreeSet, HashMap};

use super::super::subscriber::Rank;
use crate::budget::ClientKey;
use crate::clock::Instant;

/// An index of idle subscribers by key. Finding the first is O(log n).
#[derive(Debug, Default)]
pub(super) struct Idle {
    /// Subscribers that are away.
    away: BTreeSet<(Instant, usize)>,
    /// Subscribers that are away or poll, by client. Invariant: no set is empty.
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

    /// The first to be evicted: any idle one for its own client, only one that is away for other clients.
    pub(super) fn first(&self, client: Option<&ClientKey>) -> Option<usize> {
        match client {
            Some(client) => self.clients.get(client)?.first().map(|(_, key)| *key),
            None => self.away.first().map(|(_, key)| *key),
        }
    }
}
