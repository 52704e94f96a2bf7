//! Metric families of classes of clients: what is set, what passed, and how many clients are known.
//!
//! Labelled by class and limit, both bounded by the configuration; never by client.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Unit;

use super::families::Families;
use crate::http::server::Handle;
use crate::limit::{Budget, Passed, Rate};

pub(super) struct ClassMetrics(Handle);

/// The samples of one limit of a class.
struct Sample {
    class: String,
    limit: &'static str,
    budget: Budget,
    passed: Passed,
}

impl ClassMetrics {
    pub(super) fn new(server: Handle) -> Self {
        Self(server)
    }
}

impl Collector for ClassMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Families(encoder);
        let classes = self.0.budgets().classes();
        let samples: Vec<Sample> = classes
            .iter()
            .flat_map(|class| {
                [("total", "client", class.clients()), ("upload_total", "upload_client", class.uploads())]
                    .into_iter()
                    .flat_map(|(total, each, clients)| {
                        let all = clients.parent();
                        let sample = |limit, budget, passed| Sample {
                            class: class.name().to_owned(),
                            limit,
                            budget,
                            passed,
                        };
                        [
                            sample(total, all.budget(), all.passed()),
                            sample(each, clients.budget(), all.passed_below()),
                        ]
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        let labels = |sample: &Sample| [("class", sample.class.clone()), ("limit", sample.limit.to_owned())];
        to.gauges(
            "class_clients",
            "Clients of the class that are known, idle ones included: those that were charged under a limit.",
            None,
            classes.iter().map(|class| ([("class", class.name().to_owned())], class.clients().len() as u64)),
        )?;
        to.gauges(
            "class_limit_rate",
            "The rate that is set, per second: of all clients of the class, and of each. Absent where there is none.",
            Some(Unit::Bytes),
            samples.iter().filter_map(|sample| {
                Some((labels(sample), sample.budget.rate.map(Rate::bytes_per_second)?))
            }),
        )?;
        let passed = |count: fn(&Passed) -> u64| {
            samples.iter().map(move |sample| (labels(sample), count(&sample.passed)))
        };
        to.counters(
            "class_passed",
            "Bytes that passed a limit of the class, whether or not it has a rate.",
            Some(Unit::Bytes),
            passed(|passed| passed.bytes),
        )?;
        to.counters(
            "class_waits",
            "How often a response or an upload had to wait for a limit of the class.",
            None,
            passed(|passed| passed.waits),
        )?;
        to.counters(
            "class_over",
            "Bytes that a limit of the class which only reports would have delayed.",
            Some(Unit::Bytes),
            passed(|passed| passed.over),
        )
    }
}

impl fmt::Debug for ClassMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClassMetrics")
    }
}
