//! Settings of the export of spans. The collector's URL is the setting, else the environment's, else this machine's
//! port 4318.

use std::fmt;
use std::str::FromStr;

use crate::address::{HttpUrl, UrlError};
use crate::excerpt::excerpt;
use crate::keys::{Keys, MAX_COUNT};

/// Characters of a text that is refused, in the message that refuses it.
const SHOWN: usize = 60;

/// The variables for all signals and for traces alone (OpenTelemetry's "OTLP Exporter Configuration").
const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// The default of that specification.
const DEFAULT: &str = "http://localhost:4318";

/// Export over OTLP of spans of events whose publishers trace them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingSettings {
    /// Collector. Default: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT, else port 4318 of this
    /// machine.
    pub otlp: Option<CollectorUrl>,
    /// Name of the service. Default: OTEL_SERVICE_NAME, else `sluicegate`.
    pub service: Option<String>,
    /// Maximum number of spans that wait for export, and of deliveries that are tracked. Default 8192.
    pub queue: usize,
}

impl TracingSettings {
    /// Reads `[tracing]`.
    pub(crate) fn read(keys: &Keys<'_>) -> Self {
        let otlp = keys.parse("otlp");
        let service: Option<String> = keys.parse("service");
        if service.as_ref().is_some_and(|service| service.trim().is_empty()) {
            keys.fault("service", "is empty; give a name, or leave it out for \"sluicegate\"");
        }
        let queue = keys.number("queue", 1..=MAX_COUNT).unwrap_or(Self::default().queue);
        Self { otlp, service, queue }
    }
}

impl Default for TracingSettings {
    fn default() -> Self {
        Self { otlp: None, service: None, queue: 8192 }
    }
}

/// The base URL of an OTLP collector: `http://HOST[:PORT][/PATH]`.
///
/// ```
/// use sluicegate::tracing::CollectorUrl;
///
/// let url: CollectorUrl = "http://127.0.0.1:4318".parse()?;
/// assert_eq!(url.for_traces(), "http://127.0.0.1:4318/v1/traces");
/// assert!("https://example.com".parse::<CollectorUrl>().is_err());
/// # Ok::<(), sluicegate::tracing::CollectorUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl(
    /// Invariant: `http`, without a query.
    HttpUrl,
);

impl CollectorUrl {
    /// The URL that traces are posted to: `/v1/traces` below the base (OTLP/HTTP).
    pub fn for_traces(&self) -> String {
        format!("{}/v1/traces", self.to_string().trim_end_matches('/'))
    }
}

caused_error! {
    /// Why a text is no URL of a collector. Says what to write.
    CollectorUrlError {
        /// Whether it begins with `https://`: spans are sent without TLS.
        is_tls: tls,
        /// Whether it begins with neither `http://` nor `https://`.
        is_scheme: scheme,
    }
}

impl FromStr for CollectorUrl {
    type Err = CollectorUrlError;

    /// Reads a URL. The error says what is wrong with it and what to write.
    fn from_str(text: &str) -> Result<Self, CollectorUrlError> {
        let (make, why): (fn(String) -> CollectorUrlError, _) = match HttpUrl::parse(text) {
            Ok(url) if url.is_tls() => (
                CollectorUrlError::tls,
                "TLS to collectors is not supported; have an agent on this machine forward spans",
            ),
            Ok(_) if text.contains(['?', '#']) => (CollectorUrlError::other, "it has a query or a fragment"),
            Ok(url) => return Ok(Self(url)),
            Err(UrlError::NoScheme) => (CollectorUrlError::scheme, "http:// is missing"),
            Err(UrlError::Scheme) => (CollectorUrlError::scheme, "it does not begin with http://"),
            Err(error) => (CollectorUrlError::other, error.text()),
        };
        Err(make(format!(
            "{:?} is not a collector: {why}; write http://127.0.0.1:4318",
            excerpt(text, SHOWN)
        )))
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_error! {
    /// Why spans cannot be exported with these settings. Says what to do.
    TracingError
}

/// The URL that spans are posted to: the one set, else the environment's, which `variable` reads, else the default.
pub(super) fn endpoint(
    set: Option<&CollectorUrl>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, TracingError> {
    if let Some(url) = set {
        return Ok(url.for_traces());
    }
    let given = |name: &str| variable(name).filter(|text| !text.is_empty());
    let read = |name: &str, text: &str| {
        text.parse::<CollectorUrl>().map_err(|error| TracingError(format!("{name}: {error}")))
    };
    if let Some(text) = given(OF_TRACES) {
        // This variable holds the full URL: nothing is appended.
        return read(OF_TRACES, &text).map(|url| url.to_string());
    }
    let text = given(OF_ALL).unwrap_or_else(|| DEFAULT.to_owned());
    read(OF_ALL, &text).map(|url| url.for_traces())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_goes_before_the_environment_and_that_before_the_default() {
        let set = |url: &str| Some(url.parse::<CollectorUrl>().unwrap());
        let unset = None;
        for (settings, all, traces, expected) in [
            (&set("http://a:1"), "http://b:2", "http://c:3", Ok("http://a:1/v1/traces")),
            (&set("http://a:1/x/"), "", "", Ok("http://a:1/x/v1/traces")),
            (&unset, "http://b:2/y", "http://c:3/z", Ok("http://c:3/z")),
            (&unset, "http://b:2/y", "", Ok("http://b:2/y/v1/traces")),
            (&unset, "", "", Ok("http://localhost:4318/v1/traces")),
            (&unset, "grpc://b", "", Err("OTEL_EXPORTER_OTLP_ENDPOINT: \"grpc://b\" is not a collector")),
            (&unset, "", "b:1", Err("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: \"b:1\" is not a collector")),
        ] {
            let found = endpoint(settings.as_ref(), |name| {
                Some(if name == OF_ALL { all } else { traces }.to_owned())
            });
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.to_string().starts_with(expected), "{found}"),
                (found, expected) => panic!("{found:?} and not {expected:?}"),
            }
        }
    }
}
