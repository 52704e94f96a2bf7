//! One resource: its limit, its clients, and what each may be spending.

use std::collections::BTreeMap;

use super::fair::{Demand, Demands};
use super::grants::{Grant, Grants};
use crate::clock::Instant;
use crate::quota::limit::ResourceLimit;

/// A limit and the clients that share it.
#[derive(Debug, Default)]
pub(super) struct Resource {
    /// `None` after the limit was deleted, while leases still run.
    limit: Option<ResourceLimit>,
    demands: Demands,
    holdings: BTreeMap<usize, Holding>,
    /// Sum of what may be spent now.
    committed: u128,
    /// Sum of grants made since the limit was lowered.
    recent: u128,
    /// The first version after the limit was lowered. Earlier grants may add up to more than the limit.
    lowered_at: u64,
    /// While the server is learning: clients claimed more than the limit.
    claims_short: bool,
}

/// One client's part of the resource.
#[derive(Debug)]
struct Holding {
    demand: Demand,
    grants: Grants,
    /// What it said it held when it registered.
    claim: u64,
    /// Its grants are from before the limit was deleted: heartbeats do not extend them.
    lapses: bool,
}

/// A share granted to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GrantedShare {
    pub(super) grant: Grant,
    /// The fair share.
    pub(super) target: u64,
}

impl Resource {
    pub(super) fn limit(&self) -> Option<ResourceLimit> {
        self.limit
    }

    /// Sum of what may be spent now, in micro-units a second.
    pub(super) fn committed(&self) -> u128 {
        self.committed
    }

    /// Number of clients that share it.
    pub(super) fn clients(&self) -> usize {
        self.holdings.len()
    }

    pub(super) fn has(&self, client: usize) -> bool {
        self.holdings.contains_key(&client)
    }

    /// What a client may be spending now, in micro-units a second.
    pub(super) fn held(&self, client: usize) -> u64 {
        self.holdings.get(&client).map_or(0, |holding| holding.grants.committed())
    }

    pub(super) fn holders(&self) -> impl Iterator<Item = usize> + '_ {
        self.holdings.keys().copied()
    }

    /// When the client must spend less than it may now, even if it receives nothing.
    pub(super) fn due(&self, client: usize) -> Option<Instant> {
        let Holding { grants, lapses, .. } = self.holdings.get(&client)?;
        if *lapses { grants.ends_at().filter(|_| grants.committed() > 0) } else { grants.shrinks_at() }
    }

    /// Sets the limit. `next` is the version of the next grant.
    pub(super) fn set_limit(&mut self, limit: Option<ResourceLimit>, next: u64) {
        let is_lower = match (self.limit, limit) {
            (Some(old), Some(new)) => new.per_second() < old.per_second(),
            (None, _) => self.committed > 0,
            (Some(_), None) => false,
        };
        if is_lower {
            (self.lowered_at, self.recent) = (next, 0);
        }
        if limit.is_none() {
            self.holdings.values_mut().for_each(|holding| holding.lapses = true);
        }
        self.limit = limit;
    }

    /// Adds a client. What it claims matters only while the server is learning.
    pub(super) fn join(&mut self, client: usize, demand: Demand, claim: u64) {
        self.demands.insert(demand, client);
        self.holdings.insert(client, Holding { demand, grants: Grants::default(), claim, lapses: false });
    }

    /// Adds a client with what it may be spending. It is taken to want that until it says otherwise.
    pub(super) fn restore(&mut self, client: usize, grant: Grant) {
        self.join(client, Demand { wants: grant.rate, weight: 1 }, 0);
        let lapses = self.limit.is_none();
        self.change(client, |holding| {
            holding.grants.push(grant);
            holding.lapses = lapses;
        });
    }

    /// Notes that all was restored. `next` is the version of the next grant: if there is more than the limit, that was lowered
    /// before.
    pub(super) fn restored(&mut self, next: u64) {
        if self.limit.is_some_and(|limit| self.committed > u128::from(limit.micros())) {
            (self.lowered_at, self.recent) = (next, 0);
        }
    }

    /// Removes a client: it spends nothing any more.
    pub(super) fn leave(&mut self, client: usize) {
        self.change(client, |holding| holding.grants = Grants::default());
        if let Some(holding) = self.holdings.remove(&client) {
            self.demands.remove(holding.demand, client);
        }
    }

    /// Sets a client's demand. Returns whether it changed.
    pub(super) fn demand(&mut self, client: usize, demand: Demand) -> bool {
        let Some(holding) = self.holdings.get_mut(&client) else { return false };
        let old = std::mem::replace(&mut holding.demand, demand);
        if old != demand {
            self.demands.remove(old, client);
            self.demands.insert(demand, client);
        }
        old != demand
    }

    /// Notes that the client has applied `version`. Returns whether that frees anything.
    pub(super) fn acknowledge(&mut self, client: usize, version: u64) -> bool {
        self.change(client, |holding| holding.grants.acknowledge(version))
    }

    /// Removes expired grants. Returns whether that frees anything.
    pub(super) fn expire(&mut self, client: usize, now: Instant) -> bool {
        self.change(client, |holding| holding.grants.expire(now))
    }

    /// A client's last grant, and its fair share now.
    pub(super) fn share(&self, client: usize) -> Option<(Demand, u64, u64)> {
        let holding = self.holdings.get(&client)?;
        let target = self.demands.level(self.limit?.micros()).share(holding.demand);
        Some((holding.demand, holding.grants.newest().map_or(0, |grant| grant.rate), target))
    }

    /// Grants a client its share: the fair one as far as the limit allows, with a lease that ends at `until`.
    ///
    /// What others may still be spending is never granted. If the limit was lowered under running leases, the sum of what
    /// may be spent does not grow until it is below the limit, and grants made since then stay below it by themselves.
    pub(super) fn grant(
        &mut self,
        client: usize,
        until: Instant,
        learning: bool,
        next: &mut u64,
    ) -> Option<GrantedShare> {
        let limit = self.limit?.micros();
        let holding = self.holdings.get(&client)?;
        let target = self.demands.level(limit).share(holding.demand);
        let own = holding.grants.committed();
        let room = left_of(limit, self.committed - u128::from(own));
        let own_recent = holding.grants.committed_since(self.lowered_at);
        let room_recent = left_of(limit, self.recent - u128::from(own_recent));
        let allowed = room.max(own).min(room_recent);
        let wished = match learning {
            true if self.claims_short => holding.claim.min(target),
            true => holding.claim.min(holding.demand.wants),
            false => target,
        };
        self.claims_short = learning && (self.claims_short || wished > allowed);
        let rate = wished.min(allowed);
        // One from before the limit was lowered is not extended: then it would outlive the lease in which more than the
        // limit may be spent, and `recent` would lack it.
        let is_recent = |grant: &Grant| grant.version >= self.lowered_at;
        match holding.grants.newest().filter(is_recent) {
            Some(newest) if newest.rate == rate || (rate < newest.rate && !holding.grants.can_shrink()) => {
                self.change(client, |holding| holding.grants.renew(until));
            }
            _ => {
                let grant = Grant { rate, version: *next, until };
                *next += 1;
                self.change(client, |holding| holding.grants.push(grant));
            }
        }
        let holding = self.holdings.get_mut(&client)?;
        holding.lapses = false;
        let grant = holding.grants.newest()?;
        Some(GrantedShare { grant, target })
    }

    /// Changes a client's grants and the sums. Returns whether less may be spent than before.
    fn change(&mut self, client: usize, change: impl FnOnce(&mut Holding)) -> bool {
        let Some(holding) = self.holdings.get_mut(&client) else { return false };
        let lowered_at = self.lowered_at;
        let sums = |holding: &Holding| {
            (u128::from(holding.grants.committed()), u128::from(holding.grants.committed_since(lowered_at)))
        };
        let before = sums(holding);
        change(holding);
        let after = sums(holding);
        self.committed = self.committed + after.0 - before.0;
        self.recent = self.recent + after.1 - before.1;
        after.0 < before.0 || after.1 < before.1
    }
}

fn left_of(limit: u64, taken: u128) -> u64 {
    u64::try_from(u128::from(limit).saturating_sub(taken)).unwrap_or(u64::MAX)
}
