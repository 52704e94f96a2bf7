//! The client's shares as metric families, read when they are asked for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::share::ShareState;
use super::{Allocation, Shared};
use crate::quota::limit::MICRO;

/// A client's counters. Register it with [`Admin::with_metrics`](crate::admin::Admin::with_metrics) or any
/// registry of prometheus-client.
pub struct QuotaMetrics(Arc<Shared>);

impl QuotaMetrics {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }
}

impl fmt::Debug for QuotaMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuotaMetrics").field(&self.0.settings.client).finish()
    }
}

impl Collector for QuotaMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let connected = i64::from(self.0.connected.load(Ordering::Relaxed));
        let help = "Whether the quota server answered the last heartbeat: 1 or 0.";
        let gauge = encoder.encode_descriptor("quota_connected", help, None, MetricType::Gauge)?;
        ConstGauge::new(connected).encode(gauge)?;
        if self.0.allocations.is_empty() {
            return Ok(());
        }
        let shares = || {
            let allocations = self.0.allocations.values().cloned().map(Allocation);
            allocations.map(|allocation| (allocation.resource().to_string(), allocation.share()))
        };
        let help = "The rate to spend at, in units a second.";
        let mut family = encoder.encode_descriptor("quota_share", help, None, MetricType::Gauge)?;
        for (resource, share) in shares() {
            let rate = ConstGauge::new(share.rate_micros as f64 / MICRO as f64);
            rate.encode(family.encode_family(&[("resource", resource)])?)?;
        }
        let help = "Why the rate is what it is: 1 for the state that holds, 0 for the others.";
        let mut family = encoder.encode_descriptor("quota_share_state", help, None, MetricType::Gauge)?;
        for (resource, share) in shares() {
            for state in [ShareState::Learning, ShareState::Leased, ShareState::SafeShare] {
                let labels = [("resource", resource.as_str()), ("state", state.name())];
                let holds = ConstGauge::new(i64::from(state == share.state));
                holds.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
