//! Settings of the export of spans.

use super::CollectorUrl;
use crate::keys::{Keys, MAX_COUNT};

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
