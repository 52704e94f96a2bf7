//! Where spans of traced events are exported to, and as whose.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::UpstreamUrl;
use super::error::shorten;
use super::raw::Parsed;
use super::resolve::Resolver;

/// The URL of a collector of OTLP over HTTP: `http://HOST[:PORT][/PATH]`.
///
/// ```
/// use sluicegate::config::CollectorUrl;
///
/// let url: CollectorUrl = "http://127.0.0.1:4318".parse()?;
/// assert_eq!(url.for_traces(), "http://127.0.0.1:4318/v1/traces");
/// assert!("https://example.com".parse::<CollectorUrl>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl(UpstreamUrl);

impl CollectorUrl {
    /// Where it takes spans: below it, as OTLP has it.
    pub fn for_traces(&self) -> String {
        format!("{}/v1/traces", self.to_string().trim_end_matches('/'))
    }
}

impl FromStr for CollectorUrl {
    type Err = String;

    /// Reads a URL; the error says what is wrong with it, and what to write.
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let why = match text.split_once("://") {
                Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                    "TLS to collectors is not spoken, have an agent on this machine pass spans on"
                }
                _ => "it is no URL that begins with http://",
            };
            format!("{:?} is not a collector: {why}; write http://127.0.0.1:4318", shorten(text))
        })
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Spans of events whose publishers trace them, exported over OTLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// The collector. Default: what OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT say, else
    /// port 4318 of this machine.
    pub otlp: Option<CollectorUrl>,
    /// What the service is called. Default: what OTEL_SERVICE_NAME says, else `sluicegate`.
    pub service: Option<String>,
    /// The most spans that wait for their export, and the most deliveries that are waited for. Default 8192.
    pub queue: usize,
}

impl Default for TracingSettings {
    fn default() -> Self {
        Self { otlp: None, service: None, queue: 8192 }
    }
}

/// `[tracing]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { otlp = \"http://127.0.0.1:4318\" }")]
pub(super) struct RawTracing {
    otlp: Option<Parsed<CollectorUrl>>,
    service: Option<Spanned<String>>,
    queue: Option<Spanned<i64>>,
}

impl Resolver<'_> {
    /// What `[tracing]` means; `has_events` is whether a route has streams of events.
    pub(super) fn tracing(
        &mut self,
        raw: Option<Spanned<RawTracing>>,
        has_events: bool,
    ) -> Option<TracingSettings> {
        let raw = raw?;
        let place = raw.span();
        let raw = raw.into_inner();
        if !has_events {
            self.problem(place, "[tracing] is for streams of events, and no [[route]] has any; leave it out");
        }
        if let Some(service) = raw.service.as_ref().filter(|service| service.get_ref().trim().is_empty()) {
            let text = "service in [tracing]: is empty; give a name, or leave it out for \"sluicegate\"";
            self.problem(service.span(), text);
        }
        Some(TracingSettings {
            otlp: raw.otlp.map(|url| url.0),
            service: raw.service.map(Spanned::into_inner),
            queue: self.count("queue in [tracing]", raw.queue, TracingSettings::default().queue, 1),
        })
    }
}
