//! Where the collector is: as it is set, else as the environment says, else on this machine.

use super::TracingError;
use crate::config::{CollectorUrl, TracingSettings};

/// The endpoint of all signals, and that of traces alone (OpenTelemetry's "OTLP Exporter Configuration").
const OF_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const OF_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Where that specification has a collector listen.
const DEFAULT: &str = "http://localhost:4318";

/// The URL that spans are posted to. `variable` reads the environment.
pub(super) fn of(
    settings: &TracingSettings,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, TracingError> {
    if let Some(url) = &settings.otlp {
        return Ok(url.for_traces());
    }
    let given = |name: &str| variable(name).filter(|text| !text.is_empty());
    let read = |name: &str, text: &str| {
        text.parse::<CollectorUrl>().map_err(|error| TracingError(format!("{name}: {error}")))
    };
    if let Some(text) = given(OF_TRACES) {
        // Said of traces alone, it is the whole of it.
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
        let set = |url: &str| TracingSettings { otlp: Some(url.parse().unwrap()), ..Default::default() };
        let unset = TracingSettings::default();
        for (settings, all, traces, expected) in [
            (&set("http://a:1"), "http://b:2", "http://c:3", Ok("http://a:1/v1/traces")),
            (&set("http://a:1/x/"), "", "", Ok("http://a:1/x/v1/traces")),
            (&unset, "http://b:2/y", "http://c:3/z", Ok("http://c:3/z")),
            (&unset, "http://b:2/y", "", Ok("http://b:2/y/v1/traces")),
            (&unset, "", "", Ok("http://localhost:4318/v1/traces")),
            (&unset, "grpc://b", "", Err("OTEL_EXPORTER_OTLP_ENDPOINT: \"grpc://b\" is not a collector")),
            (&unset, "", "b:1", Err("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: \"b:1\" is not a collector")),
        ] {
            let found = of(settings, |name| Some(if name == OF_ALL { all } else { traces }.to_owned()));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(found), Err(expected)) => assert!(found.to_string().starts_with(expected), "{found}"),
                (found, expected) => panic!("{found:?} and not {expected:?}"),
            }
        }
    }
}
