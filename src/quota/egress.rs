//! Binds a server to its share of a fleet's limit: its rate is the smaller of its own and the share, and its demand is
//! reported to the quota server, so that idle servers leave their part to others.

use std::sync::Arc;
use std::time::Duration;

use super::QuotaSource;
use super::client::{
    Allocation, Connector, QuotaClient, QuotaClientSettings, QuotaMetrics, ResourceUse, Share,
};
use super::limit::{MICRO, Unit};
use crate::budget::Node;
use crate::clock::{Clock, Sleep};
use crate::limit::Rate;
use crate::tls::{ClientTls, Identity};
use crate::token::Token;

/// Interval at which demand is measured.
const LOOK: Duration = Duration::from_millis(500);

/// Measurements without waiting after which demand is bounded: 3 s.
const QUIET_LOOKS: usize = 6;

/// Demand of an idle server in bytes a second: enough for the first responses until more is granted.
const IDLE: u64 = 64 * 1024;

/// A server's share of a fleet's limit.
pub struct Egress {
    client: QuotaClient,
    share: Allocation,
    node: Node,
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
    /// Binds the server's node to the share that `source` describes. From now on the node's rate is the smaller of its own,
    /// also after changes, and the share; a share of zero admits one byte a second.
    ///
    /// # Errors
    /// A token or certificate cannot be read.
    pub fn bind(source: &QuotaSource, node: Node) -> Result<Self, EgressError> {
        let mut connector = Connector::new(source.servers.first.clone());
        let token = source.token_file.as_deref().map(Token::from_file).transpose();
        connector.token = token.map_err(EgressError::of)?;
        let identity = source.tls_identity.clone().map(|(certificate, key)| Identity { certificate, key });
        let tls = source.tls_ca.as_deref().map(|authorities| ClientTls::new(authorities, identity.as_ref()));
        connector.tls = tls.transpose().map_err(EgressError::of)?;
        let mut resource = ResourceUse::new(source.resource.clone());
        resource.unit = Some(Unit::Bytes);
        resource.safe_share_micros =
            source.safe_share.map(|rate| rate.bytes_per_second().saturating_mul(MICRO));
        let mut settings =
            QuotaClientSettings::new(source.servers.first.clone(), source.client.clone()).using(resource);
        settings.connector = connector;
        settings.others.clone_from(&source.servers.others);
        let client = QuotaClient::start(settings).map_err(EgressError::of)?;
        let share = client
            .allocation(source.resource.as_str())
            .ok_or_else(|| EgressError::of("the client does not use its resource"))?;
        let bound = node.clone();
        share.on_change(move |share| bound.set_ceiling(ceiling(share)));
        Ok(Self { client, share, node })
    }

    /// The client's counters.
    pub fn metrics(&self) -> QuotaMetrics {
        self.client.metrics()
    }

    /// The client's handle to the share.
    pub fn share(&self) -> &Allocation {
        &self.share
    }

    /// Reports the server's demand to the quota server; never completes.
    pub async fn tell_demand(&self) {
        let clock: Arc<dyn Clock> = Arc::clone(self.node.clock());
        let mut demand = Demand::default();
        let mut before = self.node.passed();
        let mut since = clock.now();
        loop {
            Sleep::lasting(Arc::clone(&clock), LOOK).await;
            let (passed, now) = (self.node.passed(), clock.now());
            let nanos = (now - since).as_nanos().max(1);
            let rate = u128::from(passed.bytes - before.bytes) * 1_000_000_000 / nanos;
            let wants = demand.look(u64::try_from(rate).unwrap_or(u64::MAX), passed.waits > before.waits);
            // Demand is bounded by the server's own limit, which can change at any time.
            let own = self.node.budget();
            let wants = match (wants, own.rate.filter(|_| !own.report_only)) {
                (None, own) => own.map(Rate::bytes_per_second),
                (Some(wants), own) => Some(own.map_or(wants, |own| wants.min(own.bytes_per_second()))),
            };
            self.share.set_wants(wants.map(|wants| wants.saturating_mul(MICRO)));
            (before, since) = (passed, now);
        }
    }

    /// Unregisters from the quota server.
    pub async fn close(self) {
        drop(self.share);
        self.client.close().await;
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
