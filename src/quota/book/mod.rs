//! The state of a quota server: live clients, limits, and what each client may spend.
//!
//! Pure: passed the time, and never waits. It guarantees that what clients may be spending of a resource never adds up to
//! more than its limit. A client may be spending its last grant, and also an earlier one until it has acknowledged the
//! later or the earlier one's lease has expired. So a share shrinks first, and only then is granted to others.
//!
//! Time that steps back is taken as time that stands still.

mod client;
mod error;
mod fair;
mod grants;
mod limits;
mod resource;
mod stored;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use slab::Slab;

use super::id::{Id, MAX_ID_LEN};
use crate::clock::Instant;
use client::Client;
use resource::{GrantedShare, Resource};

pub use client::{Allocation, Answer, Beat, ClientView, Interest, MAX_WEIGHT, ResourceView, ShareView};
pub use error::BookError;
pub use stored::StoredShares;

/// Bounds of a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookSettings {
    /// How long a client lives, and its leases last, after a heartbeat. Default 30 s.
    pub heartbeat_timeout: Duration,
    /// How long after its start the server grants only what clients say they hold, so that no lease of an earlier run is
    /// granted twice. Default 30 s: a lease.
    pub learning: Duration,
    /// Largest number of live clients. Default 10 000.
    pub most_clients: usize,
    /// Largest number of limits. Default 1 000.
    pub most_resources: usize,
    /// Largest number of resources of one client. Default 256.
    pub most_interests: usize,
}

impl Default for BookSettings {
    fn default() -> Self {
        Self {
            heartbeat_timeout: Duration::from_secs(30),
            learning: Duration::from_secs(30),
            most_clients: 10_000,
            most_resources: 1_000,
            most_interests: 256,
        }
    }
}

/// The book.
#[derive(Debug)]
pub struct Book {
    settings: BookSettings,
    epoch: u64,
    /// The latest instant it was passed.
    now: Instant,
    learns_until: Instant,
    clients: Slab<Client>,
    names: BTreeMap<Id, usize>,
    resources: BTreeMap<Id, Resource>,
    due: BTreeSet<Due>,
    next_version: u64,
    freed: u64,
    /// How often a client's share grew.
    raised: u64,
    /// Clients whose shares have changed since somebody asked; `None` if nobody will.
    unsaved: Option<BTreeSet<Id>>,
}

/// An expiry.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    client: usize,
    /// Of a grant of this resource; `None` is of the client.
    resource: Option<Id>,
}

impl Book {
    /// Creates an empty book. `epoch` distinguishes this run of the server from others; it should be random.
    pub fn new(settings: BookSettings, epoch: u64, now: Instant) -> Self {
        let learns_until = now + settings.learning;
        Self {
            settings,
            epoch,
            now,
            learns_until,
            clients: Slab::new(),
            names: BTreeMap::new(),
            resources: BTreeMap::new(),
            due: BTreeSet::new(),
            next_version: 1,
            freed: 0,
            raised: 0,
            unsaved: None,
        }
    }

    /// Registers a client for one heartbeat timeout. Registering the same named instance again changes nothing.
    ///
    /// # Errors
    /// Another instance holds the id (an empty name is never the same one), or the limit of clients is reached.
    pub fn register(&mut self, now: Instant, client: &Id, instance: &str) -> Result<(), BookError> {
        self.advance(now);
        if instance.len() > MAX_ID_LEN {
            return Err(BookError::LongInstance(instance.len()));
        }
        if let Some(&key) = self.names.get(client) {
            let known = &self.clients[key];
            // One without a name that was restored cannot be told from one that comes again.
            if *known.instance == *instance && (!instance.is_empty() || known.is_restored) {
                return Ok(());
            }
            let expires_in = known.expires - self.now;
            return Err(BookError::OtherInstance { client: client.clone(), expires_in });
        }
        if self.clients.len() >= self.settings.most_clients {
            return Err(BookError::TooManyClients(self.settings.most_clients));
        }
        let expires = self.now + self.settings.heartbeat_timeout;
        let key = self.clients.insert(Client {
            id: client.clone(),
            instance: instance.into(),
            expires,
            sequence: 0,
            interests: BTreeMap::new(),
            is_restored: false,
        });
        self.names.insert(client.clone(), key);
        self.due.insert(Due { at: expires, client: key, resource: None });
        Ok(())
    }

    /// Renews a client and its leases, updates its interests, and returns its shares.
    ///
    /// # Errors
    /// The client is not live, the call is another instance's or late, or an interest is invalid.
    pub fn heartbeat(&mut self, now: Instant, beat: Beat<'_>) -> Result<Answer, BookError> {
        self.advance(now);
        self.check_interests(beat.interests)?;
        let key = self.find(beat.client, beat.instance)?;
        let client = &mut self.clients[key];
        if beat.sequence != 0 && beat.sequence <= client.sequence {
            return Err(BookError::StaleHeartbeat(beat.client.clone()));
        }
        client.sequence = client.sequence.max(beat.sequence);
        client.is_restored = false;
        let expires = self.now + self.settings.heartbeat_timeout;
        self.due.remove(&Due { at: client.expires, client: key, resource: None });
        client.expires = expires;
        self.due.insert(Due { at: expires, client: key, resource: None });

        let declared = beat.interests.iter().map(|interest| (interest.resource.clone(), interest.demand()));
        let before = std::mem::replace(&mut client.interests, declared.collect());
        for resource in before.keys() {
            if !self.clients[key].interests.contains_key(resource) {
                self.leave(resource, key);
            }
        }
        for interest in beat.interests {
            self.declare(key, interest, beat.epoch == self.epoch);
        }
        let mut answer =
            Answer { allocations: Vec::with_capacity(beat.interests.len()), unlimited: Vec::new() };
        for interest in beat.interests {
            match self.grant(&interest.resource, key) {
                Some(allocation) => answer.allocations.push(allocation),
                None => answer.unlimited.push(interest.resource.clone()),
            }
        }
        Ok(answer)
    }

    /// A client's share of one resource now. Does not renew its lease.
    ///
    /// # Errors
    /// The client is not live or has no interest in the resource, or the resource has no limit.
    pub fn allocation(
        &mut self,
        now: Instant,
        client: &Id,
        instance: &str,
        resource: &Id,
    ) -> Result<Allocation, BookError> {
        self.advance(now);
        let key = self.find(client, instance)?;
        if !self.clients[key].interests.contains_key(resource) {
            return Err(BookError::NoInterest { client: client.clone(), resource: resource.clone() });
        }
        self.grant(resource, key).ok_or_else(|| BookError::NoLimit(resource.clone()))
    }

    /// All of a client's shares now. Does not renew its lease.
    ///
    /// # Errors
    /// The client is not live, or the call is another instance's.
    pub fn allocations(
        &mut self,
        now: Instant,
        client: &Id,
        instance: &str,
    ) -> Result<Vec<Allocation>, BookError> {
        self.advance(now);
        let key = self.find(client, instance)?;
        let resources: Vec<Id> = self.clients[key].interests.keys().cloned().collect();
        Ok(resources.iter().filter_map(|resource| self.grant(resource, key)).collect())
    }

    /// Unregisters a client. Returns whether it was registered.
    ///
    /// # Errors
    /// The id is held by another instance.
    pub fn unregister(&mut self, now: Instant, client: &Id, instance: &str) -> Result<bool, BookError> {
        self.advance(now);
        match self.find(client, instance) {
            Ok(key) => {
                self.remove(key);
                Ok(true)
            }
            Err(BookError::UnknownClient(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Ends what has expired by `now`.
    pub fn advance(&mut self, now: Instant) {
        let was_learning = self.is_learning();
        self.now = self.now.max(now);
        while self.due.first().is_some_and(|due| due.at <= self.now) {
            let Some(due) = self.due.pop_first() else { break };
            match &due.resource {
                None => self.remove(due.client),
                Some(resource) => {
                    let now = self.now;
                    self.change(resource, due.client, |entry| entry.expire(due.client, now));
                    self.drop_spent(resource);
                }
            }
        }
        self.freed += u64::from(was_learning && !self.is_learning());
    }

    /// The next expiry after which a client may get more.
    pub fn next_due(&self) -> Option<Instant> {
        let learning = self.is_learning().then_some(self.learns_until);
        self.due.first().map(|due| due.at).into_iter().chain(learning).min()
    }

    /// Whether it grants only what clients say they hold.
    pub fn is_learning(&self) -> bool {
        self.now < self.learns_until
    }

    fn check_interests(&self, interests: &[Interest]) -> Result<(), BookError> {
        if interests.len() > self.settings.most_interests {
            return Err(BookError::TooManyInterests(self.settings.most_interests));
        }
        let mut seen = BTreeSet::new();
        for interest in interests {
            if !(1..=MAX_WEIGHT).contains(&interest.weight) {
                return Err(BookError::BadWeight(interest.weight));
            }
            if !seen.insert(&interest.resource) {
                return Err(BookError::NamedTwice(interest.resource.clone()));
            }
        }
        Ok(())
    }

    /// The live client of this id and instance.
    fn find(&self, client: &Id, instance: &str) -> Result<usize, BookError> {
        let key = *self.names.get(client).ok_or_else(|| BookError::UnknownClient(client.clone()))?;
        let known = &self.clients[key];
        if *known.instance != *instance {
            let expires_in = known.expires - self.now;
            return Err(BookError::OtherInstance { client: client.clone(), expires_in });
        }
        Ok(key)
    }

    /// Updates a client's interest in a resource. Its acknowledgement counts if it is for this epoch.
    fn declare(&mut self, key: usize, interest: &Interest, is_ours: bool) {
        let claim = if self.is_learning() { interest.held } else { 0 };
        let Some(entry) = self.resources.get_mut(&interest.resource) else { return };
        if !entry.has(key) {
            if entry.limit().is_some() {
                entry.join(key, interest.demand(), claim);
                self.freed += 1;
            }
            return;
        }
        self.freed += u64::from(entry.demand(key, interest.demand()));
        if is_ours {
            self.change(&interest.resource, key, |entry| entry.acknowledge(key, interest.applied));
            self.drop_spent(&interest.resource);
        }
    }

    fn grant(&mut self, resource: &Id, key: usize) -> Option<Allocation> {
        let (learning, until) = (self.is_learning(), self.clients[key].expires);
        let mut next = self.next_version;
        let mut told: Option<GrantedShare> = None;
        self.change(resource, key, |entry| {
            told = entry.grant(key, until, learning, &mut next);
            false
        });
        self.next_version = next;
        let (entry, told) = (self.resources.get(resource)?, told?);
        let asks_again = told.grant.rate < told.target || (learning && told.grant.rate == 0);
        let interval = self.settings.heartbeat_timeout / 3;
        let soon = if learning { interval.min(self.learns_until - self.now) } else { interval };
        Some(Allocation {
            resource: resource.clone(),
            rate: told.grant.rate,
            version: told.grant.version,
            target: told.target,
            retry_after: asks_again.then_some(soon),
            limit: entry.limit()?,
            clients: entry.clients(),
            learning,
        })
    }

    /// Changes a client's grants of a resource, and notes their expiry.
    fn change(&mut self, resource: &Id, key: usize, change: impl FnOnce(&mut Resource) -> bool) {
        let Some(entry) = self.resources.get_mut(resource) else { return };
        let (before, held) = (entry.due(key), entry.held(key));
        self.freed += u64::from(change(entry));
        let (after, holds) = (entry.due(key), entry.held(key));
        self.raised += u64::from(holds > held);
        if holds != held
            && let (Some(unsaved), Some(client)) = (&mut self.unsaved, self.clients.get(key))
        {
            unsaved.insert(client.id.clone());
        }
        self.reschedule(resource, key, before, after);
    }

    fn reschedule(&mut self, resource: &Id, client: usize, before: Option<Instant>, after: Option<Instant>) {
        if before != after {
            let due = |at| Due { at, client, resource: Some(resource.clone()) };
            before.map(|at| self.due.remove(&due(at)));
            after.map(|at| self.due.insert(due(at)));
        }
    }

    fn leave(&mut self, resource: &Id, key: usize) {
        self.change(resource, key, |entry| {
            entry.leave(key);
            true
        });
        self.drop_spent(resource);
    }

    fn remove(&mut self, key: usize) {
        let Some(client) = self.clients.try_remove(key) else { return };
        self.names.remove(&client.id);
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.insert(client.id.clone());
        }
        self.due.remove(&Due { at: client.expires, client: key, resource: None });
        for resource in client.interests.keys() {
            self.leave(resource, key);
        }
    }
}
