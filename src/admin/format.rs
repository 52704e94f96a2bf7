//! The two text formats of metrics: OpenMetrics 1.0, and the older one of Prometheus (0.0.4).
//!
//! They differ mainly in a counter's `_total`: OpenMetrics has it at the samples only, the older format at the family's
//! HELP and TYPE too. `promtool check metrics` reads the older one and misses those texts in OpenMetrics. So both are
//! served by the Accept field, and the older one without it.

use std::fmt::Write;

use http::HeaderMap;
use http::header::ACCEPT;

use crate::filter::weight_of;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Classic,
}

impl Format {
    /// The format that a client with these fields prefers: plain text unless it prefers OpenMetrics, since a client without
    /// a preference, such as curl, may feed `promtool` or be an older scraper.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let open = weight(headers, "application", "openmetrics-text");
        if open > weight(headers, "text", "plain") { Self::OpenMetrics } else { Self::Classic }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Converts `exposition`, which is OpenMetrics, to this format.
    pub(super) fn of(self, exposition: String) -> String {
        match self {
            Self::OpenMetrics => exposition,
            Self::Classic => classic(&exposition),
        }
    }
}

/// The weight of a media type in the Accept fields, in thousandths (RFC 9110 section 12.5.1): that of the most specific
/// range. Parameters of a range, such as its version, are ignored.
fn weight(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let (mut best, mut found) = (0, 0);
    let fields = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in fields.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let Some((of, below)) = parts.next().unwrap_or_default().split_once('/') else { continue };
        let is = |given: &str, wanted: &str| given.eq_ignore_ascii_case(wanted);
        let specific = match (is(of, kind), is(below, subtype)) {
            (true, true) => 3,
            (true, false) if below == "*" => 2,
            (false, _) if of == "*" && below == "*" => 1,
            _ => continue,
        };
        let weight = weight_of(parts);
        if specific > best || specific == best && weight > found {
            (best, found) = (specific, weight);
        }
    }
    found
}

/// OpenMetrics as the encoder writes it (HELP, TYPE, UNIT, samples) in the older format.
fn classic(exposition: &str) -> String {
    let mut text = String::with_capacity(exposition.len());
    let mut help = None;
    for line in exposition.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = Some(rest);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, said)) = help.take().and_then(|help| help.split_once(' ')) {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "# HELP {name}{suffix} {said}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_unless_openmetrics_is_preferred() {
        // What Prometheus 2.42 sends.
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                          version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (fields, expected) in [
            (&[][..], Format::Classic),
            (&["*/*"], Format::Classic),
            (&[prometheus], Format::OpenMetrics),
            (&[browser], Format::Classic),
            (&["application/json"], Format::Classic),
            (&["application/openmetrics-text"], Format::OpenMetrics),
            (&["Application/*"], Format::OpenMetrics),
            (&["text/plain, application/openmetrics-text"], Format::Classic),
            (&["TEXT/PLAIN"], Format::Classic),
            (&["text/*"], Format::Classic),
            (&["text/plain; version=0.0.4"], Format::Classic),
            (&["text/plain", "application/openmetrics-text; q=0.9"], Format::Classic),
            (&["application/openmetrics-text; q=0, */*"], Format::Classic),
            (&["application/*;q=0.2, text/plain;q=0.1"], Format::OpenMetrics),
            (&["application/openmetrics-text; q=x"], Format::Classic),
            (&["application/openmetrics-text; q=2"], Format::Classic),
            (&["application/openmetrics-text; q=nan, nonsense, /"], Format::Classic),
        ] {
            let headers = fields.iter().map(|field| (ACCEPT, field.parse().unwrap())).collect();
            assert_eq!(Format::asked_for(&headers), expected, "{fields:?}");
        }
    }

    #[test]
    fn in_the_older_format_a_counter_is_called_total_throughout() {
        let text = "# HELP a_bytes Of it all.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
                    a_bytes_total{b=\"# HELP\"} 1\n# HELP c C.\n# TYPE c gauge\nc 2\n# EOF\n";
        let expected = "# HELP a_bytes_total Of it all.\n# TYPE a_bytes_total counter\n\
                        a_bytes_total{b=\"# HELP\"} 1\n# HELP c C.\n# TYPE c gauge\nc 2\n";
        assert_eq!(Format::Classic.of(text.to_owned()), expected);
        assert_eq!(Format::OpenMetrics.of(text.to_owned()), text);
    }
}
