//! Metric families of TLS: handshakes, and when certificates end.

use std::fmt;

use prometheus_client::registry::Unit;

use super::families::Families;
use crate::rt::Reason as _;
use crate::tls::{NamedTls, Reason};

/// Writes them; none without TLS.
pub(super) fn write(to: &mut Families<'_>, tls: &NamedTls) -> fmt::Result {
    let done = tls.iter().map(|(name, tls)| ([("tls", name.as_str())], tls.counts().done()));
    to.counters("tls_handshakes", "TLS handshakes that were completed.", None, done)?;
    let failed = tls.iter().flat_map(|(name, tls)| {
        Reason::ALL.iter().map(|reason| {
            ([("tls", name.as_str()), ("reason", reason.as_str())], tls.counts().failed(*reason))
        })
    });
    to.counters("tls_handshakes_failed", "TLS handshakes that failed, by reason.", None, failed)?;
    let certificates: Vec<_> = tls
        .iter()
        .flat_map(|(name, tls)| {
            tls.renewed_certificates().into_iter().map(move |certificate| (name, certificate))
        })
        .collect();
    to.gauges(
        "tls_certificate_expiry_timestamp",
        "When the certificate in each file ends, in seconds since 1970.",
        Some(Unit::Seconds),
        certificates.iter().map(|(name, certificate)| {
            ([("tls", name.as_str()), ("file", certificate.source.as_str())], certificate.ends)
        }),
    )
}
