//! Which limit paces a response, and its rate filter; and limits that follow the calendar.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_lite::FutureExt;
use http::response;

use super::exchange::Exchange;
use super::report::PaceBy;
use super::schedules::Schedules;
use super::{Handle, Shared, Stage};
use crate::clock::{Instant, Sleep};
use crate::filter::Filter;
use crate::http::proxy::Accel;
use crate::http::route::{self, Met, PaceRule, Pacing, Route};
use crate::limit::Limit;
use crate::rt;

/// How long the calendar is left alone at most. Somebody may set the clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether a task follows the calendar.
#[derive(Default)]
pub(super) struct Calendar {
    is_followed: AtomicBool,
    /// Shared limits that follow it.
    pub(super) schedules: Schedules,
}

impl Calendar {
    /// One that the server's owner follows, by [`Handle::follow_calendar`].
    pub(super) fn followed() -> Self {
        Self { is_followed: AtomicBool::new(true), ..Self::default() }
    }
}

/// The limit of a response or an upload.
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
    match route.rule_limit(asked, head, || (server.clock.calendar(), None)) {
        Some((limit, met)) => {
            server.follow_calendar(route.rules());
            let is_logged = exchange.transfer().logged.is_some();
            let rule = if is_logged { route.rule_held(met, server.clock.calendar()) } else { None };
            Chosen { limit, by: PaceBy::Rule, rule }
        }
        None => Chosen { limit: route.limit().clone(), by: PaceBy::Route, rule: None },
    }
}

/// Returns the limit of the request's content, or of what a client sends through a tunnel. `met` are the rules that it met.
pub(super) fn upload_limit_of(route: &Route, met: Met, exchange: &Exchange) -> Chosen {
    let server = &exchange.connection().server;
    match route.upload_rule_limit(met, || (server.clock.calendar(), None)) {
        Some((limit, met)) => {
            server.follow_calendar(route.upload_rules());
            let is_logged = exchange.transfer().logged.is_some();
            let rule = is_logged.then(|| route.upload_rule_held(met, server.clock.calendar())).flatten();
            Chosen { limit, by: PaceBy::Rule, rule }
        }
        None => Chosen { limit: route.upload_limit().clone(), by: PaceBy::Route, rule: None },
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

    /// Sets the limits of transfers under rules to what holds now. Call it when limits or rules of routes were changed.
    pub(crate) fn apply_rules(&self) {
        self.0.apply_rules(None);
    }
}

impl Shared {
    /// Sets what follows the calendar to what holds now: limits of transfers under rules, and shared limits. Returns when the next
    /// of it changes, if anything does.
    ///
    /// `at` is the time on the clock, if nothing but the time changes what holds.
    pub(super) fn apply_rules(&self, at: Option<Instant>) -> Option<SystemTime> {
        let now = self.clock.calendar();
        let setup = self.setup();
        setup.routes.iter().for_each(|route| route.apply_rules((now, at)));
        let of_routes = setup.routes.iter().filter_map(|route| route.next_change(now));
        of_routes.chain(self.calendar.schedules.apply(now)).min()
    }

    /// Starts to follow the calendar, if `rules` have times and nobody does yet.
    pub(super) fn follow_calendar(self: &Arc<Self>, rules: &[PaceRule]) {
        let is_timed = || rules.iter().any(|rule| rule.when.during.is_some());
        if !self.calendar.is_followed.load(Ordering::Relaxed) && is_timed() {
            self.follow();
        }
    }

    /// Starts to follow the calendar, if anything changes by it and nobody does yet.
    pub(super) fn follow_if_any(self: &Arc<Self>) {
        if self.calendar.schedules.apply(self.clock.calendar()).is_some() {
            self.follow();
        }
    }

    fn follow(self: &Arc<Self>) {
        if !self.calendar.is_followed.swap(true, Ordering::SeqCst) {
            rt::spawn(follow(Arc::clone(self)));
        }
    }
}

/// Applies rules at each boundary of time, until there is none or the server stops.
async fn follow(server: Arc<Shared>) {
    let boundaries = async {
        // Nobody else has it once its last handle was dropped.
        while Arc::strong_count(&server) > 1 {
            let Some(next) = server.apply_rules(Some(server.clock.now())) else {
                // The next transfer under a rule with a time starts another, or the next reload.
                server.calendar.is_followed.store(false, Ordering::SeqCst);
                // One that came in between found that somebody follows.
                let is_another = server.apply_rules(Some(server.clock.now())).is_none()
                    || server.calendar.is_followed.swap(true, Ordering::SeqCst);
                if is_another {
                    return;
                }
                continue;
            };
            let left = next.duration_since(server.clock.calendar()).unwrap_or_default();
            Sleep::lasting(Arc::clone(&server.clock), left.min(LOOK_EVERY)).await;
        }
    };
    boundaries.or(server.reached(Stage::Stopped)).await;
}
