//! Settings of the export of spans.

use super::CollectorUrl;
use crate::keys::{Keys, MAX_COUNT};

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
