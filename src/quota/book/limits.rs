//! Setting, changing and deleting limits while leases run.

use super::resource::Resource;
use super::{Book, BookError, ResourceView};
use crate::clock::Instant;
use crate::quota::id::Id;
use crate::quota::limit::ResourceLimit;

impl Book {
    /// Sets a resource's limit.
    ///
    /// # Errors
    /// It counts the other unit, or the number of limits is reached.
    pub fn set_limit(
        &mut self,
        now: Instant,
        resource: &Id,
        limit: ResourceLimit,
    ) -> Result<ResourceView, BookError> {
        self.check_limit(now, resource, limit)?;
        self.put_limit(resource, Some(limit));
        // Clients that used the resource before it had a limit.
        for (key, client) in &self.clients {
            if let (Some(demand), Some(entry)) =
                (client.interests.get(resource), self.resources.get_mut(resource))
                && !entry.has(key)
            {
                entry.join(key, *demand, 0);
            }
        }
        self.freed += 1;
        self.view(resource).ok_or_else(|| BookError::NoLimit(resource.clone()))
    }

    /// Checks whether [`set_limit`](Self::set_limit) would succeed.
    ///
    /// # Errors
    /// Those of `set_limit`.
    pub fn check_limit(
        &mut self,
        now: Instant,
        resource: &Id,
        limit: ResourceLimit,
    ) -> Result<(), BookError> {
        self.advance(now);
        match self.resources.get(resource).and_then(Resource::limit) {
            Some(old) if old.unit() != limit.unit() => {
                Err(BookError::OtherUnit { resource: resource.clone(), unit: old.unit() })
            }
            None if self.limits() >= self.settings.most_resources => {
                Err(BookError::TooManyResources(self.settings.most_resources))
            }
            _ => Ok(()),
        }
    }

    /// Deletes a resource's limit. Running leases are kept, in case it gets another one.
    ///
    /// # Errors
    /// It has none.
    pub fn delete_limit(&mut self, now: Instant, resource: &Id) -> Result<(), BookError> {
        self.advance(now);
        if self.view(resource).is_none() {
            return Err(BookError::NoLimit(resource.clone()));
        }
        self.put_limit(resource, None);
        self.drop_spent(resource);
        self.freed += 1;
        Ok(())
    }

    /// Number of resources with a limit.
    pub fn limits(&self) -> usize {
        self.resources.values().filter(|resource| resource.limit().is_some()).count()
    }

    fn put_limit(&mut self, resource: &Id, limit: Option<ResourceLimit>) {
        let entry = self.resources.entry(resource.clone()).or_default();
        let before: Vec<_> = entry.holders().map(|key| (key, entry.due(key))).collect();
        entry.set_limit(limit, self.next_version);
        let changed: Vec<_> = before.into_iter().map(|(key, due)| (key, due, entry.due(key))).collect();
        for (key, before, after) in changed {
            self.reschedule(resource, key, before, after);
        }
    }

    /// Removes a resource that has no limit and no running lease.
    pub(super) fn drop_spent(&mut self, resource: &Id) {
        if self.resources.get(resource).is_some_and(|entry| entry.limit().is_none() && entry.committed() == 0)
        {
            self.resources.remove(resource);
        }
    }
}
