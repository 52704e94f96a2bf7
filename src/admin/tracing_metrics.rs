//! Metric families of spans.

use std::fmt;

use super::families::Families;
use crate::tracing::Tracer;

/// Encodes the families of a server that traces events.
pub(super) fn write(to: &mut Families<'_>, tracer: &Tracer) -> fmt::Result {
    let counts = tracer.counts();
    for (name, help, value) in [
        ("spans_exported", "Spans that the collector took.", counts.exported()),
        ("spans_dropped", "Spans that found no room in the queue.", counts.dropped()),
        ("spans_failed", "Spans that were sent and that the collector did not take.", counts.failed()),
        ("spans_export_failures", "Batches of spans that it did not take.", counts.failures()),
    ] {
        to.counter(name, help, None, value)?;
    }
    to.gauge("spans_queued", "Spans that wait for their export.", None, tracer.queued() as u64)?;
    to.gauge("spans_open", "Deliveries whose acknowledgement is waited for.", None, tracer.open() as u64)
}
