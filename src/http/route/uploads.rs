//! How a route reads the content of requests: its pace, its limits and its bound.

use std::sync::Arc;
use std::time::SystemTime;

use super::rules::{Moment, PaceRules};
use super::{Met, PaceRule, Pacing, Route};
use crate::budget::{ClientKey, Clients, Gate, Node};
use crate::clock::Clock;
use crate::filter::{Chain, EndOfStream};
use crate::http::budgets;
use crate::http::limits::MaxBody;
use crate::limit::{Budget, Interval, Limit, Rates};

/// The upload side of a route's limits.
pub(super) struct Uploads {
    /// Makes the rate filter of each request's content.
    pub(super) pacing: Pacing,
    /// Which of them takes the place of its rate and burst.
    pub(super) rules: PaceRules,
    /// Nodes of clients, below the node that all uploads of the route share.
    pub(super) clients: Clients,
    /// The route's own bound; `None` leaves it to the server.
    max_body: Option<MaxBody>,
}

impl Uploads {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let all = Node::root(budgets::UPLOAD_ROUTE, Budget::default(), clock);
        Self {
            pacing: Pacing::new("", Limit::unlimited(), Interval::DEFAULT, EndOfStream::default()),
            rules: PaceRules::default(),
            clients: Clients::new(all, budgets::UPLOAD_ROUTE_CLIENT, Budget::default()),
            max_body: None,
        }
    }

    /// Adopts the live limits of `old`, set to its own.
    pub(super) fn adopt(&mut self, old: &Self) {
        self.pacing.adopt(&old.pacing);
        self.rules.adopt(&old.rules);
        old.clients.parent().set(self.clients.parent().budget());
        old.clients.reset(self.clients.budget());
        self.clients = old.clients.clone();
    }
}

impl Route {
    /// Reads the content of each request at the rate of `budget`, whose burst is read ahead of it; what is not due stays
    /// in the socket. The weight has no effect. Default: no limit.
    #[must_use]
    pub fn upload(self, budget: impl Into<Budget>) -> Self {
        self.uploads.pacing.limit.set(budget);
        self
    }

    /// Reads the content of each request at rates that follow one another by the bytes that have been read; the last takes the
    /// place of that of [`upload`](Self::upload).
    #[must_use]
    pub fn upload_rates(self, rates: Rates) -> Self {
        self.uploads.pacing.limit.set_rates(rates);
        self
    }

    /// Sets the rules of its uploads: the first that the content of a request meets takes the place of the rate and burst of
    /// [`upload`](Self::upload). Statuses are not met. Only the first 64 count. Default: none.
    #[must_use]
    pub fn upload_pace_rules(mut self, rules: Vec<PaceRule>) -> Self {
        self.uploads.rules = PaceRules::new(rules);
        self
    }

    /// The rules of its uploads, in order.
    pub fn upload_rules(&self) -> &[PaceRule] {
        self.uploads.rules.all()
    }

    /// Limits the content of all requests to the route together. Default: no limit.
    #[must_use]
    pub fn upload_total(self, budget: impl Into<Budget>) -> Self {
        self.uploads.clients.parent().set(budget);
        self
    }

    /// Limits the content of all requests of one client to the route together. Default: no limit.
    #[must_use]
    pub fn upload_per_client(self, budget: impl Into<Budget>) -> Self {
        self.uploads.clients.set(budget);
        self
    }

    /// Refuses requests with more content than `max` with 413. Default: the server's
    /// [`max_body`](crate::http::server::Settings::max_body).
    #[must_use]
    pub fn max_body(mut self, max: MaxBody) -> Self {
        self.uploads.max_body = Some(max);
        self
    }

    /// Has the limits that its uploads share go by `clock`, as the server of a test or a simulation does.
    pub(in crate::http) fn uploads_on(mut self, clock: Arc<dyn Clock>) -> Self {
        let set = (self.uploads.clients.parent().budget(), self.uploads.clients.budget());
        self.uploads.clients = Uploads::new(clock).clients;
        self.upload_total(set.0).upload_per_client(set.1)
    }

    /// The live limit of each request's content.
    pub fn upload_limit(&self) -> &Limit {
        &self.uploads.pacing.limit
    }

    /// The live nodes of its clients' uploads, below the node that all uploads share.
    pub fn upload_clients(&self) -> &Clients {
        &self.uploads.clients
    }

    /// Its own bound of a request's content; `None` leaves it to the server.
    pub(in crate::http) fn own_max_body(&self) -> Option<MaxBody> {
        self.uploads.max_body
    }

    /// Whether a limit of its own holds uploads now.
    pub(in crate::http) fn paces_uploads(&self) -> bool {
        let of_rules = self.upload_rules().iter().any(|rule| rule.rates.last().is_some());
        of_rules || self.upload_limit().rate().is_some() || self.upload_clients().parent().is_limited()
    }

    /// The limit of the content of a request that met `met`, and which of those can ever hold for it; `None` if it is the route's
    /// own.
    pub(in crate::http) fn upload_rule_limit(
        &self,
        met: Met,
        now: impl FnOnce() -> Moment,
    ) -> Option<(Limit, Met)> {
        self.uploads.rules.limit(met, self.upload_limit(), now)
    }

    /// The name or number of the rule that holds at `now` for an upload that met `met`.
    pub(in crate::http) fn upload_rule_held(&self, met: Met, now: SystemTime) -> Option<Arc<str>> {
        self.uploads.rules.held(met, now)
    }

    /// The way of one client's upload: its pace by `limit`, then the shared limits in the route's tree and in `server`. `is_new`
    /// says of the key of client and route whether it is the first there on its connection.
    pub(in crate::http) fn upload_way(
        &self,
        limit: &Limit,
        server: &Clients,
        key: &ClientKey,
        is_new: impl FnOnce(u64) -> bool,
    ) -> (Chain, Gate) {
        let pacing = &self.uploads.pacing;
        let carryover = pacing.carryovers.of(key);
        // A route without a rate has nothing to remember.
        let is_new = limit.rate().is_some() && is_new(carryover.key());
        let filter = pacing.boxed(limit, if is_new { carryover.on_new_connection() } else { carryover });
        let gate = Gate::of_client(Some(&self.uploads.clients), server, key, self.weight);
        (Chain::new().then_boxed(filter), gate)
    }
}
