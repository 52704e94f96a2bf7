//! A server bound to its share of a fleet's limit: its rate is the smaller of its own and the share, and
//! its demand is told to the quota server, so that an idle one lends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::QuotaSource;
use super::client::{Allocation, Dial, QuotaClient, QuotaClientSettings, QuotaMetrics, ResourceUse, Share};
use super::limit::{MICRO, Unit};
use crate::budget::Node;
use crate::clock::{Clock, Sleep};
use crate::limit::Rate;
use crate::tls::{ClientTls, Identity};
use crate::token::Token;

/// How often the demand is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks without waiting make a server one that does not want all it can get: 3 s.
const QUIET_LOOKS: usize = 6;

/// What an idle server still wants, bytes a second: enough for the first responses until it is heard that
/// it wants more.
const IDLE: u64 = 64 * 1024;

/// A server's share of a fleet's limit.
pub struct Egress {
    client: QuotaClient,
    share: Allocation,
    node: Node,
}

/// Why a server cannot be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressError(String);

impl Egress {
    /// Binds `node`, the server's, to the share that `source` describes. From now on the node's rate is the
    /// smaller of its own, also if that is changed, and the share; a share of zero lets a byte a second pass.
    ///
    /// # Errors
    /// A token or certificate cannot be read.
    pub fn bind(source: &QuotaSource, node: Node) -> Result<Self, EgressError> {
        let mut dial = Dial::new(source.server.clone());
        let token = source.token_file.as_deref().map(Token::from_file).transpose();
        dial.token = token.map_err(|error| EgressError(error.to_string()))?;
        let identity = source.tls_identity.clone().map(|(certificate, key)| Identity { certificate, key });
        let tls = source.tls_ca.as_deref().map(|authorities| ClientTls::new(authorities, identity.as_ref()));
        dial.tls = tls.transpose().map_err(|error| EgressError(error.to_string()))?;
        let mut resource = ResourceUse::new(source.resource.clone());
        resource.unit = Some(Unit::Bytes);
        resource.safe_share_micros =
            source.safe_share.map(|rate| rate.bytes_per_second().saturating_mul(MICRO));
        let mut settings =
            QuotaClientSettings::new(source.server.clone(), source.client.clone()).using(resource);
        settings.dial = dial;
        let client = QuotaClient::start(settings).map_err(|error| EgressError(error.to_string()))?;
        let share = client
            .allocation(source.resource.as_str())
            .ok_or_else(|| EgressError("the client does not use its resource".to_owned()))?;
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

    /// Tells the quota server how much the server can use; never completes.
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
            // Its own limit, which may be changed at any time, holds it back and not the share.
            let own = self.node.budget();
            let wants = match (wants, own.rate.filter(|_| !own.report_only)) {
                (None, own) => own.map(Rate::bytes_per_second),
                (Some(wants), own) => Some(own.map_or(wants, |own| wants.min(own.bytes_per_second()))),
            };
            self.share.set_wants(wants.map(|wants| wants.saturating_mul(MICRO)));
            (before, since) = (passed, now);
        }
    }

    /// Says farewell to the quota server.
    pub async fn close(self) {
        drop(self.share);
        self.client.close().await;
    }
}

/// The rate that a share puts a ceiling at. There is none of zero: that would be none at all.
fn ceiling(share: Share) -> Option<Rate> {
    Rate::new(share.per_second().max(1)).ok()
}

/// How much a server can use, by what it was seen to use.
#[derive(Debug, Default)]
struct Demand {
    /// The rates of the last looks, the latest last.
    rates: Vec<u64>,
    /// Looks since something waited.
    quiet: usize,
    told: Option<u64>,
}

impl Demand {
    /// Takes in what passed since the last look, in bytes a second, and whether some of it had to wait. Gives
    /// what is wanted: `None` is as much as there is.
    fn look(&mut self, rate: u64, waited: bool) -> Option<u64> {
        if self.rates.len() >= QUIET_LOOKS {
            self.rates.remove(0);
        }
        self.rates.push(rate);
        self.quiet = if waited { 0 } else { self.quiet + 1 };
        if self.quiet < QUIET_LOOKS {
            // Also at the start: a server that has just begun may be about to be busy.
            self.told = None;
            return None;
        }
        // Twice the most of late, so that it can grow until something waits.
        let wants = self.rates.iter().max().copied().unwrap_or(0).saturating_mul(2).max(IDLE);
        let near = |told: u64| wants <= told && wants >= told / 2;
        if !self.told.is_some_and(near) {
            self.told = Some(wants);
        }
        self.told
    }
}

impl fmt::Display for EgressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "quota: {}", self.0)
    }
}

impl std::error::Error for EgressError {}

#[cfg(test)]
mod tests {
    use super::super::client::ShareState;
    use super::*;

    #[test]
    fn a_share_of_zero_is_no_lack_of_a_ceiling() {
        let share = |rate_micros| Share { rate_micros, state: ShareState::Leased };
        for (micros, expected) in [(500 * MICRO, 500), (1_999_999, 1), (1, 1), (0, 1)] {
            assert_eq!(ceiling(share(micros)), Rate::or_unlimited(expected), "{micros}");
        }
    }

    #[test]
    fn who_waits_wants_all_and_who_is_quiet_twice_what_it_used() {
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
