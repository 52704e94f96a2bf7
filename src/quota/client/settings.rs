//! Settings of a quota client.

use std::sync::Arc;
use std::time::Duration;

use super::channel::Connector;
use super::local_bucket::Depth;
use super::runtime::Runtime;
use crate::quota::Endpoint;
use crate::quota::book::MAX_WEIGHT;
use crate::quota::id::Id;
use crate::quota::limit::Unit;

/// A client, and the resources it uses.
#[derive(Clone, Debug)]
pub struct QuotaClientSettings {
    /// How to reach the server.
    pub connector: Connector,
    /// The other servers on its store, which are reached alike. The client turns to the next when it has lost one, and
    /// follows the one that leads. Default none.
    pub others: Vec<Endpoint>,
    /// The client's id, unique in the fleet.
    pub client: Id,
    /// The resources it uses. Default none.
    pub resources: Vec<ResourceUse>,
    /// The longest pause between two attempts to reach the server. Pauses begin at 100 ms and double; each is shortened
    /// at random by up to a half. Default 5 s. Once the server has said how often heartbeats are due, no pause is longer than
    /// that.
    pub longest_pause: Duration,
}

impl QuotaClientSettings {
    /// Settings of the client `client` of the server at `endpoint`, without resources.
    pub fn new(endpoint: Endpoint, client: Id) -> Self {
        Self {
            connector: Connector::new(endpoint),
            others: Vec::new(),
            client,
            resources: Vec::new(),
            longest_pause: Duration::from_secs(5),
        }
    }

    /// Adds a resource.
    #[must_use]
    pub fn using(mut self, resource: ResourceUse) -> Self {
        self.resources.push(resource);
        self
    }

    /// Runs in `runtime`, the program's own, and starts no workers of the library.
    #[must_use]
    pub fn run_in(mut self, runtime: impl Runtime) -> Self {
        self.connector.runtime = Some(Arc::new(runtime));
        self
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        for (at, resource) in self.resources.iter().enumerate() {
            if !(1..=MAX_WEIGHT).contains(&resource.weight) {
                let weight = resource.weight;
                return Err(SettingsError(format!("a weight of {weight} is not between 1 and {MAX_WEIGHT}")));
            }
            if self.resources[..at].iter().any(|other| other.id == resource.id) {
                return Err(SettingsError(format!("resource {} is named twice", resource.id)));
            }
        }
        Ok(())
    }
}

/// A resource that a client uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceUse {
    /// The resource.
    pub id: Id,
    /// What is spent. If the limit counts the other unit, the safe share is used. `None`, the default, is whatever the
    /// limit counts.
    pub unit: Option<Unit>,
    /// Its weight where demand exceeds the limit, 1 to 1000. Default 1.
    pub weight: u32,
    /// Demand in millionths of a unit a second; `None`, the default, is as much as there is. Can be changed later.
    pub wants_micros: Option<u64>,
    /// What may be spent at once. Default: one second of the share.
    pub burst: Depth,
    /// The safe share, in millionths of a unit a second: used while the server is lost and no lease runs. Default: the last
    /// known limit divided by the last known number of clients; zero before these are known.
    pub safe_share_micros: Option<u64>,
}

impl ResourceUse {
    /// Use of `id` at weight 1, with unbounded demand.
    pub fn new(id: Id) -> Self {
        let (unit, wants_micros, safe_share_micros) = (None, None, None);
        Self { id, unit, weight: 1, wants_micros, burst: Depth::default(), safe_share_micros }
    }
}

text_error! {
    /// Why settings are invalid.
    SettingsError
}
