//! Which limit paces a response, and its rate filter; and limits that follow the calendar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_lite::FutureExt;
use http::response;

use super::exchange::Exchange;
use super::report::PaceBy;
use super::{Handle, Shared, Stage};
use crate::clock::Sleep;
use crate::filter::Filter;
use crate::http::proxy::Accel;
use crate::http::route::{self, Met, Pacing, Route};
use crate::limit::Limit;
use crate::rt;

/// How long the calendar is left alone at most. Somebody may set the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a task follows the calendar.
#[derive(Default)]
pub(super) struct Calendar {
    is_followed: AtomicBool,
}

impl Calendar {
    /// One that the server's owner follows, by [`Handle::follow_calendar`].
    pub(super) fn followed() -> Self {
        let calendar = Self::default();
        calendar.is_followed.store(true, Ordering::Relaxed);
        calendar
    }
}

/// The limit of a response.
pub(super) struct Chosen {
    pub(super) limit: Limit,
    pub(super) by: PaceBy,
    /// The rule that holds now, for the access log.
    pub(super) rule: Option<Arc<str>>,
}

/// Returns the response's limit. `asked` are the rules that the request met.
pub(super) fn limit_of(route: &Route, asked: Met, head: &mut response::Parts, exchange: &Exchange) -> Chosen {
    if let Some(rate) = head.extensions.remove::<Accel>().and_then(|accel| accel.limit_rate) {
        let limit = Limit::new(rate).with_burst(route.limit().burst());
        limit.set_report_only(route.limit().is_report_only());
        return Chosen { limit, by: PaceBy::Backend, rule: None };
    }
    let server = &exchange.connection().server;
    match route.rule_limit(asked, head, || server.clock.calendar()) {
        Some((limit, met)) => {
            server.follow_calendar(route);
            let is_logged = exchange.transfer().logged.is_some();
            let rule = if is_logged { route.rule_held(met, server.clock.calendar()) } else { None };
            Chosen { limit, by: PaceBy::Rule, rule }
        }
        None => Chosen { limit: route.limit().clone(), by: PaceBy::Route, rule: None },
    }
}

/// Whether content of a response under `limit` passes unchanged, and nothing but its connection limits it now.
pub(super) fn is_unlimited(route: &Route, limit: &Limit, exchange: &Exchange) -> bool {
    let [clients, _] = exchange.budgets();
    matches!(route.stages[..], [route::Stage::RoutePace])
        && limit.rate().is_none()
        && ![route.clients(), clients].iter().any(|clients| clients.parent().is_limited())
}

/// Makes a rate filter of `pacing` under `limit`.
pub(super) fn rate_filter(pacing: &Pacing, limit: &Limit, exchange: &Exchange) -> Box<dyn Filter> {
    let carryover = pacing.carryovers.of(exchange.client());
    // A route without a rate has nothing to remember.
    let is_new = limit.rate().is_some() && exchange.connection().charges.is_new_to(carryover.key());
    pacing.boxed(limit, if is_new { carryover.on_new_connection() } else { carryover })
}

impl Handle {
    /// The time on the wall, by which rules hold.
    pub(crate) fn calendar(&self) -> SystemTime {
        self.0.clock.calendar()
    }

    /// Sets the limits of responses under rules to what holds now. Call it when limits of routes were changed.
    pub(crate) fn apply_rules(&self) {
        self.0.apply_rules();
    }
}

impl Shared {
    /// Sets the limits of responses under rules to what holds now. Returns when the next rule begins or ends, if one does.
    pub(super) fn apply_rules(&self) -> Option<SystemTime> {
        let now = self.clock.calendar();
        let setup = self.setup();
        setup.routes.iter().for_each(|route| route.apply_rules(now));
        setup.routes.iter().filter_map(|route| route.next_change(now)).min()
    }

    /// Starts to follow the calendar, if `route` has rules with times and nobody does yet.
    fn follow_calendar(self: &Arc<Self>, route: &Route) {
        let is_timed = || route.rules().iter().any(|rule| rule.when.during.is_some());
        if !self.calendar.is_followed.load(Ordering::Relaxed)
            && is_timed()
            && !self.calendar.is_followed.swap(true, Ordering::SeqCst)
        {
            rt::spawn(follow(Arc::clone(self)));
        }
    }
}

/// Applies rules at each boundary of time, until there is none or the server stops.
async fn follow(server: Arc<Shared>) {
    let boundaries = async {
        // Nobody else has it once its last handle was dropped.
        while Arc::strong_count(&server) > 1 {
            let Some(next) = server.apply_rules() else {
                // The next response under a rule with a time starts another.
                return server.calendar.is_followed.store(false, Ordering::SeqCst);
            };
            let left = next.duration_since(server.clock.calendar()).unwrap_or_default();
            Sleep::lasting(Arc::clone(&server.clock), left.min(LOOK_EVERY)).await;
        }
    };
    boundaries.or(server.reached(Stage::Stopped)).await;
}
