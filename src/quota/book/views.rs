//! The book's state for observers.

use std::ops::Bound;

use super::client::{ClientView, ResourceView, ShareView};
use super::fair::UNBOUNDED;
use super::{Book, BookError, Id};
use crate::clock::Instant;

impl Book {
    /// Identifies this run of the server.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Its bounds.
    pub fn settings(&self) -> &super::BookSettings {
        &self.settings
    }

    /// Increases whenever a client may get another share than it was granted.
    pub fn freed(&self) -> u64 {
        self.freed
    }

    /// Increases whenever a client was granted another share, registered or left.
    pub fn changed(&self) -> u64 {
        self.freed + self.next_version
    }

    /// Number of live clients.
    pub fn live(&self) -> usize {
        self.clients.len()
    }

    /// At most `most` resources with a limit, by id, those behind `after`.
    pub fn resources(&mut self, now: Instant, after: Option<&Id>, most: usize) -> Vec<ResourceView> {
        self.advance(now);
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        let limited = self.resources.range((behind, Bound::Unbounded));
        limited.filter_map(|(resource, _)| self.view(resource)).take(most).collect()
    }

    /// One resource with a limit.
    ///
    /// # Errors
    /// It has none.
    pub fn resource(&mut self, now: Instant, resource: &Id) -> Result<ResourceView, BookError> {
        self.advance(now);
        self.view(resource).ok_or_else(|| BookError::NoLimit(resource.clone()))
    }

    /// At most `most` live clients, by id, those behind `after`.
    pub fn clients(&mut self, now: Instant, after: Option<&Id>, most: usize) -> Vec<ClientView> {
        self.advance(now);
        let behind = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.names
            .range((behind, Bound::Unbounded))
            .take(most)
            .map(|(client, &key)| ClientView {
                client: client.clone(),
                expires_in: self.clients[key].expires - self.now,
                shares: self.clients[key].interests.keys().filter_map(|id| self.share(id, key)).collect(),
            })
            .collect()
    }

    pub(super) fn view(&self, resource: &Id) -> Option<ResourceView> {
        let entry = self.resources.get(resource)?;
        Some(ResourceView {
            resource: resource.clone(),
            limit: entry.limit()?,
            clients: entry.clients(),
            granted: entry.committed(),
        })
    }

    fn share(&self, resource: &Id, key: usize) -> Option<ShareView> {
        let entry = self.resources.get(resource)?;
        let (demand, rate, target) = entry.share(key)?;
        Some(ShareView {
            resource: resource.clone(),
            unit: entry.limit()?.unit(),
            weight: demand.weight,
            wants: (demand.wants != UNBOUNDED).then_some(demand.wants),
            rate,
            target,
        })
    }
}
