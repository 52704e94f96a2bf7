//! Limits that responses share: of the server, of a client, of a route.

use serde::Deserialize;
use toml::Spanned;

use super::raw::Parsed;
use super::resolve::Resolver;
use crate::http::{KeySource, SharedLimits};
use crate::limit::{Budget, Burst, RateOrOff, Weight};

/// What the responses of one route share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteLimits {
    /// Of all responses of the route together.
    pub total: Budget,
    /// Of all its responses to one client together.
    pub client: Budget,
    /// The share of a response beside the others of its client.
    pub weight: Weight,
    /// The pace of a response delays nothing; what it would have delayed is counted.
    pub report_only: bool,
}

/// `[limits]` as it is written, but for `connection`, which is the sink's.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { rate = \"100m\" }")]
pub(super) struct RawBudget {
    rate: Option<RateOrOff>,
    burst: Option<Spanned<Burst>>,
    #[serde(default)]
    report_only: bool,
}

/// The client's node, which also says what a client is.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { rate = \"2m\", key = \"address\" }")]
pub(super) struct RawClient {
    rate: Option<RateOrOff>,
    burst: Option<Spanned<Burst>>,
    #[serde(default)]
    report_only: bool,
    key: Option<Parsed<KeySource>>,
}

/// A response's own.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { rate = 60, weight = 2 }")]
pub(super) struct RawResponse {
    pub(super) rate: Option<Spanned<RateOrOff>>,
    pub(super) burst: Option<Spanned<Burst>>,
    weight: Option<Spanned<i64>>,
    report_only: Option<Spanned<bool>>,
}

/// `limits` of a route.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { total = { rate = \"20m\" } }")]
pub(super) struct RawRouteLimits {
    #[serde(default)]
    total: RawBudget,
    #[serde(default)]
    client: RawBudget,
    #[serde(default)]
    pub(super) response: RawResponse,
}

impl Resolver<'_> {
    pub(super) fn shared_limits(&mut self, server: RawBudget, client: RawClient) -> SharedLimits {
        let RawClient { rate, burst, report_only, key } = client;
        SharedLimits {
            server: self.budget("[limits.server]", server),
            client: self.budget("[limits.client]", RawBudget { rate, burst, report_only }),
            key: key.map(|key| key.0).unwrap_or_default(),
        }
    }

    /// What a route has of its own, its rate and burst excepted. `has_rate` is whether its responses can
    /// have a pace.
    pub(super) fn route_limits(&mut self, name: &str, raw: RawRouteLimits, has_rate: bool) -> RouteLimits {
        let RawResponse { weight, report_only, .. } = raw.response;
        if let Some(report_only) = report_only.as_ref().filter(|_| !has_rate) {
            let text = format!("report_only in limits.response of {name}: there is no rate to report on");
            self.problem(report_only.span(), text);
        }
        let number = weight.as_ref().map_or(1, |weight| *weight.get_ref());
        let known = u16::try_from(number).ok().and_then(Weight::new);
        if let (None, Some(weight)) = (known, weight) {
            let text = format!("weight in limits.response of {name}: is not a number from 1 to {}", u16::MAX);
            self.problem(weight.span(), text);
        }
        RouteLimits {
            total: self.budget(&format!("limits.total of {name}"), raw.total),
            client: self.budget(&format!("limits.client of {name}"), raw.client),
            weight: known.unwrap_or_default(),
            report_only: report_only.is_some_and(Spanned::into_inner),
        }
    }

    /// A value that may be written at two places.
    pub(super) fn one_of<T>(
        &mut self,
        name: &str,
        key: &str,
        short: Option<Spanned<T>>,
        long: Option<Spanned<T>>,
    ) -> Option<Spanned<T>> {
        if let (Some(_), Some(long)) = (&short, &long) {
            let text = format!("limits.response.{key} in {name}: {key} says it already; leave one out");
            self.problem(long.span(), text);
        }
        short.or(long)
    }

    pub(super) fn budget(&mut self, place: &str, raw: RawBudget) -> Budget {
        let rate = raw.rate.and_then(|RateOrOff(rate)| rate);
        let (at, burst) = (raw.burst.as_ref().map(Spanned::span), raw.burst.map(Spanned::into_inner));
        let budget = budget_of(rate, burst).unwrap_or_else(|error| {
            self.problem(at.unwrap_or_default(), format!("burst in {place}: {error}"));
            Budget::default()
        });
        Budget { report_only: raw.report_only, ..budget }
    }
}

/// Why a burst alone is refused, and what to do.
pub(super) const BURST_NEEDS_RATE: &str = "without a rate there is nothing to be ahead of; set a rate too";

/// Returns the budget of a rate and a burst, as a file or flags gave them.
///
/// # Errors
/// There is a burst and no rate.
pub fn budget_of(rate: Option<crate::limit::Rate>, burst: Option<Burst>) -> Result<Budget, String> {
    if rate.is_none() && burst.is_some() {
        return Err(BURST_NEEDS_RATE.to_owned());
    }
    Ok(Budget::of(rate).with_burst(burst.unwrap_or_default().bytes()))
}
