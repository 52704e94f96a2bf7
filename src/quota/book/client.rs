//! One live client, and what callers say and are told.

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
    /// The end of its life and of its leases, excluded, unless it beats again.
    pub(super) expires: Instant,
    /// Of its last heartbeat.
    pub(super) sequence: u64,
    pub(super) interests: BTreeMap<Id, Demand>,
}

/// A resource that a client uses, and what it says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The resource.
    pub resource: Id,
    /// Its part where all want more than there is, 1 to [`MAX_WEIGHT`].
    pub weight: u32,
    /// Micro-units a second that it can use; `None` is as much as there is.
    pub wants: Option<u64>,
    /// The version of the allocation that it has applied; 0 is none.
    pub applied: u64,
    /// Micro-units a second that it spends under a lease that runs, whoever granted it.
    pub held: u64,
}

impl Interest {
    /// Interest in `resource` at weight 1, in as much as there is, holding nothing.
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
    /// Who.
    pub client: &'a Id,
    /// Which run of it, as registered.
    pub instance: &'a str,
    /// The run of the server that the acknowledgements are for.
    pub epoch: u64,
    /// Grows with each heartbeat of an instance, so that one that was delayed counts for nothing; 0 is not
    /// looked at.
    pub sequence: u64,
    /// What it uses from now on; nothing else.
    pub interests: &'a [Interest],
}

/// What a heartbeat is answered.
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
    /// Of what.
    pub resource: Id,
    /// The share in micro-units a second.
    pub rate: u64,
    /// Grows with each change.
    pub version: u64,
    /// What is fair, in micro-units a second.
    pub target: u64,
    /// When to ask again; `None` if the share is the fair one.
    pub retry_after: Option<Duration>,
    /// What is shared.
    pub limit: ResourceLimit,
    /// Live clients that share it.
    pub clients: usize,
    /// The server honours what clients hold and hands out nothing else yet.
    pub learning: bool,
}

/// A resource, for those who look on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceView {
    /// Its id.
    pub resource: Id,
    /// Its limit.
    pub limit: ResourceLimit,
    /// Live clients that share it.
    pub clients: usize,
    /// The sum of what may be spent now, in micro-units a second.
    pub granted: u128,
}

/// A client, for those who look on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientView {
    /// Its id.
    pub client: Id,
    /// Until it expires, unless it beats again.
    pub expires_in: Duration,
    /// What it has.
    pub shares: Vec<ShareView>,
}

/// A client's share, for those who look on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareView {
    /// Of what.
    pub resource: Id,
    /// What is counted.
    pub unit: Unit,
    /// Its part where all want more than there is.
    pub weight: u32,
    /// Micro-units a second that it can use; `None` is as much as there is.
    pub wants: Option<u64>,
    /// The share told last, in micro-units a second.
    pub rate: u64,
    /// What is fair, in micro-units a second.
    pub target: u64,
}
