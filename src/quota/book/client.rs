//! A live client, and the values of calls and answers.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fair::{Demand, UNBOUNDED};
use crate::clock::Instant;
use crate::quota::id::Id;
use crate::quota::limit::{ResourceLimit, Unit};

/// The highest weight.
pub const MAX_WEIGHT: u32 = 1000;

/// A live client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: Id,
    pub(super) instance: Box<str>,
    /// When it and its leases expire (exclusive), unless it sends a heartbeat.
    pub(super) expires: Instant,
    /// Of its last heartbeat.
    pub(super) sequence: u64,
    pub(super) interests: BTreeMap<Id, Demand>,
    /// It comes from a store, and has sent no heartbeat since.
    pub(super) is_restored: bool,
}

/// A client's interest in a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The resource.
    pub resource: Id,
    /// Its weight where demand exceeds the limit, 1 to [`MAX_WEIGHT`].
    pub weight: u32,
    /// Demand in micro-units a second; `None` is as much as there is.
    pub wants: Option<u64>,
    /// The version of the grant that it has applied; 0 is none.
    pub applied: u64,
    /// Micro-units a second that it spends under a running lease of any run of the server.
    pub held: u64,
}

impl Interest {
    /// Interest in `resource` at weight 1, with unbounded demand, holding nothing.
    pub fn new(resource: Id) -> Self {
        Self { resource, weight: 1, wants: None, applied: 0, held: 0 }
    }

    pub(super) fn demand(&self) -> Demand {
        Demand { wants: self.wants.unwrap_or(UNBOUNDED), weight: self.weight }
    }
}

/// A heartbeat.
#[derive(Clone, Copy, Debug)]
pub struct Beat<'a> {
    /// The client.
    pub client: &'a Id,
    /// Its registered instance.
    pub instance: &'a str,
    /// The run of the server that acknowledgements are for.
    pub epoch: u64,
    /// Increases with each heartbeat of an instance, so that a delayed one is ignored; 0 is not checked.
    pub sequence: u64,
    /// All its interests from now on.
    pub interests: &'a [Interest],
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The shares, for resources with a limit.
    pub allocations: Vec<Allocation>,
    /// The others.
    pub unlimited: Vec<Id>,
}

/// A client's share of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The resource.
    pub resource: Id,
    /// The share in micro-units a second.
    pub rate: u64,
    /// Increases with each change.
    pub version: u64,
    /// The fair share, in micro-units a second.
    pub target: u64,
    /// When to ask again; `None` if the share is fair.
    pub retry_after: Option<Duration>,
    /// The limit that is shared.
    pub limit: ResourceLimit,
    /// Live clients that share it.
    pub clients: usize,
    /// The server is learning: it grants only what clients already hold.
    pub learning: bool,
}

/// A resource, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceView {
    /// Its id.
    pub resource: Id,
    /// Its limit.
    pub limit: ResourceLimit,
    /// Live clients that share it.
    pub clients: usize,
    /// What all clients may spend now, in micro-units a second.
    pub granted: u128,
}

/// A client, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientView {
    /// Its id.
    pub client: Id,
    /// Time until it expires, unless it sends a heartbeat.
    pub expires_in: Duration,
    /// Its shares.
    pub shares: Vec<ShareView>,
}

/// A client's share, for observers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShareView {
    /// The resource.
    pub resource: Id,
    /// The unit.
    pub unit: Unit,
    /// Its weight where demand exceeds the limit.
    pub weight: u32,
    /// Demand in micro-units a second; `None` is as much as there is.
    pub wants: Option<u64>,
    /// Its last granted share, in micro-units a second.
    pub rate: u64,
    /// The fair share, in micro-units a second.
    pub target: u64,
}
