//! Stages of a route's chain of filters.

use std::sync::Arc;

use crate::filter::{EndOfStream, Filter, FilterFactory, RateFilter};
use crate::limit::{Carryover, Carryovers, CatchUp, Interval, Limit};

/// A stage in a route's chain of filters.
pub(in crate::http) enum Stage {
    /// A filter, and its name in reports.
    Named(Arc<str>, Arc<dyn FilterFactory>),
    /// A rate filter beside the route's.
    Pace(Pacing),
    /// The route's rate filter.
    RoutePace,
}

/// What rate filters of responses are made from.
pub(in crate::http) struct Pacing {
    /// The filter's name; empty if it has none.
    pub(super) name: String,
    pub(in crate::http) limit: Limit,
    pub(super) interval: Interval,
    pub(in crate::http) end_of_stream: EndOfStream,
    pub(super) catch_up: Option<CatchUp>,
    /// What a response leaves to the next one of the same client.
    pub(in crate::http) carryovers: Carryovers,
}

impl Stage {
    /// Its name in reports; that of the route's rate is the route's.
    pub(in crate::http) fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::Named(name, _) => Some(Arc::clone(name)),
            Self::Pace(pacing) if pacing.name.is_empty() => Some("rate".into()),
            Self::Pace(pacing) => Some(pacing.name.as_str().into()),
            Self::RoutePace => None,
        }
    }
}

/// Puts `pace` last, unless it stands in `stages`: it limits what leaves, not what a filter takes.
pub(crate) fn place_pace<T>(stages: &mut Vec<T>, pace: T, is_pace: impl Fn(&T) -> bool) {
    if !stages.iter().any(is_pace) {
        stages.push(pace);
    }
}

impl Pacing {
    pub(super) fn new(name: &str, limit: Limit, interval: Interval, end_of_stream: EndOfStream) -> Self {
        let (name, carryovers) = (name.to_owned(), Carryovers::default());
        Self { name, limit, interval, end_of_stream, catch_up: None, carryovers }
    }

    /// Makes the filter of one response, under `limit`.
    pub(in crate::http) fn boxed(&self, limit: &Limit, carryover: Carryover) -> Box<dyn Filter> {
        let filter = RateFilter::new(limit.clone()).interval(self.interval).end_of_stream(self.end_of_stream);
        Box::new(filter.catch_up(self.catch_up).with_carryover(carryover))
    }

    pub(super) fn adopt(&mut self, old: &Self) {
        old.limit.set_like(&self.limit);
        self.limit = old.limit.clone();
        self.carryovers = old.carryovers.clone();
    }
}
