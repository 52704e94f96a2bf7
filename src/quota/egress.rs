//! Binds a server, and its classes of clients, to shares of a fleet's limits: a rate is the smaller of its own and the share,
//! and demand is reported to the quota server, so that idle servers leave their part to others.

use std::sync::Arc;
use std::time::Duration;

use super::QuotaSource;
use super::client::{
    Allocation, Connector, FleetError, FleetShare, QuotaClient, QuotaClientSettings, QuotaMetrics,
    ResourceUse, Share,
};
use super::id::Id;
use super::limit::{MICRO, Unit};
use crate::budget::Node;
use crate::clock::{Clock, Instant, Sleep};
use crate::limit::{Passed, Rate};
use crate::rt;
use crate::tls::{ClientTls, Identity};
use crate::token::Token;

/// Interval at which demand is measured.
const LOOK: Duration = Duration::from_millis(500);

/// Measurements without waiting after which demand is bounded: 3 s.
const QUIET_LOOKS: usize = 6;

/// Demand of an idle server in bytes a second: enough for the first responses until more is granted.
const IDLE: u64 = 64 * 1024;

/// Finds the node of a class; `None` while there is no such class.
pub type FindClass = dyn Fn(&str) -> Option<Node> + Send + Sync;

/// A server's shares of a fleet's limits.
pub struct Egress {
    client: QuotaClient,
    /// Of the whole server, then of classes.
    bound: Vec<Bound>,
    name: Id,
}

/// A share, and what it bounds.
struct Bound {
    share: Allocation,
    find: Arc<dyn Fn() -> Option<Node> + Send + Sync>,
}

opaque!(Egress);

/// The fleet that shares the limit, for those who look on.
#[derive(Clone)]
pub struct Fleet {
    client: QuotaClient,
    share: Allocation,
    name: Id,
}

opaque!(Fleet);

impl Fleet {
    /// The resource that is shared.
    pub fn resource(&self) -> &str {
        self.share.resource().as_str()
    }

    /// The server's own name in the fleet.
    pub fn client(&self) -> &str {
        self.name.as_str()
    }

    /// The server's own share in bytes a second, as it spends it now.
    pub fn share(&self) -> u64 {
        self.share.share().per_second()
    }

    /// Whether the last heartbeat was answered.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Asks the quota server for the shares of all.
    ///
    /// # Errors
    /// As [`QuotaClient::fleet`].
    pub async fn shares(&self) -> Result<Vec<FleetShare>, FleetError> {
        self.client.fleet(self.share.resource()).await
    }
}

text_error! {
    /// Why a server cannot be bound to a share.
    EgressError
}

impl EgressError {
    fn of(error: impl std::fmt::Display) -> Self {
        Self(format!("quota: {error}"))
    }
}

impl Egress {
    /// Binds the server's node and those of classes to the shares that `source` describes. From now on a node's rate is the
    /// smaller of its own, also after changes, and the share; a share of zero admits one byte a second. Classes are found
    /// by `class` again and again, because a reload may make them anew.
    ///
    /// # Errors
    /// A token or certificate cannot be read.
    pub fn bind(source: &QuotaSource, node: Node, class: Arc<FindClass>) -> Result<Self, EgressError> {
        let mut connector = Connector::new(source.servers.first.clone());
        let token = source.token_file.as_deref().map(Token::from_file).transpose();
        connector.token = token.map_err(EgressError::of)?;
        let identity = source.tls_identity.clone().map(|(certificate, key)| Identity { certificate, key });
        let tls = source.tls_ca.as_deref().map(|authorities| ClientTls::new(authorities, identity.as_ref()));
        connector.tls = tls.transpose().map_err(EgressError::of)?;
        let bytes_of =
            |resource: &Id| ResourceUse { unit: Some(Unit::Bytes), ..ResourceUse::new(resource.clone()) };
        let mut resource = bytes_of(&source.resource);
        resource.safe_share_micros =
            source.safe_share.map(|rate| rate.bytes_per_second().saturating_mul(MICRO));
        let mut settings =
            QuotaClientSettings::new(source.servers.first.clone(), source.client.clone()).using(resource);
        for (_, resource) in &source.classes {
            settings = settings.using(bytes_of(resource));
        }
        settings.connector = connector;
        settings.others.clone_from(&source.servers.others);
        let client = QuotaClient::start(settings).map_err(EgressError::of)?;
        let bind = |resource: &Id, find: Arc<dyn Fn() -> Option<Node> + Send + Sync>| {
            let share = client
                .allocation(resource.as_str())
                .ok_or_else(|| EgressError::of("the client does not use its resource"))?;
            let bound = Arc::clone(&find);
            share.on_change(move |share| {
                if let Some(node) = bound() {
                    node.set_ceiling(ceiling(share));
                }
            });
            Ok(Bound { share, find })
        };
        let mut bound = vec![bind(&source.resource, Arc::new(move || Some(node.clone())))?];
        for (name, resource) in &source.classes {
            let (name, class) = (name.clone(), Arc::clone(&class));
            bound.push(bind(resource, Arc::new(move || class(&name)))?);
        }
        Ok(Self { client, bound, name: source.client.clone() })
    }

    /// The client's counters.
    pub fn metrics(&self) -> QuotaMetrics {
        self.client.metrics()
    }

    /// The fleet that shares the limit of the whole server.
    pub fn fleet(&self) -> Fleet {
        Fleet { client: self.client.clone(), share: self.share().clone(), name: self.name.clone() }
    }

    /// The client's handle to the share of the whole server.
    pub fn share(&self) -> &Allocation {
        &self.bound[0].share
    }

    /// Reports demand to the quota server; never completes.
    pub async fn tell_demand(&self) {
        let clock: Arc<dyn Clock> = rt::clock();
        let mut meters: Vec<Meter> = self.bound.iter().map(|bound| Meter::new(bound, clock.now())).collect();
        loop {
            Sleep::lasting(Arc::clone(&clock), LOOK).await;
            for (bound, meter) in self.bound.iter().zip(&mut meters) {
                meter.look(bound, clock.now());
            }
        }
    }

    /// Unregisters from the quota server.
    pub async fn close(self) {
        drop(self.bound);
        self.client.close().await;
    }
}

/// Measures what passes a node.
struct Meter {
    demand: Demand,
    before: Passed,
    since: Instant,
}

impl Meter {
    fn new(bound: &Bound, now: Instant) -> Self {
        let before = (bound.find)().map(|node| node.passed()).unwrap_or_default();
        Self { demand: Demand::default(), before, since: now }
    }

    /// Reports what the node wants.
    fn look(&mut self, bound: &Bound, now: Instant) {
        let Some(node) = (bound.find)() else {
            // Nobody is in a class that is gone.
            bound.share.set_wants(Some(IDLE.saturating_mul(MICRO)));
            return;
        };
        let most = ceiling(bound.share.share());
        if node.in_force().rate.zip(most).is_none_or(|(rate, most)| rate > most) {
            // A class that a reload made anew.
            node.set_ceiling(most);
        }
        let (passed, before) = (node.passed(), self.before);
        let nanos = (now - self.since).as_nanos().max(1);
        let rate = u128::from(passed.bytes.saturating_sub(before.bytes)) * 1_000_000_000 / nanos;
        let wants = self.demand.look(u64::try_from(rate).unwrap_or(u64::MAX), passed.waits > before.waits);
        // Demand is bounded by the node's own limit, which can change at any time.
        let own = node.budget();
        let wants = match (wants, own.rate.filter(|_| !own.report_only)) {
            (None, own) => own.map(Rate::bytes_per_second),
            (Some(wants), own) => Some(own.map_or(wants, |own| wants.min(own.bytes_per_second()))),
        };
        bound.share.set_wants(wants.map(|wants| wants.saturating_mul(MICRO)));
        (self.before, self.since) = (passed, now);
    }
}

/// The ceiling of a share: at least one byte a second, since a rate of zero is no ceiling.
fn ceiling(share: Share) -> Option<Rate> {
    Rate::new(share.per_second().max(1)).ok()
}

/// Estimates a server's demand from what it used.
#[derive(Debug, Default)]
struct Demand {
    /// Rates of the last measurements, the latest last.
    rates: Vec<u64>,
    /// Measurements since something waited.
    quiet: usize,
    told: Option<u64>,
}

impl Demand {
    /// Takes the rate since the last measurement, in bytes a second, and whether something waited. Returns the demand;
    /// `None` is as much as there is.
    fn look(&mut self, rate: u64, waited: bool) -> Option<u64> {
        if self.rates.len() >= QUIET_LOOKS {
            self.rates.remove(0);
        }
        self.rates.push(rate);
        self.quiet = if waited { 0 } else { self.quiet + 1 };
        if self.quiet < QUIET_LOOKS {
            // Also at the start: a server that was just started may be about to be busy.
            self.told = None;
            return None;
        }
        // Twice the recent maximum, so that it can grow until something waits.
        let wants = self.rates.iter().max().copied().unwrap_or(0).saturating_mul(2).max(IDLE);
        let near = |told: u64| wants <= told && wants >= told / 2;
        if !self.told.is_some_and(near) {
            self.told = Some(wants);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::ShareState;
    use super::*;

    #[test]
    fn a_share_of_zero_is_still_a_ceiling() {
        let share = |rate_micros| Share { rate_micros, state: ShareState::Leased };
        for (micros, expected) in [(500 * MICRO, 500), (1_999_999, 1), (1, 1), (0, 1)] {
            assert_eq!(ceiling(share(micros)), Rate::or_unlimited(expected), "{micros}");
        }
    }

    #[test]
    fn demand_is_unbounded_while_something_waits_and_else_twice_the_use() {
        let mut demand = Demand::default();
        for _ in 1..QUIET_LOOKS {
            assert_eq!(demand.look(0, false), None, "it may be about to begin");
        }
        assert_eq!(demand.look(0, false), Some(IDLE));
        assert_eq!(demand.look(500_000, true), None);
        for _ in 1..QUIET_LOOKS {
            assert_eq!(demand.look(100_000, false), None, "a pause of less than 3 s");
        }
        assert_eq!(demand.look(100_000, false), Some(200_000));
        assert_eq!(demand.look(90_000, false), Some(200_000), "not told anew for a little");
        assert_eq!(demand.look(300_000, false), Some(600_000));
    }
}
