//! What clients may be spending, for a store that another server reads when it leads.

use std::collections::BTreeSet;

use super::client::Client;
use super::fair::Demand;
use super::grants::Grant;
use super::{Book, Due};
use crate::clock::Instant;
use crate::quota::id::Id;

/// What a client may be spending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShares {
    /// Which run of the client it is.
    pub instance: String,
    /// By resource, in micro-units a second; never zero.
    pub shares: Vec<(Id, u64)>,
}

impl Book {
    /// Has the book note from now on whose shares change.
    pub fn note_changes(&mut self) {
        self.unsaved = Some(BTreeSet::new());
    }

    /// The clients whose shares have changed since the last call.
    pub fn take_changed(&mut self) -> BTreeSet<Id> {
        self.unsaved.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether there are such clients.
    pub fn has_changed(&self) -> bool {
        self.unsaved.as_ref().is_some_and(|unsaved| !unsaved.is_empty())
    }

    /// Increases whenever a client may spend more than before: that is kept before the client is told.
    pub fn raised(&self) -> u64 {
        self.raised
    }

    /// The clients that may be spending something.
    pub fn holders(&self) -> BTreeSet<Id> {
        self.names.keys().filter(|client| self.stored(client).is_some()).cloned().collect()
    }

    /// What a client may be spending; `None` if that is nothing.
    pub fn stored(&self, client: &Id) -> Option<StoredShares> {
        let key = *self.names.get(client)?;
        let client = &self.clients[key];
        let held = |resource: &Id| self.resources.get(resource).map_or(0, |entry| entry.held(key));
        let shares = client.interests.keys().map(|resource| (resource.clone(), held(resource)));
        let shares: Vec<_> = shares.filter(|(_, held)| *held > 0).collect();
        (!shares.is_empty()).then(|| StoredShares { instance: client.instance.to_string(), shares })
    }

    /// Fills a new book, which has its limits, with what clients may be spending until `until`, instead of learning it from
    /// them. Versions begin with `first`, above all that the clients have heard of.
    pub fn restore(
        &mut self,
        stored: impl IntoIterator<Item = (Id, StoredShares)>,
        first: u64,
        until: Instant,
    ) {
        self.next_version = self.next_version.max(first);
        for (id, StoredShares { instance, shares }) in stored {
            let demand =
                |(resource, held): &(Id, u64)| (resource.clone(), Demand { wants: *held, weight: 1 });
            let key = self.clients.insert(Client {
                id: id.clone(),
                instance: instance.into(),
                expires: until,
                sequence: 0,
                interests: shares.iter().map(demand).collect(),
                is_restored: true,
            });
            self.names.insert(id, key);
            self.due.insert(Due { at: until, client: key, resource: None });
            for (resource, rate) in shares {
                let grant = Grant { rate, version: self.next_version, until };
                self.next_version += 1;
                self.resources.entry(resource.clone()).or_default();
                self.change(&resource, key, |entry| {
                    entry.restore(key, grant);
                    false
                });
            }
        }
        self.resources.values_mut().for_each(|entry| entry.restored(self.next_version));
    }
}
