//! A quota server's figures as metric families, read when they are asked for.
//!
//! One sample of a family for each limit: at most `--max-resources`, and none for clients. A server that does not lead has none
//! of limits.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Shared;
use crate::quota::book::{Book, ResourceView};
use crate::quota::lead::Term;
use crate::quota::limit::{MICRO, Unit};

/// Limits that have samples: the first by their names.
const MAX_SHOWN: usize = 1000;

/// A quota server's counters. Register it with [`Figures::with_metrics`](crate::admin::Figures::with_metrics) or any
/// registry of prometheus-client.
pub struct QuotaServerMetrics(pub(super) Arc<Shared>);

impl fmt::Debug for QuotaServerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuotaServerMetrics").finish()
    }
}

/// What is led, at one time.
struct Led {
    term: Option<Term>,
    clients: usize,
    is_learning: bool,
    resources: Vec<ResourceView>,
    all: usize,
}

impl QuotaServerMetrics {
    fn led(&self) -> Option<Led> {
        let look = |book: &mut Book, now| {
            let resources = book.resources(now, None, MAX_SHOWN);
            (book.live(), book.is_learning(), resources, book.limits())
        };
        let (term, (clients, is_learning, resources, all)) = self.0.book.leading_in_term(look).ok()?;
        Some(Led { term, clients, is_learning, resources, all })
    }
}

impl Collector for QuotaServerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let led = self.led();
        let mut gauge = |name: &str, help: &str, value: u64| {
            let encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
        };
        gauge(
            "quota_leads",
            "Whether this quota server answers for the fleet: 1 or 0.",
            led.is_some().into(),
        )?;
        if let Some(led) = &led {
            if let Some(term) = led.term {
                gauge("quota_term", "Number of the lease by which this server leads.", term.number)?;
            }
            let help = "Whether only what clients hold already is granted: 1 or 0.";
            gauge("quota_learning", help, led.is_learning.into())?;
            gauge("quota_clients", "Live clients.", led.clients as u64)?;
            gauge("quota_limits", "Resources with a limit.", led.all as u64)?;
        }
        let help = "Calls of the store that failed.";
        let errors = ConstCounter::new(self.0.book.limits.store_errors.load(Ordering::Relaxed));
        errors.encode(encoder.encode_descriptor("quota_store_errors", help, None, MetricType::Counter)?)?;
        let Some(led) = led.filter(|led| !led.resources.is_empty()) else { return Ok(()) };
        let limit = |view: &ResourceView| u128::from(view.limit.micros());
        let units = |micros: u128| micros as f64 / MICRO as f64;
        let families: [Family<'_>; 4] = [
            ("quota_limit", "The limit, in units a second.", &|view| units(limit(view))),
            ("quota_leased", "What clients may spend of it now, in units a second.", &|view| {
                units(view.granted)
            }),
            ("quota_unleased", "What nobody may spend of it now, in units a second.", &|view| {
                units(limit(view).saturating_sub(view.granted))
            }),
            ("quota_members", "Live clients that share it.", &|view| view.clients as f64),
        ];
        for (name, help, value) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for view in &led.resources {
                ConstGauge::new(value(view)).encode(family.encode_family(&labels(view))?)?;
            }
        }
        Ok(())
    }
}

/// Name, help, and the value for a limit.
type Family<'a> = (&'a str, &'a str, &'a dyn Fn(&ResourceView) -> f64);

fn labels(view: &ResourceView) -> impl EncodeLabelSet {
    let unit = match view.limit.unit() {
        Unit::Bytes => "bytes",
        Unit::Requests => "requests",
    };
    [("resource", view.resource.to_string()), ("unit", unit.to_owned())]
}
