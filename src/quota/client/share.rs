//! A client's share of one resource: the rate it can spend at, from grants, leases and the safe share.
//!
//! Pure: passed the time. While the lease runs, the share is the server's last grant. After it, it is the safe share: as
//! configured, or else the last known limit divided by the last known number of clients; never zero once these are
//! known, and never unlimited.

use crate::clock::Instant;
use crate::quota::limit::MICRO;

/// The reason of a share's rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareState {
    /// No grant yet: the server was not reached, or was just started and is learning what others hold. The rate is the
    /// safe share if there is one, else zero.
    Learning,
    /// The server's grant, within its lease. It can be zero until others have released theirs.
    Leased,
    /// The server is lost and the lease expired, or the resource has no limit any more.
    SafeShare,
}

impl ShareState {
    /// The state's name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Leased => "leased",
            Self::SafeShare => "safe_share",
        }
    }
}

/// The rate that a client can spend at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Share {
    /// Millionths of a unit a second. Zero admits nothing.
    pub rate_micros: u64,
    /// The reason.
    pub state: ShareState,
}

impl Share {
    /// Whole units a second.
    pub fn per_second(self) -> u64 {
        self.rate_micros / MICRO
    }
}

/// A share as the server grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Identifies the run of the server.
    pub epoch: u64,
    /// Increases with each change within a run.
    pub version: u64,
    /// Micro-units a second.
    pub rate: u64,
    /// The limit that is shared, in units a second.
    pub limit: u64,
    /// Live clients that share it.
    pub clients: u32,
    /// The server was just started and is learning what clients hold.
    pub learning: bool,
}

/// Why a connected server grants no share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoShare {
    /// It has no limit for the resource.
    NoLimit,
    /// Its limit counts the other unit, such as requests where bytes are spent.
    OtherUnit {
        /// The version of the unspent grant, acknowledged so that others get it.
        version: u64,
    },
}

/// The state of a client's share of one resource.
#[derive(Clone, Debug, Default)]
pub struct LeasedShare {
    /// The configured safe share, in micro-units a second.
    safe: Option<u64>,
    /// Last known limit in micro-units a second, and number of clients; for the safe share.
    known: Option<(u64, u32)>,
    grant: Option<Grant>,
    lease_until: Instant,
    /// The grant is zero from a learning server, and nothing was held before it.
    waits: bool,
    no_share: Option<NoShare>,
}

impl LeasedShare {
    /// Creates the state before any grant. `safe` is the configured safe share in micro-units a second.
    pub fn new(safe: Option<u64>) -> Self {
        Self { safe, ..Self::default() }
    }

    /// Applies a grant, unless a later one of the same run is known. Returns whether it is lower than before, so that it
    /// should be acknowledged at once.
    pub fn apply(&mut self, now: Instant, grant: Grant) -> bool {
        let before = self.held(now);
        let is_late = |known: &Grant| known.epoch == grant.epoch && known.version > grant.version;
        if self.grant.as_ref().is_some_and(is_late) {
            return false;
        }
        let is_new_run = self.grant.is_none_or(|known| known.epoch != grant.epoch);
        let zero = grant.learning && grant.rate == 0;
        self.waits = zero && (self.waits || (is_new_run && before == 0));
        // A learning server does not know the number of clients yet.
        if !grant.learning && grant.clients > 0 {
            self.known = Some((grant.limit.saturating_mul(MICRO), grant.clients));
        }
        self.grant = Some(grant);
        self.no_share = None;
        grant.rate < before
    }

    /// Extends the lease to `until`.
    pub fn renew(&mut self, until: Instant) {
        self.lease_until = self.lease_until.max(until);
    }

    /// Notes that the server grants nothing for this resource.
    pub fn apply_no_share(&mut self, no_share: NoShare) {
        self.no_share = Some(no_share);
        self.grant = None;
        self.waits = false;
    }

    /// Why the server grants no share, if it said so.
    pub fn no_share(&self) -> Option<NoShare> {
        self.no_share
    }

    /// The applied version, for acknowledgements; 0 is none.
    pub fn applied(&self) -> u64 {
        match (self.grant, self.no_share) {
            (Some(Grant { version, .. }), _) | (None, Some(NoShare::OtherUnit { version })) => version,
            (None, Some(NoShare::NoLimit) | None) => 0,
        }
    }

    /// The rate held under a running lease, in micro-units a second.
    pub fn held(&self, now: Instant) -> u64 {
        self.grant.filter(|_| now < self.lease_until && !self.waits).map_or(0, |grant| grant.rate)
    }

    /// The current share.
    pub fn share(&self, now: Instant) -> Share {
        let (rate_micros, state) = match self.grant {
            Some(grant) if now < self.lease_until && !self.waits => (grant.rate, ShareState::Leased),
            Some(_) if now < self.lease_until => (self.safe_share(), ShareState::Learning),
            None if self.no_share.is_none() && self.known.is_none() => {
                (self.safe_share(), ShareState::Learning)
            }
            _ => (self.safe_share(), ShareState::SafeShare),
        };
        Share { rate_micros, state }
    }

    /// When the share lapses, and to which rate; `None` if it does not.
    pub fn lapses(&self, now: Instant) -> Option<(Instant, u64)> {
        let runs = self.grant.is_some() && now < self.lease_until;
        runs.then(|| (self.lease_until, self.safe_share()))
    }

    fn safe_share(&self) -> u64 {
        let divided = self.known.map(|(limit, clients)| (limit / u64::from(clients)).max(1));
        self.safe.or(divided).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn grant(epoch: u64, version: u64, per_second: u64) -> Grant {
        Grant { epoch, version, rate: per_second * MICRO, limit: 100, clients: 4, learning: false }
    }

    fn share(leased: &LeasedShare, now: Instant) -> (u64, ShareState) {
        let share = leased.share(now);
        (share.per_second(), share.state)
    }

    #[test]
    fn a_lease_holds_to_its_last_nanosecond_and_then_comes_the_safe_share() {
        let mut leased = LeasedShare::new(None);
        assert_eq!(share(&leased, at(0)), (0, ShareState::Learning));
        leased.apply(at(0), grant(1, 1, 40));
        leased.renew(at(30_000));
        assert_eq!(leased.lapses(at(0)), Some((at(30_000), 25 * MICRO)));
        let last = Instant::from_nanos(at(30_000).as_nanos() - 1);
        assert_eq!(share(&leased, last), (40, ShareState::Leased));
        assert_eq!(share(&leased, at(30_000)), (25, ShareState::SafeShare), "limit by clients");
        assert_eq!((leased.lapses(at(30_000)), leased.held(at(30_000))), (None, 0));
        let mut configured = LeasedShare { safe: Some(7 * MICRO), ..leased };
        assert_eq!(share(&configured, at(30_000)), (7, ShareState::SafeShare));
        configured.renew(at(31_000));
        assert_eq!(share(&configured, at(30_000)), (40, ShareState::Leased));
    }

    #[test]
    fn grants_may_arrive_in_any_order_and_the_latest_counts() {
        let mut leased = LeasedShare::new(None);
        leased.renew(at(30_000));
        assert!(!leased.apply(at(0), grant(1, 5, 40)));
        assert!(!leased.apply(at(0), grant(1, 4, 10)), "late");
        assert_eq!((leased.held(at(0)), leased.applied()), (40 * MICRO, 5));
        assert!(leased.apply(at(0), grant(1, 6, 30)), "less: to be acknowledged at once");
        assert!(leased.apply(at(0), grant(2, 1, 20)), "another run begins anew");
        assert_eq!(leased.applied(), 1);
    }

    #[test]
    fn a_learning_server_leaves_clients_their_safe_share() {
        let learning = Grant { learning: true, clients: 1, ..grant(2, 1, 0) };
        let mut fresh = LeasedShare::new(None);
        fresh.apply(at(0), learning);
        fresh.renew(at(30_000));
        assert_eq!(share(&fresh, at(1)), (0, ShareState::Learning), "it waits for the others");

        let mut lost = LeasedShare::new(None);
        lost.apply(at(0), grant(1, 9, 40));
        lost.renew(at(30_000));
        lost.apply(at(40_000), learning);
        lost.renew(at(70_000));
        assert_eq!(
            share(&lost, at(40_000)),
            (25, ShareState::Learning),
            "four were known, whatever the one says"
        );
        assert_eq!(lost.held(at(40_000)), 0);
        lost.apply(at(50_000), grant(2, 2, 50));
        assert_eq!(share(&lost, at(50_000)), (50, ShareState::Leased));

        let mut holding = LeasedShare::new(None);
        holding.apply(at(0), grant(1, 9, 40));
        holding.renew(at(30_000));
        assert!(holding.apply(at(10_000), learning), "a claim that was not honoured is given up");
        assert_eq!(share(&holding, at(10_000)), (0, ShareState::Leased));
    }

    #[test]
    fn a_limit_that_was_deleted_leaves_the_safe_share() {
        let mut leased = LeasedShare::new(None);
        leased.apply_no_share(NoShare::NoLimit);
        assert_eq!(share(&leased, at(0)), (0, ShareState::SafeShare), "nothing is known: nothing passes");
        leased.apply(at(0), grant(1, 1, 40));
        leased.renew(at(30_000));
        assert_eq!(share(&leased, at(0)), (40, ShareState::Leased));
        leased.apply_no_share(NoShare::NoLimit);
        assert_eq!(share(&leased, at(0)), (25, ShareState::SafeShare));
    }
}
