//! Pace of a response or a stream of raw TCP, and limits that those of one route or port share.

use super::words::parse_end_of_stream;
use std::time::Duration;

use crate::duration;
use crate::filter::EndOfStream;
use crate::keys::{Keys, LIMIT_EXAMPLE, NOTHING_AHEAD};
use crate::limit::{Budget, Burst, CatchUp, Interval, Rate, Rates, Weight};

/// Pace of a response. The default is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Bytes per second, by the bytes that have been sent.
    pub rate: Rates,
    /// Bytes sent ahead of the rate, once.
    pub burst: Burst,
    /// How often a chunk is sent. Default 200 ms.
    pub interval: Interval,
    /// When the last part, less than one chunk, is sent.
    pub end_of_stream: EndOfStream,
    /// How much time not used may be made up at once; `None` is one interval.
    pub catch_up: Option<CatchUp>,
}

impl Pace {
    /// Reads `burst`, `interval`, `end_of_stream` and `catch_up`, which go with `rate`.
    pub(super) fn read(keys: &Keys<'_>, rate: Rates) -> Self {
        let burst = keys.amount("burst", str::parse::<Burst>).unwrap_or_default();
        let interval = keys.amount("interval", parse_interval).unwrap_or_default();
        let end_of_stream = keys.parse_with("end_of_stream", parse_end_of_stream).unwrap_or_default();
        let catch_up = keys.amount("catch_up", parse_catch_up);
        if let Some(short) = catch_up.filter(|catch_up| catch_up.duration() < interval.duration()) {
            let text = format!(
                "{short} is less than the interval of {interval}, which may always be made up; leave it out"
            );
            keys.fault("catch_up", text);
        }
        Self { rate, burst, interval, end_of_stream, catch_up }
    }

    /// Whether it is a limit.
    pub(super) fn is_limit(&self) -> bool {
        self.rate.last().is_some()
    }

    /// Its fastest rate and the time for which that gives bytes at once, if it always is a limit.
    pub(super) fn limit(&self) -> Option<(Rate, Duration)> {
        let interval = self.interval.duration();
        let at_once = self.catch_up.map_or(interval, |catch_up| interval.max(catch_up.duration()));
        self.rate.fastest().map(|rate| (rate, at_once))
    }

    /// Notes the keys that do nothing because there is no rate.
    pub(super) fn note_unused(keys: &Keys<'_>) {
        const NOTHING_PACED: &str = "nothing is paced";
        for (key, why) in [
            ("burst", NOTHING_AHEAD),
            ("interval", NOTHING_PACED),
            ("end_of_stream", NOTHING_PACED),
            ("catch_up", NOTHING_PACED),
        ] {
            keys.needs_rate(key, false, why);
        }
    }
}

fn parse_interval(text: &str) -> Result<Interval, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    Interval::new(duration).map_err(|error| error.to_string())
}

fn parse_catch_up(text: &str) -> Result<CatchUp, String> {
    let duration = duration::parse(text).map_err(|error| error.to_string())?;
    CatchUp::new(duration).map_err(|error| error.to_string())
}

/// Limits that the responses of one route share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RouteLimits {
    /// Limit of all responses of the route together.
    pub total: Budget,
    /// Limit of its responses to one client together.
    pub client: Budget,
    /// Share of a response among those of its client.
    pub weight: Weight,
    /// If set, the pace delays nothing and only counts what it would have delayed.
    pub report_only: bool,
    /// Limit of all uploads together.
    pub upload_total: Budget,
    /// Limit of the uploads of one client together.
    pub upload_client: Budget,
}

impl RouteLimits {
    /// Reads `total` and `client`, and those of `upload`.
    pub(super) fn read(limits: &Keys<'_>) -> Self {
        let upload = limits.table("upload", " such as { total = { rate = \"20m\" } }");
        let (total, client) =
            (limits.table("total", LIMIT_EXAMPLE).budget(), limits.table("client", LIMIT_EXAMPLE).budget());
        Self {
            total,
            client,
            upload_total: upload.table("total", LIMIT_EXAMPLE).budget(),
            upload_client: upload.table("client", LIMIT_EXAMPLE).budget(),
            ..Self::default()
        }
    }

    /// Reads `weight` and `report_only` of `response`, the route's `limits.response`; `route` may set its rate too.
    pub(super) fn of_response(self, response: &Keys<'_>, route: &Keys<'_>) -> Self {
        let weight = response.number("weight", 1..=u16::MAX.into());
        let report_only = response.switch("report_only");
        if report_only.is_some() && !route.has("rate") && !response.has("rate") {
            response.fault("report_only", "there is no rate to report on");
        }
        Self {
            weight: weight.and_then(|weight| Weight::new(weight as u16)).unwrap_or_default(),
            report_only: report_only.unwrap_or_default(),
            ..self
        }
    }
}
