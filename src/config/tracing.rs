//! The table `[tracing]`.

use serde::Deserialize;
use toml::Spanned;

use super::raw::Parsed;
use super::resolve::Resolver;
use crate::tracing::{CollectorUrl, TracingSettings};

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
